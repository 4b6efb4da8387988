"""How each tensor of the exported model comes about: where it lies in the base, and what the adapters do to it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from trainer.errors import UserError
from trainer.export.lora import Adapter, Change, LowRank, Replaced, Shift, read_changes
from trainer.export.outline import Names, read_names
from trainer.export.rotation import Rotated
from trainer.model.catalog import weight_files
from trainer.model.stored import Place, gathered, read


@dataclass(frozen=True)
class Recipe:
    """`place` is where the base has it; `resized` when an adapter has given it another number of rows."""

    place: Place
    shape: tuple[int, ...]
    dtype: str
    changes: tuple[Change, ...] = ()
    resized: bool = False


def recipes(base: Path, adapters: Sequence[Path], trust: bool = False) -> tuple[dict[str, Recipe], bool]:
    """The recipe of each tensor by its name in the files, and whether a head that was tied to the embedding no longer is.

    Raises UserError for weights that cannot be read and adapters that do not fit.
    """
    stored = gathered(weight_files(base))
    found = {name: Recipe(place, place.shape, place.dtype) for name, place in stored.items()}
    if not adapters:
        return found, False
    names = read_names(base, stored, trust)
    untied = False
    for path in adapters:
        adapter = read_changes(path)
        untied = _untie(adapter, names, found) or untied
        for name, changes in adapter.changes.items():
            file = _file_name(adapter, name, names, found)
            if file is not None:
                found[file] = _changed(path, name, found[file], changes)
    return found, untied


def _untie(adapter: Adapter, names: Names, found: dict[str, Recipe]) -> bool:
    """Gives the head weights of its own when the adapter changes only one of the two that were the same in the base.

    In memory an adapter works on one of them; files in which they are one would pass its changes on to the other.
    """
    head = names.head
    if not head or head in names.files or head in found or adapter.keeps_tie:
        return False
    touched = [name for name in (names.embedding, head) if name in adapter.changes]
    if not touched or _same(adapter, names.embedding, head):
        return False
    found[head] = found[names.files[names.embedding]]
    return True


def _same(adapter: Adapter, embedding: str, head: str) -> bool:
    """Whether both are replaced by the same numbers, as after new words."""
    pair = [adapter.changes.get(name, ()) for name in (embedding, head)]
    if not all(len(each) == 1 and isinstance(each[0], Replaced) for each in pair):
        return False
    one, other = (each[0].place for each in pair if isinstance(each[0], Replaced))
    if one.shape != other.shape:
        return False
    step = max(1, 2**24 // max(one.shape[-1], 1))
    return all(
        torch.equal(read(one, first, first + step), read(other, first, first + step))
        for first in range(0, one.rows, step)
    )


def _file_name(adapter: Adapter, name: str, names: Names, found: Mapping[str, Recipe]) -> str | None:
    """The tensor in the files that a parameter is; None for a head that stays tied. Raises UserError for none."""
    if name in names.files:
        return names.files[name]
    if name in found:
        return name
    if name == names.head:
        return None
    layer = name.rpartition(".")[0]
    if name.endswith(".bias") and f"{layer}.weight" in names.shapes:
        reason = f"{layer} has no bias here"
    elif name in names.shapes:
        reason = f"the weights of {layer} lie in the model's files in another form"
    else:
        reason = f"this model has no layer {layer}"
    raise _unfit(adapter.path, reason)


def _changed(path: Path, name: str, recipe: Recipe, changes: Sequence[Change]) -> Recipe:
    for change in changes:
        if isinstance(change, Replaced):
            shape = change.place.shape
            if len(shape) != len(recipe.shape) or shape[1:] != recipe.shape[1:]:
                raise _unfit(path, f"{name} is {_size(recipe.shape)} here, {_size(shape)} there")
            # What came before is replaced with it.
            recipe = replace(
                recipe, shape=shape, resized=recipe.resized or shape != recipe.shape, changes=(change,)
            )
            continue
        if isinstance(change, (LowRank, Shift)) and change.shape != recipe.shape:
            raise _unfit(path, f"{name} is {_size(recipe.shape)} here, {_size(change.shape)} there")
        if isinstance(change, Rotated) and not change.fits(recipe.shape):
            width = change.width or change.size
            raise _unfit(path, f"{name} is {_size(recipe.shape)} here, {width} wide there")
        recipe = replace(recipe, changes=(*recipe.changes, change))
    return recipe


def _size(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))


def _unfit(path: Path, reason: str) -> UserError:
    config = json.loads((path / "adapter_config.json").read_text(encoding="utf-8"))
    base = str(config.get("base_model_name_or_path") or "?")
    return UserError(
        "adapter_other_base", field="adapter_name_or_path", path=str(path), base=base, reason=reason
    )
