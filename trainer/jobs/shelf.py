"""The datasets of a workspace: listed, renamed, handed out, changed, removed; and, by its uploads, brought in."""

from __future__ import annotations

import builtins
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trainer.dataset.info import DatasetInfo, parse_entry
from trainer.dataset.ingest.archive import Limits
from trainer.dataset.ingest.cupboard import ROWS, Cupboard
from trainer.dataset.ingest.naming import propose_name, require_name
from trainer.dataset.ingest.plan import Plan
from trainer.dataset.ingest.reason import Reason
from trainer.dataset.ingest.recipe import Recipe, read_recipe, write_recipe
from trainer.dataset.ingest.register import MEDIA
from trainer.dataset.ingest.unpack import ORIGINAL, Staged, link_or_copy
from trainer.errors import UserError
from trainer.jobs.staging import new_upload
from trainer.jobs.uploads import Checking, Registering, Uploads
from trainer.jobs.usage import no_new_runs, runs_with

__all__ = ["Checking", "Limits", "Registering", "Shelf", "Shelved"]


@dataclass(frozen=True)
class Shelved:
    """A dataset that is registered. `rows` is None where nobody has counted them; `ours` ones have a recipe.

    `used_by` are the ids of runs that wait or are on; `problem` says why it cannot be loaded.
    """

    name: str
    rows: int | None
    bytes: int
    source: str
    date: str
    ours: bool
    used_by: tuple[str, ...]
    formatting: str
    problem: Reason | None = None


class Shelf(Uploads):
    """Every dataset of a data folder, and what is on its way there. Names are looked up, never joined to a path."""

    def list(self) -> builtins.list[Shelved]:
        """Every dataset, in the order of dataset_info.json. Raises UserError when that cannot be read."""
        users = runs_with(self._root, self.folder)
        entries = Cupboard(self.folder).text().entries()
        return [self._shelved(name, entry, users.get(name, ())) for name, entry in entries.items()]

    def get(self, name: str) -> Shelved:
        """The dataset of this name. Raises UserError for an unknown one."""
        return self._shelved(name, self._entry(name), runs_with(self._root, self.folder).get(name, ()))

    def recipe(self, name: str) -> Recipe | None:
        """How it was registered; None for an entry that was written by hand."""
        return self._recipe(name, self._entry(name))

    def rename(self, name: str, new: str) -> Shelved:
        """Gives a dataset another name. Raises UserError while a run uses it, and for a name that cannot be used."""
        self._entry(name)
        cupboard = self._cupboard()
        with no_new_runs(self._root), cupboard.changing():
            entry = self._entry(name)
            self._require_idle(name)
            ours = self._recipe(name, entry) is not None
            new = require_name(
                new, cupboard.names() - ({name} if new.strip().casefold() == name.casefold() else set())
            )
            if new != name:
                moved = {**entry, "file_name": f"{new}/{ROWS}"} if ours else entry
                cupboard.rename(name, new, moved, folder=ours)
                if ours and (recipe := read_recipe(cupboard.home(new))):
                    write_recipe(cupboard.home(new), replace(recipe, name=new))
        return self.get(new)

    def delete(self, name: str) -> None:
        """Removes a dataset that was registered here with all its files; of one written by hand only the entry.

        Raises UserError while a run waits for it or uses it.
        """
        self._entry(name)
        cupboard = self._cupboard()
        with no_new_runs(self._root), cupboard.changing():
            entry = self._entry(name)
            self._require_idle(name)
            cupboard.remove(name, folder=self._recipe(name, entry) is not None)

    def download(self, name: str, what: str = "zip") -> Path:
        """A file to be handed out: a zip of rows, media and entry, or the `original` as it was given."""
        entry = self._entry(name)
        recipe = self._recipe(name, entry)
        if what == "original":
            if recipe is None:
                raise UserError("shelf_not_ours", name=name)
            return self._original(name)
        info = parse_entry(self.folder, name, entry)
        if info.barred or info.hub or not info.path.exists():
            raise UserError("shelf_many_files", name=name)
        target = new_upload(self._cupboard().staging) / f"{propose_name(name)}.zip"
        try:
            _pack(target, name, entry, info, ours=recipe is not None)
        except OSError as error:
            raise UserError(
                "register_not_written", name=target.name, reason=error.strerror or str(error)
            ) from error
        return target

    def change(self, name: str) -> tuple[Staged, Plan]:
        """Brings the kept original in again, with the plan by which it was registered."""
        recipe = self._recipe(name, self._entry(name))
        if recipe is None:
            raise UserError("shelf_not_ours", name=name)
        original = self._original(name)
        staged = self.receive(original, recipe.source)
        # Media that did not come in a zip lie in the dataset's own folder only.
        notes = (Reason("change_without_added", {"count": recipe.added}),) if recipe.added else ()
        media = _bring_media(original.parent.parent / MEDIA, staged)
        staged = replace(staged, media=media, notes=(*staged.notes, *notes))
        with self._lock:
            upload = self._uploads[staged.token]
            upload.staged, upload.replaces, upload.kind = staged, name, recipe.kind
        known = {table.name for table in staged.tables}
        tables = tuple(table for table in recipe.tables if table in known)
        return staged, replace(recipe.plan, tables=tables)

    def _entry(self, name: str) -> Any:
        entries = Cupboard(self.folder).text().entries()
        if name not in entries:
            raise UserError("shelf_unknown", name=name[:80], names=", ".join(entries) or "-")
        return entries[name]

    def _recipe(self, name: str, entry: Any) -> Recipe | None:
        """The recipe of a dataset whose entry is the one that was registered with it."""
        if not isinstance(entry, dict) or entry.get("file_name") != f"{name}/{ROWS}":
            return None
        try:
            return read_recipe(Cupboard(self.folder).home(name))
        except UserError:  # a name that only a hand could write
            return None

    def _original(self, name: str) -> Path:
        folder = Cupboard(self.folder).home(name) / ORIGINAL
        found = [each for each in folder.iterdir() if each.is_file()] if folder.is_dir() else []
        if not found:
            raise UserError("shelf_original_gone", name=name)
        return found[0]

    def _shelved(self, name: str, entry: Any, used_by: tuple[str, ...]) -> Shelved:
        info = parse_entry(self.folder, name, entry)
        recipe = self._recipe(name, entry)
        return Shelved(
            name=name,
            rows=recipe.registered if recipe else None,
            bytes=0 if info.barred or info.hub else _size(info.path),
            source=recipe.source if recipe else _source(info, entry),
            date=recipe.date if recipe else "",
            ours=recipe is not None,
            used_by=used_by,
            formatting=info.formatting,
            problem=_problem(info),
        )


def _source(info: DatasetInfo, entry: Any) -> str:
    hub = info.hub.huggingface or info.hub.modelscope if info.hub else ""
    return hub or (str(entry.get("file_name", "")) if isinstance(entry, dict) else "")


def _problem(info: DatasetInfo) -> Reason | None:
    if info.barred:
        return Reason(info.barred.code, info.barred.values)
    if info.hub is None and not info.path.exists():
        return Reason("data_file_missing", {"name": info.name, "path": str(info.path)})
    return None


def _files(path: Path) -> Iterator[Path]:
    """The file, or every file below the folder, links left out."""
    found = path.rglob("*") if path.is_dir() else iter((path,))
    return (each for each in found if each.is_file() and not each.is_symlink())


def _size(path: Path) -> int:
    try:
        return sum(each.stat().st_size for each in _files(path))
    except OSError:
        return 0


def _bring_media(media: Path, staged: Staged) -> int:
    """Puts a dataset's media beside its staged tables, unless they are there; returns how many there are then."""
    added = 0
    for path in _files(media) if media.is_dir() else ():
        target = staged.files / path.relative_to(media)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(path, target)
            added += 1
    return staged.media + added


def _pack(target: Path, name: str, entry: Any, info: DatasetInfo, *, ours: bool) -> None:
    """A zip of a dataset's rows and media with a dataset_info.json of this one entry; LLaMA-Factory reads it, too."""
    base = info.path.parent
    packed = [base / ROWS, *_files(base / MEDIA)] if ours else list(_files(info.path))
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in packed:
            if path.is_file():
                archive.write(path, path.relative_to(base).as_posix())
        written = {name: {**entry, "file_name": ROWS if ours else info.path.name}}
        archive.writestr("dataset_info.json", json.dumps(written, ensure_ascii=False, indent=2) + "\n")
