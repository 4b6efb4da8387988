"""The Evaluate & Predict tab in a browser: from a training to the verdict, the rows, the exports and a correction."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Server
from tests.browser.test_live import start, wait_for_state
from tests.webui.evaluated import make, row
from trainer.events import EventLog, Predicted
from webui.i18n import say

pytestmark = [pytest.mark.browser, pytest.mark.timeout(2400)]

Open = Callable[..., Any]
ROWS = [{"instruction": f"Say {word}.", "output": f"{word}."} for word in ("one", "two", "three", "four")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose data folder holds four rows, with an evaluation that was made before."""
    workspace = tmp_path_factory.mktemp("workspace")
    (workspace / "data").mkdir()
    # The page opens with `identity`, whatever it holds.
    names = {name: {"file_name": "tiny.json"} for name in ("identity", "tiny")}
    (workspace / "data" / "dataset_info.json").write_text(json.dumps(names))
    (workspace / "data" / "tiny.json").write_text(json.dumps(ROWS))
    made = Server(workspace)
    made.start()
    yield made
    made.stop()


def open_tab(page: Any) -> None:
    page.click("#tabs button[role='tab'] >> nth=1")
    page.wait_for_selector("#say-evaluate-start")


def wait_for_rows(page: Any, found: int) -> None:
    page.wait_for_selector(f".tb-rows[data-found='{found}']")


def press(page: Any, act: str, value: str) -> None:
    """Presses one of the filters and waits until the server has answered."""
    selector = f"#evaluate-rows [data-act='{act}'][data-id='{value}']"
    page.click(selector)
    page.wait_for_selector(f"{selector}[aria-pressed='true']")


def test_one_button_after_a_training_says_whether_it_is_better(
    open_page: Open, server: Server, tmp_path: Path
) -> None:
    page = open_page()
    start(page, tmp_path, dataset="tiny", max_steps=2, max_samples=4)
    wait_for_state(page, "finished")
    page.click("#run-head [data-act='evaluate']")
    page.wait_for_selector("#say-evaluate-start")
    page.wait_for_function(
        "() => /\\b4\\b.*tiny/.test(document.querySelector('#evaluate-sentence').innerText)"
    )
    page.wait_for_selector(f"#evaluate-note :text-is('{say('evaluate.rows_note.seen')}')")
    page.evaluate("document.querySelector('#say-evaluate-advanced .label-wrap').click()")
    page.fill("#say-options-max_new_tokens input[type='number']", "8")
    page.press("#say-options-max_new_tokens input[type='number']", "Tab")

    page.click("#say-evaluate-start")
    page.wait_for_selector("#judged-head [data-state='finished']")
    wait_for_rows(page, 4)
    page.wait_for_selector(".tb-judged[data-over='yes'] .tb-verdict")
    # Four rows are too few for a verdict, and that is said.
    assert "4" in page.inner_text(".tb-verdict")
    assert page.locator(".tb-cards .tb-score").count() == 3
    assert page.locator(".tb-answers tbody").count() == 4
    run = page.get_attribute("#judged-head [data-run]", "data-run")

    # Another page knows nothing of what this one was told. (A reload would also break off what is being asked, which the
    # console tells as an error.)
    again = open_page()
    open_tab(again)
    again.wait_for_selector(f"#judged-head [data-run='{run}'][data-state='finished']")
    wait_for_rows(again, 4)
    other = open_page("zh", width=390)
    open_tab(other)
    wait_for_rows(other, 4)
    other.wait_for_selector(".tb-verdict")
    assert other.inner_text(".tb-col-question .tb-clip >> nth=0") == page.inner_text(
        ".tb-col-question .tb-clip >> nth=0"
    )
    assert other.evaluate("document.documentElement.scrollWidth") <= 390

    # A row goes to the chat, which asks both sides that were compared.
    page.click("#evaluate-rows [data-act='chat'] >> nth=0")
    page.wait_for_selector(".tb-chat-status[data-state='ready']")
    page.wait_for_selector(".tb-columns.tb-2")
    page.wait_for_function(
        "() => document.querySelector('#say-chat-message textarea').value.startsWith('Say ')"
    )

    # The list of runs leads back to it.
    page.click("#say-page-runs")
    page.click(f"#runs [data-run='{run}'] [data-act='open']")
    page.wait_for_selector(f"#judged-head [data-run='{run}']:visible")


def test_rows_are_filtered_searched_exported_and_corrected(open_page: Open, server: Server) -> None:
    checkpoint = str(server.workspace / "saves" / "gone")
    folder = make(server.workspace / "saves", "eval_2099-01-01-00-00-00", 45, adapter=checkpoint, seed=1)
    other = make(server.workspace / "saves", "eval_2099-01-01-00-00-01", 45, adapter=checkpoint, seed=2)
    page = open_page()
    open_tab(page)
    # Whichever of the two is newer by the clock of the disk.
    page.wait_for_selector("#judged-head [data-run*='eval_2099']")
    wait_for_rows(page, 45)
    page.wait_for_selector(f".tb-verdict :text-is('{say('evaluate.short.better')}')")
    assert page.locator(".tb-answers tbody").count() == 20

    page.click("#evaluate-rows [data-act='turn'] >> nth=1")
    page.wait_for_function("() => document.querySelector('[data-turn-to]').value === '2'")
    press(page, "order", "worse")
    assert page.input_value("[data-turn-to]") == "1"
    press(page, "only", "changed")
    changed = int(page.get_attribute(".tb-rows", "data-found") or 0)
    assert 0 < changed < 45
    press(page, "only", "")
    page.fill("#say-evaluate-search :is(input, textarea)", "haiku")
    wait_for_rows(page, 9)

    for what in ("csv", "jsonl", "html"):
        with page.expect_download() as download:
            page.click(f"#say-evaluate-export-{what}")
        text = Path(download.value.path()).read_text(encoding="utf-8")
        assert "haiku" in text and "http" not in text.replace("http-equiv", ""), what
        assert what != "jsonl" or len(text.splitlines()) == 9

    page.click("#evaluate-rows [data-act='edit'] >> nth=0")
    page.fill("form[data-act='correct'] textarea", "")
    page.click("form[data-act='correct'] [type='submit']")
    page.wait_for_selector("form[data-act='correct'] [role='alert']")
    page.fill("form[data-act='correct'] textarea", "Mend it so.")
    page.click("form[data-act='correct'] [type='submit']")
    page.wait_for_selector("#evaluate-rows .tb-note")
    info = json.loads((server.workspace / "data" / "dataset_info.json").read_text(encoding="utf-8"))
    name = next(each for each in info if each not in ("identity", "tiny"))
    assert name in page.inner_text("#evaluate-rows .tb-note")

    page.click("#say-evaluate-overlay input")
    page.click(
        f"ul[role='listbox'] li:has-text('{folder.name}'), ul[role='listbox'] li:has-text('{other.name}')"
    )
    page.wait_for_selector(".tb-overlay .tb-bars li >> nth=2")


def test_numbers_go_on_while_the_rows_on_the_page_stay(open_page: Open, server: Server) -> None:
    folder = make(server.workspace / "saves", "eval_on", 30, adapter="saves/x", seed=3, over=False)
    page = open_page()
    open_tab(page)
    wait_for_rows(page, 30)
    # What is drawn anew has no such mark.
    page.eval_on_selector("#evaluate-rows tbody", "(body) => { body.tbSeen = true; }")
    with (folder / "rows.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row(each, 3)) + "\n" for each in range(30, 70))
    log = EventLog(folder / "events.jsonl")
    log.append(
        Predicted(done=70, total=90, elapsed_s=9.0, eta_s=1.0, rows_per_s=7.0, scores={}, memory_mb=420.0)
    )
    wait_for_rows(page, 70)
    assert page.inner_text("#evaluate-rows .tb-row-pager").startswith("70")
    assert page.get_attribute("#evaluate-rows [data-turn-to]", "max") == "4"
    assert "70" in page.inner_text("#evaluate-rows [data-act='only'][data-id='']")
    assert page.eval_on_selector("#evaluate-rows tbody", "(body) => body.tbSeen === true")
    # The pager that was brought in is one that can be pressed.
    page.click("#evaluate-rows [data-act='turn'][data-id='2']")
    page.wait_for_selector("#evaluate-rows tbody[data-row='20']")


def test_changes_are_counted_and_taken_back_and_a_mistake_stands_beside_its_control(
    open_page: Open, server: Server
) -> None:
    page = open_page()
    open_tab(page)
    page.wait_for_function("() => document.querySelector('#evaluate-sentence').innerText.length > 3")
    page.evaluate("document.querySelector('#say-evaluate-advanced .label-wrap').click()")
    box = "#say-options-max_samples input"
    page.fill(box, "3")
    page.wait_for_selector("#say-evaluate-advanced [data-mark='count']")
    page.click("#say-options-max_samples [data-mark='reset']")
    page.wait_for_function("(box) => document.querySelector(box).value === ''", arg=box)
    page.wait_for_selector("#say-evaluate-advanced [data-mark='count']", state="detached")

    page.fill(box, "-1")
    page.press(box, "Tab")
    page.wait_for_selector("#say-evaluate-advanced [data-mark='count']")
    page.click("#say-evaluate-start")
    page.wait_for_selector("#say-options-max_samples [data-mark='problem']")
    page.wait_for_selector("#evaluate-problems [role='alert']")
