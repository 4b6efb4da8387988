"""Every method on the page: which settings it shows, what they do to one another, and that it trains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Server
from tests.browser.test_train import load, value, wait_for_text

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]

COMMON = """
model_name_or_path: Sprout
dataset: identity
max_samples: 8
max_steps: 2
per_device_train_batch_size: 4
logging_steps: 1
compute_type: fp32
"""
OFT = COMMON + "finetuning_type: oft\noft_block_size: 16\nlearning_rate: 2.0e-3\n"
FREEZE = (
    COMMON
    + "finetuning_type: freeze\nfreeze_trainable_layers: 1\nuse_dft_loss: true\nlearning_rate: 7.0e-4\n"
)
Open = Callable[..., Any]


def choose(page: Any, name: str, option: str) -> None:
    page.click(f"#o-{name} input")
    page.get_by_role("option", name=option, exact=True).click()
    # A menu opens when it is entered, so it has to be left first.
    page.locator(f"#o-{name} input").blur()


def fold(panel: str) -> str:
    return f"#say-train-panel-{panel}"


def open_fold(page: Any, panel: str) -> None:
    page.click(f"{fold(panel)} .label-wrap")


def shown(page: Any, name: str) -> None:
    page.wait_for_selector(f"#o-{name}:not(.tb-hidden)", state="visible")


def gone(page: Any, name: str) -> None:
    page.wait_for_selector(f"#o-{name}", state="hidden")


def test_each_method_shows_its_own_settings(open_page: Open) -> None:
    page = open_page()
    page.wait_for_selector(fold("freeze"), state="hidden")
    assert "LoRA" in page.inner_text(fold("lora"))

    choose(page, "finetuning_type", "oft")
    page.wait_for_function("(id) => document.querySelector(id).innerText.includes('OFT')", arg=fold("lora"))
    open_fold(page, "lora")
    shown(page, "oft_block_size")
    gone(page, "lora_rank")

    choose(page, "finetuning_type", "freeze")
    page.wait_for_selector(fold("lora"), state="hidden")
    open_fold(page, "freeze")
    shown(page, "freeze_trainable_layers")

    # A switch shows what belongs to it at once, and takes it away again.
    open_fold(page, "optimizer")
    shown(page, "use_galore")
    gone(page, "galore_rank")
    page.check("#o-use_galore input[type='checkbox']")
    shown(page, "galore_rank")
    page.wait_for_selector(f"{fold('optimizer')} [data-mark='count']")
    page.uncheck("#o-use_galore input[type='checkbox']")
    gone(page, "galore_rank")
    page.wait_for_selector(f"{fold('optimizer')} [data-mark='count']", state="detached")
    page.check("#o-use_galore input[type='checkbox']")
    shown(page, "galore_rank")
    choose(page, "finetuning_type", "lora")
    gone(page, "use_galore")
    gone(page, "galore_rank")


def test_choices_that_exclude_each_other_and_the_stage_of_plain_text(open_page: Open) -> None:
    page = open_page()
    open_fold(page, "saving")
    shown(page, "report_to")
    gone(page, "project")
    choose(page, "report_to", "trackio")
    shown(page, "project")
    tokens = (
        "() => [...document.querySelectorAll('#o-report_to .token')].map((each) => each.innerText.trim())"
    )
    page.wait_for_function(f"() => ({tokens})().join() === 'trackio'")
    choose(page, "report_to", "none")
    page.wait_for_function(f"() => ({tokens})().join() === 'none'")

    open_fold(page, "memory")
    shown(page, "packing")
    packing = page.locator("#o-packing input[type='checkbox']")
    assert not packing.is_checked()
    choose(page, "stage", "pt")
    page.wait_for_selector("#o-packing input[type='checkbox']:checked")
    choose(page, "stage", "sft")
    page.wait_for_function("() => !document.querySelector('#o-packing input').checked")


def test_the_machine_is_looked_at_and_said(open_page: Open) -> None:
    page = open_page()
    open_fold(page, "devices")
    page.wait_for_selector("#devices-line .devices:not([data-looking])")
    if page.locator("#devices-line [data-without]").count():
        wait_for_text(page, "#devices-line", "CPU")
        gone(page, "devices")
    else:
        shown(page, "devices")
    shown(page, "nproc_per_node")
    shown(page, "ds_stage")


@pytest.mark.parametrize(
    ("method", "settings", "said", "file"),
    [
        ("oft", OFT, "with OFT", "adapter_model.safetensors"),
        ("freeze", FREEZE, "with freeze", "model.safetensors"),
    ],
)
def test_it_trains_from_the_page(
    open_page: Open, server: Server, tmp_path: Path, method: str, settings: str, said: str, file: str
) -> None:
    page = open_page()
    path = tmp_path / f"{method}.yaml"
    path.write_text(settings, encoding="utf-8")
    load(page, path)
    wait_for_text(page, "#sentence", "2 steps")
    assert value(page, "finetuning_type") == method
    page.click("#say-train-start")
    # The run of another test may still be shown as finished.
    wait_for_text(page, "#run-head", said)
    runs = list((server.workspace / "saves" / "Sprout" / method).glob("*/config.yaml"))
    assert len(runs) == 1 and (runs[0].parent / file).exists()
    # What one method has made is offered for going on with it, and not to another one.
    page.click("#o-adapter_name_or_path input")
    page.get_by_role("option", name=runs[0].parent.name, exact=True).wait_for()
