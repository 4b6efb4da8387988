"""The Chat tab in a browser: answers side by side, stopped, asked again, copied, and the model given back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.browser.conftest import Server
from trainer.paths import REPOSITORY
from webui.i18n import say

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]

Open = Callable[..., Any]
MESSAGE = "#say-chat-message textarea"
IDLE = ".tb-chat[data-busy='no']"
BUSY = ".tb-chat[data-busy='yes']"
EVIL = '<script>document.title = "caught"</script> "quoted" & more'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The page with a chat whose answers never end by themselves."""
    made = Server(
        tmp_path_factory.mktemp("workspace"), script=REPOSITORY / "tests" / "browser" / "endless.py"
    )
    made.start()
    yield made
    made.stop()


def open_chat(page: Any) -> None:
    page.click("#tabs button[role='tab'] >> nth=2")
    page.wait_for_selector(".tb-chat")


def load_both(page: Any) -> None:
    open_chat(page)
    page.click("#say-chat-mode label:last-of-type")
    page.click("#say-chat-load")
    page.wait_for_selector(".tb-chat-status[data-state='ready']")
    page.wait_for_selector(".tb-columns.tb-2")


def answers(page: Any) -> list[str]:
    return [each.inner_text() for each in page.locator(".tb-answer").all()]


def test_without_a_model_the_message_is_kept_and_the_reason_told(open_page: Open) -> None:
    # The first of these tests: a page says "empty" until it has heard what is loaded, so nothing must be.
    page = open_page("zh", width=390, dark=True)
    open_chat(page)
    page.wait_for_selector(".tb-chat-status[data-state='empty']")
    page.fill(MESSAGE, "你好")
    page.press(MESSAGE, "Enter")
    page.wait_for_selector(".tb-chat-status [role='alert']")
    page.wait_for_function("([box]) => document.querySelector(box).value === '你好'", arg=[MESSAGE])
    assert say("errors.chat_empty.text", "zh") in page.inner_text(".tb-chat-status")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_both_sides_stream_until_stopped_and_keep_their_own_history(open_page: Open) -> None:
    page = open_page()
    open_chat(page)
    page.wait_for_selector(".tb-chat.tb-empty")
    load_both(page)

    page.fill(MESSAGE, "one")
    page.press(MESSAGE, "Shift+Enter")
    assert page.input_value(MESSAGE) == "one\n"
    page.fill(MESSAGE, EVIL)
    page.press(MESSAGE, "Enter")
    page.wait_for_selector(BUSY)
    assert page.input_value(MESSAGE) == ""
    # Both grow before either is done.
    for side in ("base", "tuned"):
        page.wait_for_function(
            "(side) => document.querySelector(`.tb-${side} .tb-answer`)?.innerText.includes(side + '-20')",
            arg=side,
        )
    assert page.locator(BUSY).count() == 1
    page.click("#chat-columns [data-act='stop']")
    page.wait_for_selector(IDLE)
    assert page.locator(".tb-facts", has_text="stopped").count() == 2
    assert [text.split(" base-")[0].split(" tuned-")[0] for text in answers(page)] == [
        "<b>base</b> 0",
        "<b>tuned</b> 0",
    ]
    assert page.locator(".tb-question").first.inner_text() == EVIL and page.title() == "TuneBoard"

    page.fill(MESSAGE, "two")
    page.click("#say-chat-send")
    page.wait_for_selector(BUSY)
    page.click("#chat-columns [data-act='stop']")
    page.wait_for_selector(IDLE)
    assert [text[:15].split()[1] for text in answers(page)] == ["0", "1", "0", "1"]

    page.click("#chat-columns [data-act='retry']")
    page.wait_for_selector(BUSY)
    page.click("#chat-columns [data-act='stop']")
    page.wait_for_selector(IDLE)
    assert page.locator(".tb-question").count() == 4, "the last question was asked again, not once more"

    rows = [json.loads(line) for line in page.get_attribute("[data-act='copy']", "data-copy").splitlines()]
    assert [row["prompt"] for row in rows] == [EVIL, "two"]
    assert rows[0]["base"].startswith("<b>base</b> 0") and rows[0]["answer"].startswith("<b>tuned</b> 0")

    page.click("#chat-columns [data-act='clear']")
    page.wait_for_function("() => document.querySelectorAll('.tb-question').length === 0")
    page.click("#chat-status [data-act='unload']")
    page.wait_for_selector(".tb-chat-status[data-state='empty']")
    page.wait_for_selector(".tb-chat.tb-empty")


def test_one_page_does_not_stop_the_other(open_page: Open) -> None:
    one, other = open_page(), open_page()
    load_both(one)
    open_chat(other)
    for page in (one, other):
        page.fill(MESSAGE, "go on")
        page.press(MESSAGE, "Enter")
        page.wait_for_selector(BUSY)
    one.click("#chat-columns [data-act='stop']")
    one.wait_for_selector(IDLE)
    before = answers(other)[0]
    other.wait_for_function(
        "(before) => document.querySelector('.tb-answer').innerText.length > before + 20", arg=len(before)
    )
    assert other.locator(BUSY).count() == 1
    other.click("#chat-columns [data-act='stop']")
    other.wait_for_selector(IDLE)


def test_a_path_can_be_typed_and_a_wrong_one_is_told(open_page: Open) -> None:
    page = open_page("ru", width=390)
    open_chat(page)
    assert page.locator("#say-chat-path").count() == 0
    page.click("#say-chat-run input")
    page.click("ul[role='listbox'] li >> nth=-1")
    page.wait_for_selector(f"#say-chat-mode label.selected:has-text('{say('chat.mode.tuned', 'ru')}')")
    box = "#say-chat-path input, #say-chat-path textarea"
    page.fill(box, "/no/such/model.gguf")
    page.press(box, "Enter")
    page.wait_for_selector(".tb-chat-status [role='alert']")
    said = say("errors.chat_path_missing.text", "ru", path="/no/such/model.gguf")
    assert said in page.inner_text(".tb-chat-status [role='alert']")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
