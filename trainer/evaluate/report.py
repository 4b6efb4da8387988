"""What an evaluation has found: means of every score, base against tuned, losses, and what a person should know."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, cast

import numpy as np

from trainer.evaluate import compare, explain, scores
from trainer.evaluate.compare import Verdict
from trainer.evaluate.lengths import MOST, edges, grouped
from trainer.evaluate.records import Record
from trainer.evaluate.scores import Settled, Tally
from trainer.evaluate.shown import LOSS, SIDES, Bin
from trainer.events import Note
from trainer.model.voices import BASE, TUNED


def answer_of(record: Record, side: str) -> str:
    """What a side said."""
    return str(record["predict" if side == TUNED else "base"])


def scored(records: Sequence[Record]) -> list[Record]:
    """The rows that have a reference and an answer."""
    return [each for each in records if each["label"] is not None and each["predict"] is not None]


def settled(tally: Tally, records: Sequence[Record], sides: Sequence[str]) -> dict[str, Settled]:
    """The scores of each side over all rows that have a reference."""
    rows = scored(records)
    if not rows:
        return {}
    return {
        side: scores.settle(
            tally.kind, [(answer_of(each, side), each["label"]) for each in rows], tally.means(side)
        )
        for side in sides
    }


def mean_loss(records: Sequence[Record], side: str) -> float | None:
    """The mean over all trained tokens of all rows; None where no loss was measured."""
    pairs = [(loss, each["label_tokens"]) for each in records if (loss := each["loss"].get(side)) is not None]
    tokens = sum(count for _, count in pairs)
    return sum(loss * count for loss, count in pairs) / tokens if tokens else None


def perplexity(loss: float | None) -> float | None:
    """e to the loss; None where that is no number to speak of."""
    return None if loss is None or loss > 700 else math.exp(loss)


def lengths_of(records: Sequence[Record], sides: Sequence[str], score: str) -> tuple[Bin, ...]:
    """The means of a score (or of the loss) by the length of the reference, of the rows that have one."""
    held = [each for each in records if each["label"] is not None]
    lengths = np.array([each["label_tokens"] for each in held], dtype=np.int64)
    values = {
        side: np.array([_score(each, side, score) for each in held], dtype=np.float64)
        for side in SIDES
        if side in sides
    }
    return grouped(lengths, values, edges(lengths, MOST))


def _score(record: Record, side: str, score: str) -> float | None:
    found = record["loss"] if score == LOSS else record["scores"].get(side, {})
    return cast("float | None", found.get(side if score == LOSS else score))


def build(
    tally: Tally,
    records: Sequence[Record],
    sides: Sequence[str],
    total: int,
    stopped: bool,
    told: Sequence[Note],
    judged: Verdict | None = None,
) -> tuple[dict[str, Any], list[Note]]:
    """report.json, and the notes in it that were not told before: the verdict and why scores are low.

    `judged` is the verdict of the judge, where one was asked.
    """
    kind, main = tally.kind, str(scores.main(tally.kind))
    found = settled(tally, records, sides)
    means = {side: each.means for side, each in found.items()}
    new: list[Note] = []
    verdict = None
    rows = scored(records)
    if found and BASE in sides:
        pairs = [[float(each["scores"][side][main]) for each in rows] for side in (TUNED, BASE)]
        said = compare.verdict(main, pairs[0], pairs[1])
        verdict = asdict(said)
        new.append(compare.sentence(said))
    if judged is not None:
        new.append(compare.sentence(judged, "judged"))
    if found:
        new += explain.notes(rows, kind, means)
    loss = {side: mean_loss(records, side) for side in sides}
    if not found and any(each is not None for each in loss.values()):
        # Nobody has answered.
        main = LOSS
    report = {
        "kind": kind, "rows": len(records), "of": total, "stopped": stopped, "main": main, "sides": means,
        "loss": loss, "perplexity": {side: perplexity(each) for side, each in loss.items()}, "verdict": verdict,
        "judge": asdict(judged) if judged else None, "table": _table(found),
        "lengths": [each._asdict() for each in lengths_of(records, sides, main)], "notes": [_plain(note) for note in (*told, *new)],
    }  # fmt: skip
    return report, new


def _table(found: Mapping[str, Settled]) -> Any:
    return found[TUNED].table if TUNED in found else None


def _plain(note: Note) -> dict[str, Any]:
    return {"code": note.code, "values": note.values}
