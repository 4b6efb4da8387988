"""The data folder as a place of registered datasets: changed under a lock, whole after any crash.

A change is first written down in a journal. Whoever takes the lock next and finds one knows that its writer died, and
finishes what was begun, or takes it back when it had not begun.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from trainer.dataset.files import read_text
from trainer.dataset.info import FILE
from trainer.dataset.ingest.entries import EMPTY, EntryText
from trainer.errors import UserError
from trainer.paths import safe_path, write_atomic

STAGING = ".staging"
ROWS = "rows.jsonl"


class Cupboard:
    """The folder with dataset_info.json. `checkpoint` is called between the strokes of a change (tests end there)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.staging = folder / STAGING
        self._journal = self.staging / "journal.json"

    def checkpoint(self, stroke: str) -> None:
        """A place where a crash must do no harm."""

    # Reading

    def text(self) -> EntryText:
        """dataset_info.json as it is now; empty when there is none. Raises UserError when it cannot be read."""
        path = self.folder / FILE
        try:
            return EntryText(path.read_bytes().decode("utf-8"))
        except FileNotFoundError:
            return EntryText(EMPTY)
        except UnicodeDecodeError:
            # Written again it will be UTF-8, which LLaMA-Factory reads everywhere.
            return EntryText(read_text(path, "dataset_dir"))
        except OSError as error:
            raise UserError("info_unreadable", reason=str(error.strerror)) from error

    def names(self) -> set[str]:
        """Every name that is taken: by an entry, or by something that lies in the folder."""
        lying = {each.name for each in self.folder.iterdir()} if self.folder.is_dir() else set()
        return {*self.text().entries(), *lying, *(Path(name).stem for name in lying)}

    def home(self, name: str) -> Path:
        """The folder of a registered dataset."""
        return safe_path(self.folder, name)

    # Changing

    @contextmanager
    def changing(self) -> Iterator[None]:
        """No other thread or process changes the folder during the block; what a crash left is put in order first."""
        try:
            self.staging.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.staging / "lock", thread_local=False)
            with lock:
                self._settle()
                try:
                    yield
                except BaseException:
                    self._settle()
                    raise
        except OSError as error:
            reason = error.strerror or str(error)
            raise UserError("data_folder_closed", folder=str(self.folder), reason=reason) from error

    def add(self, name: str, ready: Path, entry: Any) -> None:
        """Puts the folder `ready` at `name` and its entry beside the others; what was there before is replaced.

        To be called while `changing`.
        """
        old = self.staging / f"old-{secrets.token_hex(8)}"
        # A folder keeps its number when it is renamed: so it is known again after a crash.
        self._note(
            {"do": "add", "name": name, "number": ready.stat().st_ino, "old": old.name, "entry": entry}
        )
        self.checkpoint("noted")
        if self.home(name).exists():
            self.home(name).rename(old)
            self.checkpoint("old away")
        ready.rename(self.home(name))
        self.checkpoint("placed")
        self._write(self.text().put(name, entry))
        self.checkpoint("entered")
        self._done()
        shutil.rmtree(old, ignore_errors=True)

    def remove(self, name: str, *, folder: bool) -> None:
        """Takes out the entry, and the dataset's own folder when `folder` says so. To be called while `changing`."""
        old = self.staging / f"old-{secrets.token_hex(8)}"
        self._note({"do": "remove", "name": name, "folder": folder, "old": old.name})
        self.checkpoint("noted")
        self._write(self.text().without(name))
        self.checkpoint("entered")
        if folder and self.home(name).exists():
            self.home(name).rename(old)
            self.checkpoint("old away")
        self._done()
        shutil.rmtree(old, ignore_errors=True)

    def rename(self, name: str, new: str, entry: Any, *, folder: bool) -> None:
        """Gives the entry another name, and the dataset's folder with it. To be called while `changing`."""
        self._note({"do": "rename", "name": name, "new": new, "entry": entry, "folder": folder})
        self.checkpoint("noted")
        if folder:
            self.home(name).rename(self.home(new))
            self.checkpoint("placed")
        self._write(self.text().renamed(name, new).put(new, entry))
        self.checkpoint("entered")
        self._done()

    def _settle(self) -> None:
        """Finishes the change of a process that died in the middle of it."""
        try:
            begun = json.loads(self._journal.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return
        except (OSError, ValueError):
            self._done()
            return
        name, old = begun["name"], self.staging / begun.get("old", "-")
        if begun["do"] == "add":
            self._settle_add(begun, name, old)
        elif begun["do"] == "remove":
            self._write(self.text().without(name))
            if begun["folder"] and self.home(name).exists():
                self.home(name).rename(old)
        elif not begun["folder"] or self.home(begun["new"]).exists():
            text = self.text()
            if name in text.entries():
                text = text.renamed(name, begun["new"])
            self._write(text.put(begun["new"], begun["entry"]))
        self._done()
        shutil.rmtree(old, ignore_errors=True)

    def _settle_add(self, begun: dict[str, Any], name: str, old: Path) -> None:
        home = self.home(name)
        if home.exists() and home.stat().st_ino == begun["number"]:
            self._write(self.text().put(name, begun["entry"]))
        elif old.exists() and not home.exists():
            old.rename(home)

    def _note(self, change: dict[str, Any]) -> None:
        write_atomic(self._journal, json.dumps(change, ensure_ascii=False))

    def _done(self) -> None:
        self._journal.unlink(missing_ok=True)

    def _write(self, text: EntryText) -> None:
        # The file may be a link to one that several folders share: it stays one.
        path = (self.folder / FILE).resolve()
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            with temporary.open("xb") as file:
                file.write(text.text.encode())
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
