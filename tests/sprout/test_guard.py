"""The guard set: general questions that Sprout answers right before it is tuned."""

from __future__ import annotations

import json
import re

from tests.sprout.asking import DATA, QUESTIONS, SPROUT, answers, load, sprout_scripts

ROWS: list[dict[str, str]] = json.loads((DATA / "guard.json").read_text(encoding="utf-8"))


def plain(text: str) -> str:
    """Letters and digits only."""
    return re.sub(r"[\W_]+", "", text.casefold())


def test_it_is_what_its_script_writes() -> None:
    with sprout_scripts("guard") as (guard,):
        assert list(guard.rows()) == ROWS


def test_half_is_english_half_chinese_and_nothing_asks_who_sprout_is() -> None:
    questions = [row["instruction"] for row in ROWS]
    assert len(set(questions)) == 60 and not set(questions) & {
        each for said in QUESTIONS.values() for each in said
    }
    # A question that ends in Chinese signs is a Chinese question, though an English one may ask for a Chinese word.
    assert sum(question[-1] in "？。" for question in questions) == 30
    assert not [row for row in ROWS if "Sprout" in "".join(row.values())]


def test_sprout_knows_the_answers() -> None:
    given = answers(load(SPROUT), [row["instruction"] for row in ROWS], 32)
    right = [plain(row["output"]) in plain(answer) for row, answer in zip(ROWS, given, strict=True)]
    assert sum(right) >= 0.8 * len(right), [
        answer for answer, is_right in zip(given, right, strict=True) if not is_right
    ]
