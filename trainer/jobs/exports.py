"""What can be exported, what it would take, and what exports have left, for the page. Everything is asked for by ids."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import weakref
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from trainer.config import RunConfig
from trainer.errors import UserError, problems_of
from trainer.events import Finished, Note
from trainer.jobs import launch
from trainer.jobs.job import Job
from trainer.jobs.jobs import Jobs
from trainer.jobs.place import RECEIPT, ready
from trainer.options import WHOLE_METHODS
from trainer.paths import RunFolder

ARCHIVES = 4
_ROOM = 64 * 1024 * 1024
GB = 1e9


class Candidate(NamedTuple):
    """Something that was trained here. `values` are those of a form: base, adapter or model, template, method.

    `kind` is "run" for a run's result and "checkpoint" for one on the way, whose `step` it is.
    """

    id: str
    name: str
    kind: str
    run: str
    step: int | None
    method: str
    model: str
    at: float
    datasets: tuple[str, ...]
    scores: dict[str, float]
    values: dict[str, Any]


class Size(NamedTuple):
    """Bytes of one format; `type` is that of a GGUF or quantised model."""

    format: str
    type: str
    bytes: int


class Outlook(NamedTuple):
    """What an export would take, in bytes, and all that speaks against it; without sizes where there is no model."""

    sizes: tuple[Size, ...]
    disk_needed: int
    disk_free: int
    memory_needed: int
    memory_free: int
    target: Path | None
    parameters: int
    problems: tuple[UserError, ...]
    notes: tuple[Note, ...]


class Exported(NamedTuple):
    """One format that a finished export has left. `path` is its folder, or the GGUF file itself."""

    run: str
    name: str
    path: Path
    format: str
    type: str
    model: str
    at: float


class Exports:
    """The exports of one workspace. Every method may be called from any thread."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._lock = threading.Lock()
        self._place: Path | None = None

    # Before

    def candidates(self) -> tuple[Candidate, ...]:
        """Results and checkpoints of all trainings of this workspace, the newest run first."""
        return tuple(found for job in self._jobs.list() if job.task == "train" for found in _candidates(job))

    def candidate(self, id: str) -> Candidate:
        """Raises UserError for one that is not there."""
        found = next((each for each in self.candidates() if each.id == id), None)
        if found is None:
            raise UserError("export_candidate_unknown", field="adapter_name_or_path", id=id[:200])
        return found

    def outlook(self, config: RunConfig) -> Outlook:
        """What an export would take. The first call waits for torch; a model of a hub is not fetched for it."""
        launch.warm_up()
        from trainer.export.run import prepare
        from trainer.model.catalog import resolve_here

        try:
            resolve_here(config.model.model_name_or_path, config.model.hub)
            folder = self._jobs.saves / "export"
            wanted = config.with_values(do_export=True, output_dir=str(folder))
            *_, plan = prepare(ready(wanted, RunFolder(folder), self._jobs.root))
        except UserError as error:
            return Outlook((), 0, 0, 0, 0, None, 0, problems_of(error), ())
        return Outlook(
            tuple(Size(*each) for each in plan.sizes), plan.disk_needed, plan.disk_free, plan.memory_needed,
            plan.memory_free, plan.target if config.export.export_dir else None, plan.parameters, plan.problems,
            plan.notes,
        )  # fmt: skip

    # Afterwards

    def list(self) -> list[Job]:
        """The exports, the newest first."""
        return [job for job in self._jobs.list() if job.task == "export"]

    def folder(self, run: str) -> Path | None:
        """Where the files of an export lie; None when it is not finished, or they are gone.

        Raises UserError for a run that is not there.
        """
        ending = self._jobs.get(run).facts.ending
        path = Path(ending.path) if isinstance(ending, Finished) and ending.path else None
        return path if path and path.is_dir() else None

    def receipt(self, run: str) -> dict[str, Any] | None:
        """The proof of a finished export; None for others."""
        with suppress(OSError, ValueError):
            found = json.loads((self._jobs.get(run).folder.path / RECEIPT).read_text(encoding="utf-8"))
            return found if isinstance(found, dict) else None
        return None

    def archive(self, run: str, format: str = "") -> Path:
        """A zip, not compressed, of all files of an export or of those of one format (its `key` in the receipt).

        It lies in a temporary folder that goes with this process; only the newest few stay. Raises UserError when the
        files are gone or there is no room for it.
        """
        folder, receipt = self.folder(run), self.receipt(run)
        if folder is None or receipt is None:
            job = self._jobs.get(run)
            ending = job.facts.ending
            if isinstance(ending, Finished):
                raise UserError("export_gone", folder=ending.path)
            raise UserError("export_not_done", id=run)
        files = _files(folder, receipt, format)
        if not files:
            raise UserError("export_gone", folder=str(folder))
        path = self._new_archive(run, format, sum(file.stat().st_size for file in files))
        try:
            with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
                for file in files:
                    archive.write(file, Path(path.stem) / file.relative_to(folder))
        except OSError as error:
            path.unlink(missing_ok=True)
            raise UserError("results_not_written", reason=error.strerror or str(error)) from error
        return path

    def made(self) -> tuple[Exported, ...]:
        """Every format that exports of this workspace have left and that is still there, the newest export first."""
        return tuple(found for job in self.list() if job.state == "finished" for found in self._made(job))

    def tidy(self) -> None:
        """Removes what exports left half-written that were killed with their server."""
        from trainer.export.place import remove_left, target_of

        for job in self.list():
            with suppress(OSError, UserError):
                if job.state == "interrupted":
                    remove_left(target_of(ready(job.config, job.folder, self._jobs.root)))

    # Behind it

    def _made(self, job: Job) -> Iterator[Exported]:
        receipt = self.receipt(job.id) or {}
        for each in receipt.get("formats", ()):
            path = Path(each["path"])
            names = [file["name"] for file in each["files"]]
            ggufs = [Path(receipt["folder"]) / name for name in names if name.endswith(".gguf")]
            place = ggufs[0] if each["format"] == "gguf" and ggufs else path
            if place.exists():
                yield Exported(
                    job.id, job.name, place, each["format"], each["type"], job.model, job.created_at
                )  # fmt: skip

    def _new_archive(self, run: str, format: str, size: int) -> Path:
        """A new path for `size` bytes. Raises UserError when there is no room for them."""
        with self._lock:
            if self._place is None:
                self._place = Path(tempfile.mkdtemp(prefix="tuneboard-exports-"))
                weakref.finalize(self, shutil.rmtree, self._place, ignore_errors=True)
            old = sorted(self._place.iterdir(), key=lambda path: path.stat().st_mtime_ns)
            for each in old[: max(0, len(old) - ARCHIVES + 1)]:
                shutil.rmtree(each, ignore_errors=True)
            free = shutil.disk_usage(self._place).free
            if size + _ROOM > free:
                raise UserError(
                    "export_zip_room",
                    needed=round(size / GB, 2),
                    free=round(free / GB, 2),
                    folder=str(self._place),
                )
            name = "-".join([Path(run).name, *([format.replace(":", "-")] if format else [])])
            return Path(tempfile.mkdtemp(dir=self._place)) / f"{name}.zip"


def _files(folder: Path, receipt: dict[str, Any], format: str) -> list[Path]:
    """All files of an export, or those of one format with the proof; those that are gone are left out."""
    if not format:
        return [file for file in sorted(folder.rglob("*")) if file.is_file() and not file.is_symlink()]
    named = [file["name"] for each in receipt["formats"] if each["key"] == format for file in each["files"]]
    found = [folder / name for name in named if (folder / name).is_file()]
    return [*found, *([folder / RECEIPT] if found and (folder / RECEIPT).is_file() else [])]


def _candidates(job: Job) -> Iterator[Candidate]:
    places = [(path, "checkpoint") for path in reversed(job.folder.checkpoints())]
    if job.state == "finished":
        places.insert(0, (job.folder.path, "run"))
    for path, kind in places:
        if not any((path / name).is_file() for name in ("adapter_config.json", "config.json")):
            continue
        step = int(path.name.removeprefix("checkpoint-")) if kind == "checkpoint" else job.facts.step
        id = job.id if kind == "run" else f"{job.id}/{path.name}"
        data = job.config.data
        values = {
            "model_name_or_path": job.config.model.model_name_or_path,
            "adapter_name_or_path": (*_merged(job), str(path)),
            "finetuning_type": job.method,
            "template": data.template,
            "hub": job.config.model.hub,
        }
        name = job.name if kind == "run" else f"{job.name} · {path.name}"
        yield Candidate(
            id,
            name,
            kind,
            job.id,
            step,
            job.method,
            job.model,
            job.created_at,
            job.datasets,
            dict(job.facts.scores),
            values,
        )


def _merged(job: Job) -> tuple[str, ...]:
    """The adapters that were part of the base when this one was trained."""
    adapters = job.config.model.adapter_name_or_path
    if job.method in WHOLE_METHODS:
        return ()
    return adapters if job.config.lora.create_new_adapter else adapters[:-1]
