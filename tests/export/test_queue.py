"""Exports in the queue of a server: one after another, stopped, and begun again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.export.tiny import read_json, settings, write_adapter, write_base
from tests.jobs.fake import register_data, until
from trainer.events import EventLog, Failed, Note, Written
from trainer.export import receipt
from trainer.jobs.exports import Exports
from trainer.jobs.jobs import Jobs


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    register_data(tmp_path)
    made = Jobs(tmp_path)
    monkeypatch.setattr(
        receipt, "make", lambda *given: {"ready": True, "formats": [], "folder": str(given[4])}
    )
    yield made
    made.close()


def test_an_export_is_a_run(jobs: Jobs, tmp_path: Path) -> None:
    base = write_base(tmp_path / "models" / "base")
    adapter = write_adapter(tmp_path / "adapter", base)
    job = jobs.submit(settings(base, adapter, export_dir="exports/模型 one"), token="once")
    assert jobs.submit(settings(base, adapter), token="once").id == job.id
    until(lambda: jobs.get(job.id).state == "finished")
    done, exports = jobs.get(job.id), Exports(jobs)
    folder = tmp_path / "exports" / "模型 one"
    assert exports.folder(job.id) == folder and (folder / "model.safetensors").is_file()
    assert exports.receipt(job.id) == read_json(folder / "receipt.json")
    assert done.facts.step == done.facts.total_steps > 0 and done.result is None
    events = EventLog(done.folder.events).read().events
    assert any(isinstance(event, Written) for event in events)
    assert "merged" in done.folder.log.read_text(encoding="utf-8")
    again = jobs.submit(settings(base, adapter, export_dir="exports/模型 one"))
    until(lambda: jobs.get(again.id).state == "failed")
    failed = jobs.get(again.id).facts.ending
    assert isinstance(failed, Failed) and failed.code == "export_dir_filled"


def test_a_stopped_export_can_be_begun_again(
    jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = write_base(tmp_path / "models" / "base")
    writing, go_on = threading.Event(), threading.Event()
    from trainer.export import shards

    write: Callable[..., None] = shards._all

    def slow(*given: object) -> None:
        writing.set()
        assert go_on.wait(240)
        write(*given)

    monkeypatch.setattr(shards, "_all", slow)
    job = jobs.submit(settings(base))
    assert writing.wait(240)
    jobs.stop(job.id)
    go_on.set()
    until(lambda: jobs.get(job.id).state == "stopped")
    assert not [each for each in job.folder.path.iterdir() if each.name.startswith(".files")]
    assert not (job.folder.path / "files").exists()
    jobs.resume(job.id)
    until(lambda: jobs.get(job.id).state == "finished")
    assert (job.folder.path / "files" / "model.safetensors").is_file()
    notes = [event.code for event in EventLog(job.folder.events).read().events if isinstance(event, Note)]
    assert notes.count("export_phase_writing") == 2
