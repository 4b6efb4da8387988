"""Which models an evaluation needs: the base, the checkpoints on it, or a whole tuned model beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.config import RunConfig
from trainer.errors import UserError
from trainer.events import Note
from trainer.model.catalog import resolve
from trainer.model.sides import Plan, notes, plan
from trainer.options import WHOLE_METHODS
from trainer.paths import RunFolder


@dataclass(frozen=True)
class Places:
    """What is loaded, the folders of the checkpoints among it, and what a person should know of them."""

    plan: Plan
    checkpoints: tuple[Path, ...]
    notes: tuple[Note, ...] = ()


def places_of(config: RunConfig) -> Places:
    """The models for the config's names. Raises UserError for a model or checkpoint that cannot be used."""
    name, compares = config.model.model_name_or_path, config.evaluate.compare_base
    base = resolve(name, config.model.hub)
    checkpoints = [Path(each) for each in config.model.adapter_name_or_path]
    if not checkpoints and compares and (before := _tuned_from(base)):
        # A full fine-tune that is given as the model itself: its run says on what it was trained.
        return Places(plan(before, [base], "compare"), (base,))
    if not checkpoints:
        return Places(Plan(base, "base"), (base,))
    wanted = plan(base, checkpoints, "compare" if compares else "tuned")
    return Places(wanted, tuple(checkpoints), tuple(notes(name, base, wanted.adapters)))


def _tuned_from(model: Path) -> Path | None:
    """The base of a model that a run of ours left whole; None where it is not known or not there."""
    for folder in (model, model.parent):
        try:
            manifest = json.loads(RunFolder(folder).manifest.read_text(encoding="utf-8"))
            base = Path(manifest["base"]) if manifest["method"] in WHOLE_METHODS else None
        except (OSError, ValueError, KeyError, TypeError):
            continue
        return base if base and (base / "config.json").is_file() else None
    return None


def require_there(checkpoints: Sequence[Path], done: int) -> None:
    """Raises UserError when a checkpoint is gone of which rows are done already."""
    for path in checkpoints:
        if done and not path.is_dir():
            raise UserError("evaluate_gone", field="adapter_name_or_path", path=str(path), done=done)
