"""The runs of a workspace: submitted, queued, worked on one at a time, stopped, resumed, listed."""

from __future__ import annotations

import re
import shutil
import threading
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from trainer.config import RunConfig, Task
from trainer.errors import UserError
from trainer.events import EventLog, Note, Stopped
from trainer.jobs.job import Job, Known
from trainer.jobs.owner import live_owner
from trainer.jobs.place import (
    DEEPEST,
    PROPOSED,
    Found,
    find_runs,
    make_new,
    model_folder,
    open_folder,
    require_usable,
    run_name,
    write_settings,
)
from trainer.jobs.queue import Queue
from trainer.jobs.work import Run, run_stage
from trainer.jobs.worker import Worker, with_trust
from trainer.options import options
from trainer.paths import RunFolder, safe_path

TOKENS_KEPT = 1000
_PLAIN_NAME = re.compile(r"[^./\\\x00-\x1f][^/\\\x00-\x1f]*")


class Jobs:
    """All runs below `root/saves`, and the one worker for those in the queue.

    What is true of a run is read from its folder each time: a second server, a restart and a page that was asleep see
    the same. Every method may be called from any thread.
    """

    def __init__(self, root: Path, *, run: Run = run_stage, trust_remote_code: bool = False) -> None:
        self.root = root.resolve()
        self.saves = self.root / "saves"
        self._trust = trust_remote_code
        self._queue = Queue(self.root / "queue")
        self._lock = threading.RLock()
        self._known: dict[str, Known] = {}
        self._tokens: OrderedDict[str, str] = OrderedDict()
        self._worker = Worker(self.root, self._queue, run, trust_remote_code)
        self._worker.start()

    # What a person asks for

    def propose_name(self, model: str, method: str, task: Task = "train") -> str:
        """A name for a new run, from the time; `submit` keeps it free of collisions."""
        return run_name(task=task)

    def submit(self, config: RunConfig, token: str = "") -> Job:
        """Queues a run and returns at once; its config.yaml is written. The same `token` gives the same run again.

        Raises UserError when something is missing or its folder cannot be used.
        """
        with self._lock:
            if token and token in self._tokens:
                return self.get(self._tokens[token])
            require_usable(config, self.root)
            self.require_own_places(config)
            config = with_trust(config, self._trust)
            with self._queue.changing() as waiting:
                folder = self._open(config, waiting)
                write_settings(folder, config)
                run_id = self._id_of(folder.path)
                self._known.pop(run_id, None)
                if run_id not in waiting:
                    waiting.append(run_id)
            if token:
                self._tokens[token] = run_id
                while len(self._tokens) > TOKENS_KEPT:
                    self._tokens.popitem(last=False)
        self._worker.wake()
        return self.get(run_id)

    def stop(self, run_id: str) -> None:
        """Asks a run to end after its step, with a checkpoint; a queued one is cancelled."""
        job = self.get(run_id)
        if job.state == "queued":
            self.cancel(run_id)
        elif job.active:
            job.folder.stop.touch()
        else:
            raise UserError("run_not_on", id=run_id)

    def resume(self, run_id: str) -> Job:
        """Queues a new attempt from the newest checkpoint, or from the beginning without one. Active ones stay as they are."""
        with self._lock:
            job = self.get(run_id)
            if job.state == "finished":
                raise UserError("run_finished", id=run_id)
            with self._queue.changing() as waiting:
                if job.resumable and run_id not in waiting:
                    waiting.append(run_id)
        self._worker.wake()
        return self.get(run_id)

    def cancel(self, run_id: str) -> None:
        """Takes a run out of the queue; one that never began ends as stopped."""
        with self._lock, self._queue.changing() as waiting:
            job = self.get(run_id)
            if run_id not in waiting or job.active:
                raise UserError("run_not_waiting", id=run_id)
            waiting.remove(run_id)
            if not any(not isinstance(event, Note) for event in EventLog(job.folder.events).read().events):
                EventLog(job.folder.events).append(Stopped(step=0, seconds=0.0, path=""))

    def move_up(self, run_id: str) -> None:
        """Swaps a waiting run with the one before it."""
        with self._queue.changing() as waiting:
            if run_id not in waiting:
                raise UserError("run_not_waiting", id=run_id)
            place = waiting.index(run_id)
            if place:
                waiting[place - 1], waiting[place] = waiting[place], waiting[place - 1]

    def rename(self, run_id: str, name: str) -> Job:
        """Gives an idle run another name in the same folder; its id changes."""
        name = name.strip()
        if not _PLAIN_NAME.fullmatch(name):
            raise UserError("run_name_plain", name=name)
        with self._lock, self._queue.changing() as waiting:
            job = self._idle(run_id, waiting)
            path = safe_path(job.folder.path.parent, name)
            if path.exists():
                raise UserError("run_name_taken", name=name)
            job.folder.path.rename(path)
            self._known.pop(run_id, None)
            new_id = self._id_of(path)
            self._tokens.update({token: new_id for token, each in self._tokens.items() if each == run_id})
        return self.get(new_id)

    def delete(self, run_id: str) -> None:
        """Removes an idle run and all its files. It is out of sight at once, also when removing takes long."""
        with self._lock, self._queue.changing() as waiting:
            job = self._idle(run_id, waiting)
            hidden = self.saves / f".trash-{uuid.uuid4().hex}"
            job.folder.path.rename(hidden)
            self._known.pop(run_id, None)
        shutil.rmtree(hidden, ignore_errors=True)

    def close(self, timeout_s: float = 60.0) -> None:
        """Stops this server's run, waits for its checkpoint, and takes nothing more from the queue."""
        self._worker.close(timeout_s)

    # What a person sees

    def get(self, run_id: str) -> Job:
        """The run with this id. Raises UserError for an unknown one."""
        with self._lock:
            job = self._look(self._find(run_id), self._queue.ids())
            if job is None:
                raise UserError("run_unknown", id=run_id)
            return self._placed(job) if job.state == "queued" else job

    def queue(self) -> list[Job]:
        """The runs that wait, the next one first."""
        with self._lock:
            jobs = [self._try(run_id) for run_id in self._queue.ids()]
        return [job for job in jobs if job and job.state == "queued"]

    def list(self) -> list[Job]:
        """Every run on disk, the newest first."""
        with self._lock:
            waiting = self._queue.ids()
            found = list(find_runs(self.saves))
            looked = [job for each in found if (job := self._look(each, waiting))]
            for gone in self._known.keys() - {each.id for each in found}:
                del self._known[gone]
        jobs = [self._placed(job) if job.state == "queued" else job for job in looked]
        return sorted(jobs, key=lambda job: job.created_at, reverse=True)

    def current(self) -> Job | None:
        """The run that is worked on now, this server's own before that of another process."""
        with self._lock:
            own = self._worker.own
            if own and (job := self._try(self._id_of(own.path))) and job.active:
                return job
            for found in find_runs(self.saves):
                if live_owner(found.folder) and (job := self._try(found.id)) and job.active:
                    return job
        return None

    def diff(self, run_ids: Sequence[str]) -> dict[str, tuple[Any, ...]]:
        """The options in which the runs differ, each with its value in every run, in the order of `run_ids`."""
        configs = [self.get(run_id).config for run_id in run_ids]
        extras = dict.fromkeys(name for config in configs for name in config.extra)
        values = {
            name: tuple(getattr(getattr(config, info.section), name) for config in configs)
            for name, info in options().items()
        } | {name: tuple(config.extra.get(name) for config in configs) for name in extras}
        return {name: each for name, each in values.items() if any(value != each[0] for value in each)}

    # Behind it

    def require_own_places(self, config: RunConfig) -> None:
        """Raises UserError when a page's export leaves this server's folder, or would run somebody's programs."""
        export = config.export
        wanted = export.export_dir.strip()
        if wanted:
            path = Path(wanted)
            inner = path.relative_to(self.root) if path.is_relative_to(self.root) else path
            try:
                safe_path(self.root, str(inner))
            except UserError:
                raise UserError("export_dir_outside", field="export_dir", folder=wanted[:200]) from None
        if export.llama_cpp_dir and not self._trust:
            raise UserError("export_llama_cpp_page", field="llama_cpp_dir")

    def _open(self, config: RunConfig, waiting: Sequence[str]) -> RunFolder:
        name = config.train.output_dir.strip()
        parent = Path(model_folder(config.model.model_name_or_path), config.method.finetuning_type)
        proposed = not name or bool(PROPOSED.fullmatch(name))
        try:
            path = self._typed(parent, name or run_name(task=config.task))
        except UserError as error:
            raise UserError(error.code, field="output_dir", **error.values) from None
        if proposed:
            return RunFolder(make_new(path.parent, path.name))
        run_id = self._id_of(path)
        if run_id in waiting and (path / "config.yaml").exists():
            raise UserError("run_waits", field="output_dir", id=run_id)
        for above in path.relative_to(self.saves).parents:
            if (self.saves / above / "config.yaml").exists():
                raise UserError("folder_in_use", field="output_dir", folder=str(self.saves / above))
        return open_folder(path, config)

    def _typed(self, parent: Path, name: str) -> Path:
        """The folder for a name that a person typed: below the model's, or `saves/...` as files of settings have it."""
        path = Path(name)
        if path.is_absolute() and path.is_relative_to(self.saves):
            path = Path("saves") / path.relative_to(self.saves)
        below_saves = len(path.parts) > 1 and path.parts[0] == "saves"
        inner = Path(*path.parts[1:]) if below_saves else path
        found = safe_path(self.saves, str(inner if below_saves or inner.is_absolute() else parent / inner))
        parts = found.relative_to(self.saves).parts
        if len(parts) > DEEPEST or not all(_PLAIN_NAME.fullmatch(part) for part in parts):
            raise UserError("run_name_plain", name=name)
        return found

    def _id_of(self, path: Path) -> str:
        return path.relative_to(self.saves).as_posix()

    def _find(self, run_id: str) -> Found:
        return Found(run_id, RunFolder(safe_path(self.saves, run_id)))

    def _look(self, found: Found, waiting: Sequence[str]) -> Job | None:
        known = self._known.get(found.id) or Known(found)
        try:
            job = known.job(waiting)
        except OSError:
            self._known.pop(found.id, None)
            return None
        self._known[found.id] = known
        return job

    def _try(self, run_id: str) -> Job | None:
        with suppress(UserError):
            return self.get(run_id)
        return None

    def _idle(self, run_id: str, waiting: Sequence[str]) -> Job:
        job = self.get(run_id)
        if job.active:
            raise UserError("run_is_on", folder=str(job.folder.path))
        if run_id in waiting:
            raise UserError("run_waits", id=run_id)
        return job

    def _placed(self, job: Job) -> Job:
        """With its place, and when it is likely to start if those before it take as long as the one that runs."""
        waiting = self._queue.ids()
        if job.id not in waiting:
            return job
        place = waiting.index(job.id) + 1
        running = self.current()
        likely = None
        if running and running.facts.eta_s is not None:
            whole = running.facts.seconds + running.facts.eta_s
            likely = running.facts.eta_s + (place - 1) * whole
        return replace(job, place=place, likely_start_s=likely)
