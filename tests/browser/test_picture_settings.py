"""The settings of pictures are on the page for a model that sees, and hidden for one of text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.train import families
from webui.i18n import say

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]

PANEL = "#say-train-panel-multimodal"


def test_they_show_for_models_that_see(open_page: Any, tmp_path: Path) -> None:
    page = open_page()
    page.locator(PANEL).wait_for(state="hidden")
    folder = str(families.save("qwen2_vl", tmp_path / "seeing"))
    page.fill("#o-model_name_or_path input", say("page.custom_model", "en"))
    page.press("#o-model_name_or_path input", "Enter")
    page.fill("#say-page-model_path input, #say-page-model_path textarea", folder)
    page.press("#say-page-model_path input, #say-page-model_path textarea", "Tab")
    page.locator(PANEL).wait_for(state="visible")
    page.click(f"{PANEL} button")
    page.locator("#o-freeze_vision_tower").wait_for(state="visible")
    page.fill("#o-model_name_or_path input", "Sprout")
    page.press("#o-model_name_or_path input", "Enter")
    page.locator(PANEL).wait_for(state="hidden")
