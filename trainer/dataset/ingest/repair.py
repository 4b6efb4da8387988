"""What can be mended in a row without asking back: small pure functions, applied only to rows that are none as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trainer.dataset.conversation import Row, RowProblem
from trainer.dataset.ingest import mends
from trainer.dataset.ingest.mends import Field, RawRow
from trainer.dataset.ingest.reason import Reason
from trainer.errors import UserError

Read = Callable[[RawRow], Row | RowProblem]
_ORDER = ("row_order", "row_no_answer", "row_no_messages")


@dataclass(frozen=True)
class Repair:
    """A repair by its name; `codes` are the sentences of rows that it may mend."""

    name: str
    apply: Callable[[RawRow, Field], RawRow]
    codes: frozenset[str]

    @property
    def label(self) -> Reason:
        """What it does, as a sentence."""
        return Reason(f"repair_{self.name}")


@dataclass(frozen=True)
class Mended:
    """A row after its repairs: still a problem, or usable; `repairs` are those that changed it."""

    raw: RawRow
    read: Row | RowProblem
    repairs: tuple[str, ...] = ()


# In the order in which they are applied: what a value is, before what a turn is, before how the turns stand.
_TABLE: tuple[tuple[str, Callable[[RawRow, Field], RawRow], tuple[str, ...]], ...] = (
    ("surrogates", mends.strip_surrogates, ("row_half_character",)),
    ("flags", mends.read_flags, ("row_type",)),
    ("lists", mends.join_lists, ("row_type",)),
    ("numbers", mends.write_numbers, ("row_type",)),
    ("role_words", mends.unify_speakers, ("row_role", *_ORDER)),
    ("empty_turns", mends.drop_empty, ("row_empty_answer", *_ORDER)),
    ("fold_system", mends.fold_system, ("row_role", *_ORDER)),
    ("leading_answer", mends.drop_leading_answer, _ORDER),
    ("merge_turns", mends.merge_turns, _ORDER),
    ("trailing_question", mends.drop_trailing_question, _ORDER),
    ("image_marks", mends.settle_marks, ("row_media_count",)),
)
REPAIRS: dict[str, Repair] = {name: Repair(name, apply, frozenset(codes)) for name, apply, codes in _TABLE}

# Those that lose nothing of a row: proposed without being asked for.
HARMLESS = ("flags", "lists", "numbers", "role_words", "image_marks")


def repairs_for(code: str) -> tuple[str, ...]:
    """The names of the repairs that may mend a row with this sentence."""
    return tuple(name for name, repair in REPAIRS.items() if code in repair.codes)


def require_repairs(names: Sequence[str]) -> tuple[str, ...]:
    """The repairs in their order; `all` means every one. Raises UserError for an unknown name."""
    for name in names:
        if name != "all" and name not in REPAIRS:
            raise UserError("repair_unknown", name=name[:80], names=", ".join(REPAIRS))
    return tuple(name for name in REPAIRS if name in names or "all" in names)


def mend(raw: RawRow, read: Row | RowProblem, names: Sequence[str], field: Field, reader: Read) -> Mended:
    """The row mended by as few of the repairs as it takes; a good row stays the object that it is.

    Of several that would do alone the first of `names` does it; together they work in the order of `REPAIRS`.

    A row that no repair makes usable is given back unchanged, with its first problem.
    """
    if isinstance(read, Row) or not names:
        return Mended(raw, read)
    for name in names:
        changed = REPAIRS[name].apply(raw, field)
        if changed is not raw and isinstance(found := reader(changed), Row):
            return Mended(changed, found, (name,))
    current = raw
    used: list[str] = []
    for name in require_repairs(names):
        changed = REPAIRS[name].apply(current, field)
        if changed is current:
            continue
        current, used = changed, [*used, name]
        if isinstance(found := reader(current), Row):
            return Mended(current, found, tuple(used))
    return Mended(raw, read)
