"""A run as a whole: what is trained, how it is stopped, what it leaves behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from tests.train import tiny
from tests.train.conftest import Configure
from trainer.events import Evaluated, Note, Sample, Saved, Started, Step, Stopped
from trainer.model.adapter import merge


def test_only_the_adapter_moves_and_all_of_it(configure: Configure, model_folder: Path) -> None:
    before = load_file(model_folder / "model.safetensors")
    run = tiny.train(configure(max_steps=3))
    weights = tiny.adapter(run.folder)
    # Seven layers in each of two blocks, two matrices each; B begins at zero.
    assert len(weights) == 28
    assert all(bool(weight.abs().max() > 0) for weight in weights.values())
    assert not any("lm_head" in name or "embed" in name for name in weights)
    first = load_file(model_folder / "model.safetensors")
    assert all(torch.equal(first[name], weight) for name, weight in before.items())
    started = run.of(Started)[0]
    assert started.trainable == sum(weight.numel() for weight in weights.values())
    assert started.trained_tokens > 0


def test_full_fine_tuning_moves_every_weight(configure: Configure, model_folder: Path) -> None:
    run = tiny.train(configure(finetuning_type="full", max_steps=3))
    before, after = load_file(model_folder / "model.safetensors"), load_file(run.folder / "model.safetensors")
    still = [name for name, weight in before.items() if torch.equal(weight, after[name])]
    assert still == []
    assert "tuneboard" not in (run.folder / "config.json").read_text()
    assert "tuneboard" not in (run.folder / "checkpoint-3" / "config.json").read_text()
    assert run.of(Started)[0].trainable == run.of(Started)[0].parameters


def test_merging_equals_base_and_adapter(configure: Configure, model_folder: Path) -> None:
    run = tiny.train(configure(max_steps=3))
    ids = torch.arange(3, 40)[None]
    apart = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model_folder), run.folder)
    merged = merge(AutoModelForCausalLM.from_pretrained(model_folder), run.folder)
    base = AutoModelForCausalLM.from_pretrained(model_folder)
    with torch.no_grad():
        torch.testing.assert_close(merged(ids).logits, apart(ids).logits, rtol=1e-4, atol=1e-4)
        assert not torch.allclose(merged(ids).logits, base(ids).logits, atol=1e-2)


def test_an_adapter_is_continued_or_built_upon(configure: Configure) -> None:
    first = tiny.train(configure("first", max_steps=6, lora_rank=4))
    common = {"adapter_name_or_path": str(first.folder), "max_steps": 1, "learning_rate": 1e-9}
    continued = tiny.train(configure("continued", **common))
    built = tiny.train(configure("built", create_new_adapter=True, lora_rank=2, **common))
    fresh = tiny.train(configure("fresh", max_steps=1))
    # Both begin where the first run ended, far below the base.
    assert continued.losses[1] == pytest.approx(built.losses[1], rel=1e-4)
    assert continued.losses[1] < fresh.losses[1] - 0.1
    for name, weight in tiny.adapter(continued.folder).items():
        torch.testing.assert_close(weight, tiny.adapter(first.folder)[name], rtol=0, atol=1e-5)
    assert "adapter_continued" in continued.codes
    assert "adapter_merged" in built.codes
    assert json.loads((built.folder / "adapter_config.json").read_text())["r"] == 2
    manifest = json.loads((built.folder / "manifest.json").read_text())
    assert (manifest["adapters"], manifest["merged_adapters"]) == ([str(first.folder)], 1)


def _after(step: int) -> Any:
    return lambda run: any(each.step >= step for each in run.of(Step))


def test_a_stop_ends_the_run_within_a_step_and_leaves_a_checkpoint(configure: Configure) -> None:
    straight = tiny.train(configure("straight", max_steps=6, logging_steps=4))
    options = {"max_steps": 6, "logging_steps": 4, "learn_prompts": "red sun", "learn_steps": 1}
    run = tiny.train(configure(**options), stop=_after(2))
    assert isinstance(run.end, Stopped)
    assert run.end.step in (2, 3)
    checkpoint = Path(run.end.path)
    assert checkpoint.name == f"checkpoint-{run.end.step}"
    base = AutoModelForCausalLM.from_pretrained(configure().model.model_name_or_path)
    PeftModel.from_pretrained(base, checkpoint)
    resumed = tiny.train(configure(resume_from_checkpoint=str(checkpoint), **options))
    assert resumed.losses == pytest.approx(straight.losses, rel=1e-6)


@pytest.mark.parametrize("code", ["phase_rows", "phase_model", "phase_training"])
def test_a_stop_between_phases_ends_the_run_before_the_first_step(configure: Configure, code: str) -> None:
    run = tiny.train(configure(), stop=lambda run: code in run.codes)
    assert isinstance(run.end, Stopped)
    assert (run.end.step, run.end.path, run.of(Step)) == (0, "", [])


def test_a_stop_during_an_evaluation_does_not_wait_for_its_end(configure: Configure) -> None:
    options = {"val_size": 8, "per_device_eval_batch_size": 1, "eval_strategy": "steps", "eval_steps": 2}
    asked = []

    def stop(run: tiny.Run) -> bool:
        # Step 2 is told before its evaluation; three rows of that go by.
        evaluating = bool(run.of(Step)) and run.of(Step)[-1].step == 2
        asked.append(evaluating)
        return sum(asked) > 3

    run = tiny.train(configure(max_steps=6, **options), stop=stop)
    assert isinstance(run.end, Stopped)
    assert run.end.step == 2
    assert run.of(Evaluated) == []
    assert [each.step for each in run.of(Saved)] == [2]
    assert (Path(run.end.path) / "trainer_state.json").exists()


def test_a_stop_in_the_last_step_is_too_late(configure: Configure) -> None:
    run = tiny.train(configure(max_steps=2), stop=_after(2))
    assert run.end.step == 2
    assert not isinstance(run.end, Stopped)


def test_answers_while_it_learns_are_those_of_the_model(configure: Configure) -> None:
    run = tiny.train(
        configure(
            max_steps=30, learn_prompts=tiny.rows(1)[0]["instruction"], learn_steps=15, learning_rate=0.02
        )
    )
    answers = {each.step: each.answer for each in run.of(Sample)}
    assert list(answers) == [0, 15, 30]
    assert answers[30] != answers[0]


def test_dropped_rows_are_told(configure: Configure, tmp_path: Path) -> None:
    rows = [*tiny.rows(4), {"instruction": "red", "output": ""}]
    (tmp_path / "bad.json").write_text(json.dumps(rows), encoding="utf-8")
    (tmp_path / "dataset_info.json").write_text('{"bad": {"file_name": "bad.json"}}', encoding="utf-8")
    run = tiny.train(configure(dataset="bad", dataset_dir=str(tmp_path), max_steps=1))
    note = next(note for note in run.of(Note) if note.code == "data_rows_left_out")
    assert (note.values["count"], note.values["rows"], note.level) == (1, 5, "warning")
    assert "row 5" in note.text


GROWTH = """
import gc, sys, threading
from pathlib import Path
import torch
from transformers import PreTrainedModel
from tests.train import tiny
from trainer.config import RunConfig
from trainer.train.memory import resident_bytes

torch.set_num_threads(1)
folder = Path(sys.argv[1])
model, data = tiny.save_model(folder / "model"), folder
tiny.save_data(data)
taken = []
for count in range(10):
    output = folder / f"run{count}"
    output.mkdir()
    config = RunConfig.from_flat({
        "model_name_or_path": str(model), "dataset": "rows", "dataset_dir": str(data), "output_dir": str(output),
        "max_steps": 2, "logging_steps": 1, "learn_prompts": "red", "plot_loss": True, "save_steps": 1,
    })
    thread = threading.Thread(target=tiny.train, args=(config,))
    thread.start()
    thread.join()
    taken.append(resident_bytes())
assert all((folder / f"run{count}" / "training_loss.png").exists() for count in range(10))
alive = [each for each in gc.get_objects() if isinstance(each, PreTrainedModel)]
print(taken[1], taken[9], len(alive))
"""


def test_ten_runs_take_no_more_memory_than_two(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", GROWTH, str(tmp_path)],
        capture_output=True, text=True, check=False, cwd=Path(__file__).resolve().parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    second, tenth, alive = map(int, done.stdout.split()[-3:])
    assert tenth < second * 1.1
    assert alive == 0
    assert done.stdout.count("\n") == 1
