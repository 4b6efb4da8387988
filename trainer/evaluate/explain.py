"""Why scores are as low as they are, in sentences."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from trainer.dataset.language import count_scripts
from trainer.errors import Values
from trainer.evaluate.compare import TITLES
from trainer.evaluate.scores import Kind, main
from trainer.evaluate.scores.fields import parse
from trainer.evaluate.scores.match import normalise
from trainer.events import Note

# A mean that is shown as 0.0.
_ZERO = 0.05
# With a score that is not 0, what concerns fewer answers than this share is not worth a sentence.
_WORTH = 0.1
# What templates put between turns, as text in an answer: the model was taught others, or its end of turn is not known.
_MARKS = re.compile(
    r"<\|[^|<>\s]{1,40}\|>|</?s>|\[/?INST\]|<(?:start|end)_of_turn>"
    r"|^(?:### ?)?(?:User|Human|Assistant|Instruction|Response|用户|助手) ?[:：]",
    re.MULTILINE | re.IGNORECASE,
)
# A side in the row -> the field of its answer, and how it is called beside another and alone.
_SIDES = {"tuned": "predict", "base": "base"}
_CALLED = {"tuned": "Tuned", "base": "Base"}
_ALONE = "Answers"
# The order in which reasons are told.
_REASONS = ("empty", "cut", "marks", "language", "not_json", "no_label", "unlike")


def notes(
    rows: Iterable[Mapping[str, Any]], kind: Kind, means: Mapping[str, Mapping[str, float]]
) -> list[Note]:
    """What is to be said of the rows (objects of rows.jsonl, read once); `means` by side: {"tuned": {score: mean}, ...}.

    A main score of 0 is explained; otherwise a reason is told when it concerns a tenth of the answers. Values `side`
    ("Tuned", "Base", or "Answers" where there is one side only) and `score` are words that a page may translate.
    """
    counts: dict[str, Counter[str]] = {side: Counter() for side in _SIDES}
    labels: set[str] = set()
    waiting: dict[str, Counter[str]] = {side: Counter() for side in _SIDES}
    seen = unlabelled = 0
    for row in rows:
        seen += 1
        label = row.get("label")
        unlabelled += label is None
        for side, field in _SIDES.items():
            answer = row.get(field)
            if answer is None:
                continue
            counts[side].update(["rows", *_reasons(row, side, answer, label, kind)])
            if kind == "labels" and label is not None:
                labels.add(normalise(label))
                waiting[side][normalise(answer)] += 1
    for side, answers in waiting.items():
        counts[side]["no_label"] = sum(
            count for answer, count in answers.items() if answer and answer not in labels
        )
    told = [Note(code="rows_without_label", values={"count": unlabelled, "rows": seen})] if unlabelled else []
    for side in _SIDES:
        if counts[side]["rows"]:
            called = _CALLED[side] if counts["base"]["rows"] else _ALONE
            told += _of_side(called, counts[side], main(kind), means.get(side, {}))
    return told


def _reasons(row: Mapping[str, Any], side: str, answer: str, label: str | None, kind: Kind) -> Iterator[str]:
    if not answer.strip():
        yield "empty"
    if (row.get("ending") or {}).get(side) == "length":
        yield "cut"
    if _MARKS.search(answer) and not _MARKS.search(label or ""):
        yield "marks"
    if label is None or not answer.strip():
        return
    if _other_language(answer, label):
        yield "language"
    if kind == "json" and parse(answer) is None and parse(label) is not None:
        yield "not_json"


def _other_language(answer: str, label: str) -> bool:
    """Whether the two are written mostly in different scripts. Chinese and Japanese share theirs."""
    ours, theirs = count_scripts(answer), count_scripts(label)
    if not ours or not theirs:
        return False
    pair = {max(ours, key=lambda each: ours[each]), max(theirs, key=lambda each: theirs[each])}
    return len(pair) == 2 and pair != {"zh", "ja"}


def _of_side(called: str, counts: Counter[str], score: str, means: Mapping[str, float]) -> Iterator[Note]:
    rows = counts["rows"]
    zero = score in means and means[score] < _ZERO
    if zero:
        title = TITLES.get(score, score)
        yield Note(code="score_zero", values={"side": called, "score": title, "rows": rows}, level="warning")
        if max(counts[reason] for reason in _REASONS) * 2 < rows:
            counts["unlike"] = rows
    for reason in _REASONS:
        count = counts[reason]
        if count and (zero or count >= _WORTH * rows):
            values: Values = {"side": called, "count": count, "rows": rows}
            yield Note(code=f"answers_{reason}", values=values, level="warning")
