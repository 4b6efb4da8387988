"""The Train tab in a browser, against the real server and the real built-in model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]

QUICK = """
model_name_or_path: Sprout
finetuning_type: lora
dataset: identity
max_samples: 8
max_steps: 3
per_device_train_batch_size: 4
learning_rate: 1.0e-3
logging_steps: 1
compute_type: fp32
use_fast_tokenizer: true
"""
Open = Callable[..., Any]

# English texts that are still on the page, where the page's language says something else.
LEFTOVERS = """
() => {
  const { en } = window.tuneboardTexts, own = window.tuneboardTexts[window.tuneboard.language()];
  const foreign = new Set(Object.keys(en).filter((key) => en[key] !== own[key] && !en[key].includes('{')).map((key) => en[key]));
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    // What was chosen is a value, as it stands in a file of settings: `none` is one of report_to.
    if (node.parentElement.closest('script, style, .token')) continue;
    if (foreign.has(node.nodeValue.trim())) found.push(node.nodeValue.trim());
  }
  for (const name of ['placeholder', 'title', 'aria-label']) {
    for (const each of document.querySelectorAll(`[${name}]`)) {
      if (foreign.has(each.getAttribute(name).trim())) found.push(each.getAttribute(name));
    }
  }
  return found;
}
"""


def value(page: Any, name: str) -> str:
    return str(page.locator(f"#o-{name} :is(input, textarea)").first.input_value())


def fill(page: Any, name: str, text: str) -> None:
    page.locator(f"#o-{name} :is(input, textarea)").first.fill(text)


def load(page: Any, path: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.click("#say-train-load")
    chooser.value.set_files(path)


def wait_for_text(page: Any, selector: str, text: str) -> None:
    page.wait_for_function(
        "([selector, text]) => document.querySelector(selector)?.innerText.includes(text)",
        arg=[selector, text],
    )


def test_it_opens_ready_and_one_wish_is_one_run(open_page: Open, server: Server, tmp_path: Path) -> None:
    page = open_page()
    assert value(page, "model_name_or_path") == "Sprout"
    assert value(page, "output_dir").startswith("train_")
    sentence = page.inner_text("#sentence")
    assert "Sprout" in sentence and "Momo" in sentence and "rows" in sentence and "steps" in sentence

    quick = tmp_path / "quick.yaml"
    quick.write_text(QUICK, encoding="utf-8")
    load(page, quick)
    page.wait_for_selector("#said li")
    assert "use_fast_tokenizer" in page.inner_text("#said")
    wait_for_text(page, "#sentence", "3 steps")

    page.dblclick("#say-train-start")
    page.wait_for_selector("[data-state='finished']")
    wait_for_text(page, "#run", "identity")
    runs = list((server.workspace / "saves").rglob("config.yaml"))
    assert len(runs) == 1
    assert (runs[0].parent / "adapter_model.safetensors").exists()
    assert value(page, "max_steps") == "3" if page.locator("#o-max_steps").count() else True


def test_a_refused_start_touches_nothing_and_says_why_beside_the_control(
    open_page: Open, server: Server
) -> None:
    used = server.workspace / "saves" / "Sprout" / "lora" / "mine"
    used.mkdir(parents=True, exist_ok=True)
    (used / "config.yaml").write_text("dataset: identity\n", encoding="utf-8")
    page = open_page()
    fill(page, "output_dir", "mine")
    fill(page, "learning_rate", "0.0007")
    page.click("#say-train-start")
    page.wait_for_selector("#o-output_dir [data-mark='problem']")
    assert value(page, "output_dir") == "mine" and value(page, "learning_rate") == "0.0007"

    fill(page, "learning_rate", "-3")
    fill(page, "num_train_epochs", "")
    page.click("#say-train-start")
    page.wait_for_selector("#o-learning_rate [data-mark='problem']")
    page.wait_for_selector("#o-num_train_epochs [data-mark='problem']")
    assert page.locator("#problems li").count() == 2


def test_changes_are_counted_found_and_taken_back(open_page: Open) -> None:
    page = open_page()
    page.fill("#find", "lora rank")
    page.keyboard.press("Enter")
    page.wait_for_selector("#o-lora_rank input[type='number']")
    proposed = page.input_value("#o-lora_rank input[type='number']")
    page.fill("#o-lora_rank input[type='number']", "4")
    page.wait_for_selector("#say-train-panel-lora [data-mark='count']")
    page.click("#o-lora_rank [data-mark='reset']")
    page.wait_for_selector("#say-train-panel-lora [data-mark='count']", state="detached")
    assert page.input_value("#o-lora_rank input[type='number']") == proposed

    page.click("#say-train-command")
    wait_for_text(page, "#said", "python -m trainer train")
    page.locator("#say-train-goal label").first.click()
    page.wait_for_selector("#goal-note .changes li")


def test_the_preview_shows_what_is_trained(open_page: Open) -> None:
    page = open_page()
    page.click("#say-train-preview")
    page.wait_for_selector("#preview article mark.trained")
    fill(page, "identity_name", "Luojia")
    wait_for_text(page, "#preview", "Luojia")
    wait_for_text(page, "#sentence", "Luojia")
    page.click("#preview [data-turn='2']")
    wait_for_text(page, "#preview .pager", "page 2")
    page.click("#preview [data-turn='0']")
    page.wait_for_selector("#preview article", state="detached")


def test_what_is_typed_in_the_first_moments_is_kept(open_page: Open, server: Server) -> None:
    page = open_page()
    page.reload(wait_until="commit")
    page.wait_for_selector("#o-identity_name :is(input, textarea):enabled")
    fill(page, "identity_name", "Early")
    wait_for_text(page, "#sentence", "Early")
    assert value(page, "identity_name") == "Early"


@pytest.mark.parametrize(("lang", "width", "dark"), [("zh", 1440, False), ("ru", 390, True)])
def test_no_english_is_left_and_nothing_sticks_out(
    open_page: Open, lang: str, width: int, dark: bool
) -> None:
    page = open_page(lang, width=width, dark=dark)
    for title in page.locator(".folds .label-wrap:visible").all():
        title.click()
    page.wait_for_selector("#o-seed")
    page.wait_for_function(f"() => ({LEFTOVERS})().length === 0")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.body.classList.contains('dark')") == dark
    panel, settings = page.locator("#happens").bounding_box(), page.locator("#data-card").bounding_box()
    assert panel["y"] < settings["y"] if width == 390 else panel["x"] > settings["x"]

    # Another language is one choice away, keeps what was typed, and is remembered.
    fill(page, "identity_name", "Luojia")
    page.click("#say-page-language input")
    page.get_by_role("option", name="日本語").click()
    wait_for_text(page, "#say-train-start", "学習を開始")
    page.wait_for_function(f"() => ({LEFTOVERS})().length === 0")
    wait_for_text(page, "#sentence", "Luojia")
    assert value(page, "identity_name") == "Luojia"
    page.reload()
    wait_for_text(page, "#say-train-start", "学習を開始")
