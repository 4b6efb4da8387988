"""Which set of scores suits a dataset, seen from its references."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from trainer.evaluate.scores.fields import parse
from trainer.evaluate.scores.match import normalise
from trainer.evaluate.scores.words import tokens

Kind = Literal["text", "labels", "json"]
KINDS: tuple[Kind, ...] = ("text", "labels", "json")
# A label is at most so long, and occurs so often on average; a dataset has at most so many different ones.
_LONGEST, _MOST_WORDS, _OFTEN, _MOST_LABELS = 48, 8, 2, 100
_FEWEST_ROWS = 4
# Of references that are JSON a few may be broken.
_JSON_SHARE = 0.9


def recognise(labels: Sequence[str]) -> Kind:
    """json: nearly all references are JSON objects or lists; labels: few different short answers; otherwise text."""
    given = [label for label in labels if label.strip()]
    if _are_json(given):
        return "json"
    return "labels" if _are_labels(given) else "text"


def _are_json(given: Sequence[str]) -> bool:
    allowed = len(given) - _JSON_SHARE * len(given)
    broken = 0
    for label in given:
        broken += parse(label) is None
        if broken > allowed:
            return False
    return bool(given)


def _are_labels(given: Sequence[str]) -> bool:
    different: set[str] = set()
    for label in given:
        if len(label) > _LONGEST or len(tokens(label)) > _MOST_WORDS:
            return False
        different.add(normalise(label))
        if len(different) > _MOST_LABELS:
            return False
    return len(given) >= max(_FEWEST_ROWS, _OFTEN * len(different))
