"""Checkpoints of a run: which are whole, which one to go on from, and what is kept beside the weights."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from safetensors import SafetensorError, safe_open

from trainer.errors import UserError
from trainer.events import Note
from trainer.paths import RunFolder, write_atomic

STATE = "trainer_state.json"
PROGRESS = "progress.json"
MAKERS = "processes.json"
# torch.save writes a zip, whose table of contents comes last. Of each line one is there: several processes keep their
# random numbers apart, FSDP calls its optimiser's file another name, DeepSpeed's lies in a folder of its own.
PICKLED = (
    ("optimizer.pt", "optimizer.bin", "global_step*/*optim_states.pt", "global_step*/*model_states.pt"),
    ("scheduler.pt",),
    ("rng_state.pth", "rng_state_*.pth"),
)


@dataclass
class Progress:
    """Sums of the whole run that have to survive a resume.

    `window_loss` is the loss summed since the step `last_logged`, `total_loss` that of the steps before it.
    """

    window_loss: float = 0.0
    last_logged: int = 0
    total_loss: float = 0.0
    trained_tokens: int = 0
    elapsed_s: float = 0.0

    def write(self, folder: Path) -> None:
        write_atomic(folder / PROGRESS, json.dumps(asdict(self)))

    @classmethod
    def read(cls, folder: Path, step: int) -> Progress:
        """What `write` left in a checkpoint; one of another program counts from its own step."""
        try:
            found = json.loads((folder / PROGRESS).read_text(encoding="utf-8"))
            return cls(**{each.name: found[each.name] for each in fields(cls)})
        except (OSError, ValueError, KeyError, TypeError):
            return cls(last_logged=step)


@dataclass(frozen=True)
class Makers:
    """The processes that wrote a checkpoint, and by which engine (`trainer.train.engine`)."""

    engine: str = "one"
    stage: int = 0
    processes: int = 1

    def write(self, folder: Path) -> None:
        if self.engine != "one":
            write_atomic(folder / MAKERS, json.dumps(asdict(self)))

    @classmethod
    def read(cls, folder: Path) -> Makers:
        """Those of a checkpoint; a single process writes nothing down."""
        try:
            return cls(**json.loads((folder / MAKERS).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return cls()

    def why_not(self, others: Makers) -> str:
        """Why these processes cannot go on from what `others` have written, or nothing."""
        plain = ("one", "ddp")
        if self.engine in plain and others.engine in plain:
            return ""
        if self.engine != others.engine:
            return f"it was written with {others.engine}, and this run uses {self.engine}"
        if self.engine == "deepspeed" and self.stage != others.stage:
            return (
                f"it was written by DeepSpeed at stage {others.stage}, and this run uses stage {self.stage}"
            )
        if self.engine == "deepspeed" and self.stage and self.processes != others.processes:
            return (
                f"DeepSpeed has split it up among {others.processes} processes, and does not split it up anew "
                f"for {self.processes}"
            )
        return ""


def part_folder(run: Path, step: int) -> Path:
    """Where a checkpoint is written before it gets its name, so that nobody sees half of it."""
    return run / f".checkpoint-{step}.part"


def remove_parts(run: Path) -> None:
    """Removes what a crash in the middle of saving left behind."""
    for path in run.glob(".checkpoint-*.part"):
        shutil.rmtree(path, ignore_errors=True)


def step_of(checkpoint: Path) -> int:
    """The optimiser steps done when it was written. Raises ValueError or OSError when it does not say."""
    state = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
    return int(state["global_step"])


def defect(checkpoint: Path) -> str:
    """Why a run cannot go on from `checkpoint`, or nothing when it is whole."""
    try:
        step_of(checkpoint)
    except (OSError, ValueError, KeyError, TypeError):
        return f"{STATE} is missing or cut short"
    for names in PICKLED:
        files = [path for name in names for path in checkpoint.glob(name)]
        if not files or not all(zipfile.is_zipfile(path) for path in files):
            return f"{names[0]} is missing or cut short"
    weights = sorted(checkpoint.glob("*.safetensors"))
    if not weights:
        return "the weights are missing"
    for path in weights:
        try:
            with safe_open(path, framework="pt"):
                pass
        except (SafetensorError, OSError):
            return f"{path.name} is cut short"
    return ""


@dataclass(frozen=True)
class Found:
    """The checkpoint to go on from (None: begin at the first step) and what to tell about the search."""

    path: Path | None
    notes: tuple[Note, ...] = ()


def find(run: Path, wanted: str, makers: Makers | None = None) -> Found:
    """The checkpoint that `resume_from_checkpoint` means: a folder, or `true` for the newest whole one of the run.

    `makers` are to go on from it. Raises UserError for a folder that is not there or not whole, naming those that are.
    """
    if wanted.strip().lower() in ("", "false", "none"):
        return Found(None)
    if wanted.strip().lower() != "true":
        return Found(_taken_up(_named(run, wanted.strip()), makers))
    notes: list[Note] = []
    for path in reversed(RunFolder(run).checkpoints()):
        reason = defect(path)
        if not reason:
            return Found(_taken_up(path, makers), tuple(notes))
        values: dict[str, str | int | float] = {"path": str(path), "reason": reason}
        notes.append(Note(code="checkpoint_passed_over", values=values, level="warning"))
    return Found(None, (*notes, Note(code="checkpoint_none_yet", values={"path": str(run)})))


def _taken_up(checkpoint: Path, makers: Makers | None) -> Path:
    """Raises UserError when these processes cannot go on from it."""
    if reason := (makers or Makers()).why_not(Makers.read(checkpoint)):
        raise _unfit(str(checkpoint), reason)
    return checkpoint


def _named(run: Path, wanted: str) -> Path:
    path = Path(wanted)
    if not path.is_dir() and (run / wanted).is_dir():
        path = run / wanted
    whole = [str(each) for each in RunFolder(run).checkpoints() if not defect(each)]
    known = ", ".join(whole) or "none"
    if not path.is_dir():
        raise UserError("checkpoint_missing", field="resume_from_checkpoint", path=wanted, known=known)
    if reason := defect(path):
        raise UserError(
            "checkpoint_incomplete", field="resume_from_checkpoint", path=wanted, reason=reason, known=known
        )
    return path


@contextmanager
def fitting(checkpoint: str, *, adapter: bool) -> Iterator[None]:
    """Inside, a checkpoint is loaded; one of another method, rank, model or optimiser becomes a UserError."""
    if adapter != (Path(checkpoint) / "adapter_model.safetensors").is_file():
        reason = (
            "it holds a whole model, not an adapter" if adapter else "it holds an adapter, not a whole model"
        )
        raise _unfit(checkpoint, reason)
    try:
        yield
    except (RuntimeError, ValueError, KeyError) as error:
        said = str(error)
        if not any(
            words in said for words in ("size mismatch", "parameter group", "state dict", "state_dict")
        ):
            raise
        raise _unfit(checkpoint, " ".join(said.split())[:300]) from None


def _unfit(checkpoint: str, reason: str) -> UserError:
    return UserError(
        "checkpoint_does_not_fit", field="resume_from_checkpoint", path=checkpoint, reason=reason
    )
