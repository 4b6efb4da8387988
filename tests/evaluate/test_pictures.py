"""Sprout-VL over the rows with pictures that ship: they are seen by base and tuned in one batch as by each alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import Qwen2VLForConditionalGeneration

from tests.evaluate.tiny import Run, evaluate
from trainer.config import RunConfig
from trainer.evaluate.shown import Wish
from trainer.evaluate.table import Table
from trainer.events import Finished
from trainer.paths import DATA, MODELS

VISION = MODELS / "sprout-vl"
COUNT = 6


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def write_adapter(folder: Path) -> Path:
    """An adapter that changes some of what is said."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        settings = LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["q_proj", "v_proj", "down_proj"])
        model = get_peft_model(Qwen2VLForConditionalGeneration.from_pretrained(VISION), settings)
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.3)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """Evaluates the first rows of guide_demo_eval; options change it, `name` its folder."""
    place = tmp_path_factory.mktemp("guide")
    adapter = write_adapter(place / "tuned")

    def run(name: str, **changes: Any) -> Run:
        flat: dict[str, Any] = {
            "model_name_or_path": str(VISION), "adapter_name_or_path": str(adapter), "dataset_dir": str(DATA),
            "eval_dataset": "guide_demo_eval", "max_samples": COUNT, "do_predict": True, "max_new_tokens": 24,
            "compute_type": "fp32", "output_dir": str(place / name),
        }  # fmt: skip
        return evaluate(RunConfig.from_flat({**flat, **changes}))

    return run


def test_rows_with_pictures_are_answered_measured_and_scored(guide: Callable[..., Run]) -> None:
    both = guide("both", do_eval=True)
    assert isinstance(both.end, Finished) and both.end.step == COUNT
    report = both.json("report.json")
    assert (report["rows"], report["of"], report["verdict"]["rows"]) == (COUNT, COUNT, COUNT)
    given = json.loads((DATA / "guide_demo_eval.json").read_text(encoding="utf-8"))[:COUNT]
    shown = [[Path(each).name for each in row["media"]] for row in both.rows]
    assert shown == [[Path(each).name for each in row.get("images", ())] for row in given] and any(shown)
    assert [row["label"] for row in both.rows] == [row["messages"][-1]["content"] for row in given]
    for side in ("base", "tuned"):
        assert report["loss"][side] > 0 and 0 <= report["sides"][side]["rouge-l"] <= 100
        assert all(row["loss"][side] > 0 and row["scores"][side]["rouge-l"] is not None for row in both.rows)
    # The model that ships says what it sees, and not the same of all.
    assert report["sides"]["base"]["rouge-l"] > 10 and len({row["base"] for row in both.rows}) > 2
    assert [row.pictures for row in Table(both.folder / "rows.jsonl").page(Wish()).rows] == [
        len(each) for each in shown
    ]
    assert any(tuned != base for tuned, base in both.said)
    alone = guide("alone", compare_base=False, per_device_eval_batch_size=1)
    assert [tuned for tuned, _ in alone.said] == [tuned for tuned, _ in both.said]
    base = guide("base", adapter_name_or_path="", per_device_eval_batch_size=2)
    assert [said for said, _ in base.said] == [said for _, said in both.said]
