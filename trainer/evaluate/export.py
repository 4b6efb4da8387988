"""The rows of an evaluation as a file for elsewhere: a table for Excel, or one JSON object a line."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath
from typing import Any

from trainer.evaluate.shown import Side, TableRow

# A spreadsheet takes a cell for a formula that begins with one of these, also in full width or after blanks:
# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = re.compile(r"[\s\0]*[=+\-@＝＋－＠]|[\t\r\n]")
_NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)?")
_TEXTS = ("system", "question", "reference", "base", "tuned")


def write_csv(path: Path, rows: Iterable[TableRow], sides: Iterable[Side], scores: Iterable[str]) -> None:
    """A table that Excel opens by a double click: UTF-8 with its mark, and no cell that it would calculate.

    Raises OSError.
    """
    sides, scores = list(sides), list(scores)
    texts = [name for name in _TEXTS if name not in ("base", "tuned") or name in sides]
    columns = [f"{side} {name}" for name in scores for side in sides]
    compared = len(sides) > 1
    with path.open("w", encoding="utf-8-sig", newline="", errors="replace") as file:
        writer = csv.writer(file)
        head = [
            "row",
            "dataset",
            "number",
            *texts,
            *columns,
            *(["difference"] if compared else []),
            "cut",
            "pictures",
        ]
        writer.writerow(safe_cell(each) for each in head)
        for row in rows:
            said = {
                "system": row.system, "question": row.question, "reference": row.label, "base": row.base, "tuned": row.tuned,
            }  # fmt: skip
            numbers = [row.scores.get(side, {}).get(name) for name in scores for side in sides]
            cells = [
                row.row,
                row.dataset,
                row.number,
                *(said[name] for name in texts),
                *map(_rounded, numbers),
            ]
            cells += [_rounded(row.difference)] if compared else []
            cells += [" ".join(side for side in sides if row.cut.get(side)), "; ".join(_names(row))]
            writer.writerow(safe_cell(each) for each in cells)


def safe_cell(value: object) -> str:
    """A cell as text. A text that a spreadsheet would calculate gets an apostrophe in front, a plain number does not."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return str(value)
    text = value.replace("\0", "\ufffd")
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def write_jsonl(path: Path, rows: Iterable[TableRow]) -> None:
    """One object a line, with the fields of generated_predictions.jsonl among others. Raises OSError.

    Pictures are named without the folders of this machine.
    """
    with path.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
        for line in _lines(rows):
            file.write(line + "\n")


def _lines(rows: Iterable[TableRow]) -> Iterator[str]:
    for row in rows:
        given: dict[str, Any] = {
            "row": row.row, "dataset": row.dataset, "number": row.number, "system": row.system, "question": row.question,
            "turns": row.turns, "pictures": _names(row), "prompt": row.prompt, "label": row.label, "predict": row.tuned if row.answered else None,
            **({} if row.base is None else {"base": row.base}),
            "scores": row.scores, "difference": row.difference, "loss": row.loss, "tokens": row.tokens, "cut": row.cut,
        }  # fmt: skip
        yield json.dumps(given, ensure_ascii=False)


def _names(row: TableRow) -> list[str]:
    return [PurePath(each).name for each in row.media]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
