"""All rows of an evaluation as HTML: filters with their counts, a page of rows with differences marked, the pager. Pure."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from trainer.errors import UserError
from trainer.jobs.results import LOSS, SIDES, Corrected, Counts, Marks, Piece, TablePage, TableRow, Wish
from webui.evaluate_cards import number, score_name, signed
from webui.i18n import say, say_error
from webui.panel import button
from webui.words import count

ORDERS = ("dataset", "worse", "better")
# What a filter leaves, and the count that stands beside it.
KEPT = ("", "changed", "better", "equal", "worse", "cut", "unlabelled")
_MOST_TEXT = 6000


@dataclass(frozen=True)
class Browse:
    """What one page has asked of the rows: of which run, in which order, what of them, and which row is being corrected.

    `against` is what the answers are marked against. `told` is what a correction has led to.
    """

    run: str = ""
    wish: Wish = Wish()
    number: int = 1
    against: str = "label"
    editing: int | None = None
    draft: tuple[str, str] = ("", "")
    told: Corrected | None = None
    trouble: UserError | None = None
    acts: int = 0


@dataclass(frozen=True)
class Shown:
    """A page of rows with all that it needs: marks and pictures in the order of the rows."""

    page: TablePage
    counts: Counts
    marks: tuple[Marks, ...]
    pictures: tuple[tuple[bytes | None, ...], ...]
    datasets: tuple[str, ...] = ()


def rows_html(browse: Browse, shown: Shown | None, lang: str, score: str = "") -> str:
    """The section below the panel. `score` is the name of the score in the table."""
    if shown is None or not shown.counts.done:
        return f'<section class="tb-table-empty" data-acts="{browse.acts}"><p class="tb-hint">{_say("empty", lang)}</p></section>'
    name = browse.wish.score or shown.counts.main
    inner = (
        _table(browse, shown, name, lang)
        if shown.page.rows
        else f'<p class="tb-hint tb-none-found">{_say("none_found", lang)}</p>'
    )
    return (
        f'<section class="tb-rows" data-acts="{browse.acts}" data-run="{escape(browse.run)}" data-found="{shown.page.found}">'
        f"{_filters(browse, shown, lang)}{_told(browse, lang)}{inner}{_pager(shown.page, lang)}</section>"
    )


def counted_html(browse: Browse, shown: Shown | None, lang: str) -> str:
    """The numbers alone of a section that stands on the page, for rows that are read by somebody while there are more."""
    if shown is None or not shown.page.rows:
        return ""
    return (
        f'<div hidden data-acts="{browse.acts}" data-run="{escape(browse.run)}" data-found="{shown.page.found}">'
        f"{_filters(browse, shown, lang)}{_pager(shown.page, lang)}</div>"
    )


def _say(key: str, lang: str, **values: object) -> str:
    return escape(say(f"evaluate.rows.{key}", lang, **values))


def _chip(act: str, value: str, label: str, chosen: bool, rows: int | None = None, lang: str = "en") -> str:
    counted = "" if rows is None else f" <span>{count(rows, lang)}</span>"
    return (
        f'<button type="button" class="tb-chip" data-act="{act}" data-id="{escape(value)}" '
        f'aria-pressed="{"true" if chosen else "false"}">{escape(label)}{counted}</button>'
    )


def _group(label: str, chips: Sequence[str]) -> str:
    return f'<span class="tb-chips" role="group" aria-label="{escape(label)}">{"".join(chips)}</span>'


def _filters(browse: Browse, shown: Shown, lang: str) -> str:
    wish, counts = browse.wish, shown.counts
    orders = ORDERS if counts.compared else ("dataset", *ORDERS[1:])
    first = [
        _chip("order", each, say(f"evaluate.rows.order.{each}", lang), wish.order == each) for each in orders
    ]
    kept = []
    for each in KEPT:
        if not counts.compared and each in ("changed", "better", "equal", "worse"):
            continue
        rows = counts.done if not each else int(getattr(counts, each))
        if rows or not each or wish.only == each:
            label = say(f"evaluate.rows.only.{each or 'all'}", lang)
            kept.append(_chip("only", each, label, wish.only == each, rows, lang))
    parts = [
        _group(say("evaluate.rows.order.label", lang), first),
        _group(say("evaluate.rows.only.label", lang), kept),
    ]
    if len(counts.datasets) > 1:
        every = [_chip("dataset", "", say("evaluate.rows.every_dataset", lang), not wish.dataset)]
        named = [_chip("dataset", each, each, wish.dataset == each) for each in counts.datasets]
        parts.append(_group(say("evaluate.rows.datasets", lang), [*every, *named]))
    if counts.compared:
        marks = [
            _chip("against", each, say(f"evaluate.rows.against.{each}", lang), browse.against == each)
            for each in ("label", "base")
        ]
        parts.append(_group(say("evaluate.rows.against.title", lang), marks))
    return f'<div class="tb-filters">{"".join(parts)}</div>'


def _told(browse: Browse, lang: str) -> str:
    if browse.told is None:
        return ""
    key = "corrected_new" if browse.told.new else "corrected"
    said = _say(key, lang, dataset=browse.told.dataset, rows=count(browse.told.rows, lang))
    return f'<div class="tb-note" role="status">{said}</div>'


def _table(browse: Browse, shown: Shown, score: str, lang: str) -> str:
    compared = shown.counts.compared
    columns = ["row", "question", "reference", *(["base"] if compared else []), "tuned", "score"]
    heads = "".join(
        f'<th scope="col" class="tb-col-{each}">{_head(each, compared, score, lang)}</th>' for each in columns
    )
    rows = "".join(
        _row(browse, row, marks, pictures, shown, score, lang)
        for row, marks, pictures in zip(shown.page.rows, shown.marks, shown.pictures, strict=True)
    )
    return f'<table class="tb-answers{"" if compared else " tb-alone"}"><thead><tr>{heads}</tr></thead>{rows}</table>'


def _head(column: str, compared: bool, score: str, lang: str) -> str:
    if column in SIDES:
        key = "evaluate.answer" if column == "tuned" and not compared else f"chat.side.{column}"
        return f'<i class="tb-dot"></i>{escape(say(key, lang))}'
    return escape(score_name(score, lang)) if column == "score" else _say(f"column.{column}", lang)


def _row(
    browse: Browse,
    row: TableRow,
    marks: Marks,
    pictures: Sequence[bytes | None],
    shown: Shown,
    score: str,
    lang: str,
) -> str:
    compared = shown.counts.compared
    sides = [("base", marks.base)] if compared else []
    sides.append(("tuned", marks.tuned))
    label = (
        _pieces(marks.label)
        if row.label is not None
        else f'<i class="tb-hint">{_say("no_reference", lang)}</i>'
    )
    cells = [
        _cell(
            "question",
            _say("column.question", lang),
            _system(row, lang) + _images(pictures, lang) + _clip(row.question),
        ),
        _cell("reference", _say("column.reference", lang), label),
        *(
            _cell(side, _head(side, compared, score, lang), _answer(row, side, pieces, lang))
            for side, pieces in sides
        ),
    ]
    open_ = browse.editing == row.row
    whole = _say("whole", lang)
    editor = _editor(browse, row, shown, len(cells) + 2, lang) if open_ else ""
    return (
        f'<tbody class="{"tb-open" if open_ else ""}" data-row="{row.row}"><tr><th scope="row" class="tb-col-row">'
        f'<span title="{escape(row.dataset)}">{count(row.number, lang)}</span>'
        f'<button type="button" class="tb-whole" data-act="whole" data-id="{row.row}" aria-expanded="{"true" if open_ else "false"}" '
        f'aria-label="{whole}" title="{whole}"></button></th>{"".join(cells)}'
        f"{_scores(row, score, lang)}</tr>{editor}</tbody>"
    )


def _cell(kind: str, label: str, inner: str) -> str:
    return f'<td class="tb-col-{kind}"><b class="tb-cell-name">{label}</b><div class="tb-clip" dir="auto">{inner}</div></td>'


def _clip(text: str) -> str:
    return escape(text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]} …")


def _system(row: TableRow, lang: str) -> str:
    facts = []
    if row.system:
        facts.append(f'<span class="tb-system">{_say("system", lang)}: {_clip(row.system)}</span>')
    if row.turns > 1:
        facts.append(f'<span class="tb-system">{_say("turns", lang, turns=row.turns)}</span>')
    return "".join(facts)


def _images(pictures: Sequence[bytes | None], lang: str) -> str:
    gone = f'<span class="tb-gone">{_say("picture_gone", lang)}</span>'
    return "".join(
        f'<img class="tb-row-picture" alt="{_say("picture", lang)}" src="data:image/jpeg;base64,{base64.b64encode(each).decode()}">'
        if each
        else gone
        for each in pictures
    )


def _pieces(pieces: Sequence[Piece]) -> str:
    """A text with what differs set apart; marking it all would say nothing."""
    if not any(each.same and each.text.strip() for each in pieces):
        return _clip("".join(each.text for each in pieces))
    return "".join(
        escape(each.text) if each.same or not each.text.strip() else f"<mark>{escape(each.text)}</mark>"
        for each in pieces
    )


def _answer(row: TableRow, side: str, pieces: Sequence[Piece], lang: str) -> str:
    if not row.answered:
        return '<i class="tb-hint">–</i>'
    text = row.tuned if side == "tuned" else row.base or ""
    said = _pieces(pieces) if text.strip() else f'<i class="tb-hint">{_say("no_answer", lang)}</i>'
    cut = f' <span class="tb-cut">{_say("cut", lang)}</span>' if row.cut.get(side) else ""  # type: ignore[call-overload]
    return said + cut


def _scores(row: TableRow, score: str, lang: str) -> str:
    """The score of each side, the difference, what may be done with the row, and all scores when it is open."""
    values = {side: row.scores.get(side, {}).get(score) for side in SIDES if side in row.scores}
    shown = "".join(
        f'<span class="tb-of-{side}" aria-label="{escape(say(f"chat.side.{side}", lang))}"><i class="tb-dot"></i>{number(value, score)}</span>'
        for side, value in values.items()
    )
    difference = ""
    if row.difference is not None and len(values) == 2:
        kind = "better" if row.difference > 0 else "worse" if row.difference < 0 else "equal"
        # A loss that has fallen is better, and said to have fallen.
        change = -row.difference if score == LOSS else row.difference
        difference = f'<b class="tb-{kind}">{signed(change, score) if row.difference else "="}</b>'
    tools = button("chat", say("evaluate.rows.chat", lang), str(row.row)) + button(
        "edit", say("evaluate.rows.correct", lang), str(row.row)
    )
    return (
        f'<td class="tb-col-score"><div class="tb-values">{shown}{difference}</div>{_more(row, score, lang)}'
        f'<div class="tb-row-tools">{tools}</div></td>'
    )


def _more(row: TableRow, score: str, lang: str) -> str:
    names = [name for name in row.scores.get("tuned", {}) if name != score]
    if not names:
        return ""
    lines = "".join(
        f"<div><dt>{escape(score_name(name, lang))}</dt><dd>"
        + " → ".join(number(row.scores[side].get(name)) for side in SIDES if side in row.scores)
        + "</dd></div>"
        for name in names
    )
    return f'<dl class="tb-more">{lines}</dl>'


def _editor(browse: Browse, row: TableRow, shown: Shown, width: int, lang: str) -> str:
    """The form in which a right answer is written and a dataset named for it."""
    answer, name = browse.draft
    options = "".join(f'<option value="{escape(each)}">' for each in shown.datasets)
    problem = ""
    if browse.trouble is not None:
        told = say_error(browse.trouble, lang)
        problem = (
            f'<div class="tb-problem" role="alert"><b>{escape(told.text)}</b><p>{escape(told.hint)}</p></div>'
        )
    return (
        f'<tr class="tb-editor"><td colspan="{width}"><form data-act="correct" data-id="{row.row}">'
        f'<label>{_say("right_answer", lang)}<textarea class="tb-input" name="answer" rows="3" dir="auto">{escape(answer)}</textarea></label>'
        f'<label>{_say("into", lang)}<input class="tb-input" name="name" list="tb-own-datasets" value="{escape(name)}" '
        f'autocomplete="off" maxlength="100"></label><datalist id="tb-own-datasets">{options}</datalist>'
        f'<span class="tb-buttons"><button type="submit" class="tb-button tb-primary">{_say("add", lang)}</button>'
        f"{button('leave', say('evaluate.rows.leave', lang), str(row.row))}</span>{problem}</form></td></tr>"
    )


def _pager(page: TablePage, lang: str) -> str:
    first = "" if page.number > 1 else say("evaluate.rows.why.first", lang)
    last = "" if page.number < page.pages else say("evaluate.rows.why.last", lang)
    # What is still being read is not all.
    more = "…" if page.read < 1 else ""
    said = _say("found", lang, found=count(page.found, lang) + more, done=count(page.done, lang) + more)
    turn = ""
    if page.pages > 1:
        place = _say("page", lang, pages=count(page.pages, lang))
        turn = (
            f'<span class="tb-to-page">{button("turn", "‹", str(page.number - 1), why_not=first)}'
            f'<label><input class="tb-input" type="number" min="1" max="{page.pages}" value="{page.number}" '
            f'aria-label="{_say("go_to", lang)}" data-turn-to></label><span>{place}</span>'
            f"{button('turn', '›', str(page.number + 1), why_not=last)}</span>"
        )
    return f'<div class="tb-row-pager"><span role="status">{said}</span>{turn}</div>'
