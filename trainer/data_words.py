"""What was typed after `python -m trainer data`, and how its progress is told."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from trainer.dataset.info import ONLINE, REMOTE
from trainer.dataset.ingest.task import Progress
from trainer.errors import UserError
from trainer.jobs.place import locate_data
from trainer.jobs.shelf import Shelf
from trainer.paths import REPOSITORY

# Work that takes longer than this shows that it goes on, and how often. What is no terminal keeps every line: there
# the time between two of them doubles.
SILENT_S, TOLD_EVERY_S, RAREST_S = 1.0, 1.0, 16.0

USAGE: dict[str, str] = {
    "list": "python -m trainer data list [--dataset_dir DIR] [--json]",
    "check": "python -m trainer data check NAME|FILE [--dataset_dir DIR] [--json]",
    "preview": "python -m trainer data preview NAME [--dataset_dir DIR] [--rows N] [--page N] [--json] [name=value ...]",
    "register": (
        "python -m trainer data register FILE --name N [--map column=role]... [--tag tag=word]... [--ask TEXT] "
        "[--table T]... [--repair R|all]... [--dataset_dir DIR] [--json]"
    ),
    "remove": "python -m trainer data remove NAME [--dataset_dir DIR]",
}
_REPEATED = ("map", "tag", "table", "repair")
_SINGLE: dict[str, tuple[str, ...]] = {
    "list": ("dataset_dir",),
    "check": ("dataset_dir",),
    "preview": ("dataset_dir", "rows", "page"),
    "register": ("dataset_dir", "name", "ask"),
    "remove": ("dataset_dir",),
}


@dataclass
class Words:
    """What was typed after a command: its object, its flags, and what is left for the settings of a run."""

    what: str = ""
    json: bool = False
    single: dict[str, str] = field(default_factory=dict)
    repeated: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in _REPEATED})
    rest: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """The data folder that is meant. Raises UserError when a named one is not there."""
        named = self.single.get("dataset_dir")
        if named is None:
            return Path(locate_data("data", Path.cwd()))
        try:
            found = Path(named).expanduser()
            there = next((each for each in (found, REPOSITORY / found) if each.is_dir()), None)
        # A name that is too long or holds a NUL, or "~somebody" who is nobody.
        except (OSError, RuntimeError, ValueError):
            there = None
        if there is None:
            raise UserError("data_folder_missing", field="dataset_dir", path=named[:200])
        return there.absolute()

    @property
    def dataset_dir(self) -> str:
        """What a run would be told: the folder, or that the names of datasets are ids of a hub."""
        return str(self.folder) if self.on_disk else self.single["dataset_dir"]

    @property
    def on_disk(self) -> bool:
        """Whether there is a data folder."""
        named = self.single.get("dataset_dir", "")
        return named != ONLINE and not named.startswith(REMOTE)

    def shelf(self) -> Shelf:
        """The datasets of that folder."""
        return Shelf(Path.cwd(), folder=self.folder if "dataset_dir" in self.single else None)


def read_words(command: str, rest: list[str]) -> Words:
    """The words of a command. Raises UserError for a flag that it does not have, and for what is missing."""
    found = Words()
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        flag = name.removeprefix("--").replace("-", "_") if name.startswith("--") else ""
        if flag == "json" and command != "remove":
            found.json = True
        elif flag in _SINGLE[command] or (flag in _REPEATED and command == "register"):
            if not equals and not rest:
                raise UserError("data_command_missing", command=word, what="a value", usage=USAGE[command])
            value = value if equals else rest.pop(0)
            if flag in _REPEATED:
                found.repeated[flag].append(value)
            else:
                found.single[flag] = value
        elif not found.what and not flag and word:
            found.what = word
        elif command == "preview":
            takes = flag and not equals and rest and not rest[0].startswith("--")
            found.rest += [word, rest.pop(0)] if takes else [word]
        else:
            raise UserError("data_command_flag", word=word[:80], usage=USAGE[command])
    if not found.what and command != "list":
        what = {"register": "a file", "check": "the name of a dataset, or a file"}.get(
            command, "the name of a dataset"
        )
        raise UserError("data_command_missing", command=command, what=what, usage=USAGE[command])
    return found


def number(words: Words, name: str, least: int) -> int:
    """A whole number that was typed as a flag, or `least`. Raises UserError for anything else."""
    text = words.single.get(name, str(least))
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 10_000:
        what = f"a whole number from 1 to 10000 for --{name}"
        raise UserError("data_command_missing", command="preview", what=what, usage=USAGE["preview"])
    return int(text)


class Meter:
    """Progress on stderr, once work takes longer than a moment."""

    def __init__(self) -> None:
        self._next = time.monotonic() + SILENT_S
        self._pause = TOLD_EVERY_S
        self._open = False

    def hear(self, progress: Progress) -> None:
        self.tell(progress.rows, progress.bytes_done, progress.bytes_total)

    def tell(self, rows: int, done: int, total: int) -> None:
        now = time.monotonic()
        if now < self._next or not rows:
            return
        self._next = now + self._pause
        self._pause = TOLD_EVERY_S if sys.stderr.isatty() else min(2 * self._pause, RAREST_S)
        share = f", {100 * done // total} %" if total else ""
        end = "\r" if sys.stderr.isatty() else "\n"
        print(f"{rows} rows{share}", file=sys.stderr, end=end, flush=True)
        self._open = end == "\r"

    def close(self) -> None:
        if self._open:
            print(file=sys.stderr)
