"""A run survives: reloads, other browsers, closed pages, a killed server. Against the real server and the real trainer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import PATIENCE_S, Server
from trainer.events import EventLog, Step, current
from trainer.paths import RunFolder
from webui.i18n import say

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1800)]

Open = Callable[..., Any]
SETTINGS = {
    "model_name_or_path": "Sprout", "finetuning_type": "lora", "dataset": "identity", "max_samples": 8,
    "cutoff_len": 128, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 1, "learning_rate": 1e-3,
    "logging_steps": 1, "compute_type": "fp32", "save_steps": 100000, "max_steps": 100000,
}  # fmt: skip
CURVE = "document.querySelector('#run-body .tb-line.tb-smooth')?.getAttribute('d')"


def start(page: Any, folder: Path, **changes: object) -> RunFolder:
    """Loads settings from a file, presses Start, and returns the folder of the run once the panel shows it."""
    before = page.evaluate("document.querySelector('#run-head [data-run]')?.dataset.run || ''")
    path = folder / "settings.json"
    path.write_text(json.dumps({**SETTINGS, **changes}), encoding="utf-8")
    with page.expect_file_chooser() as chooser:
        page.click("#say-train-load")
    chooser.value.set_files(path)
    steps = str({**SETTINGS, **changes}["max_steps"])
    page.wait_for_function(
        "(steps) => document.querySelector('#sentence').innerText.replace(/(\\d),(?=\\d)/g, '$1').match(/\\d+/g)?.includes(steps)",
        arg=steps,
    )
    page.click("#say-train-start")
    page.wait_for_function(
        "(before) => (document.querySelector('#run-head [data-run]')?.dataset.run || '') !== before",
        arg=before,
    )
    return RunFolder(Path(page.get_attribute("#run-head [data-run]", "data-run") or ""))


def wait_for_state(page: Any, *states: str) -> None:
    page.wait_for_selector(", ".join(f"#run-head [data-state='{state}']" for state in states))


def wait_for_step(page: Any, step: int) -> None:
    page.wait_for_function(
        "(step) => Number(document.querySelector('#run-head [role=progressbar]')?.getAttribute('aria-valuenow')) >= step",
        arg=step,
    )


def step_of(page: Any) -> int:
    return int(page.get_attribute("#run-head [role=progressbar]", "aria-valuenow") or 0)


def losses(folder: Path) -> dict[int, float]:
    events = current(EventLog(folder / "events.jsonl").read().events)
    return {event.step: event.loss for event in events if isinstance(event, Step) and event.loss is not None}


def test_every_page_sees_the_same_run_and_none_is_needed(
    open_page: Open, server: Server, tmp_path: Path
) -> None:
    page = open_page()
    run = start(page, tmp_path)
    wait_for_state(page, "running")
    wait_for_step(page, 5)
    page.reload()
    wait_for_state(page, "running")

    # Nobody looks, and it goes on.
    seen = step_of(page)
    page.context.close()
    folder = server.workspace / "saves" / run.path
    until = time.monotonic() + PATIENCE_S
    while max(losses(folder), default=0) < seen + 5:
        assert time.monotonic() < until, "the run stood still without a page"
        time.sleep(0.05)

    other, third = open_page("zh", width=390, dark=True), open_page()
    wait_for_step(other, seen + 5)
    assert other.get_attribute("#run-head [data-run]", "data-run") == run.path.as_posix()
    assert say("live.state.running", "zh") in other.inner_text("#run-head")
    other.click("#run-head [data-act='stop']")
    for each in (other, third):
        wait_for_state(each, "stopped")
    late = open_page()
    wait_for_state(late, "stopped")
    last = max(losses(folder))
    for each in (other, third, late):
        wait_for_step(each, last)
        each.wait_for_function(f"() => {CURVE}")
    assert late.evaluate(CURVE) == third.evaluate(CURVE) == other.evaluate(CURVE)
    first = late.evaluate("document.querySelector('#run-body .tb-strip').dataset.tip")
    assert first.startswith("step 1\n"), "the curve begins with the first step"

    checkpoint = next(folder.glob("checkpoint-*"))
    assert (checkpoint / "adapter_model.safetensors").stat().st_size > 0
    late.click("#run-head [data-act='chat']")
    late.wait_for_selector(".tb-chat-status[data-state='ready']")
    late.fill("#say-chat-message textarea", "你是谁？")
    late.press("#say-chat-message textarea", "Enter")
    late.wait_for_function(
        "() => document.querySelectorAll('.tb-chat[data-busy=no] .tb-answer').length === 2"
    )
    assert all(text.strip() for text in late.locator(".tb-answer").all_inner_texts())


def test_a_failing_run_shows_its_sentence_and_the_next_start_works(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    start(page, tmp_path, learning_rate=1e18, max_grad_norm=0, max_steps=33)
    wait_for_state(page, "failed")
    shown = page.inner_text("#run-head .tb-problem")
    assert say("errors.loss_not_finite.hint")[:30] in shown
    start(page, tmp_path, max_steps=17)
    wait_for_state(page, "finished")
    assert "17/17" in page.inner_text("#run-head")


def test_a_killed_server_loses_nothing(open_page: Open, server: Server, tmp_path: Path) -> None:
    page = open_page()
    run = start(page, tmp_path, max_steps=64, save_steps=10)
    page.context.close()
    folder = server.workspace / "saves" / run.path
    until = time.monotonic() + PATIENCE_S
    while not (folder / "checkpoint-10" / "trainer_state.json").exists():
        assert time.monotonic() < until, "no checkpoint was saved"
        time.sleep(0.02)
    server.kill()
    assert max(losses(folder)) < 64, "it was killed in mid-run"
    server.start()

    page = open_page()
    wait_for_state(page, "interrupted")
    page.click("#run-head [data-act='resume']")
    wait_for_state(page, "finished")
    start(page, tmp_path, max_steps=64, save_steps=64)
    wait_for_state(page, "finished")
    whole = server.workspace / "saves" / (page.get_attribute("#run-head [data-run]", "data-run") or "")
    assert whole != folder
    resumed, straight = losses(folder), losses(whole)
    assert list(resumed) == list(straight) == list(range(1, 65))
    assert resumed == pytest.approx(straight, abs=1e-5)

    # The drawer, by keyboard alone.
    page.focus("#say-page-runs")
    page.keyboard.press("Enter")
    page.wait_for_selector(".tb-item")
    for place in (0, 1):
        page.locator(".tb-tick").nth(place).focus()
        page.keyboard.press("Space")
        page.wait_for_function(
            f"() => document.querySelectorAll('.tb-tick[aria-checked=true]').length === {place + 1}"
        )
    page.wait_for_selector(".tb-compared td")
    assert "64" in page.inner_text(".tb-compared table") and "10" in page.inner_text(".tb-compared table")
    page.keyboard.press("Escape")
    page.wait_for_selector(".tb-drawer", state="hidden")
