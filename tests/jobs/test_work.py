"""One attempt: whatever happens inside, the log ends with what happened."""

from __future__ import annotations

import errno
import gc
import logging
import threading
import weakref
from pathlib import Path

import pytest

from tests.jobs.fake import mistake
from trainer.errors import UserErrors
from trainer.events import Evaluated, EventLog, Failed, Finished, Note, Sample, Step, Stopped
from trainer.jobs.lines import clock, line
from trainer.jobs.work import Task, work


class OutOfMemoryError(RuntimeError):
    """Named as torch names its own."""


def attempt(folder: Path, task: Task) -> tuple[object, EventLog]:
    log = EventLog(folder / "events.jsonl")
    return work(task, log, lambda: False), log


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (mistake(), "file_missing", "rows.json"),
        (ValueError("a surprise\nin two lines"), "job_unexpected", "ValueError: a surprise in two lines"),
        (ValueError(), "job_unexpected", "no message"),
        (MemoryError(), "job_out_of_memory", "per_device_train_batch_size"),
        (
            OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
            "job_out_of_memory",
            "Tried to allocate",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), "job_disk_full", "No space left"),
        (OSError(errno.EIO, "Input/output error"), "job_unexpected", "Input/output error"),
        (SystemExit(3), "job_unexpected", "SystemExit"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_every_error_becomes_a_sentence(tmp_path: Path, error: BaseException, code: str, said: str) -> None:
    def task(emit, stop):  # type: ignore[no-untyped-def]
        raise error

    ending, log = attempt(tmp_path, task)
    assert isinstance(ending, Failed) and ending.code == code and said in ending.text
    assert log.read().events == [ending]
    assert "Traceback" not in ending.text
    assert ("Traceback" in (tmp_path / "log.txt").read_text()) == (code != "file_missing")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events.jsonl", "log.txt"]


def test_of_several_mistakes_none_is_lost(tmp_path: Path) -> None:
    def task(emit, stop):  # type: ignore[no-untyped-def]
        raise UserErrors([mistake(), mistake()])

    ending, log = attempt(tmp_path, task)
    note, last = log.read().events
    assert isinstance(note, Note) and note.level == "error" and "rows.json" in note.text
    assert last == ending and isinstance(last, Failed) and last.code == "file_missing"


def test_the_last_word_finds_room_on_a_disk_that_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as the reserve lies on the disk, no event can be written."""
    append = EventLog.append

    def full(log: EventLog, event: object) -> None:
        if (tmp_path / ".reserve").exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        append(log, event)  # type: ignore[arg-type]

    monkeypatch.setattr(EventLog, "append", full)
    ending, log = attempt(tmp_path, lambda emit, stop: emit(Note(code="phase_rows")))  # type: ignore[arg-type,func-returns-value]
    assert isinstance(ending, Failed) and ending.code == "job_disk_full"
    assert log.read().events == [ending]


def test_what_failed_is_not_kept_in_memory(tmp_path: Path) -> None:
    class Model:
        pass

    held: list[weakref.ref[Model]] = []

    def task(emit, stop):  # type: ignore[no-untyped-def]
        model = Model()
        held.append(weakref.ref(model))
        raise ValueError(f"with {model}")

    ending, _ = attempt(tmp_path, task)
    gc.collect()
    assert isinstance(ending, Failed) and held[0]() is None


def test_the_log_holds_this_run_only(tmp_path: Path) -> None:
    said = logging.getLogger("trainer.test")

    def task(emit, stop):  # type: ignore[no-untyped-def]
        other = threading.Thread(target=said.warning, args=("another run",))
        other.start()
        other.join()
        logging.getLogger("transformers.test").warning("this run")
        emit(Note(code="phase_rows"))
        return Finished(step=1, seconds=62, path="here", loss=0.25)

    before = {name: list(logging.getLogger(name).handlers) for name in ("trainer", "transformers")}
    attempt(tmp_path, task)
    said.warning("after the run")
    text = (tmp_path / "log.txt").read_text()
    assert "this run" in text and "finished: 1 steps in 1:02, mean loss 0.2500 -> here" in text
    assert "another run" not in text and "after the run" not in text
    assert before == {name: list(logging.getLogger(name).handlers) for name in before}


def test_events_are_plain_lines() -> None:
    assert [clock(seconds) for seconds in (-1, 0.4, 59.6, 61, 3600)] == [
        "0:00",
        "0:00",
        "1:00",
        "1:01",
        "1:00:00",
    ]
    step = Step(step=3, total_steps=9, epoch=1.5, elapsed_s=9, eta_s=18, loss=0.5, lr=1e-4, tokens_per_s=99.6)
    assert (
        line(step)
        == "step 3/9  epoch 1.50  loss 0.5000  lr 0.0001  100 trained tokens/s  0:09 elapsed  0:18 left"
    )
    each = Evaluated(step=3, epoch=1.5, loss=0.5, parts={"a": 0.25, "b": 0.75})
    assert line(each) == "step 3  evaluation loss 0.5000, perplexity 1.649  (a 0.2500, b 0.7500)"
    assert line(Sample(step=0, prompt="who?", answer="a\nb")) == "step 0  'who?' -> 'a b'"
    assert line(Stopped(step=0, seconds=1, path="")) == "stopped after 0:01, nothing saved"
