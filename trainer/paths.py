"""Where things lie, and the one way in which a name from a page becomes a path."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from trainer.errors import UserError

REPOSITORY = Path(__file__).resolve().parent.parent
MODELS = REPOSITORY / "models"
DATA = REPOSITORY / "data"


def safe_path(root: Path, name: str) -> Path:
    """`root/name`, where `name` may have sub-folders but never leads out of `root`, also not through a link.

    Raises UserError for an absolute name, `..`, control characters, or a link that leads outside.
    """
    parts = Path(name).parts
    if not name.strip() or Path(name).is_absolute() or ".." in parts or any(ord(c) < 32 for c in name):
        raise UserError("path_outside", name=name)
    if any(len(part.encode()) > 255 for part in parts):
        raise UserError("name_too_long", name=f"{name[:40]}…")
    path = root / name
    if not path.resolve().is_relative_to(root.resolve()):
        raise UserError("path_outside", name=name)
    return path


def write_atomic(path: Path, text: str) -> None:
    """Writes `text` so that a reader or a crash finds the old file or the new one, never half of it."""
    write_atomic_lines(path, [text])


def write_atomic_lines(path: Path, lines: Iterable[str]) -> None:
    """The same of lines, with their ends, that need not be in memory together."""
    # Not mkstemp: its files are readable by their owner alone, and these are for everybody on the machine.
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}")
    try:
        with temporary.open("x", encoding="utf-8") as file:
            file.writelines(lines)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@dataclass(frozen=True)
class RunFolder:
    """The files of one run. The folder is the run: nothing about it is kept elsewhere."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    @property
    def stop(self) -> Path:
        """A file whose mere existence asks the run to stop."""
        return self.path / "stop"

    @property
    def trainer_log(self) -> Path:
        return self.path / "trainer_log.jsonl"

    @property
    def manifest(self) -> Path:
        return self.path / "manifest.json"

    @property
    def rows(self) -> Path:
        """The answered rows of an evaluation, one JSON object a line."""
        return self.path / "rows.jsonl"

    @property
    def side(self) -> Path:
        """The rows as one side has answered them, while the other one has still to answer."""
        return self.path / "side.jsonl"

    @property
    def report(self) -> Path:
        """What an evaluation has found, as JSON."""
        return self.path / "report.json"

    def checkpoints(self) -> list[Path]:
        """`checkpoint-N` folders, oldest step first."""
        found = [p for p in self.path.glob("checkpoint-*") if p.name[11:].isdigit() and p.is_dir()]
        return sorted(found, key=lambda p: int(p.name[11:]))
