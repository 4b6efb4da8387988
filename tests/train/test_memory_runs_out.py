"""Memory that runs out: the run goes on with smaller micro-batches, and its curve is the undisturbed one."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train import tiny
from tests.train.conftest import Configure
from trainer.config import RunConfig, read_file, write_yaml
from trainer.errors import UserError
from trainer.events import Note, Saved, Started
from trainer.train import again
from trainer.train.loop import RowTrainer


def _full_at(patch: pytest.MonkeyPatch, tokens: int, step: int = 0, times: int = 10**6) -> list[int]:
    """Micro-batches of more than `tokens` tokens find no room from `step` on; the sizes of those that did not."""
    loss = RowTrainer.compute_loss
    refused: list[int] = []

    def limited(self: RowTrainer, model: Any, inputs: dict[str, Any], *rest: Any, **more: Any) -> Any:
        if inputs["tokens"] > tokens and self.state.global_step >= step and len(refused) < times:
            refused.append(inputs["tokens"])
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return loss(self, model, inputs, *rest, **more)

    patch.setattr(RowTrainer, "compute_loss", limited)
    return refused


def _notes(run: tiny.Run, code: str) -> list[Note]:
    return [each for each in run.of(Note) if each.code == code]


@pytest.fixture
def written(configure: Configure) -> Callable[..., RunConfig]:
    """A config that lies in its run's folder, as jobs and the terminal write it."""

    def make(name: str = "run", **changes: Any) -> RunConfig:
        config = configure(name, **changes)
        Path(config.train.output_dir, "config.yaml").write_text(write_yaml(config), encoding="utf-8")
        return config

    return make


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_run_goes_on_from_its_checkpoint_with_half_the_batch(
    written: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    common = {"finetuning_type": method, "max_steps": 6, "save_steps": 2, "lr_scheduler_type": "linear"}
    calm = tiny.train(written("calm", **common))
    _full_at(monkeypatch, 0, step=3, times=1)
    run = tiny.train(written("run", **common))
    assert run.losses == pytest.approx(calm.losses, rel=1e-5)
    assert [each.resumed_from for each in run.of(Started)] == [0, 2]
    assert [each.step for each in run.of(Saved)] == [2, 4, 6]
    (note,) = _notes(run, "memory_smaller")
    assert (note.values["before"], note.values["size"], note.values["steps"], note.values["step"]) == (
        4,
        2,
        2,
        2,
    )
    assert "2 rows at once and 2 batches" in note.text
    # What lies on the disk tells how it was really computed.
    file = RunConfig.from_flat(read_file(run.folder / "config.yaml"))
    manifest = json.loads((run.folder / "manifest.json").read_text(encoding="utf-8"))
    for name, value in {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}.items():
        assert (getattr(file.train, name), manifest[name]) == (value, value)
    lines = (run.folder / "trainer_log.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["current_steps"] for line in lines] == [1, 2, 3, 4, 5, 6]


def test_without_a_checkpoint_it_begins_again_until_it_fits(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    calm = tiny.train(configure("calm"))
    # Rows of this data have at most 50 tokens: two of them never fit.
    refused = _full_at(monkeypatch, 55, step=1)
    run = tiny.train(configure("run", overwrite_output_dir=True))
    assert run.losses == pytest.approx(calm.losses, rel=1e-5)
    sizes = [note.values["size"] for note in _notes(run, "memory_from_start")]
    assert sizes == [2, 1]
    assert len(refused) == 2


def test_the_failed_attempt_leaves_its_memory_first(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    models: list[weakref.ref[Any]] = []
    alive: list[int] = []
    train = RowTrainer.train

    def seen(self: RowTrainer, *args: Any, **kwargs: Any) -> Any:
        alive.append(sum(each() is not None for each in models))
        models.append(weakref.ref(self.model))
        return train(self, *args, **kwargs)

    monkeypatch.setattr(RowTrainer, "train", seen)
    # pytest keeps every line of a log, and with it the traceback.
    monkeypatch.setattr("trainer.train.sft.logger.warning", lambda *_, **__: None)
    _full_at(monkeypatch, 0, step=1, times=1)
    tiny.train(configure())
    assert alive == [0, 0]
    gc.collect()
    assert not any(each() for each in models)


def test_a_single_row_ends_the_run_with_the_changes_that_would_help(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.device.free_ram", lambda: 3_000_000)
    _full_at(monkeypatch, 0)
    events: list[Any] = []
    with pytest.raises(UserError) as caught:
        tiny.train(
            configure(per_device_train_batch_size=1, finetuning_type="full", cutoff_len=1024),
            emit=events.append,
        )
    assert caught.value.code == "out_of_memory"
    (note,) = [each for each in events if getattr(each, "code", "") == "fit_changes"]
    assert "cutoff_len: 512" in note.values["changes"]


def test_memory_that_is_short_before_training_is_not_mended_by_smaller_batches(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []

    def full(*_: Any, **__: Any) -> Any:
        tries.append(1)
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("trainer.train.sft.prepare_model", full)
    with pytest.raises(UserError) as caught:
        tiny.train(configure())
    assert (caught.value.code, len(tries)) == ("out_of_memory", 1)


@pytest.mark.parametrize(
    ("size", "steps", "after"), [(4, 1, (2, 2)), (6, 2, (3, 4)), (3, 2, (1, 6)), (5, 1, (1, 5))]
)
def test_half_a_batch_keeps_the_rows_of_a_step(
    configure: Configure, size: int, steps: int, after: tuple[int, int]
) -> None:
    config = configure(per_device_train_batch_size=size, gradient_accumulation_steps=steps)
    smaller = again.halved(config)
    assert smaller is not None
    found = (smaller.train.per_device_train_batch_size, smaller.train.gradient_accumulation_steps)
    assert found == after
    assert found[0] * found[1] == size * steps
    assert again.halved(configure(per_device_train_batch_size=1)) is None


def test_several_processes_are_not_begun_anew_from_one_of_them(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.train.again.several_processes", lambda: True)
    _full_at(monkeypatch, 0, step=1, times=1)
    with pytest.raises(UserError) as caught:
        tiny.train(configure())
    assert caught.value.code == "out_of_memory"


@pytest.mark.parametrize(
    "changes", [{}, {"finetuning_type": "full", "neftune_noise_alpha": 5}, {"lora_dropout": 0.3}]
)
def test_a_trial_changes_nothing_but_the_batch(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    """The curve is that of the same settings without a trial: random numbers and weights are as before it."""
    with monkeypatch.context() as patch:
        _full_at(patch, 110)
        tried = tiny.train(configure("tried", auto_find_batch_size=True, **changes))
    (note,) = _notes(tried, "trial_smaller")
    assert (note.values["before"], note.values["size"], note.values["steps"]) == (4, 2, 2)
    plain = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2, **changes}
    assert tried.losses == tiny.train(configure("plain", **plain)).losses
    # Only the run that fits has begun.
    assert len(tried.of(Started)) == 1


def test_a_trial_that_fits_says_so(configure: Configure) -> None:
    tried = tiny.train(configure("tried", auto_find_batch_size=True))
    assert [note.values["size"] for note in _notes(tried, "trial_fits")] == [4]
    assert tried.losses == tiny.train(configure("plain")).losses


def test_a_trial_takes_the_longest_rows_and_room_for_the_optimiser(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    step = RowTrainer.training_step
    empty = torch.empty
    rooms: list[int] = []

    def watched(self: RowTrainer, model: Any, inputs: Any, *rest: Any) -> Any:
        seen.append((inputs["tokens"], self.state.global_step))
        return step(self, model, inputs, *rest)

    def noted(*size: Any, **more: Any) -> torch.Tensor:
        if more.get("dtype") == torch.uint8 and size and isinstance(size[0], int):
            rooms.append(size[0])
        return empty(*size, **more)

    monkeypatch.setattr(RowTrainer, "training_step", watched)
    monkeypatch.setattr(torch, "empty", noted)
    run = tiny.train(configure(auto_find_batch_size=True, num_train_epochs=1, max_steps=-1))
    assert seen[0][0] == max(tokens for tokens, _ in seen)
    assert rooms == [2 * 4 * run.of(Started)[0].trainable]


def test_a_stream_is_not_tried(configure: Configure) -> None:
    run = tiny.train(configure(auto_find_batch_size=True, streaming=True, max_steps=2))
    assert _notes(run, "trial_none")


def test_a_run_that_does_not_fit_begins_with_a_warning(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.device.free_ram", lambda: 100_000)
    run = tiny.train(configure(max_steps=1))
    (note,) = [each for each in run.of(Note) if each.code.startswith("fit_")]
    assert note.level == "warning"
    assert run.end is not None
