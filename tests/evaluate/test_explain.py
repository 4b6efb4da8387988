"""Why scores are low: said with counts, for each side."""

from __future__ import annotations

from typing import Any

import pytest

from trainer.evaluate.explain import notes
from trainer.evaluate.scores import Kind
from trainer.events import Note

ZERO = {"tuned": {"rouge-l": 0.0, "accuracy": 0.0, "field-f1": 0.0}}


def row(predict: str, label: str | None = "The cat sat.", **more: Any) -> dict[str, Any]:
    return {
        "predict": predict,
        "label": label,
        "base": None,
        "ending": {"tuned": "end", "base": None},
        **more,
    }


def told(rows: list[dict[str, Any]], kind: Kind = "text", means: Any = ZERO) -> dict[str, Note]:
    found = notes(iter(rows), kind, means)
    assert all(note.text for note in found)
    return {note.code: note for note in found}


@pytest.mark.parametrize(
    ("rows", "kind", "code"),
    [
        ([row("")] * 4, "text", "answers_empty"),
        ([row("dogs bark", ending={"tuned": "length"})] * 4, "text", "answers_cut"),
        ([row("<|im_start|>user")] * 4, "text", "answers_marks"),
        ([row("### Response: dogs")] * 4, "text", "answers_marks"),
        ([row("用户：你好", "再见")] * 4, "text", "answers_marks"),
        ([row("猫坐下了。")] * 4, "text", "answers_language"),
        ([row("Ann is 3", '{"name": "Ann"}')] * 4, "json", "answers_not_json"),
        ([row("I would say positive", "positive"), row("Maybe", "negative")], "labels", "answers_no_label"),
        ([row("dogs bark")] * 4, "text", "answers_unlike"),
    ],
)
def test_a_score_of_zero_is_explained(rows: list[dict[str, Any]], kind: Kind, code: str) -> None:
    found = told(rows, kind)
    assert list(found) == ["score_zero", code]
    assert found[code].values["side"] == "Answers"
    assert found[code].values.get("count") == len(rows) == found[code].values["rows"]


def test_a_good_score_needs_no_words() -> None:
    good = {"tuned": {"rouge-l": 80.0}, "base": {"rouge-l": 50.0}}
    assert told([row("The cat sat.", base="A cat.")] * 20 + [row("")], means=good) == {}
    # A tenth is worth a sentence, whatever the score.
    found = told([row("The cat sat.", base="A cat.")] * 9 + [row("", base="A cat.")], means=good)
    assert list(found) == ["answers_empty"] and found["answers_empty"].values == {
        "side": "Tuned",
        "count": 1,
        "rows": 10,
    }


def test_sides_are_told_apart_and_rows_without_a_label_are_counted() -> None:
    rows = [row("The cat sat.", base="", ending={"tuned": "end", "base": "end"})] * 3 + [row("x", None)]
    found = told(rows, means={"tuned": {"rouge-l": 99.0}, "base": {"rouge-l": 0.0}})
    assert list(found) == ["rows_without_label", "score_zero", "answers_empty"]
    assert found["rows_without_label"].values == {"count": 1, "rows": 4}
    assert found["answers_empty"].values["side"] == found["score_zero"].values["side"] == "Base"
    assert "ROUGE-L" in found["score_zero"].text
    assert notes([], "text", {}) == []


def test_few_of_a_reason_do_not_hide_that_the_rest_is_unlike() -> None:
    assert list(told([row("")] + [row("dogs bark")] * 20)) == [
        "score_zero",
        "answers_empty",
        "answers_unlike",
    ]


def test_japanese_and_chinese_share_their_characters() -> None:
    assert "answers_language" not in told([row("東京です", "東京")] * 3)
