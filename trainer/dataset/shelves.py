"""The raw rows of a dataset, from wherever it lies: a file, a folder, a hub; and the slice of them that it means."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from itertools import islice
from typing import NamedTuple

from trainer.dataset.entry import DatasetInfo, Hub
from trainer.dataset.fields import shown
from trainer.dataset.files import Item, Tell, read_items
from trainer.errors import UserError

_SLICE = re.compile(r"train(?:\[(-?\d+%?)?:(-?\d+%?)?\])?")


class Slice(NamedTuple):
    """Rows from `start` up to `stop` as their places from 0; None: to the end."""

    start: int
    stop: int | None


def open_items(
    info: DatasetInfo, hub: Hub, skip: int = 0, tell: Tell | None = None, streaming: bool = False
) -> Generator[Item, None, None]:
    """Rows as they are written, after the first `skip`. Raises UserError when they cannot be had at all."""
    if info.hub:
        from trainer.dataset.hub import read_hub

        yield from islice(read_hub(info, info.hub, hub, streaming), skip, None)
        return
    part = read_slice(info)
    start = part.start + skip
    rows: Iterator[Item] = read_items(info.path, start, tell)
    yield from rows if part.stop is None else islice(rows, max(0, part.stop - start))


def require_split(info: DatasetInfo) -> None:
    """Raises UserError for a split that files do not have."""
    _bounds(info)


def read_slice(info: DatasetInfo) -> Slice:
    """The slice of a file's rows that `split` means; they are counted where it is a share, or counts from the end.

    Raises UserError for a split that files do not have, and when the file cannot be read.
    """
    bounds = _bounds(info)
    if not any(bounds):
        return Slice(0, None)
    count = 0
    if any(bound.startswith("-") or bound.endswith("%") for bound in bounds):
        count = sum(1 for _ in read_items(info.path))
    start, stop = (_place(bound, count) if bound else None for bound in bounds)
    return Slice(start or 0, stop)


def _bounds(info: DatasetInfo) -> tuple[str, str]:
    """Files have the one split `train`, and slices of it are written as `datasets` writes them:
    https://huggingface.co/docs/datasets/loading#slice-splits
    """
    found = _SLICE.fullmatch(re.sub(r"\s", "", info.split))
    if not found:
        raise UserError("data_split", field="dataset", name=info.name, split=shown(info.split))
    start, stop = found.groups(default="")
    return start, stop


def _place(bound: str, count: int) -> int:
    place = round(int(bound[:-1]) * count / 100) if bound.endswith("%") else int(bound)
    return max(0, count + place) if bound.startswith("-") else place
