"""The index that is kept beside the rows: it says what reading them says, whatever has happened to either file."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.evaluate.lines import line, write
from trainer.evaluate import reading, table
from trainer.evaluate.kept import NAME
from trainer.evaluate.shown import Wish
from trainer.evaluate.table import Table

COUNT = 40
ROWS = [
    line(
        COUNT - 1 - n, 3.0 * n, 50.0, question=f"Frage {n} Ärger", dataset="one" if n % 3 else "two", number=n
    )
    for n in range(COUNT)
]
WISHES = (
    Wish(), Wish("worse"), Wish("better", "changed"), Wish(only="worse", score="bleu-4"), Wish(search="ärger 7"),
    Wish(search="frage"), Wish(dataset="two"), Wish(search="new"),
)  # fmt: skip


@pytest.fixture(autouse=True)
def _a_few_rows_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LEAST_KEPT", 10)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Rows with their index beside them."""
    made = write(tmp_path / "rows.jsonl", ROWS)
    keep(made)
    return made


def keep(path: Path) -> None:
    before = identity(path)
    Table(path).columns()
    wait(lambda: identity(path) not in (None, before))


def identity(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.with_name(NAME).stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns


def wait(for_: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not for_():
        assert time.monotonic() < until
        time.sleep(0.01)


def settle() -> None:
    """Waits for those who write an index."""
    for each in threading.enumerate():
        if each.name == "rows":
            each.join(120)


def said(table: Table) -> list[Any]:
    """All that a table says."""
    table.columns()
    pages = [table.page(wish, 1, 100) for wish in WISHES]
    return [pages, table.counts(), table.means(), table.columns().key.tolist()]


def fresh(path: Path) -> list[Any]:
    """The same of a copy that has no index."""
    other = path.parent / "other" / "rows.jsonl"
    other.parent.mkdir(exist_ok=True)
    other.write_bytes(path.read_bytes())
    other.with_name(NAME).unlink(missing_ok=True)
    return said(Table(other))


def lines_read(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    read: list[bytes] = []
    before = reading.read_line
    monkeypatch.setattr(reading, "read_line", lambda line: (read.append(line), before(line))[1])
    return read


def test_a_new_start_reads_no_row_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = fresh(path)
    read = lines_read(monkeypatch)
    assert said(Table(path)) == expected and not read
    # A run that goes on: what is new is read, a row that is answered again counts once.
    write(
        path, [line(100, question="new words", number=9), line(0, 99.0, question="said anew", dataset="one")]
    )
    assert said(again := Table(path)) == fresh(path) and again.counts().done == COUNT + 1
    assert [each[:11] for each in read[:2]] == [b'{"row": 100', b'{"row": 0, ']


def test_a_copied_run_keeps_its_index(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = tmp_path / "moved" / "rows.jsonl"
    moved.parent.mkdir()
    for name in ("rows.jsonl", NAME):
        moved.with_name(name).write_bytes(path.with_name(name).read_bytes())
    slowly(monkeypatch)
    read = lines_read(monkeypatch)
    assert said(Table(moved)) == fresh(path)
    assert len([each for each in read if each.startswith(b"{")]) < 2 * COUNT


def slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the rows one is read at once, and so few are many to be compared."""
    monkeypatch.setattr(table, "FIRST_S", 0.0)
    monkeypatch.setattr(reading, "_LINES", 1)
    monkeypatch.setattr(reading, "AT_ONCE", 0)


def edited(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data.replace(b"Frage 7", b"Frage 8"))
    os.utime(path, ns=(1, 1))


def shortened(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def replaced(path: Path) -> None:
    path.unlink()
    write(path, [line(n, 1.0 * n, question=f"Frage new {n}") for n in range(2 * COUNT)])


def replaced_by_few(path: Path) -> None:
    path.unlink()
    write(path, [line(3)])


def grown_and_edited(path: Path) -> None:
    edited(path)
    write(path, ROWS[:3])


@pytest.mark.parametrize("change", [edited, shortened, replaced, replaced_by_few, grown_and_edited])
@pytest.mark.parametrize("slow", [False, True])
def test_changed_rows_are_read_again(
    path: Path, change: Callable[[Path], None], slow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if slow:
        slowly(monkeypatch)
    change(path)
    assert said(Table(path)) == fresh(path)


@pytest.mark.parametrize("change", [edited, shortened, replaced, replaced_by_few])
def test_a_table_notices_what_becomes_of_its_file(path: Path, change: Callable[[Path], None]) -> None:
    held = Table(path)
    held.columns()
    change(path)
    assert said(held) == fresh(path)
    path.unlink()
    assert held.page(Wish()).done == 0


def test_a_broken_index_is_none(path: Path) -> None:
    index, expected = path.with_name(NAME), fresh(path)
    whole = index.read_bytes()
    damaged = [whole[:at] for at in range(0, len(whole), max(1, len(whole) // 60))]
    damaged += [
        whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :]
        for at in range(0, int.from_bytes(whole[:8], "little") + 8 + 40 * 8, 61)
    ]
    for data in (b"", b"\0" * 100, b"\xff" * 100, whole + b"x", *damaged):
        index.write_bytes(data)
        found = said(Table(path))
        # Of a head that still is one nothing but names can differ, and those are checked by their number only.
        assert found[0][0].rows == expected[0][0].rows


def test_a_page_comes_before_all_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = fresh(path)
    path.with_name(NAME).unlink()
    slowly(monkeypatch)
    go_on, work = threading.Event(), Table._work
    monkeypatch.setattr(Table, "_work", lambda self: (go_on.wait(120), work(self)))
    slow = Table(path)
    page = slow.columns(whole=False)
    assert 0 < page.read < 1 and len(page) == 1
    threading.Timer(0.05, go_on.set).start()
    assert said(slow) == expected and slow.page(Wish()).read == 1.0


def test_several_keep_one_index_and_leave_nothing_else(path: Path) -> None:
    path.with_name(NAME).unlink()
    tables = [Table(path) for _ in range(6)]
    threads = [threading.Thread(target=each.columns) for each in tables]
    for each in threads:
        each.start()
    for each in threads:
        each.join(120)
    wait(lambda: identity(path) is not None)
    settle()
    assert {each.name for each in path.parent.iterdir()} == {"rows.jsonl", NAME}
    assert said(Table(path)) == fresh(path)


def test_nothing_is_kept_where_nothing_can_be_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    path.with_name(NAME).unlink()
    monkeypatch.setattr(Path, "replace", full)
    held = Table(path)
    assert len(held.columns()) == COUNT
    settle()
    assert {each.name for each in path.parent.iterdir()} == {"rows.jsonl"}
    assert len(held.columns()) == COUNT
