"""The sizes and the weights of a model by its name: from its folder, or for a model of the catalogue as they are known."""

from __future__ import annotations

import json
import re
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from trainer.errors import UserError
from trainer.model import catalog
from trainer.model.fit.layout import Layout, computed_layout, stored_layout
from trainer.model.fit.shape import Shape, read_shape


class Sizes(NamedTuple):
    """A model's sizes and weights; `here` says whether they were read from its folder."""

    shape: Shape
    layout: Layout
    here: bool


def sizes_of(name: str, hub: str) -> Sizes | None:
    """The sizes of a folder, a name of the catalogue or a hub id; None where nothing says them before it is fetched."""
    try:
        place = catalog.find_place(name, hub)
        folder = place if isinstance(place, Path) else _fetched(place, hub)
    except UserError:
        folder = _half(name)
    if folder is not None:
        return sizes_in(folder)
    known = _known_config(name)
    shape = read_shape(known) if known else None
    return Sizes(shape, computed_layout(shape), here=False) if shape else None


def _half(name: str) -> Path | None:
    """A folder whose weights are not there (yet)."""
    folder = Path(name).expanduser()
    return folder if (folder / "config.json").is_file() else None


def _fetched(hub_id: str, hub: str) -> Path | None:
    """The folder of a hub's model that was fetched before, looked for without the hub's library."""
    if hub == "modelscope":
        return None
    folder = _hub_cache() / f"models--{hub_id.replace('/', '--')}" / "snapshots"
    found = sorted(folder.glob("*/config.json"), key=lambda each: each.stat().st_mtime)
    return found[-1].parent if found else None


def _hub_cache() -> Path:
    # Small, and it knows the variables that move the folder.
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def sizes_in(folder: Path) -> Sizes | None:
    """The sizes of the model in a folder; None for one whose config.json does not say them."""
    try:
        changed = (folder / "config.json").stat().st_mtime_ns
    except OSError:
        return None
    return _read(folder, changed)


@lru_cache(maxsize=16)
def _read(folder: Path, changed: int) -> Sizes | None:
    """`changed` makes a config that was written anew another one."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        shape = read_shape(config)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError):
        return None
    try:
        files = catalog.weight_files(folder)
        layout = stored_layout(files, shape)
    except (UserError, OSError, ValueError, KeyError, TypeError):
        layout = ()
    return Sizes(shape, layout or computed_layout(shape), here=True)


@cache
def _known() -> dict[str, dict[str, Any]]:
    text = Path(__file__).with_name("known.json").read_text(encoding="utf-8")
    found: dict[str, dict[str, Any]] = json.loads(text)
    return found


def _known_config(name: str) -> dict[str, Any] | None:
    """What the makers' config.json says, for models of the catalogue, by the name there or by the hub's id."""
    entry = catalog.find(name)
    names = [name.rsplit("/", 1)[-1], *([entry.name] if entry else ())]
    for each in names:
        for pattern, config in _known().items():
            if re.match(pattern, each, re.IGNORECASE):
                return config
    return None
