"""The device picker: nobody waits for torch, and everybody can choose what is there."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from trainer.device import Facts
from trainer.jobs import launch
from trainer.jobs import survey as looking
from trainer.jobs.plan import Plan
from trainer.jobs.survey import Accelerator, Survey
from webui import devices, form, i18n

CARD = Accelerator("1", Facts(1, "NVIDIA <H200>", 130 * 2**30, 141 * 2**30))
PATIENCE_S = 60


def wait_until(met: Callable[[], bool]) -> None:
    for _ in range(PATIENCE_S * 100):
        if met():
            return
        threading.Event().wait(0.01)
    raise AssertionError("nothing came of it")


def test_a_page_does_not_wait_and_many_pages_look_once() -> None:
    looks, go = [], threading.Event()

    def look() -> list[Accelerator]:
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
    def look() -> list[Accelerator]:
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


def test_accelerators_that_are_hidden_from_the_server_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process lists them; what the person's environment calls them is what the option takes."""
    asked: list[str] = []

    def elsewhere(environment: dict[str, str]) -> list[Facts]:
        asked.append(environment["CUDA_VISIBLE_DEVICES"])
        return [Facts(0, "A", 1, 2), Facts(1, "B", 1, 2)]

    monkeypatch.setattr(launch, "warm_up", lambda: None)
    monkeypatch.setattr(looking, "_look_elsewhere", elsewhere)
    monkeypatch.setenv("TUNEBOARD_VISIBLE", "2,5")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    assert [each.name for each in looking.look_around()] == ["2", "5"] and asked == ["2,5"]


@pytest.mark.parametrize("lang", i18n.LANGUAGES)
def test_what_will_happen_is_said(lang: str) -> None:
    assert "1" in devices.planned(Plan(), "none", False, lang)
    zero = devices.planned(Plan(2, 1, "deepspeed"), "3", True, lang)
    assert (
        "2" in zero
        and "ZeRO-3" in zero
        and zero != devices.planned(Plan(2, 1, "deepspeed"), "3", False, lang)
    )
    assert "DDP" in devices.planned(Plan(4, 1, "ddp"), "none", False, lang)
    far = devices.planned(Plan(4, 2, "fsdp"), "none", False, lang)
    assert "8" in far and "2" in far and "FSDP2" in far


def test_the_sentence_follows_the_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEBOARD_VISIBLE", "")
    usual = form.proposed("Sprout", "lora")
    assert devices.plan_of(usual, "en") == "1 process"
    zero = {**usual, "nproc_per_node": 2, "ds_stage": "3", "ds_offload": True}
    assert devices.plan_of(zero, "en") == "2 processes · DeepSpeed ZeRO-3 with offload"
    assert "DDP" in devices.plan_of({**usual, "nproc_per_node": 2}, "en")
    # With accelerators that the form names and nobody has, the sentence says so.
    monkeypatch.setenv("TUNEBOARD_VISIBLE", "0,1")
    assert devices.plan_of(usual, "en") == "1 process", "a page without a choice trains on the first one"
    assert "2 processes" in devices.plan_of({**usual, "devices": ["0", "1"]}, "en")
    assert "7" in devices.plan_of({**usual, "devices": ["7"]}, "en")
