"""An adapter as a folder for other programs: what PEFT reads, the tokenizer it was trained with, and a card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.errors import UserError
from trainer.export import card, companions
from trainer.export.progress import Progress
from trainer.export.settings import read_json
from trainer.export.source import Source
from trainer.export.subject import run_of
from trainer.model.adapter import WEIGHTS, read_adapter
from trainer.model.catalog import find
from trainer.model.reshaped import reshaped
from trainer.paths import RunFolder, write_atomic

PIECE = 16 * 1024 * 1024
# Of what the run has written down: by the fingerprint another export finds out whether a base is the right one. Where
# things lay on this machine is nobody else's business.
TOLD = ("tuneboard", "python", "libraries", "base_fingerprint", "method", "rows", "template", "seed")


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
    _write_json(folder / "adapter_config.json", config)
    with (adapter / WEIGHTS).open("rb") as weights, (folder / WEIGHTS).open("wb") as copy:
        while piece := weights.read(PIECE):
            copy.write(piece)
            progress.wrote(WEIGHTS, len(piece))
    if changes := reshaped(adapter):
        changes.write(folder)
    companions.write_voice(source, folder)
    manifest = RunFolder(run_of(adapter)).manifest
    record = read_json(manifest)
    # An adapter that was trained on top of others is nothing without them.
    told = (*TOLD, "adapters", "merged_adapters") if record.get("merged_adapters") else TOLD
    if known := {name: value for name, value in record.items() if name in told}:
        _write_json(folder / manifest.name, known)
    card.write(source, folder, "adapter")
    return sorted(path for path in folder.iterdir() if path.is_file())


def _write_json(path: Path, found: Mapping[str, Any]) -> None:
    write_atomic(path, json.dumps(found, indent=2, ensure_ascii=False) + "\n")


def base_name(source: Source) -> str:
    """What the base is called elsewhere: its id on the hub if the catalogue knows it, else where it lies."""
    wanted = source.run_config.model.model_name_or_path
    entry = find(wanted)
    if entry and not entry.folder:
        return entry.hub_id(source.run_config.model.hub) or wanted
    return str(source.base.resolve())
