"""Every option of a run does what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train import tiny
from tests.train.conftest import Configure
from trainer.config import RunConfig
from trainer.errors import UserError
from trainer.events import Evaluated, Saved, Started, Step
from trainer.model.load import PRECISIONS
from trainer.train.arguments import make_arguments

# Each changes what is learned: the losses of the first steps, or the weights after them.
CHANGES: dict[str, dict[str, Any]] = {
    "learning_rate": {"learning_rate": 0.02},
    "weight_decay": {"weight_decay": 0.5},
    "weight_decay_loraplus": {"weight_decay": 0.5, "loraplus_lr_ratio": 4},
    "loraplus_lr_ratio": {"loraplus_lr_ratio": 4},
    "max_grad_norm": {"max_grad_norm": 0.01, "optim": "sgd"},
    "optim": {"optim": "sgd"},
    "lr_scheduler_type": {"lr_scheduler_type": "cosine"},
    "warmup_steps": {"warmup_steps": 2, "lr_scheduler_type": "constant_with_warmup"},
    "warmup_ratio": {"warmup_ratio": 0.9, "lr_scheduler_type": "constant_with_warmup"},
    "seed": {"seed": 7},
    "neftune_noise_alpha": {"neftune_noise_alpha": 5},
    "per_device_train_batch_size": {"per_device_train_batch_size": 3},
    "gradient_accumulation_steps": {"gradient_accumulation_steps": 2},
    "packing": {"packing": True},
    "lora_rank": {"lora_rank": 2},
    "lora_alpha": {"lora_alpha": 3},
    "lora_dropout": {"lora_dropout": 0.5},
    "lora_target": {"lora_target": "q_proj,v_proj"},
    "compute_type_bf16": {"compute_type": "bf16"},
    "compute_type_pure_bf16": {"compute_type": "pure_bf16"},
    "finetuning_type": {"finetuning_type": "full"},
    "adam_beta1": {"adam_beta1": 0.5},
    "label_smoothing_factor": {"label_smoothing_factor": 0.2},
    "loss_type": {"loss_type": "dft"},
    "data_seed": {"data_seed": 3},
    "train_sampling_strategy": {"train_sampling_strategy": "group_by_length"},
    "lr_scheduler_kwargs": {"lr_scheduler_type": "polynomial", "lr_scheduler_kwargs": {"power": 3.0}},
}
BASES = {
    "weight_decay_loraplus": {"loraplus_lr_ratio": 4},
    "max_grad_norm": {"optim": "sgd"},
    "lr_scheduler_kwargs": {"lr_scheduler_type": "polynomial"},
}


@pytest.fixture(scope="module")
def known(model_folder: Path, data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Runs to compare with, each trained once."""
    return {}


def _learned(run: tiny.Run) -> dict[str, torch.Tensor]:
    return tiny.adapter(run.folder) if (run.folder / "adapter_model.safetensors").exists() else {}


@pytest.mark.parametrize("name", CHANGES)
def test_it_changes_what_is_learned(configure: Configure, known: dict[str, Any], name: str) -> None:
    base = BASES.get(name, {})
    key = json.dumps(base)
    if key not in known:
        run = tiny.train(configure("base", max_steps=3, **base))
        known[key] = (run.losses, _learned(run))
    losses, weights = known[key]
    changed = tiny.train(configure("changed", max_steps=3, **CHANGES[name]))
    after = _learned(changed)
    same = after.keys() == weights.keys() and all(
        after[each].shape == weight.shape and torch.equal(after[each], weight)
        for each, weight in weights.items()
    )
    assert not (same and changed.losses == losses)
    assert all(0 < loss < 20 for loss in changed.losses.values())


@pytest.mark.parametrize(
    "name", ["warmup_stable_decay", "cosine_with_min_lr", "cosine_warmup_with_min_lr", "reduce_lr_on_plateau"]
)
def test_schedules_that_need_more_than_a_name_run(configure: Configure, name: str) -> None:
    held = (
        {"val_size": 4, "eval_strategy": "steps", "eval_steps": 1} if name == "reduce_lr_on_plateau" else {}
    )
    run = tiny.train(configure(lr_scheduler_type=name, max_steps=6, **held))
    rates = [step.lr for step in run.of(Step)]
    assert 0.005 < rates[0] <= 0.01
    assert rates[-1] < rates[0] or name == "reduce_lr_on_plateau"


def test_steps_files_and_events(configure: Configure) -> None:
    """Options that decide how long, how often, and what is written."""
    options: dict[str, Any] = {
        "max_steps": -1, "num_train_epochs": 2, "logging_steps": 3, "save_steps": 2, "save_total_limit": 2,
        "val_size": 0.25, "eval_strategy": "steps", "eval_steps": 3, "per_device_eval_batch_size": 2,
        "plot_loss": True, "report_to": "tensorboard", "include_num_input_tokens_seen": True,
    }  # fmt: skip
    run = tiny.train(configure(**options))
    started = run.of(Started)[0]
    # 18 rows are left to train on, in batches of 4, twice.
    assert (started.rows, started.total_steps, started.device, started.precision) == (18, 10, "CPU", "fp32")
    assert [step.step for step in run.of(Step)] == list(range(1, 11))
    assert list(run.losses) == [3, 6, 9, 10]
    assert [each.step for each in run.of(Evaluated)] == [3, 6, 9, 10]
    assert [each.step for each in run.of(Saved)] == [2, 4, 6, 8, 10]
    names = {path.name for path in run.folder.iterdir()}
    assert {
        "checkpoint-8",
        "checkpoint-10",
        "training_loss.png",
        "manifest.json",
        "adapter_config.json",
    } <= names
    assert {"trainer_state.json", "tokenizer.json", "chat_template.jinja"} <= names
    assert not names & {"checkpoint-6", "training_args.bin"}
    assert any((run.folder / "runs").rglob("events.out.tfevents*"))
    lines = [json.loads(line) for line in (run.folder / "trainer_log.jsonl").read_text().splitlines()]
    assert [(line["current_steps"], "loss" in line, "eval_loss" in line) for line in lines[:2]] == [
        (3, True, False), (3, False, True),
    ]  # fmt: skip
    first = lines[0]
    assert (first["total_steps"], first["percentage"], first["lr"]) == (10, 30.0, 0.01)
    assert {"epoch", "elapsed_time", "remaining_time", "throughput", "total_tokens"} <= first.keys()
    results = json.loads((run.folder / "all_results.json").read_text())
    assert results == json.loads((run.folder / "train_results.json").read_text())
    assert results["train_loss"] == pytest.approx(run.end.loss)
    assert results["eval_loss"] == pytest.approx(run.end.eval_loss)
    assert (run.folder / "training_loss.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_not_asked_for_is_not_written(configure: Configure) -> None:
    run = tiny.train(configure(max_steps=2))
    names = {path.name for path in run.folder.iterdir()}
    assert not names & {"training_loss.png", "runs"}
    assert "total_tokens" not in (run.folder / "trainer_log.jsonl").read_text()


def test_the_evaluation_loss_is_the_same_for_every_batch_size_and_dataset(configure: Configure) -> None:
    common = {"eval_dataset": "more", "eval_strategy": "epoch", "max_steps": 1}
    seen = {
        size: tiny.train(configure(f"by{size}", per_device_eval_batch_size=size, **common)) for size in (1, 5)
    }
    assert seen[1].end.eval_loss == pytest.approx(seen[5].end.eval_loss, rel=1e-5)
    assert seen[1].of(Started)[0].rows == 24


def test_the_best_checkpoint_becomes_the_result(configure: Configure) -> None:
    """At this learning rate the evaluation loss rises after a while."""
    common = {"val_size": 6, "eval_strategy": "steps", "eval_steps": 2, "save_steps": 2, "max_steps": 12}
    run = tiny.train(configure(load_best_model_at_end=True, learning_rate=0.2, save_total_limit=1, **common))
    losses = {each.step: each.loss for each in run.of(Evaluated)}
    best = min(losses, key=lambda step: losses[step])
    assert best != 12
    assert run.end.eval_loss == pytest.approx(losses[best])
    kept = tiny.adapter(run.folder / f"checkpoint-{best}")
    assert all(torch.equal(weight, kept[name]) for name, weight in tiny.adapter(run.folder).items())


def test_checkpointing_gradients_changes_no_number(configure: Configure) -> None:
    plain = tiny.train(configure("plain", max_steps=2))
    on = tiny.train(configure("on", max_steps=2, gradient_checkpointing="on"))
    assert on.losses == pytest.approx(plain.losses, rel=1e-6)


def test_checkpointing_follows_the_memory(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.device.free_ram", lambda: 100_000)
    short = tiny.train(configure("short", max_steps=1))
    off = tiny.train(configure("off", max_steps=1, gradient_checkpointing="off"))
    monkeypatch.setattr("trainer.device.free_ram", lambda: 10**12)
    plenty = tiny.train(configure("plenty", max_steps=1))
    assert "checkpointing_on" in short.codes
    assert "checkpointing_on" not in off.codes + plenty.codes
    assert short.losses == pytest.approx(plenty.losses, rel=1e-6)


def test_arguments_that_only_matter_to_libraries_arrive(configure: Configure) -> None:
    config = configure(ddp_timeout=77, dataloader_drop_last=True, eval_delay=3, save_only_model=True)
    arguments = make_arguments(config, PRECISIONS["fp32"], checkpointing=True)
    assert (arguments.ddp_timeout, arguments.dataloader_drop_last, arguments.eval_delay) == (77, True, 3)
    assert (arguments.save_only_model, arguments.activation_checkpointing, arguments.bf16) == (
        True,
        True,
        False,
    )


def test_overwriting_starts_anew(configure: Configure) -> None:
    tiny.train(configure(max_steps=3, save_steps=1))
    Path(configure().train.output_dir, "config.yaml").write_text("kept: 1")
    with pytest.raises(UserError, match="holds a run already"):
        tiny.train(configure(max_steps=2))
    run = tiny.train(configure(max_steps=2, overwrite_output_dir=True))
    assert list(run.losses) == [1, 2]
    assert len((run.folder / "trainer_log.jsonl").read_text().splitlines()) == 2
    assert sorted(path.name for path in run.folder.glob("checkpoint-*")) == ["checkpoint-2"]
    assert (run.folder / "config.yaml").read_text() == "kept: 1"


def test_every_option_of_this_program_is_read_by_it() -> None:
    """Named in the code of the engine outside of its declaration."""
    from trainer.options import options

    root = Path(__file__).resolve().parents[2] / "trainer"
    code = "\n".join(
        path.read_text(encoding="utf-8")
        for path in root.rglob("*.py")
        if path.name not in ("options.py", "compat.py")
    )
    unread = [name for name in options() if f".{name}" not in code]
    # Only one stage exists, and a job's folder is made by whoever submits it.
    assert set(unread) <= {"stage", "overwrite_cache"}, unread


def test_notes_of_the_config_are_told(configure: Configure) -> None:
    config = configure(max_steps=1, use_fast_tokenizer=True)
    assert isinstance(config, RunConfig)
    assert "note_harmless" in tiny.train(config).codes
