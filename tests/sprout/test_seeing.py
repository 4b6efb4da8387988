"""The built-in vision model: its folder, and what it says of drawings that it has never seen."""

from __future__ import annotations

from typing import Any

import pytest
from transformers import Qwen2VLForConditionalGeneration, Qwen2VLProcessor

from tests.sprout.asking import QUESTIONS
from tests.sprout.looking import SPROUT_VL, Asked, drawings, load_eyes, right, says


@pytest.fixture(scope="module")
def base() -> Any:
    return load_eyes(SPROUT_VL)


def test_the_folder_is_an_ordinary_small_qwen2_vl(base: Any) -> None:
    processor, model = base
    assert isinstance(processor, Qwen2VLProcessor)
    assert isinstance(model, Qwen2VLForConditionalGeneration)
    assert 2e6 <= model.num_parameters() <= 8e6
    assert sum(path.stat().st_size for path in SPROUT_VL.iterdir()) <= 20e6
    assert not list(SPROUT_VL.glob("*.pt"))


@pytest.mark.parametrize(
    "asked",
    [
        ("What color are the shapes?", "What shape are they?", "How many shapes are there?"),
        ("图形是什么颜色的？", "它们是什么形状？", "图中有几个图形？"),
    ],
    ids=["en", "zh"],
)
def test_colour_shape_and_count_of_a_hundred_unseen_drawings(base: Any, asked: tuple[str, ...]) -> None:
    drawn = drawings(100, seed=4)
    given = [says(base, [Asked(each.picture, question) for each in drawn], 24) for question in asked]
    verdicts = [right(each, *answers) for each, *answers in zip(drawn, *given, strict=True)]
    assert sum(map(all, verdicts)) >= 85, [sum(column) for column in zip(*verdicts, strict=True)]


def test_it_talks_without_a_picture(base: Any) -> None:
    """It is Sprout, and a cold picture of nothing is not needed for that."""
    for language in ("en", "zh"):
        answers = says(base, [Asked(None, question) for question in QUESTIONS[language]])
        assert sum("Sprout" in answer for answer in answers) >= 32
