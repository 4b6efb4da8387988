"""How a dataset came to be: enough to make it again, or otherwise."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from trainer.dataset.ingest.mapping import Mapping
from trainer.dataset.ingest.plan import Plan
from trainer.paths import write_atomic

FILE = "recipe.json"
# More dropped rows than this are counted by reason only.
MOST_LISTED = 10_000


@dataclass(frozen=True)
class Dropped:
    """A row of the person's table that was left out, and why."""

    file: str
    row: int
    code: str
    text: str


@dataclass(frozen=True)
class Recipe:
    """`rows` were read: `registered` and those that were dropped, of which `dropped` lists the first and `reasons` counts all.

    `source`, `sha256` and `bytes` are of the file as it was given; `date` is ISO, with the time zone. `added` of the
    registered rows are corrected answers that are not in that file.
    """

    name: str
    source: str
    sha256: str
    bytes: int
    encoding: str
    kind: str
    tables: tuple[str, ...]
    mapping: Mapping
    repairs: tuple[str, ...]
    rows: int
    registered: int
    media: int
    dropped: tuple[Dropped, ...] = ()
    reasons: dict[str, int] = field(default_factory=dict)
    repaired: dict[str, int] = field(default_factory=dict)
    version: str = ""
    date: str = ""
    added: int = 0

    @property
    def plan(self) -> Plan:
        """What to do with the original to get the same rows."""
        return Plan(self.tables, self.mapping, self.repairs)


def write_recipe(folder: Path, recipe: Recipe) -> None:
    """Writes recipe.json into the folder of a dataset."""
    write_atomic(folder / FILE, json.dumps(asdict(recipe), ensure_ascii=False, indent=2) + "\n")


def read_recipe(folder: Path) -> Recipe | None:
    """The recipe in a folder; None when there is none that can be read. Its name is the folder's."""
    try:
        given: dict[str, Any] = json.loads((folder / FILE).read_text(encoding="utf-8"))
        mapping = given["mapping"]
        given["mapping"] = Mapping(
            mapping["formatting"],
            tuple((str(column), str(role)) for column, role in mapping["roles"]),
            tuple((str(tag), str(word)) for tag, word in mapping["tags"]),
            str(mapping["ask"]),
        )
        given["dropped"] = tuple(Dropped(**each) for each in given["dropped"])
        given |= {key: tuple(given[key]) for key in ("tables", "repairs")}
        return Recipe(**{**given, "name": folder.name})
    except (OSError, ValueError, KeyError, TypeError):
        return None
