"""The rows on a page while there are more and more: rows stay under the reader's eyes, their numbers do not."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.webui.evaluated import make, row
from trainer.evaluate import reading, table
from trainer.events import Finished
from trainer.jobs.workspace import Workspace
from webui.evaluate_browse import act
from webui.evaluate_follow import Following, catch_up, follow
from webui.held import Held
from webui.story import Cursor, Story
from webui.watch import View

RUN = "Sprout/lora/eval_1"
ON = View(kind="eval", run=RUN)
OVER = View(kind="eval", run=RUN, cursor=Cursor(story=Story(final=Finished(step=60, seconds=1.0, path=""))))


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    made = Workspace(tmp_path)
    yield made
    made.close()


def add(folder: Path, first: int, last: int) -> None:
    with (folder / "rows.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row(each, 0)) + "\n" for each in range(first, last))


def test_numbers_go_on_while_rows_stay(workspace: Workspace) -> None:
    folder = make(workspace.saves, "eval_1", 12, adapter="saves/x", over=False)
    results, held = workspace.results, Held(Following())
    assert (follow(results, held, ON, "en").rows or "").count("<tbody") == 12
    assert follow(results, held, ON, "en") == (None, None)
    add(folder, 12, 25)
    full = follow(results, held, ON, "en")
    assert (full.rows or "").count("<tbody") == 20 and "25" in (full.counted or "")
    add(folder, 25, 60)
    more = follow(results, held, ON, "en")
    assert (
        more.rows is None and 'data-found="60"' in (more.counted or "") and 'max="3"' in (more.counted or "")
    )
    assert "<tbody" not in (more.counted or "")
    assert follow(results, held, ON, "en") == (None, None)
    assert (follow(results, held, OVER, "en").rows or "").count("<tbody") == 20
    held.value.browse = act(results, held.value.browse, {"act": "edit", "id": "3"})
    add(folder, 60, 70)
    assert follow(results, held, OVER, "en") == (None, None), "nobody's words are taken from under his hands"


def test_a_large_run_is_shown_before_it_is_read(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(workspace.saves, "eval_1", 60, adapter="saves/x")
    monkeypatch.setattr(table, "FIRST_S", 0.0)
    monkeypatch.setattr(reading, "_LINES", 30)
    go_on, work = threading.Event(), table.Table._work
    monkeypatch.setattr(table.Table, "_work", lambda self: (go_on.wait(120), work(self)))
    results, held = workspace.results, Held(Following())
    first = follow(results, held, OVER, "en")
    assert (
        (first.rows or "").count("<tbody") == 20 and "30… of 30…" in (first.rows or "") and held.value.behind
    )
    waiting = catch_up(results, held)
    threading.Timer(0.05, go_on.set).start()
    last = list(waiting)[-1]
    assert (last.rows or "").count("<tbody") == 20 and "60 of 60" in (last.rows or "")
    assert not held.value.behind and not held.value.waits
    assert list(catch_up(results, held)) == []
