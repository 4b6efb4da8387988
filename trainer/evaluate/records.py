"""The files of an evaluation: rows as they are done, predictions and numbers as LLaMA-Factory writes them, a report."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from trainer.paths import RunFolder, write_atomic, write_atomic_lines

PREDICTIONS = "generated_predictions.jsonl"
Record = dict[str, Any]


class RowLog:
    """rows.jsonl: one JSON object a line, appended as rows are done. It outlives whatever kills the process."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, record: Record) -> None:
        """Writes one line in a single call. Raises OSError when the disk is full."""
        # Half a surrogate pair, which a JSON file can hold, is no text that a file can.
        line = json.dumps(record, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        with self._path.open("ab") as file:
            file.write(line)

    def read(self) -> Iterator[Record]:
        """The rows that were written whole, in the order in which they were done."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            for line in file:
                record = _parsed(line)
                if record is not None:
                    yield record

    def keep(self, places: set[int]) -> None:
        """Leaves only these rows, each once, and no half line at the end."""
        if not self._path.exists():
            return
        kept = self._path.with_name(f".{self._path.name}.kept")
        written: set[int] = set()
        with self._path.open("rb") as file, kept.open("wb") as target:
            for line in file:
                record = _parsed(line)
                if record is not None and record["row"] in places - written:
                    written.add(record["row"])
                    target.write(line)
        kept.replace(self._path)


def _parsed(line: bytes) -> Record | None:
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("row"), int) else None


def joined(tuned: Record, base: Record) -> Record:
    """One row out of the two that the sides have written each for itself; both files call the answer `predict`."""
    both = {name: {**tuned[name], **base[name]} for name in ("ending", "tokens", "loss", "scores")}
    return {**tuned, **both, "base": base["predict"]}


def in_order(log: RowLog) -> list[Record]:
    """All rows in the order of the datasets."""
    return sorted(log.read(), key=lambda record: int(record["row"]))


def write_predictions(folder: RunFolder, records: Iterable[Record], compares: bool) -> None:
    """generated_predictions.jsonl, in the order of `records`."""
    names = ("prompt", "predict", "label", *(["base"] if compares else []))
    said = ({name: record[name] for name in names} for record in records)
    lines = (json.dumps(each, ensure_ascii=False) + "\n" for each in said)
    write_atomic_lines(folder.path / PREDICTIONS, lines)


def write_results(folder: RunFolder, parts: Mapping[str, Mapping[str, float | None]]) -> None:
    """`<part>_results.json` for each part, and all of them together in all_results.json."""
    whole: dict[str, float | None] = _earlier(folder.path / "all_results.json")
    for name, numbers in parts.items():
        _write(folder.path / f"{name}_results.json", numbers)
        whole |= numbers
    _write(folder.path / "all_results.json", whole)


def _earlier(path: Path) -> dict[str, float | None]:
    """What a training in the same folder has left."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, numbers: Mapping[str, Any]) -> None:
    write_atomic(path, json.dumps(numbers, indent=4, sort_keys=True, ensure_ascii=False) + "\n")


def write_report(folder: RunFolder, report: Mapping[str, Any]) -> None:
    """report.json."""
    write_atomic(folder.report, json.dumps(report, indent=2, ensure_ascii=False) + "\n")


def speed(prefix: str, seconds: float, rows: int, steps: int) -> dict[str, float]:
    """Runtime in seconds, rows and batches per second, under transformers' names."""
    spent = max(seconds, 1e-9)
    return {
        f"{prefix}_runtime": round(seconds, 4),
        f"{prefix}_samples_per_second": round(rows / spent, 3),
        f"{prefix}_steps_per_second": round(steps / spent, 3),
    }
