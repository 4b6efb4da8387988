"""Pictures in the Chat tab: chosen, dropped and pasted, counted, sent to base and tuned, and refused by who reads only text."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Server
from tests.browser.test_chat import IDLE, MESSAGE, open_chat
from tests.chat.tiny_vision import write_vision_adapter, write_vision_model
from tests.dataset.shots import drawn, film, turned, written
from webui.i18n import say

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]

Open = Callable[..., Any]
WAITING = "#chat-tray .tb-picture"
CARRY = """([name, type, data]) => {
  const carried = new DataTransfer();
  carried.items.add(new File([Uint8Array.from(atob(data), (each) => each.charCodeAt(0))], name, { type }));
  return carried;
}"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A model that sees, and an adapter for it."""
    place = tmp_path_factory.mktemp("vision")
    base = write_vision_model(place / "tiny-vision")
    return str(base), str(
        write_vision_adapter(place / "tuned", base, r".*language_model.*\.(q_proj|down_proj)")
    )


def choose(page: Any, model: str, adapter: str = "") -> None:
    """Chooses a model folder, and an adapter, in the top bar, and loads them."""
    page.fill("#o-model_name_or_path input", say("page.custom_model", "en"))
    page.press("#o-model_name_or_path input", "Enter")
    page.fill("#say-page-model_path input, #say-page-model_path textarea", model)
    if adapter:
        page.fill("#o-adapter_name_or_path input", adapter)
        page.press("#o-adapter_name_or_path input", "Enter")
        page.locator("#say-chat-mode label").last.click()
    load(page)


def load(page: Any) -> None:
    page.click("#say-chat-load")
    page.wait_for_selector(".tb-chat-status[data-state='ready']")


def carry(page: Any, place: str, how: str, name: str, kind: str, data: bytes) -> None:
    """Drops or pastes a file somewhere on the page."""
    carried = page.evaluate_handle(CARRY, [name, kind, base64.b64encode(data).decode()])
    if how == "paste":
        page.locator(place).evaluate(
            "(element, data) => element.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }))",
            carried,
        )
        return
    page.dispatch_event(place, "dragover", {"dataTransfer": carried})
    page.wait_for_selector("#chat-tray[data-drag='yes'], [data-drag='yes'] .tb-tray")
    page.dispatch_event(place, "drop", {"dataTransfer": carried})


def wait_for(page: Any, selector: str, count: int) -> None:
    page.wait_for_function(
        "([selector, count]) => document.querySelectorAll(selector).length === count", arg=[selector, count]
    )


def is_painted(page: Any, selector: str) -> bool:
    return "base64," in page.locator(selector).first.evaluate(
        "(each) => getComputedStyle(each).backgroundImage"
    )


def test_pictures_are_counted_sent_and_kept_in_the_history(
    open_page: Open, folders: tuple[str, str], tmp_path: Path
) -> None:
    page = open_page()
    open_chat(page)
    choose(page, *folders)
    wait_for(page, ".tb-columns.tb-2", 1)

    carry(page, "#chat-columns .tb-talk >> nth=0", "drop", "red.png", "image/png", written(drawn(84, 56)))
    wait_for(page, WAITING, 1)
    carry(page, MESSAGE, "paste", "image.png", "image/png", written(drawn(56, 56)))
    wait_for(page, WAITING, 2)
    (tmp_path / "clip.mp4").write_bytes(film(8))
    (tmp_path / "upright.jpg").write_bytes(turned(6))
    with page.expect_file_chooser() as chooser:
        page.click("#chat-tray [data-act='attach']")
    chooser.value.set_files([tmp_path / "clip.mp4", tmp_path / "upright.jpg"])
    wait_for(page, WAITING, 4)
    names = [each.inner_text() for each in page.locator(f"{WAITING} .tb-picture-name").all()]
    assert names == ["red.png", "image.png", "clip.mp4", "upright.jpg"]
    costs = [each.inner_text() for each in page.locator(f"{WAITING} .tb-picture-tokens").all()]
    assert costs[:2] == ["6 tokens", "4 tokens"] and all("tokens" in each for each in costs)
    assert is_painted(page, f"{WAITING} .tb-thumb")
    page.locator(f"{WAITING} [data-act='remove']").last.click()
    wait_for(page, WAITING, 3)
    page.wait_for_selector("#chat-tray [data-act='attach']:focus")

    page.fill(MESSAGE, "What is this?")
    page.press(MESSAGE, "Enter")
    wait_for(page, WAITING, 0)
    page.wait_for_selector(IDLE)
    assert [each.inner_text() != "" for each in page.locator(".tb-answer").all()] == [True, True]
    wait_for(page, ".tb-talk .tb-picture", 6)
    assert is_painted(page, ".tb-talk .tb-thumb")
    first = page.get_attribute("[data-act='copy']", "data-copy")
    assert json.loads(first)["media"] == ["red.png", "image.png", "clip.mp4"]

    # Asked again, the same is shown; what waits for the next message stays.
    carry(page, MESSAGE, "paste", "later.png", "image/png", written(drawn()))
    wait_for(page, WAITING, 1)
    drawn_before = page.get_attribute(".tb-chat", "data-acts")
    page.click("#chat-columns [data-act='retry']")
    # The answer is so short that "busy" may never be painted.
    page.wait_for_function(
        """(before) => {
          const { acts, busy } = document.querySelector('.tb-chat').dataset;
          return acts !== before && busy === 'no';
        }""",
        arg=drawn_before,
    )
    assert page.get_attribute("[data-act='copy']", "data-copy") == first
    wait_for(page, WAITING, 1)
    # A message is not sent while a file for it is on its way.
    on_the_way: list[Any] = []
    page.route("**/gradio_api/upload*", lambda route: on_the_way.append(route))
    with page.expect_request("**/gradio_api/upload*"):
        carry(page, MESSAGE, "paste", "last.png", "image/png", written(drawn()))
    page.wait_for_selector("#chat-tray[data-sending='yes'], [data-sending='yes'] .tb-tray")
    page.click("#say-chat-send")
    page.wait_for_function(
        "(text) => document.querySelector('#chat-tray .tb-hint').innerText === text",
        arg=say("chat.pictures.wait"),
    )
    assert page.locator(".tb-question").count() == 2
    on_the_way[0].continue_()
    page.unroute("**/gradio_api/upload*")
    wait_for(page, WAITING, 2)
    # A picture alone is a message, too.
    page.locator(f"{WAITING} [data-act='remove']").first.click()
    wait_for(page, WAITING, 1)
    page.click("#say-chat-send")
    wait_for(page, ".tb-talk .tb-picture", 8)
    page.wait_for_selector(IDLE)
    page.click("#chat-columns [data-act='clear']")
    wait_for(page, ".tb-talk .tb-picture", 0)


def test_what_cannot_be_shown_is_told_by_name(open_page: Open) -> None:
    page = open_page("zh", width=390, dark=True)
    open_chat(page)
    # What another page has loaded is loaded here, too; without a model files are taken and not yet counted.
    if page.locator("#chat-status [data-act='unload']:not([aria-disabled])").count():
        page.click("#chat-status [data-act='unload']")
    page.wait_for_selector(".tb-chat-status[data-state='empty']")
    page.wait_for_selector("#chat-tray [data-act='attach']:not([aria-disabled])")
    carry(page, "#chat-columns", "drop", "cut.png", "image/png", written(drawn())[:90])
    page.wait_for_selector("#chat-tray [role='alert']")
    told = say("errors.chat_media_truncated.text", "zh", file="cut.png")
    assert told in page.inner_text("#chat-tray")
    assert page.locator(WAITING).count() == 0
    carry(page, "#chat-columns", "drop", "good.png", "image/png", written(drawn()))
    wait_for(page, WAITING, 1)
    assert page.locator("#chat-tray [role='alert']").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_model_that_reads_only_text_says_so(open_page: Open, server: Server) -> None:
    page = open_page()
    open_chat(page)
    load(page)
    page.wait_for_selector("#chat-tray [data-act='attach'][aria-disabled='true']")
    assert say("chat.pictures.blind") in page.inner_text("#chat-tray")
    carry(page, "#chat-columns", "drop", "red.png", "image/png", written(drawn()))
    page.wait_for_selector("#chat-tray [role='alert']")
    assert say("errors.chat_no_eyes.text") in page.inner_text("#chat-tray")
    assert page.locator(WAITING).count() == 0
    page.fill(MESSAGE, "Hello")
    page.press(MESSAGE, "Enter")
    page.wait_for_selector(".tb-answer")
    page.wait_for_selector(IDLE)
    assert "Traceback" not in server.log
