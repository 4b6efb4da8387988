"""What comes out of a data file, whatever its kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from trainer.errors import Values

Tell = Callable[[int, int], None]


class Broken(NamedTuple):
    """A row that cannot be read: the sentence's code (it begins with `row_`) and its values, dataset and number left out."""

    code: str
    values: Values


class Item(NamedTuple):
    """`number` counts from 1: the place in a list or table (its header not counted), or the line in a file of lines.

    `file` is the file's name where a folder is read.
    """

    number: int
    value: Any | Broken
    file: str = ""
