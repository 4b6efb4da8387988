"""The Export tab in a browser: from a training to files that answer as it does, the receipt, the zip and the chat."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import PATIENCE_S, Server
from tests.browser.test_live import start, wait_for_state
from tests.webui.exported import make
from webui.i18n import say

pytestmark = [pytest.mark.browser, pytest.mark.timeout(3600)]

Open = Callable[..., Any]
# Nine prompts are answered before and after, in the precision of the proof, which a slow machine takes its time for.
LONG_S = 6 * PATIENCE_S


def open_tab(page: Any) -> None:
    page.click("#say-page-tab-export-button")
    page.wait_for_selector("#say-export-start")


def tick(page: Any, kind: str) -> None:
    """Ticks a format and waits until the page has heard of it: the sentence beside the button names it."""
    name = say(f"export.formats.{kind}.name")
    page.click(f"#say-export-formats label:has-text('{name}')")
    page.wait_for_function(
        "(name) => document.querySelector('#export-sentence').innerText.includes(name)", arg=name
    )


def test_a_run_is_taken_home_and_answers_outside_as_inside(
    open_page: Open, server: Server, tmp_path: Path
) -> None:
    page = open_page()
    run = start(page, tmp_path, max_steps=2)
    wait_for_state(page, "finished")
    page.click("#run-head [data-act='export']")
    page.wait_for_selector("#say-export-start")
    name = Path(run.path).name
    page.wait_for_selector(f"#say-export-from label.selected:has-text('{name}')")
    page.wait_for_function(
        "(name) => document.querySelector('#export-sentence').innerText.includes(name)", arg=name
    )
    page.wait_for_selector("#say-export-formats label:has-text(' MB')")
    tick(page, "gguf")
    page.wait_for_selector("#o-gguf_type")

    page.click("#say-export-start")
    page.wait_for_selector("#exported-head [data-run*='/export_']")
    page.wait_for_selector("#exported-head [data-state='finished']", timeout=LONG_S * 1000)
    page.wait_for_selector(
        "#exported-body .tb-receipt[data-ready='yes'], #exported-body .tb-receipt[data-ready='no']"
    )
    export = page.get_attribute("#exported-head [data-run]", "data-run")
    folder = server.workspace / "saves" / str(export)
    receipt = json.loads((folder / "receipt.json").read_text(encoding="utf-8"))
    # Without llama-cpp-python nothing was proved of the GGUF file, and that is said.
    proved = find_spec("llama_cpp") is not None
    assert receipt["ready"] is proved, receipt["formats"]
    page.wait_for_selector(f".tb-receipt[data-ready='{'yes' if proved else 'no'}']")
    page.wait_for_selector(".tb-product [data-format='merged'].tb-yes")
    assert page.locator(".tb-product > div").count() == 2
    assert page.locator(".tb-asked").count() == len(receipt["prompts"]) >= 8

    with page.expect_download() as download:
        page.click("#exported-body [data-act='zip']")
    with zipfile.ZipFile(download.value.path()) as archive:
        names = archive.namelist()
        for made in receipt["formats"]:
            for file in made["files"]:
                (inside,) = [each for each in names if each.endswith(f"/{file['name']}")]
                assert hashlib.sha256(archive.read(inside)).hexdigest() == file["sha256"]
    page.wait_for_selector("#exported-body [data-act='zip']:not([aria-disabled])")

    # Another page shows the same, and the list of runs leads there.
    other = open_page("zh", width=390)
    open_tab(other)
    other.wait_for_selector(f"#exported-head [data-run='{export}'][data-state='finished']")
    other.wait_for_selector(".tb-product [data-format='gguf']")
    assert other.evaluate("document.documentElement.scrollWidth") <= 390
    page.click("#say-page-tab-train-button")
    page.click("#say-page-runs")
    page.click(f"#runs [data-run='{export}'] [data-act='open']")
    page.wait_for_selector(f"#exported-head [data-run='{export}']:visible")

    page.click(".tb-product [data-format='merged'] [data-act='chat']")
    page.wait_for_selector(".tb-chat-status[data-state='ready']")


def test_what_is_not_proved_is_not_called_ready(open_page: Open, server: Server) -> None:
    make(server.workspace / "saves", "export_2099-01-01-00-00-00", ("gguf", "ollama"), llama=False)
    page = open_page()
    open_tab(page)
    page.wait_for_function("() => document.querySelector('#export-sentence').innerText.length > 3")
    page.click("#say-page-runs")
    page.click("#runs [data-run*='export_2099'] [data-act='open']")
    page.wait_for_selector("#exported-head [data-run*='export_2099']")
    page.wait_for_selector(f".tb-ready:has-text('{say('export.ready.no')}')")
    page.click(".tb-files >> xpath=ancestor::details >> summary")
    page.wait_for_selector(".tb-sum:visible")


def test_a_double_click_is_one_wish_and_two_buttons_are_two(open_page: Open) -> None:
    page = open_page()
    tokens = page.evaluate(
        """() => ['train', 'export', 'evaluate', 'train', 'export'].map((each) =>
          window.tuneboard.press(['', ''], `say-${each}-start`)[0])"""
    )
    assert tokens[0] == tokens[3] and tokens[1] == tokens[4]
    assert len(set(tokens)) == 3 and all(tokens)


def test_a_mistake_stands_beside_its_control(open_page: Open, server: Server) -> None:
    page = open_page()
    open_tab(page)
    page.wait_for_selector("#say-export-formats label.selected")
    page.click("#say-export-formats label.selected")
    page.wait_for_selector(f"#export-sentence :text-is('{say('export.problems.none_chosen')}')")
    page.click("#say-export-start")
    page.wait_for_selector("#say-export-formats [data-mark='problem']")
    page.wait_for_selector("#export-problems [role='alert']")
