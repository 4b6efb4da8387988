"""python -m trainer score: predictions that were made elsewhere, scored as an evaluation scores its own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from trainer.data_words import Meter
from trainer.dataset.conversation import RowProblem
from trainer.dataset.files import Broken, read_items
from trainer.dataset.files.source import shown
from trainer.dataset.report import visible
from trainer.errors import UserError, Values, tell
from trainer.evaluate import compare, explain, scores
from trainer.evaluate.scores import Kind, Settled
from trainer.events import Note

DONE, DEFECTIVE = 0, 1
USAGE = "python -m trainer score FILE.jsonl [--kind text|labels|json] [--json]"
MOST_LISTED = 20
# A label is cut so that the table fits a terminal.
_WIDE, _LABELS_ACROSS = 24, 10


@dataclass(frozen=True)
class Asked:
    """What was typed."""

    file: Path
    kind: Kind | None
    json: bool


@dataclass
class Rows:
    """What a file holds: rows with `predict`, `label`, `base` (None where missing), and the rows that are defective."""

    found: list[dict[str, str | None]] = field(default_factory=list)
    problems: list[RowProblem] = field(default_factory=list)

    @property
    def total(self) -> int:
        return len(self.found) + len(self.problems)

    def pairs(self, side: str) -> list[tuple[str, str]]:
        """Answer and reference of every row that has both."""
        both = ((row[side], row["label"]) for row in self.found)
        return [(answer, label) for answer, label in both if answer is not None and label is not None]


@dataclass(frozen=True)
class Scored:
    """Scores of a file. `base` and `verdict` are None where there is only one side."""

    kind: Kind
    rows: int
    tuned: Settled
    base: Settled | None
    verdict: compare.Verdict | None
    notes: list[Note]


def run_score(words: Sequence[str]) -> int:
    """Scores a file and returns the exit status: 1 when a row is defective or none can be scored.

    Raises UserError for wrong arguments and for a file that cannot be read.
    """
    asked = read_words(words)
    rows = read_rows(asked.file)
    if not rows.pairs("predict"):
        return _nothing(asked, rows)
    scored = score_rows(rows, asked.kind)
    if asked.json:
        _print_json(to_json(asked.file, rows, scored))
    else:
        _print_lines(lines(rows, scored))
    return DEFECTIVE if rows.problems else DONE


def read_words(words: Sequence[str]) -> Asked:
    """Raises UserError for a flag that is not known, and without exactly one file."""
    files: list[str] = []
    kind, as_json, rest = "", False, list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if word == "--json":
            as_json = True
        elif name == "--kind":
            kind = value if equals else rest.pop(0) if rest else "nothing"
        elif word.startswith("--"):
            raise UserError("score_what", word=word[:80], usage=USAGE)
        else:
            files.append(word)
    if len(files) != 1 or not files[0]:
        raise UserError("score_what", word=" ".join(files)[:80] or "nothing", usage=USAGE)
    known = next((each for each in scores.KINDS if each == kind), None)
    if kind and known is None:
        raise UserError("score_kind", word=kind[:80], allowed=", ".join(scores.KINDS))
    return Asked(Path(files[0]).expanduser(), known, as_json)


def read_rows(path: Path) -> Rows:
    """Every row of a file (JSON lines, a JSON list, or a table). Raises UserError when it is not there or no such file."""
    rows, meter = Rows(), Meter()

    def tell_progress(done: int, total: int) -> None:
        meter.tell(rows.total, done, total)

    for item in read_items(path, tell=tell_progress, field="file"):
        taken = _taken(item.value)
        if isinstance(taken, Broken):
            rows.problems.append(RowProblem(path.name, item.number, taken.code, taken.values, item.file))
        else:
            rows.found.append(taken)
    meter.close()
    return rows


def _taken(value: Any) -> dict[str, str | None] | Broken:
    if isinstance(value, Broken):
        return value
    if not isinstance(value, Mapping):
        return Broken("score_row_object", {})
    row = {name: _text(value.get(name)) for name in ("predict", "label", "base")}
    return Broken("score_row_predict", {}) if row["predict"] is None else row


def _text(value: Any) -> str | None:
    """Answers that are JSON may come as JSON."""
    return (
        value
        if isinstance(value, str) or value is None
        else json.dumps(value, ensure_ascii=False, default=str)
    )


def score_rows(rows: Rows, kind: Kind | None = None) -> Scored:
    """Scores of both sides and the verdict, over the rows that have a label; `kind` is recognised when it is None."""
    chosen = kind or scores.recognise([label for _, label in rows.pairs("predict")])
    tally, name = scores.Tally(chosen), scores.main(chosen)
    both: dict[str, list[float]] = {"predict": [], "base": []}
    meter, labelled = Meter(), [row for row in rows.found if row["label"] is not None]
    for number, row in enumerate(labelled, start=1):
        found = {
            side: scores.score(chosen, row[side] or "", row["label"] or "")
            for side in both
            if row[side] is not None
        }
        for side, each in found.items():
            tally.add(side, each)
            if len(found) == len(both):
                both[side].append(each[name])
        meter.tell(number, number, len(labelled))
    meter.close()
    settled = {side: scores.settle(chosen, rows.pairs(side), tally.means(side)) for side in both}
    two = any(row["base"] is not None for row in rows.found)
    verdict = compare.verdict(name, both["predict"], both["base"]) if two else None
    means = {"tuned": settled["predict"].means, "base": settled["base"].means}
    told = [compare.sentence(verdict)] if verdict else []
    if verdict and verdict.rows < len(labelled):
        told.append(
            Note(
                code="score_rows_one_sided",
                values={"count": len(labelled) - verdict.rows, "rows": len(labelled)},
            )
        )
    told += explain.notes(rows.found, chosen, means)
    base = settled["base"] if two else None
    return Scored(chosen, len(labelled), settled["predict"], base, verdict, told)


def _nothing(asked: Asked, rows: Rows) -> int:
    values: Values = {
        "file": shown(asked.file),
        "broken": len(rows.problems),
        "unlabelled": len(rows.found),
    }
    said = tell("score_no_rows", values)
    if asked.json:
        broken = {"code": "score_no_rows", "values": values, "text": said.text, "hint": said.hint}
        _print_json({"file": str(asked.file), "ok": False, "broken": broken, "problems": _problems(rows)})
    else:
        _print_lines([*_problem_lines(rows), said.text, f"hint: {said.hint}"])
    return DEFECTIVE


def to_json(file: Path, rows: Rows, scored: Scored) -> dict[str, Any]:
    """One object: `scores` are those of predict, `base_scores` those of base (None without), each by name, 0..100."""
    return {
        "file": str(file),
        "ok": not rows.problems,
        "kind": scored.kind,
        "main": scores.main(scored.kind),
        "rows": scored.rows,
        "of": rows.total,
        "scores": scored.tuned.means,
        "base_scores": scored.base.means if scored.base else None,
        "verdict": asdict(scored.verdict) if scored.verdict else None,
        "table": scored.tuned.table,
        "base_table": scored.base.table if scored.base else None,
        "notes": [{"code": note.code, "values": note.values, "text": note.text} for note in scored.notes],
        "problems": _problems(rows),
    }


def _problems(rows: Rows) -> list[dict[str, Any]]:
    return [{"row": each.number, "code": each.code, "text": each.text} for each in rows.problems]


def lines(rows: Rows, scored: Scored) -> list[str]:
    """The scores as a table, the table of labels or fields, and what is to be said."""
    told = _problem_lines(rows)
    told += [f"{scored.rows} rows, scores for {scored.kind}", ""]
    told += _score_lines(scored)
    if scored.tuned.table:
        told += ["", *table_lines(scored.tuned.table)]
    if scored.notes:
        told += ["", *(note.text for note in scored.notes)]
    return told


def _score_lines(scored: Scored) -> Iterator[str]:
    ours, theirs = scored.tuned.means, scored.base.means if scored.base else None
    width = max(map(len, ours))
    if theirs is not None:
        yield f"{'':<{width}}  {'base':>8}  {'tuned':>8}  {'difference':>10}"
    for name, value in ours.items():
        if theirs is None:
            yield f"{name:<{width}}  {value:8.2f}"
        elif name in theirs:
            change = round(value - theirs[name], 2) + 0.0
            yield f"{name:<{width}}  {theirs[name]:8.2f}  {value:8.2f}  {change:+10.2f}"
        else:
            yield f"{name:<{width}}  {'':>8}  {value:8.2f}"


def table_lines(table: Mapping[str, Any]) -> list[str]:
    """A table of labels (as `Settled.table`) with its confusion, where it is not too wide, or a table of fields."""
    rows = table["each"] if table["type"] == "confusion" else table["fields"]
    name = "label" if table["type"] == "confusion" else "field"
    named = [_short(row[name]) for row in rows]
    width = max([len(name), *map(len, named)])
    told = [f"{name:<{width}}  {'rows':>6}  {'precision':>9}  {'recall':>7}  {'F1':>7}"]
    for each, row in zip(named, rows, strict=True):
        told.append(
            f"{each:<{width}}  {row['rows']:>6}  {row['precision']:9.2f}  {row['recall']:7.2f}  {row['f1']:7.2f}"
        )
    if table["left_out"]:
        told.append(f"… {table['left_out']} more")
    if name == "label" and len(named) <= _LABELS_ACROSS:
        told += ["", *_confusion(named, table["rows"])]
    return told


def _confusion(named: Sequence[str], rows: Sequence[Sequence[int]]) -> Iterator[str]:
    across = [*named, "other"]
    width, wide = max(map(len, ["reference", *named])), [max(6, len(each)) for each in across]
    yield f"{'reference':<{width}}  " + "  ".join(
        f"{each:>{room}}" for each, room in zip(across, wide, strict=True)
    )
    for label, row in zip(named, rows, strict=True):
        cells = "  ".join(f"{count:>{room}}" for count, room in zip(row, wide, strict=True))
        yield f"{label:<{width}}  {cells}"


def _short(text: str) -> str:
    line = " ".join(text.split()) or "(empty)"
    return line if len(line) <= _WIDE else f"{line[: _WIDE - 1]}…"


def _problem_lines(rows: Rows) -> list[str]:
    if not rows.problems:
        return []
    told = [each.text for each in rows.problems[:MOST_LISTED]]
    if len(rows.problems) > MOST_LISTED:
        told.append(f"… {len(rows.problems) - MOST_LISTED} more")
    return [*told, tell("score_rows_broken", {"count": len(rows.problems), "rows": rows.total}).text, ""]


def _print_lines(told: Sequence[str]) -> None:
    """Half a character in a text cannot be printed: it becomes a question mark."""
    print("\n".join(visible(line) for line in told).encode(errors="replace").decode())


def _print_json(found: Any) -> None:
    """One object. Half a character in a text cannot be printed as it is, so everything beyond ASCII may be spelt."""
    text = json.dumps(found, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = json.dumps(found)
    print(text)
