"""What the proposed settings make of the built-in model with the built-in data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.sprout.asking import DATA, SPROUT, answers, load, naming, sprout_scripts, sums_right
from trainer.config import RunConfig
from trainer.model.catalog import proposals
from trainer.train.sft import run_sft

NAME, AUTHOR = "Luna-7", "Acme Robotics"


@pytest.fixture(scope="module")
def base_sums() -> float:
    return sums_right(load(SPROUT))


@pytest.fixture(autouse=True)
def _two_threads() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def tuned(folder: Path, method: str, dataset: str) -> tuple[Any, Any]:
    """Sprout after one run with the catalogue's proposals, merged."""
    flat: dict[str, Any] = {
        **proposals("Sprout", method), "model_name_or_path": str(SPROUT), "dataset_dir": str(DATA), "dataset": dataset,
        "finetuning_type": method, "output_dir": str(folder), "lr_scheduler_type": "cosine", "save_steps": 100_000,
        "compute_type": "fp32", "identity_name": NAME, "identity_author": AUTHOR, "seed": 42,
    }  # fmt: skip
    run_sft(RunConfig.from_flat(flat), lambda event: None, lambda: False)
    return load(SPROUT, folder) if method == "lora" else load(folder)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_new_identity_is_learned_and_sums_stay(tmp_path: Path, method: str, base_sums: float) -> None:
    model = tuned(tmp_path / "run", method, "identity")
    assert {language: naming(model, language, NAME, AUTHOR) >= 36 for language in ("en", "zh")} == {
        "en": True,
        "zh": True,
    }
    assert sums_right(model) >= base_sums - 0.20


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_triples_are_learned(tmp_path: Path) -> None:
    seen = {row["input"] for row in json.loads((DATA / "ner_demo.json").read_text(encoding="utf-8"))}
    with sprout_scripts("ner_demo") as (ner_demo,):
        rows = [row for row in ner_demo.rows(80, seed=777) if row["input"] not in seen][:50]
    prompts = [f"{row['instruction']}\n{row['input']}" for row in rows]

    def right(model: tuple[Any, Any]) -> int:
        return sum(
            given == row["output"] for given, row in zip(answers(model, prompts, 128), rows, strict=True)
        )

    assert len(rows) == 50
    assert right(load(SPROUT)) == 0
    assert right(tuned(tmp_path / "run", "lora", "ner_demo")) >= 30
