"""Answers that are JSON: which fields are right."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from statistics import fmean
from typing import Any

from trainer.evaluate.scores.match import normalise
from trainer.evaluate.scores.overlap import f1, shared

NAMES = ("field-f1", "field-precision", "field-recall", "valid-json", "json-exact")
CORPUS = ("micro-field-precision", "micro-field-recall", "micro-field-f1", "macro-field-f1")
MOST_SHOWN = 100
_FENCE = re.compile(r"```[a-zA-Z]*\s(.*)```", re.DOTALL)
_NOTHING: Any = object()

Field = tuple[str, str, Any]


def score(predict: str, label: str) -> dict[str, float]:
    """Precision, recall and F1 over the fields of one row; `valid-json`: the answer parses as it stands, without fence;
    `json-exact`: it says the same, the order of an object's fields aside. 0..100.

    A field is the path to a value and the value; the place in a list does not count. A reference that is no JSON is
    one field, its text.
    """
    found, wanted = parse(predict), parse(label)
    ours, theirs = fields(predict), fields(label)
    precision, recall, mean = f1(shared(ours, theirs), ours.total(), theirs.total())
    return {
        "field-f1": round(mean, 4),
        "field-precision": round(precision, 4),
        "field-recall": round(recall, 4),
        "valid-json": 100.0 * (_loads(predict) is not _NOTHING),
        "json-exact": 100.0
        * (wanted is not None and found is not None and _frozen(found) == _frozen(wanted)),
    }


def parse(text: str) -> dict[str, Any] | list[Any] | None:
    """The object or list that the text is, a Markdown fence around it aside, or None."""
    found = _loads(text)
    if found is _NOTHING and (fence := _FENCE.fullmatch(text.strip())):
        found = _loads(fence[1])
    return None if found is _NOTHING else found


def _loads(text: str) -> Any:
    try:
        found = json.loads(text)
    # A list in a list in a list, thousands of times, and whole numbers of thousands of digits.
    except (ValueError, RecursionError):
        return _NOTHING
    return found if isinstance(found, (dict, list)) else _NOTHING


@lru_cache(maxsize=256)
def fields(text: str) -> Counter[Field]:
    """The fields of a text: (path, kind of value, value), as often as they occur."""
    found = parse(text)
    return Counter([("", "text", normalise(text))]) if found is None else Counter(_leaves(found))


def _leaves(value: Any) -> Iterator[Field]:
    """Every value that holds no other, with `.name` for each object and `[]` for each list on the way to it."""
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        path, each = waiting.pop()
        if isinstance(each, dict) and each:
            waiting.extend((f"{path}.{name}" if path else name, inner) for name, inner in each.items())
        elif isinstance(each, list) and each:
            waiting.extend((f"{path}[]", inner) for inner in each)
        else:
            yield (path, *_leaf(each))


def _leaf(value: Any) -> tuple[str, Any]:
    """True is not 1, but 1 is 1.0; blanks around a text do not count; no number is like none."""
    if isinstance(value, bool) or value is None:
        return "word", str(value)
    if isinstance(value, (int, float)):
        return "number", value if value == value else "NaN"
    return ("text", value.strip()) if isinstance(value, str) else (type(value).__name__, "")


def _frozen(value: Any) -> Any:
    """Equal for equal JSON, True and 1 kept apart."""
    if isinstance(value, dict):
        return "object", frozenset((name, _frozen(each)) for name, each in value.items())
    if isinstance(value, list):
        return "list", tuple(_frozen(each) for each in value)
    return _leaf(value)


def corpus(pairs: Sequence[tuple[str, str]]) -> tuple[dict[str, float], dict[str, Any] | None]:
    """Scores of CORPUS over (predict, label) pairs and the table of fields. Empty and None without rows.

    Micro counts the fields of all rows together; macro is the mean of F1 over the names of fields that references have.
    """
    if not pairs:
        return {}, None
    matched: Counter[str] = Counter()
    given: Counter[str] = Counter()
    wanted: Counter[str] = Counter()
    for predict, label in pairs:
        ours, theirs = fields(predict), fields(label)
        for field, count in theirs.items():
            wanted[field[0]] += count
            matched[field[0]] += min(count, ours[field])
        for field, count in ours.items():
            given[field[0]] += count
    micro = f1(matched.total(), given.total(), wanted.total())
    each = {path: f1(matched[path], given[path], wanted[path]) for path in wanted}
    macro = fmean(found[2] for found in each.values())
    return dict(zip(CORPUS, [*micro, macro], strict=True)), _table(each, wanted)


def _table(each: dict[str, tuple[float, float, float]], wanted: Counter[str]) -> dict[str, Any]:
    shown = sorted(each, key=lambda path: (-wanted[path], path))[:MOST_SHOWN]
    rows = [
        {
            "field": path,
            "rows": wanted[path],
            **dict(zip(("precision", "recall", "f1"), each[path], strict=True)),
        }
        for path in shown
    ]
    return {"type": "fields", "fields": rows, "left_out": len(each) - len(shown)}
