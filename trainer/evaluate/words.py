"""Where two texts differ, word by word; in scripts without blanks sign by sign."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import groupby

from trainer.evaluate.shown import Change, Marks, Piece, TableRow

# Chinese, Japanese, Thai, Lao, Burmese and Khmer are written without blanks: their signs are compared one by one.
_NO_BLANKS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# Vowel signs of Indian scripts, accents and points belong to their word, though `\w` does not know them.
_LETTER = f"(?:(?![{_NO_BLANKS}])[\\w\u0300-\u036f\u0483-\u0489\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0900-\u0dff])"
# What is drawn as one sign with the one before: accents, variants and skin tones, flags' halves, joined emoji.
_JOINED = "[\u0300-\u036f\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u20d0-\u20ff\ufe00-\ufe0f\u3099\u309a\U0001f3fb-\U0001f3ff]"
_TOKEN = re.compile(
    f"{_LETTER}+(?:['’]{_LETTER}+)*|\\s+|[\U0001f1e6-\U0001f1ff]{{2}}|.(?:{_JOINED}|\u200d.)*", re.DOTALL
)
_SENTENCE = re.compile(r"[^\n.!?。！？]*[\n.!?。！？]*", re.DOTALL)
# The comparison takes the product of the lengths at worst: a tenth of a second for so much.
_WORK = 400_000


def differences(old: str, new: str) -> tuple[Change, ...]:
    """Both texts put together: same and removed parts joined are `old`, same and added ones `new`."""
    changes = _compare(_words(old), _words(new))
    return tuple(
        Change("".join(each.text for each in group), kind)
        for kind, group in groupby(changes, lambda change: change.kind)
    )


def pieces(text: str, other: str) -> tuple[Piece, ...]:
    """The text in parts, those marked that `other` does not have in this place."""
    found = [
        (each.text, each.kind == "same")
        for each in _compare(_words(other), _words(text))
        if each.kind != "removed"
    ]
    # A blank between two words that both differ would cut one mark in two.
    for place in range(1, len(found) - 1):
        if found[place][0].isspace() and not found[place - 1][1] and not found[place + 1][1]:
            found[place] = (found[place][0], False)
    return tuple(
        Piece("".join(part for part, _ in group), same)
        for same, group in groupby(found, lambda each: each[1])
    )


def marks(row: TableRow, against: str = "label") -> Marks:
    """The texts of a row. Against the `label`: the answers beside the reference, the reference beside the tuned answer.

    Against the `base`, and for a row without a reference: the two answers beside each other.
    """
    if against != "base" and row.label is not None:
        base = () if row.base is None else pieces(row.base, row.label)
        return Marks(pieces(row.label, row.tuned), base, pieces(row.tuned, row.label))
    label = _plain(row.label)
    if row.base is None:
        return Marks(label, (), _plain(row.tuned))
    return Marks(label, pieces(row.base, row.tuned), pieces(row.tuned, row.base))


def _plain(text: str | None) -> tuple[Piece, ...]:
    return (Piece(text, True),) if text else ()


def _words(text: str) -> list[str]:
    return _TOKEN.findall(text)


def _compare(old: Sequence[str], new: Sequence[str]) -> Iterator[Change]:
    """Parts in order; what was removed stands before what was added in its place."""
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    yield from (Change(each, "same") for each in old[:start])
    yield from _middle(old[start : len(old) - end], new[start : len(new) - end])
    yield from (Change(each, "same") for each in old[len(old) - end :])


def _middle(old: Sequence[str], new: Sequence[str]) -> Iterator[Change]:
    if len(old) * len(new) > _WORK:
        coarse = [[each for each in _SENTENCE.findall("".join(side)) if each] for side in (old, new)]
        # Two books are different: nobody looks for the word.
        if len(coarse[0]) * len(coarse[1]) > _WORK or (len(coarse[0]), len(coarse[1])) == (
            len(old),
            len(new),
        ):
            yield from (Change(each, "removed") for each in old)
            yield from (Change(each, "added") for each in new)
            return
        old, new = coarse
    for kind, low, high, first, last in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            yield from (Change(each, "same") for each in old[low:high])
        else:
            yield from (Change(each, "removed") for each in old[low:high])
            yield from (Change(each, "added") for each in new[first:last])
