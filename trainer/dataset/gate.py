"""Reasons to hold a run back before it starts: what would come of it, and how it is mended."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.dataset.conversation import RowProblem
from trainer.dataset.statistics import Totals
from trainer.errors import Values, tell

MOST_DROPPED = 0.2


@dataclass(frozen=True)
class Hold:
    """One reason. `field`: the option that mends it. `insist`: the person may start all the same; False where that is
    of no use, because training would refuse, too.

    `example` is a row that shows the reason, with a sentence of its own.
    """

    code: str
    values: Values
    field: str = ""
    insist: bool = True
    example: RowProblem | None = None

    @property
    def text(self) -> str:
        """The English sentence."""
        return tell(self.code, self.values).text

    @property
    def hint(self) -> str:
        """What to do, in English."""
        return tell(self.code, self.values).hint


def holds(totals: Totals) -> tuple[Hold, ...]:
    """What speaks against starting a run with these rows, the gravest reason first; empty when nothing does.

    That is: no token would be trained, the end-of-turn token never is, or more than a fifth of the rows is dropped.
    Counts over the first rows (`sampled`) are judged as they are.
    """
    if not totals.trained:
        return (_nothing(totals),)
    found: list[Hold] = []
    if not totals.whole:
        values = {"rows": totals.rows, **_lengths(totals)}
        found.append(Hold("hold_end_cutoff", values, "cutoff_len", insist=totals.sampled))
    elif totals.endless == totals.rows:
        name = totals.ending_template
        code = "hold_end_template" if name else "hold_end_nowhere"
        found.append(Hold(code, {"name": name} if name else {}, "template"))
    if totals.dropped_share > MOST_DROPPED:
        found.append(_dropped(totals))
    return tuple(found)


def _nothing(totals: Totals) -> Hold:
    kind, code = _chief(totals)
    values: Values = {"read": totals.read, **_names(totals)}
    if kind == "cutoff":
        values |= _lengths(totals)
    return Hold(
        f"hold_nothing_{kind}", values, _FIELDS[kind], insist=totals.sampled, example=_example(totals, code)
    )


def _dropped(totals: Totals) -> Hold:
    kind, code = _chief(totals)
    kind = kind if kind in ("cutoff", "template", "pictures") else "rows"
    values: Values = {"dropped": totals.dropped, "read": totals.read, **_names(totals)}
    values["percent"] = percent(totals.dropped_share)
    if kind == "cutoff":
        values |= _lengths(totals)
    return Hold(f"hold_dropped_{kind}", values, _FIELDS[kind], example=_example(totals, code))


_FIELDS = {
    "cutoff": "cutoff_len",
    "template": "template",
    "masked": "dataset",
    "pictures": "dataset",
    "read": "dataset",
    "rows": "dataset",
}
_PICTURES = (
    "row_image_",
    "row_video_",
    "row_no_eyes",
    "row_no_video",
    "row_media_missing",
    "row_media_refused",
)
_KINDS = {
    "row_cut": "cutoff",
    "row_media_long": "cutoff",
    "row_media_pixels": "cutoff",
    "row_untrained": "masked",
    "row_template_refuses": "template",
    "row_answers_unclear": "template",
    "row_tools_dropped": "template",
    "row_calls_dropped": "template",
    "row_results_dropped": "template",
    "row_text_dropped": "template",
}


def _chief(totals: Totals) -> tuple[str, str]:
    """What most rows are dropped for: the kind of the reason, and the code of its rows."""
    code = max(totals.reasons, key=lambda each: totals.reasons[each], default="")
    return _KINDS.get(code, "pictures" if code.startswith(_PICTURES) else "read"), code


def _example(totals: Totals, code: str) -> RowProblem | None:
    return next((each for each in totals.problems if each.code == code), None)


def _names(totals: Totals) -> Values:
    names = [name for name in totals.datasets if name]
    return {"datasets": ", ".join(names) or "-", "first": names[0] if names else "-"}


def _lengths(totals: Totals) -> Values:
    """The cutoff, and the lengths of the rows that it spoils."""
    lengths = [totals.shortest_dropped, totals.longest_dropped]
    if not totals.whole:
        lengths += [totals.shortest, totals.longest]
    known = [length for length in lengths if length]
    return {"cutoff": totals.cutoff, "shortest": min(known, default=0), "longest": max(known, default=0)}


def percent(share: float) -> int | float:
    """A share for a sentence: whole per cents from one on, else one digit behind the point."""
    return round(share * 100) if share >= 0.01 or not share else max(0.1, round(share * 100, 1))
