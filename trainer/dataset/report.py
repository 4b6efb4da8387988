"""What doctor and checkup found, as sentences, as lines for a terminal, and as plain JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from trainer.dataset.checkup import DROP, Checkup
from trainer.dataset.conversation import RowProblem
from trainer.dataset.duplicates import Twins
from trainer.dataset.gate import Hold, percent
from trainer.dataset.statistics import Totals
from trainer.dataset.views import Page, Piece, RowView
from trainer.errors import UserError, Values, tell

MOST_LISTED = 100
BAR = 40
# Around what is trained, where a terminal has no colours.
OPENING, CLOSING = "⟦", "⟧"
GREEN, PLAIN = "\x1b[42;30m", "\x1b[0m"


@dataclass(frozen=True)
class Fact:
    """A sentence by its code and values. `warns`: something that the person may want to mend."""

    code: str
    values: Values
    warns: bool = False

    @property
    def text(self) -> str:
        """The English sentence with what to do about it."""
        said = tell(self.code, self.values)
        return f"{said.text} {said.hint}".strip()


def facts(found: Totals | Checkup) -> tuple[Fact, ...]:
    """What is to be told, in the order to tell it; counts of zero are left out."""
    return tuple(_of_totals(found) if isinstance(found, Totals) else _of_checkup(found))


def _of_totals(totals: Totals) -> Iterator[Fact]:
    if totals.sampled:
        yield Fact("seen_sampled", {"rows": totals.read})
    held = {"evaluation": totals.evaluation} if totals.evaluation else {}
    yield Fact("seen_rows_held" if held else "seen_rows", {"rows": totals.rows, **held})
    values: Values = {"tokens": totals.tokens, "trained": totals.trained, "longest": totals.longest}
    yield Fact("seen_tokens", values)
    if totals.stage == "pt" and totals.places:
        code = "seen_joined" if totals.packing else "seen_split"
        yield Fact(code, {"texts": totals.rows, "rows": totals.places, "cutoff": totals.cutoff})
    if totals.steps:
        yield Fact("seen_steps", totals.steps._asdict())
    if totals.answers_cut or totals.dropped:
        values = {
            "percent": percent(totals.answers_cut_share),
            "dropped": totals.dropped,
            "read": totals.read,
        }
        yield Fact("seen_lost", values, warns=True)
    else:
        yield Fact("seen_nothing_lost", {})
    if totals.padding_saved >= 0.001:
        yield Fact("seen_padding", {"percent": percent(totals.padding_saved), "batch": totals.batch})
    if totals.pictures:
        yield Fact("seen_pictures", {"count": totals.pictures})
    yield from _repeated(totals)
    yield from _of_words(totals)
    if totals.folded:
        yield Fact("seen_folded", {"count": totals.folded})
    if totals.forgotten:
        yield Fact("seen_forgotten", {"count": totals.forgotten}, warns=True)
    if totals.endless:
        yield Fact("seen_endless", {"count": totals.endless}, warns=True)


def _repeated(totals: Totals) -> Iterator[Fact]:
    yield from _twins(totals.duplicates)
    if totals.near_duplicates and totals.near_duplicates.rows:
        near = totals.near_duplicates
        place = near.first[0].row
        values: Values = {"count": near.rows, "looked": near.looked_at}
        yield Fact("seen_near", {**values, "number": place.number, "dataset": place.dataset}, warns=True)
    if totals.overlap and totals.overlap.rows:
        place = totals.overlap.first[0].row
        values = {"count": totals.overlap.rows, "evaluation": totals.evaluation}
        yield Fact("seen_overlap", {**values, "number": place.number, "dataset": place.dataset}, warns=True)


def _twins(twins: Twins | None) -> Iterator[Fact]:
    if twins and twins.rows:
        place = twins.first[0].row
        values: Values = {"count": twins.rows, "number": place.number, "dataset": place.dataset}
        yield Fact("seen_duplicates", values, warns=True)


def _of_words(found: Totals | Checkup) -> Iterator[Fact]:
    if found.short:
        yield Fact("seen_short", {"count": found.short})
    if letters := sum(found.scripts.values()):
        most = sorted(found.scripts.items(), key=lambda each: -each[1])
        told = ", ".join(f"{name} {percent(count / letters)} %" for name, count in most if count)
        yield Fact("seen_scripts", {"scripts": told})


def _of_checkup(checkup: Checkup) -> Iterator[Fact]:
    values: Values = {"kind": checkup.kind, "size": _size(checkup.bytes)}
    if checkup.encoding:
        yield Fact("checked_file", {**values, "encoding": checkup.encoding})
    elif checkup.kind:
        yield Fact("checked_binary", values)
    if checkup.stopped:
        yield Fact("checked_stopped", {"rows": checkup.rows}, warns=True)
    unusable = checkup.rows - checkup.usable
    if unusable:
        counts: Values = {"rows": checkup.rows, "usable": checkup.usable, "unusable": unusable}
        yield Fact("checked_rows", counts, warns=True)
    elif checkup.rows:
        yield Fact("checked_good", {"rows": checkup.rows})
    if mendable := sum(defect.rows for defect in checkup.defects if defect.helps != (DROP,)):
        yield Fact("checked_help", {"rows": mendable})
    if checkup.broken:
        yield Fact(checkup.broken.code, checkup.broken.values, warns=True)
    if checkup.pictures:
        yield Fact("checked_pictures", {"count": checkup.pictures})
    yield from _twins(checkup.duplicates)
    yield from _of_words(checkup)


def _size(count: int) -> str:
    """Bytes as a person reads them."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count} {unit}"
        count = round(count / 1000)
    return f"{count} GB"


def lines(found: Totals | Checkup | Page, *, colour: bool = False, most: int = MOST_LISTED) -> list[str]:
    """What a terminal shows. At most `most` problems are listed one by one; `colour` marks trained text by ANSI codes."""
    if isinstance(found, Page):
        return [line for row in found.rows for line in _row(row, colour)]
    told = [visible(each.text) for each in facts(found)]
    if isinstance(found, Totals) and found.histogram.bins:
        told += _bars(found)
    told += [f"  {visible(problem.text)}" for problem in found.problems[:most]]
    count = found.dropped if isinstance(found, Totals) else found.rows - found.usable
    if count > len(found.problems[:most]):
        told.append(f"  … {count - len(found.problems[:most])} more")
    return told + hints(found.problems[:most])


def hints(problems: Sequence[RowProblem]) -> list[str]:
    """What helps against these, each said once, one a line."""
    return [f"hint: {visible(hint)}" for hint in dict.fromkeys(each.hint for each in problems) if hint]


def _bars(totals: Totals) -> list[str]:
    """The histogram of lengths, one bin a line."""
    bins, cutoff = totals.histogram.bins, totals.histogram.cutoff_bin
    highest = max(each.rows for each in bins)
    width = len(str(bins[-1].end))
    return [
        f"  {each.start:>{width}} {'█' * -(-BAR * each.rows // highest)} {each.rows}"
        + (f"  < cutoff_len {totals.cutoff}" if place == cutoff else "")
        for place, each in enumerate(bins)
    ]


def _row(row: RowView, colour: bool) -> list[str]:
    if row.problem is not None:
        return [visible(row.problem.text), ""]
    place = f"{row.dataset} ({row.file})" if row.file else row.dataset
    cut = f" of {row.length}" if row.cut else ""
    head = f"{place}, row {row.number}: {len(row.input_ids)}{cut} tokens, {row.trained} trained"
    text = "".join(_marked(piece, row, colour) for piece in row.pieces).replace(CLOSING + OPENING, "")
    return [visible(head), *text.splitlines(), ""]


def _marked(piece: Piece, row: RowView, colour: bool) -> str:
    text = visible(piece.text)
    if piece.picture is not None and piece.picture < len(row.pictures):
        picture = row.pictures[piece.picture]
        return f"[{visible(picture.name)}: {picture.tokens} tokens]"
    if not piece.trained:
        return text
    return f"{GREEN}{text}{PLAIN}" if colour else f"{OPENING}{text}{CLOSING}"


def visible(text: str) -> str:
    """The text with control characters as their pictures: a row of a stranger's never commands a terminal."""
    return "".join(_CONTROLS.get(sign, sign) for sign in text)


_CONTROLS = {chr(code): chr(0x2400 + code) for code in range(32) if chr(code) not in "\n\t"}
_CONTROLS |= {chr(code): "�" for code in (*range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))}


def to_json(found: Any) -> Any:
    """Totals, Checkup, Hold, Page … as objects, lists, texts and numbers; problems and reasons bring their sentences."""
    if isinstance(found, UserError):
        return {"code": found.code, "values": found.values, "text": found.text, "hint": found.hint}
    if isinstance(found, RowProblem):
        return {**_fields(found), "text": found.text, "hint": found.hint}
    if isinstance(found, (Hold, Fact)):
        return {**_fields(found), "text": found.text}
    if isinstance(found, (Totals, Checkup)):
        return {**_fields(found), "facts": [to_json(each) for each in facts(found)]}
    if is_dataclass(found) and not isinstance(found, type):
        return _fields(found)
    if isinstance(found, tuple) and hasattr(found, "_asdict"):
        return {name: to_json(value) for name, value in found._asdict().items()}
    if isinstance(found, Mapping):
        return {str(name): to_json(value) for name, value in found.items()}
    if isinstance(found, (list, tuple)):
        return [to_json(each) for each in found]
    if isinstance(found, bytes):
        return len(found)
    return found


def _fields(found: Any) -> dict[str, Any]:
    return {each.name: to_json(getattr(found, each.name)) for each in fields(found)}
