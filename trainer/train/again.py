"""When memory runs out in the middle of a run: the same run goes on by itself with smaller micro-batches."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path

import torch

from trainer import device
from trainer.config import RunConfig, read_file, write_yaml
from trainer.errors import UserError
from trainer.events import Event, Finished, Note, Stopped
from trainer.paths import RunFolder, write_atomic
from trainer.train.checkpoints import defect, step_of
from trainer.train.memory import give_back

Emit = Callable[[Event], None]
Attempt = Callable[[RunConfig, Emit], Finished | Stopped]


class Smaller(Exception):
    """A trial has shown that fewer rows at once fit; `config` has as many rows a step."""

    def __init__(self, config: RunConfig, note: Note) -> None:
        super().__init__(note.code)
        self.config = config
        self.note = note


def until_it_fits(attempt: Attempt, config: RunConfig, emit: Emit) -> Finished | Stopped:
    """How `attempt` ends. Where it runs out of memory after its training began, it is made again with half the
    micro-batch and twice the accumulation, from the last checkpoint or from the beginning.

    Raises what the attempt raises; with one row at once, or several processes, that memory is not enough.
    """
    while True:
        begun = False

        def hear(event: Event) -> None:
            nonlocal begun
            begun = begun or (isinstance(event, Note) and event.code == "phase_training")
            emit(event)

        try:
            return attempt(config, hear)
        except Smaller as found:
            traceback.clear_frames(found.__traceback__)
            after, note = found.config, found.note
        except UserError as error:
            smaller = halved(config)
            if error.code != "out_of_memory" or not begun or smaller is None or several_processes():
                _propose(error, config, emit)
                raise
            after, note = smaller, _ran_out(config, smaller)
        # Only now nothing refers to the failed attempt any more: its model would lie beside the new one.
        give_back()
        config = going_on(after)
        _write(config)
        emit(note)


def several_processes() -> bool:
    """Whether others train along; a run of theirs cannot be begun anew from one of them."""
    return (
        torch.distributed.is_available()
        and torch.distributed.is_initialized()
        and torch.distributed.get_world_size() > 1
    )


def halved(config: RunConfig) -> RunConfig | None:
    """Half the rows at once and as many a step; None for a single row. An odd number becomes one."""
    size, steps = config.train.per_device_train_batch_size, config.train.gradient_accumulation_steps
    if size == 1:
        return None
    return sized(config, size // 2 if size % 2 == 0 else 1, steps, size)


def sized(config: RunConfig, size: int, steps: int, before: int) -> RunConfig:
    """With `size` rows at once in place of `before`, and the accumulation that makes up for it."""
    changes: dict[str, int] = {
        "per_device_train_batch_size": size,
        "gradient_accumulation_steps": steps * (before // size),
    }
    if config.train.per_device_eval_batch_size:
        changes["per_device_eval_batch_size"] = max(1, min(config.train.per_device_eval_batch_size, size))
    return config.with_values(**changes)


def going_on(config: RunConfig) -> RunConfig:
    """From the newest whole checkpoint of its folder, else from where it began."""
    run = RunFolder(Path(config.train.output_dir))
    if any(not defect(each) for each in run.checkpoints()) or not config.train.resume_from_checkpoint:
        return config.with_values(resume_from_checkpoint="true", overwrite_output_dir=False)
    return config


def _ran_out(before: RunConfig, after: RunConfig) -> Note:
    run = RunFolder(Path(after.train.output_dir))
    whole = [each for each in run.checkpoints() if not defect(each)]
    values: dict[str, str | int | float] = {
        "device": device.name(),
        "before": before.train.per_device_train_batch_size,
        "size": after.train.per_device_train_batch_size,
        "steps": after.train.gradient_accumulation_steps,
    }
    if not whole:
        return Note(code="memory_from_start", values=values, level="warning")
    return Note(code="memory_smaller", values={**values, "step": step_of(whole[-1])}, level="warning")


def _propose(error: UserError, config: RunConfig, emit: Emit) -> None:
    """The cheapest changes, before the sentence that ends the run."""
    if error.code != "out_of_memory":
        return
    from trainer.model.fit.said import all_changes
    from trainer.train.room import smaller_fit

    if found := smaller_fit(config):
        emit(Note(code="fit_changes", values={"changes": all_changes(found)}))


def _write(config: RunConfig) -> None:
    """config.yaml says what is really computed: a resume, or the same run again, begins with it."""
    path = RunFolder(Path(config.train.output_dir)).config
    if not path.exists():
        return
    try:
        written = RunConfig.from_flat(read_file(path))
    except UserError:
        return
    train = config.train
    changed = written.with_values(
        per_device_train_batch_size=train.per_device_train_batch_size,
        gradient_accumulation_steps=train.gradient_accumulation_steps,
        per_device_eval_batch_size=train.per_device_eval_batch_size,
    )
    write_atomic(path, write_yaml(changed))
