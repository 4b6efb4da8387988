"""An adapter as a folder for other programs: what PEFT reads, the tokenizer it was trained with, and a card."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from trainer.errors import UserError
from trainer.export import card, companions
from trainer.export.progress import Progress
from trainer.export.source import Source
from trainer.export.subject import run_of
from trainer.model.adapter import WEIGHTS, read_adapter
from trainer.model.catalog import find
from trainer.paths import RunFolder, write_atomic

PIECE = 16 * 1024 * 1024


def check(source: Source) -> None:
    """Raises UserError where there is not exactly one adapter."""
    if not source.adapters:
        raise UserError("export_no_adapter", field="export_format")
    if len(source.adapters) > 1:
        raise UserError("export_many_adapters", field="export_format", count=len(source.adapters))


def size(source: Source) -> int:
    """Bytes of the weights."""
    return sum((path / WEIGHTS).stat().st_size for path in source.adapters)


def write(source: Source, folder: Path, progress: Progress) -> list[Path]:
    """Writes the folder and returns its files. Raises ExportStopped and OSError."""
    (adapter,) = source.adapters
    config = read_adapter(adapter)
    config["base_model_name_or_path"] = base_name(source)
    config["inference_mode"] = True
    write_atomic(folder / "adapter_config.json", json.dumps(config, indent=2, ensure_ascii=False) + "\n")
    with (adapter / WEIGHTS).open("rb") as weights, (folder / WEIGHTS).open("wb") as copy:
        while piece := weights.read(PIECE):
            copy.write(piece)
            progress.wrote(WEIGHTS, len(piece))
    companions.write_voice(source, folder)
    manifest = RunFolder(run_of(adapter)).manifest
    if manifest.is_file():
        # By it another export finds out whether a base is the right one.
        shutil.copyfile(manifest, folder / manifest.name)
    card.write(source, folder, "adapter")
    return sorted(path for path in folder.iterdir() if path.is_file())


def base_name(source: Source) -> str:
    """What the base is called elsewhere: its id on the hub if the catalogue knows it, else where it lies."""
    wanted = source.run_config.model.model_name_or_path
    entry = find(wanted)
    if entry and not entry.folder:
        return entry.hub_id(source.run_config.model.hub) or wanted
    return str(source.base.resolve())
