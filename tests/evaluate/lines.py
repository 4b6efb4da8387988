"""Rows of an evaluation as it writes them, for the tests of what is shown of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def line(
    row: int, score: float | None = 50.0, other: float | None = 40.0, compared: bool = True, **values: Any
) -> dict[str, Any]:
    """One object of rows.jsonl with the scores of tuned and base; unless `compared` the base was not asked."""
    made: dict[str, Any] = {
        "row": row, "dataset": "demo", "number": row + 1, "system": "", "question": f"question {row}", "turns": 1, "media": [],
        "prompt": f"<|im_start|>question {row}", "label": f"label {row}", "predict": f"tuned {row}",
        "base": f"base {row}" if compared else None,
        "ending": {"tuned": "end", "base": "end"}, "tokens": {"tuned": 3, "base": 3}, "loss": {"tuned": 1.0, "base": 2.0},
        "label_tokens": 10 + row, "scores": {"tuned": {"rouge-l": score, "bleu-4": 1.0}},
    }  # fmt: skip
    if compared:
        made["scores"]["base"] = {"rouge-l": other, "bleu-4": 1.0}
    return made | values


def write(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    """Appends the rows to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(each, ensure_ascii=False) + "\n" for each in rows)
    return path
