"""What an exported folder or a GGUF file was made from, as far as the files beside it say. No library is needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from trainer.config import RunConfig
from trainer.errors import UserError
from trainer.model.exported import RECEIPT, things_in


def named(text: str) -> Path:
    """The folder or file that a person has typed. A folder with one thing in it means that one.

    Raises UserError for nothing, for a path that does not exist, and for a folder of which several things can be asked.
    """
    wanted = text.strip().strip("\"'").strip()
    if not wanted:
        raise UserError("chat_no_path")
    path = Path(wanted).expanduser()
    if not path.exists():
        raise UserError("chat_path_missing", path=wanted)
    if path.is_file():
        # A person who sees the files of a folder takes the one that looks like the model.
        part = path.name in ("config.json", "adapter_config.json") or path.suffix == ".safetensors"
        return path.parent if part else path
    found = things_in(path)
    if len(found) > 1:
        names = ", ".join(str(each.path.relative_to(path)) for each in found)
        raise UserError("chat_several_formats", path=str(path), names=names)
    return found[0].path if found else path


def base_of(path: Path) -> str:
    """The model that an export was made from: the receipt's word, or an adapter's own; empty where nobody says.

    A folder that is gone counts as nothing said.
    """
    folder = path if path.is_dir() else path.parent
    for place in (folder, folder.parent):
        base = str(_read(place / RECEIPT).get("base") or "")
        if base and _is_there(base):
            return base
    base = str(_read(folder / "adapter_config.json").get("base_model_name_or_path") or "")
    return base if base and _is_there(base) else ""


def with_base(config: RunConfig) -> RunConfig:
    """Settings of a chat; a checkpoint or export without a model is put on the one that it was made from.

    Raises UserError when nothing is named, or only an adapter that does not say its base.
    """
    model, adapters = config.model.model_name_or_path, config.model.adapter_name_or_path
    if model:
        return config
    path = Path(adapters[-1]).expanduser() if adapters else None
    if path is None or not (found := base_of(path) or ("" if _needs_base(path) else str(path))):
        raise UserError("no_model", field="model_name_or_path")
    return config.with_values(model_name_or_path=found)


def _needs_base(path: Path) -> bool:
    return (path / "adapter_config.json").is_file()


def _is_there(base: str) -> bool:
    """Whether a folder exists; a name of a hub is taken at its word."""
    return Path(base).exists() or not (base.startswith(("/", ".", "~")) or "\\" in base)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
