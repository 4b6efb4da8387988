"""One line of rows.jsonl -> one row."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from trainer.evaluate.shown import LOSS, SIDES, Side, TableRow


def read_line(line: bytes) -> TableRow | None:
    """The row; None for a line that is none, as a crash leaves one behind."""
    try:
        given = json.loads(line)
        return _row(given) if isinstance(given, dict) else None
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return None


def _row(given: Mapping[str, Any]) -> TableRow:
    base, answered = given.get("base"), given["predict"] is not None
    ending, tokens, loss = (_object(given.get(name)) for name in ("ending", "tokens", "loss"))
    scores = _object(given.get("scores")) if answered else {side: {LOSS: loss[side]} for side in loss}
    is_compared = isinstance(base, str) or (not answered and "base" in loss)
    sides = [side for side in SIDES if side == "tuned" or is_compared]
    label = given.get("label")
    return TableRow(
        row=int(given["row"]),
        dataset=_text(given.get("dataset")),
        number=int(given.get("number") or 0),
        system=_text(given.get("system")),
        question=_text(given.get("question")),
        turns=int(given.get("turns") or 1),
        prompt=_text(given.get("prompt")),
        label=label if isinstance(label, str) else None,
        tuned=_text(given["predict"]),
        base=base if isinstance(base, str) else None,
        # Keys of JSON are texts. A float less itself is 0 unless it is infinite or none: there are 20 in each of many rows.
        scores={
            side: {
                name: value if type(value) is float and value - value == 0 else number(value)
                for name, value in _object(scores.get(side)).items()
            }
            for side in sides
        },
        loss={side: number(loss.get(side)) for side in sides},
        tokens={side: int(tokens.get(side) or 0) for side in sides},
        cut={side: ending.get(side) == "length" for side in sides},
        label_tokens=int(given.get("label_tokens") or 0),
        answered=answered,
        media=tuple(each for each in given.get("media") or () if isinstance(each, str)),
    )


def difference(row: TableRow, score: str) -> float | None:
    """Tuned less base, of the loss base less tuned; None where one of them has no such score."""
    tuned, base = (row.scores.get(side, {}).get(score) for side in ("tuned", "base"))
    if tuned is None or base is None:
        return None
    return base - tuned if score == LOSS else tuned - base


def own_score(row: TableRow, side: Side, score: str) -> float:
    """The score of a side, NaN where there is none."""
    found = row.scores.get(side, {}).get(score)
    return math.nan if found is None else found


def number(value: Any) -> float | None:
    """A finite number as it is; everything else counts as not there."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
