"""The device picker: nobody waits for torch, and everybody can choose what is there."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from trainer.device import Facts
from trainer.jobs.survey import Survey
from webui import devices, i18n

CARD = Facts(1, "NVIDIA <H200>", 130 * 2**30, 141 * 2**30)
PATIENCE_S = 60


def wait_until(met: Callable[[], bool]) -> None:
    for _ in range(PATIENCE_S * 100):
        if met():
            return
        threading.Event().wait(0.01)
    raise AssertionError("nothing came of it")


def test_a_page_does_not_wait_and_many_pages_look_once() -> None:
    looks, go = [], threading.Event()

    def look() -> list[Facts]:
        looks.append(1)
        assert go.wait(PATIENCE_S)
        return [CARD]

    survey = Survey(look)
    for _ in range(5):
        survey.refresh()
    assert survey.known is None and survey.looking
    go.set()
    wait_until(lambda: not survey.looking)
    assert survey.known == (CARD,)
    survey.refresh()
    assert not survey.looking and looks == [1], "what was found a moment ago is not looked for again"


def test_a_driver_that_fails_leaves_the_processor(caplog: pytest.LogCaptureFixture) -> None:
    def look() -> list[Facts]:
        raise RuntimeError("no such driver")

    survey = Survey(look)
    survey.refresh()
    wait_until(lambda: not survey.looking)
    assert survey.known == () and "could not be listed" in caplog.text


@pytest.mark.parametrize("lang", i18n.LANGUAGES)
def test_what_is_there_is_said(lang: str) -> None:
    looking = devices.said(None, True, (), 4, "", lang)
    assert "data-looking" in looking and i18n.say("train.devices.looking", lang) in looking
    none = devices.said((), False, (), 4, "", lang)
    assert "CPU" in none and "4" in none and "data-without" in none and "data-looking" not in none
    # Devices that a file has named can be taken back even where there are none.
    assert "data-without" not in devices.said((), False, ("0",), 4, "", lang)
    (label, value) = devices.choices([CARD], lang)[0]
    assert value == "1" and "H200" in label and "130.0" in label and "141.0" in label
    assert "data-without" not in devices.said((CARD,), False, (), 4, "<2>", lang)
    assert "&lt;2&gt;" in devices.said((CARD,), False, (), 4, "<2>", lang)
