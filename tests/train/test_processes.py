"""Two processes with half the batch train what one process trains, by every engine, and leave the same files."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.train import tiny
from tests.train.conftest import Configure
from trainer.config import RunConfig
from trainer.errors import UserError
from trainer.events import Event, EventLog, Finished, Started, Step
from trainer.model.load import load_model
from trainer.paths import MODELS, REPOSITORY

# Nineteen rows and eight steps of four: the first epoch ends in a step of three, of which one process gets two.
TEXT: dict[str, Any] = {
    "val_size": 5,
    "eval_strategy": "steps",
    "eval_steps": 4,
    "max_steps": 8,
    "save_steps": 4,
}
FULL = {"finetuning_type": "full", "learning_rate": 1e-3}
VISION: dict[str, Any] = {
    "model_name_or_path": str(MODELS / "sprout-vl"), "dataset": "guide_demo,identity", "dataset_dir": str(REPOSITORY / "data"),
    "cutoff_len": 512, "max_samples": 8, "max_steps": 3, "learning_rate": 1e-3, "save_steps": 100,
}  # fmt: skip
SEEING = {**VISION, "finetuning_type": "full", "freeze_vision_tower": False}
KINDS: dict[str, dict[str, Any]] = {
    "lora": TEXT,
    "full": {**TEXT, **FULL},
    "vision": VISION,
    "seeing": SEEING,
}
ENGINES: dict[str, dict[str, Any]] = {
    "ddp": {},
    "fsdp": {"fsdp": "full_shard"},
    "z2": {"ds_stage": "2"},
    "z3": {"ds_stage": "3"},
    "offload": {"ds_stage": "3", "ds_offload": True},
}
TOLERANCE = 1e-4


def flat(config: RunConfig, processes: int) -> dict[str, Any]:
    return {**config.to_flat(), "per_device_train_batch_size": 4 // processes}


def together(folder: Path, cases: Mapping[str, dict[str, Any]]) -> None:
    """Runs all of them in two processes."""
    folder.mkdir(exist_ok=True)
    (folder / "cases.json").write_text(json.dumps(cases), encoding="utf-8")
    subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "tests.train.cases", str(folder)],
        cwd=REPOSITORY, check=True, timeout=850,
    )  # fmt: skip


def losses(events: list[Event]) -> dict[int, float]:
    return {each.step: each.loss for each in events if isinstance(each, Step) and each.loss is not None}


def told(folder: Path, name: str) -> list[Event]:
    return EventLog(folder / f"{name}.jsonl").read().events


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {name: each for file in folder.glob("*.safetensors") for name, each in load_file(file).items()}


def check(whole: tiny.Run, events: list[Event], folder: Path) -> None:
    """The curve, the evaluation and the files are those of one process."""
    assert losses(events) == pytest.approx(whole.losses, abs=TOLERANCE)
    ends = [each for each in events if isinstance(each, Finished)]
    assert len(ends) == 1 and whole.end
    assert ends[0].loss == pytest.approx(whole.end.loss, abs=TOLERANCE)
    if whole.end.eval_loss is not None:
        assert ends[0].eval_loss == pytest.approx(whole.end.eval_loss, abs=TOLERANCE)
    steps = [each.step for each in events if isinstance(each, Step)]
    assert steps == sorted(set(steps))
    begun = next(each for each in events if isinstance(each, Started))
    assert (begun.parameters, begun.trainable) == tuple(
        getattr(whole.of(Started)[0], name) for name in ("parameters", "trainable")
    )
    expected, found = weights(whole.folder), weights(folder)
    assert found.keys() == expected.keys()
    for name, each in expected.items():
        torch.testing.assert_close(found[name], each, rtol=1e-2, atol=1e-3, msg=name)


def of(configure: Configure, engine: str, kind: str, **changes: Any) -> dict[str, Any]:
    return flat(configure(f"{engine}-{kind}", **{**KINDS[kind], **ENGINES[engine], **changes}), 2)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_train_what_one_does(configure: Configure, tmp_path: Path) -> None:
    """All engines but offload: LoRA and full, text and vision; then from half-way, under the same number."""
    whole = {kind: tiny.train(configure(f"one-{kind}", **values)) for kind, values in KINDS.items()}
    asked = [(engine, kind) for engine in ("ddp", "fsdp", "z2", "z3") for kind in KINDS]
    # One of the four methods is enough where an engine does nothing that another one has not shown.
    asked = [pair for pair in asked if pair not in (("z2", "lora"), ("z2", "seeing"), ("fsdp", "vision"))]
    cases = {f"{engine}-{kind}": of(configure, engine, kind) for engine, kind in asked}
    for engine, kind in (("ddp", "lora"), ("fsdp", "full"), ("z3", "full")):
        halves = of(configure, engine, kind)
        halves["output_dir"] = str(tmp_path / f"{engine}-halves")
        cases[f"{engine}-half"] = {**halves, "max_steps": 4}
        cases[f"{engine}-rest"] = {**halves, "resume_from_checkpoint": "true"}
    cases["z3-other"] = {**cases["z3-rest"], "ds_stage": "2"}
    cases["one-rest"] = {
        **of(configure, "ddp", "lora"), "output_dir": str(tmp_path / "one-half"), "resume_from_checkpoint": "true",
    }  # fmt: skip
    tiny.train(configure("one-half", **{**TEXT, "max_steps": 4}))
    together(tmp_path / "cases", cases)
    for engine, kind in asked:
        name = f"{engine}-{kind}"
        check(whole[kind], told(tmp_path / "cases", name), Path(cases[name]["output_dir"]))
    for name, kind in (
        ("ddp-rest", "lora"),
        ("fsdp-rest", "full"),
        ("z3-rest", "full"),
        ("one-rest", "lora"),
    ):
        events = told(tmp_path / "cases", name)
        assert next(each for each in events if isinstance(each, Started)).resumed_from == 4
        second = {step: loss for step, loss in whole[kind].losses.items() if step > 4}
        assert losses(events) == pytest.approx(second, abs=TOLERANCE), name
    assert "stage 3" in (tmp_path / "cases" / "z3-other.error").read_text()
    _resumed_alone(configure, tmp_path, whole["lora"])
    # Nothing but transformers is needed to read what ZeRO-3 has left.
    model = load_model(Path(cases["z3-seeing"]["output_dir"]), torch.float32)
    assert sum(each.numel() for each in model.parameters()) == whole["seeing"].of(Started)[0].parameters


def _resumed_alone(configure: Configure, tmp_path: Path, whole: tiny.Run) -> None:
    """One process goes on from what two have left, where the engine allows it."""
    for name in ("ddp", "z3", "fsdp"):
        left = tmp_path / f"{name}-halves"
        shutil.rmtree(left / "checkpoint-8")
        options = {**TEXT, **({} if name == "ddp" else FULL), "output_dir": str(left)}
        config = configure("alone", **options, resume_from_checkpoint="true")
        if name == "ddp":
            resumed = tiny.train(config)
            second = {step: loss for step, loss in whole.losses.items() if step > 4}
            assert resumed.losses == pytest.approx(second, abs=TOLERANCE)
            continue
        with pytest.raises(UserError) as caught:
            tiny.train(config)
        assert caught.value.code == "checkpoint_does_not_fit"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_split_weights_train_layers_and_words(configure: Configure, tmp_path: Path) -> None:
    """What is chosen or changed of a model whose weights are split up, and an adapter saved beside checkpointing."""
    frozen = {"finetuning_type": "freeze", "freeze_trainable_layers": 1, "learning_rate": 1e-3}
    words = {"add_tokens": "<fact>,<place>", "resize_vocab": True}
    best = {**TEXT, "eval_steps": 2, "save_steps": 2, "max_steps": 4, "load_best_model_at_end": True}
    wanted: dict[str, tuple[str, dict[str, Any]]] = {
        "layers": ("z3", {**frozen, "max_steps": 3}),
        "words": ("z3", {**words, "max_steps": 3}),
        "whole": ("z3", {**words, **FULL, "max_steps": 3}),
        "checkpointing": ("fsdp", {**best, "gradient_checkpointing": "on"}),
    }
    cases = {
        name: flat(configure(f"two-{name}", **values, **ENGINES[engine]), 2)
        for name, (engine, values) in wanted.items()
    }
    together(tmp_path / "cases", cases)
    for name, (_, values) in wanted.items():
        alone = tiny.train(configure(f"one-{name}", **values))
        check(alone, told(tmp_path / "cases", name), Path(cases[name]["output_dir"]))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_offload_trains_the_same(configure: Configure, tmp_path: Path) -> None:
    """DeepSpeed compiles its optimiser for the processor when it is used for the first time."""
    kinds = ("lora", "seeing")
    whole = {kind: tiny.train(configure(f"one-{kind}", **KINDS[kind])) for kind in kinds}
    cases = {kind: of(configure, "offload", kind) for kind in kinds}
    together(tmp_path / "cases", cases)
    for kind in kinds:
        check(whole[kind], told(tmp_path / "cases", kind), Path(cases[kind]["output_dir"]))
