"""One export, from its config to its files: checked, written beside the target, proved, and then put in place."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.config import RunConfig, require_task
from trainer.errors import UserError, UserErrors
from trainer.events import Event, Finished, Note, Started, Stopped
from trainer.export import adapter, merged, place, plan, push, quantized
from trainer.export.made import Made
from trainer.export.naming import model_name
from trainer.export.plan import Plan, formats, gguf_types
from trainer.export.progress import ExportStopped, Progress
from trainer.export.source import Source
from trainer.export.subject import Subject, inherit, subject_of
from trainer.model.memory import give_back
from trainer.paths import write_atomic

Emit = Callable[[Event], None]
Stop = Callable[[], bool]
RECEIPT = "receipt.json"
FULL = (errno.ENOSPC, errno.EDQUOT)
LOCKED = (errno.EROFS, errno.EACCES, errno.EPERM)


def run_export(config: RunConfig, emit: Emit, stop: Stop) -> Finished | Stopped:
    """Writes the files that `config` names, from the folder of the run `config.train.output_dir`.

    `emit` receives every event but the last, which is returned. A stopped or failed export leaves nothing behind; the
    model that is exported is only read. Raises UserError for what a person can mend.
    """
    begun = time.monotonic()
    try:
        return _Run(config, emit, stop).run()
    except ExportStopped:
        return Stopped(step=0, seconds=round(time.monotonic() - begun, 3), path="")
    finally:
        give_back()


def prepare(config: RunConfig) -> tuple[RunConfig, Subject, Source, Plan]:
    """The config as it is understood, what it exports, and the plan. Raises UserError for a model that is not one."""
    require_task(config)
    config = inherit(config)
    subject = subject_of(config)
    source = Source(config, subject)
    return config, subject, source, plan.make(config, source, subject.notes)


@dataclass
class _Run:
    """The phases of one export."""

    config: RunConfig
    emit: Emit
    stop: Stop

    def run(self) -> Finished | Stopped:
        """Raises ExportStopped and UserError."""
        begun = time.monotonic()
        for note in self.config.notes:
            self.emit(note)
        self._phase("export_phase_checking")
        self.config, _, source, planned = prepare(self.config)
        for note in planned.notes:
            self.emit(note)
        if planned.problems:
            raise UserErrors(list(planned.problems))
        self._start(source)
        with _sentences(planned.target), place.part_folder(planned.target) as part:
            made = self._write(source, planned, part)
            receipt = self._prove(source, made, part, planned.target)
            text = json.dumps(receipt, indent=2, ensure_ascii=False) + "\n"
            write_atomic(part / RECEIPT, text)
            self._phase("export_phase_moving", folder=str(planned.target))
            # The last thing that may fail for want of room comes before the files are where they stay.
            own = Path(self.config.train.output_dir) / RECEIPT
            write_atomic(own, text)
            try:
                place.settle(part, planned.target)
            except OSError:
                own.unlink(missing_ok=True)
                raise
        files = sum(len(each.files) for each in made)
        self._send(planned.target)
        return Finished(step=files, seconds=round(time.monotonic() - begun, 3), path=str(planned.target))

    def _phase(self, code: str, **values: str | int | float) -> None:
        if self.stop():
            raise ExportStopped
        self.emit(Note(code=code, values=values))

    def _start(self, source: Source) -> None:
        count = len(source.names()) * len(self.config.export.export_format)
        self.emit(
            Started(
                task="export", total_steps=count, rows=0, trained_tokens=0, parameters=source.parameters, trainable=0,
                device=source.device.type, precision=source.dtype,
            )
        )  # fmt: skip

    def _write(self, source: Source, planned: Plan, part: Path) -> list[Made]:
        self._phase("export_phase_writing", name=model_name(self.config))
        progress = Progress(sum(each.bytes for each in planned.sizes), self.emit, self.stop)
        wanted = formats(self.config)
        writer = _Writer(self.config, source, part, progress)
        made: list[Made] = []
        for format in wanted:
            progress.begin(format)
            made += writer.write(format, "" if len(wanted) == 1 else format)
        progress.finish()
        return made

    def _prove(self, source: Source, made: Sequence[Made], part: Path, target: Path) -> dict[str, Any]:
        from trainer.export import receipt

        self._phase("export_phase_replaying")
        return receipt.make(self.config, source, made, part, target, self.emit, self.stop)

    def _send(self, target: Path) -> None:
        export = self.config.export
        if not export.export_hub_model_id.strip():
            return
        repository = export.export_hub_model_id.strip()
        self._phase("export_phase_sending", name=repository)
        address = push.push(target, repository, self.config.model.hub, export.export_hub_private)
        self.emit(Note(code="export_sent", values={"address": address}))


@dataclass
class _Writer:
    """Writes the formats below `part`; what one has written helps the next."""

    config: RunConfig
    source: Source
    part: Path
    progress: Progress

    def write(self, format: str, folder: str) -> list[Made]:
        """The files of one format, in the sub-folder `folder` ("" for none)."""
        at = self.part / folder
        at.mkdir(exist_ok=True)
        if format in ("gguf", "ollama"):
            return self._gguf(format, at, folder)
        if format == "merged":
            files = merged.write(self.source, at, self.config.export.export_size, self.progress)
        elif format == "adapter":
            files = adapter.write(self.source, at, self.progress)
        else:
            return [self._quantized(at, folder)]
        return [self._made(format, "", folder, files)]

    def _made(self, format: str, kind: str, folder: str, files: Sequence[Path]) -> Made:
        return Made(format, kind, folder, tuple(file.relative_to(self.part).as_posix() for file in files))

    def _gguf(self, format: str, at: Path, folder: str) -> list[Made]:
        from trainer.export import gguf, ollama

        name = model_name(self.config)
        made = []
        for kind in gguf_types(self.config, format):
            path = at / f"{name}-{kind}.gguf"
            twin = self.part / "gguf" / path.name
            if format == "ollama" and twin.is_file():
                files = [_second_name(twin, path)]
            else:
                files = gguf.write(self.source, path, kind, self.progress, self.config.export.llama_cpp_dir)
            if format == "ollama":
                files = [*files, *ollama.write(self.source, at, path, name)]
            made.append(self._made(format, kind, folder, files))
        return made

    def _quantized(self, at: Path, folder: str) -> Made:
        kind = self.config.export.quantized_type
        whole = self.part / "merged"
        own = not (whole / "config.json").is_file()
        if own:
            whole = self.part / ".merged"
            whole.mkdir()
            merged.write(self.source, whole, self.config.export.export_size, self.progress.aside())
        files = quantized.write(self.source, whole, at, kind, self.progress)
        if own:
            shutil.rmtree(whole)
        return self._made("quantized", kind, folder, files)


def _second_name(file: Path, path: Path) -> Path:
    """Ollama's folder is whole by itself; on one disk the same bytes need not lie there twice."""
    try:
        os.link(file, path)
    except OSError:
        shutil.copyfile(file, path)
    return path


@contextmanager
def _sentences(target: Path) -> Iterator[None]:
    """What the disk says, as sentences: it is full, it may not be written, or the source cannot be read."""
    try:
        yield
    except EOFError as error:
        raise UserError("export_source_cut", field="model_name_or_path", reason=str(error)) from error
    except OSError as error:
        if error.errno in FULL:
            raise UserError("export_disk_full", field="export_dir", folder=str(target)) from error
        if error.errno in LOCKED:
            raise UserError("export_dir_readonly", field="export_dir", folder=str(target)) from error
        raise
