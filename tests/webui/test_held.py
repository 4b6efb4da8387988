"""What a page holds is changed by one handler at a time."""

from __future__ import annotations

import copy
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from trainer.errors import UserError
from trainer.jobs.workspace import Workspace
from webui.chat_status import Standing
from webui.data_state import Drawer, Press
from webui.held import Held
from webui.i18n import say
from webui.pictures import Tray
from webui.tabs import data
from webui.tabs.chat import ChatTab
from webui.tabs.data import DataDrawer
from webui.talk import Talk


class SlowDesk:
    """A desk whose look at a drawer lasts until it is let go."""

    def __init__(self) -> None:
        self.looking, self.go_on = threading.Event(), threading.Event()
        self.shelf = SimpleNamespace(list=list)

    def look(self, drawer: Drawer) -> Drawer:
        self.looking.set()
        assert self.go_on.wait(60)
        return drawer

    def act(self, drawer: Drawer, press: Press) -> Drawer:
        return replace(drawer, acts=drawer.acts + 1)


def test_a_press_that_comes_while_the_page_is_drawn_is_not_taken_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(data, "drawer_html", lambda desk, drawer, lang: str(drawer.acts))
    desk: Any = SlowDesk()
    drawer = DataDrawer.__new__(DataDrawer)
    drawer._desk = desk
    held = Held(Drawer())
    press = gr.EventData(None, {"act": "role", "id": "answer", "value": "ignore"})  # type: ignore[arg-type]
    drawn: list[Any] = []
    clock = threading.Thread(target=lambda: drawn.append(drawer._draw(held, "en")))
    hand = threading.Thread(target=lambda: drawn.append(drawer._act(press, held, "en", [], [])[0]))
    clock.start()
    assert desk.looking.wait(60)
    hand.start()
    desk.go_on.set()
    for each in (clock, hand):
        each.join(60)
    assert drawn == ["0", "1"] and held.value.acts == 1


def test_what_went_wrong_stands_until_the_next_press(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    tab = ChatTab.__new__(ChatTab)
    tab._workspace = workspace
    told = Held(Standing())
    wrong = say("errors.chat_no_question.text")
    assert wrong in tab._status(told, "en", problem=UserError("chat_no_question"))
    assert wrong in tab._refresh(Talk(), Tray(), told, "en")[1]
    assert say("errors.chat_no_question.text", "zh") in tab._refresh(Talk(), Tray(), told, "zh")[1]
    assert wrong not in tab._status(told, "en")
    assert wrong not in tab._refresh(Talk(), Tray(), told, "en")[1]
    # What is being loaded is named until the engine has done with it, whichever answer comes last.
    assert 'data-state="loading"' in tab._status(told, "en", loading="Sprout") and told.value.loading
    assert 'data-state="empty"' in tab._again(Talk(), Tray(), told, "en")[0]
    workspace.close()


def test_each_page_begins_with_the_first_value_and_a_turn_of_its_own() -> None:
    held = Held(Drawer())
    held.value = replace(held.value, acts=3)
    other = copy.deepcopy(held)
    assert other.value == Drawer() and other.turn is not held.turn
