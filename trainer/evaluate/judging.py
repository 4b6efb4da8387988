"""The judge over the rows of one evaluation: which of them it sees, what it found, and what kept it from more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trainer.dataset.conversation import Conversation, Row
from trainer.errors import UserError
from trainer.evaluate.compare import Verdict, verdict
from trainer.evaluate.judge import Case, Choice, Judge, Judged, Post, judge
from trainer.evaluate.records import Record
from trainer.events import Note

# Every row is two questions, and whoever runs the service may pay for each.
MOST = 200
# A stop is seen between so many rows.
_AT_ONCE = 4


@dataclass(frozen=True)
class Judging:
    """What the judge has found. Without a `verdict` no row was judged; `stopped`: a person wished no more of it."""

    verdict: Verdict | None = None
    notes: tuple[Note, ...] = ()
    stopped: bool = False


def judged(
    records: Sequence[Record],
    rows: Sequence[Row],
    by: Judge,
    stop: Callable[[], bool],
    post: Post | None = None,
) -> Judging:
    """Has the rows with two answers judged, at most MOST of them, until `stop` says so or the judge fails.

    `rows` are all rows of the evaluation, to which the records' `row` leads. Never raises UserError: it is a note.
    """
    pairs = [each for each in records if each["predict"] is not None and each.get("base") is not None]
    seen = [each for each in pairs if not each["media"]]
    asked = _spread(seen)
    notes = [] if pairs else [_note("judge_no_pairs")]
    if len(seen) < len(pairs):
        notes.append(_note("judge_blind", count=len(pairs) - len(seen), rows=len(pairs)))
    if len(asked) < len(seen):
        notes.append(_note("judge_cut", count=len(asked), rows=len(seen)))
    found, stopped, failure = _ask([_case(each, rows[each["row"]]) for each in asked], by, stop, post)
    done = len(found.choices)
    if failure is not None:
        notes.append(Note(code=failure.code, values=failure.values, level="warning"))
    if stopped:
        notes.append(_note("judge_stopped", done=done, total=len(asked)))
    if unclear := found.choices.count(None):
        notes.append(_note("judge_unclear", count=unclear, rows=done))
    if found.swayed:
        notes.append(_note("judge_swayed", count=found.swayed, rows=done))
    return Judging(verdict("judge", *found.scores) if done else None, tuple(notes), stopped)


def _ask(
    cases: Sequence[Case], by: Judge, stop: Callable[[], bool], post: Post | None
) -> tuple[Judged, bool, UserError | None]:
    """What was judged, whether a person stopped it, and what has failed."""
    choices: list[Choice | None] = []
    swayed = 0
    for first in range(0, len(cases), _AT_ONCE):
        if stop():
            return Judged(tuple(choices), swayed), True, None
        try:
            part = judge(cases[first : first + _AT_ONCE], by, post)
        except UserError as error:
            return Judged(tuple(choices), swayed), False, error
        choices += part.choices
        swayed += part.swayed
    return Judged(tuple(choices), swayed), False, None


def _spread(records: Sequence[Record]) -> list[Record]:
    """At most MOST rows, evenly over all datasets."""
    count = min(MOST, len(records))
    return [records[place * len(records) // count] for place in range(count)]


def _case(record: Record, row: Row) -> Case:
    return Case(_question(row.conversation), record["predict"], record["base"], record["label"])


def _question(conversation: Conversation) -> str:
    """All that was said before the answer; a lone question stands for itself."""
    system = [("system", conversation.system)] if conversation.system else []
    said = [*system, *((each.role, each.text) for each in conversation.messages[:-1])]
    return said[0][1] if len(said) == 1 else "\n\n".join(f"{role}: {text}" for role, text in said)


def _note(code: str, **values: int) -> Note:
    return Note(code=code, values=dict(values), level="warning")
