"""An evaluation that follows a training in the same file, and rows with pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.chat.tiny_vision import write_vision_adapter, write_vision_model
from tests.dataset.shots import drawn
from tests.evaluate.tiny import evaluate, rows, write_data, write_speaker
from trainer.config import RunConfig
from trainer.errors import UserErrors
from trainer.events import Finished, Note, Started
from trainer.jobs.work import run_stage

SPOKEN = r".*(language_model|text_model).*\.(q_proj|v_proj|down_proj)"


@pytest.fixture(autouse=True)
def _apart(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.getbasetemp() / "rows"
    monkeypatch.setattr("trainer.dataset.cache.default_folder", lambda: folder)
    torch.set_num_threads(1)


def test_a_training_is_followed_by_the_evaluation_that_its_file_asks_for(tmp_path: Path) -> None:
    base, data = write_speaker(tmp_path / "tiny"), write_data(tmp_path / "data", rows=rows(12))
    flat: dict[str, Any] = {
        "model_name_or_path": str(base), "dataset": "rows", "dataset_dir": str(data), "val_size": 3, "max_steps": 2,
        "do_train": True, "do_eval": True, "do_predict": True, "output_dir": str(tmp_path / "run"), "max_new_tokens": 6,
        "compute_type": "fp32", "learning_rate": 0.01, "logging_steps": 1, "cutoff_len": 128,
    }  # fmt: skip
    config = RunConfig.from_flat(flat)
    assert config.task == "train" and RunConfig.from_flat(config.to_flat()) == config
    (tmp_path / "run").mkdir()
    events: list[Any] = []
    ending = run_stage(config, events.append, lambda: False)
    assert isinstance(ending, Finished) and ending.step == 2
    assert [each.task for each in events if isinstance(each, Started)] == ["train"]

    def read(name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((tmp_path / "run" / name).read_text(encoding="utf-8"))
        return found

    whole = read("all_results.json")
    assert whole["eval_loss"] == read("eval_results.json")["eval_loss"] == pytest.approx(ending.eval_loss)
    assert {"train_loss", "predict_rouge-l", "base_rouge-l", "predict_runtime"} <= set(whole)
    report = read("report.json")
    assert report["rows"] == 3 and "evaluate_trained_on" not in [note["code"] for note in report["notes"]]
    assert not [each for each in events if isinstance(each, Note) and each.level == "error"]


def test_an_evaluation_after_a_training_needs_rows() -> None:
    with pytest.raises(UserErrors) as caught:
        RunConfig.from_flat({"dataset": "rows", "do_train": True, "do_eval": True})
    assert [each.code for each in caught.value.problems] == ["evaluate_after_without_rows"]


def test_a_file_that_only_evaluates_does_not_train() -> None:
    config = RunConfig.from_flat({"eval_dataset": "rows", "do_predict": True})
    assert config.task == "eval" and RunConfig.from_flat(config.to_flat()) == config
    assert (
        RunConfig.from_flat({"per_device_eval_batch_size": "auto"}).train.per_device_eval_batch_size is None
    )


def test_rows_with_pictures_are_answered_alike_in_every_batch(tmp_path: Path) -> None:
    base = write_vision_model(tmp_path / "sees")
    adapter = write_vision_adapter(tmp_path / "tuned", base, SPOKEN)
    folder = tmp_path / "data"
    folder.mkdir()
    listed = []
    for number in range(4):
        drawn(28 * (1 + number % 3), 56).save(folder / f"{number}.png")
        content = "what?" if number == 2 else "<image>what?"
        images = [] if number == 2 else [f"{number}.png"]
        listed.append({
            "messages": [{"role": "user", "content": content}, {"role": "assistant", "content": "red"}],
            "images": images,
        })  # fmt: skip
    (folder / "seen.json").write_text(json.dumps(listed), encoding="utf-8")
    entry = {
        "file_name": "seen.json", "formatting": "sharegpt", "columns": {"messages": "messages", "images": "images"},
        "tags": {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"},
    }  # fmt: skip
    (folder / "dataset_info.json").write_text(json.dumps({"seen": entry}), encoding="utf-8")

    def run(name: str, size: int, **changes: Any) -> Any:
        flat = {
            "model_name_or_path": str(base), "adapter_name_or_path": str(adapter), "eval_dataset": "seen",
            "dataset_dir": str(folder), "do_predict": True, "do_eval": True, "max_new_tokens": 8,
            "compute_type": "fp32", "output_dir": str(tmp_path / name), "per_device_eval_batch_size": size, **changes,
        }  # fmt: skip
        return evaluate(RunConfig.from_flat(flat))

    together, alone = run("together", 4), run("alone", 1)
    assert together.said == alone.said and len({each["predict"] for each in together.rows}) > 1
    assert [each["loss"]["tuned"] for each in together.rows] == pytest.approx(
        [each["loss"]["tuned"] for each in alone.rows], rel=1e-3
    )
    assert [len(each["media"]) for each in together.rows] == [1, 1, 0, 1]
    tuned = run("tuned", 4, compare_base=False)
    assert [each for each, _ in tuned.said] == [each for each, _ in together.said]
