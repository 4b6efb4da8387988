"""Rendered rows as HTML: exactly the tokens of training, the trained ones marked. Pure."""

from __future__ import annotations

from html import escape

from trainer.dataset.doctor import Page, Piece, RowView, Totals
from webui.i18n import say, say_sentence
from webui.words import count

# A longer row is shown in part: a browser should not be asked to draw a book.
MOST_SHOWN = 6000


def preview(page: Page, number: int, totals: Totals | None, lang: str) -> str:
    """Page `number` (from 1) with its counts and the buttons for the pages beside it."""
    rows = "".join(_row(row, lang) for row in page.rows) or f"<p>{_say('empty', lang)}</p>"
    return (
        f'<section class="preview" aria-label="{_say("title", lang)}"><header>{_legend(lang)}{_pager(page, number, lang)}'
        f"</header>{_totals(totals, lang)}{rows}</section>"
    )


def _say(key: str, lang: str, **values: object) -> str:
    return escape(say(f"train.shown.{key}", lang, **values))


def _legend(lang: str) -> str:
    return (
        f'<span class="legend"><mark class="trained">{_say("trained", lang)}</mark>'
        f"<span>{_say('read', lang)}</span><code>{_say('special', lang)}</code></span>"
    )


def _pager(page: Page, number: int, lang: str) -> str:
    def button(turn: int, key: str, sign: str, possible: bool = True) -> str:
        off = "" if possible else ' aria-disabled="true"'
        name = _say(key, lang)
        return (
            f'<button type="button" class="tb-button" data-turn="{turn}" aria-label="{name}" title="{name}"{off}>'
            f"{sign}</button>"
        )

    return (
        '<span class="pager">'
        + button(number - 1, "previous", "‹", number > 1)
        + f"<span>{_say('page', lang, page=count(number, lang))}</span>"
        + button(number + 1, "next", "›", page.more)
        + button(0, "close", "×")
        + "</span>"
    )


def _totals(totals: Totals | None, lang: str) -> str:
    if totals is None:
        return ""
    facts = [
        say("train.shown.rows", lang, rows=count(totals.rows, lang)),
        say(
            "train.shown.tokens", lang, trained=count(totals.trained, lang), tokens=count(totals.tokens, lang)
        ),
        say("train.shown.longest", lang, tokens=count(totals.longest, lang)),
    ]
    if totals.evaluation:
        facts.append(say("train.shown.held", lang, rows=count(totals.evaluation, lang)))
    if totals.cut:
        facts.append(say("train.shown.cut", lang, rows=count(totals.cut, lang)))
    if totals.problems:
        facts.append(say("train.unusable", lang, count=count(len(totals.problems), lang)))
    return f'<p class="totals">{escape(" · ".join(facts))}</p>'


def _row(row: RowView, lang: str) -> str:
    title = f"{escape(row.dataset)} · {_say('row', lang, number=count(row.number, lang))}"
    if row.problem is not None:
        text, hint = say_sentence(row.problem.code, row.problem.shown, lang)
        return f'<article><h4>{title}</h4><p class="wrong">{escape(f"{text} {hint}".strip())}</p></article>'
    facts = _say("of", lang, trained=count(row.trained, lang), tokens=count(len(row.input_ids), lang))
    if row.cut:
        facts += " · " + _say("shortened", lang, tokens=count(row.length, lang))
    return f'<article><h4>{title}<span>{facts}</span></h4><pre tabindex="0" dir="auto">{_pieces(row.pieces)}</pre></article>'


def _pieces(pieces: tuple[Piece, ...]) -> str:
    shown = []
    room = MOST_SHOWN
    for piece in pieces:
        if room <= 0:
            shown.append("…")
            break
        text = escape(piece.text[:room])
        room -= len(piece.text)
        if piece.special:
            text = f"<code>{text}</code>"
        shown.append(f'<mark class="trained">{text}</mark>' if piece.trained else text)
    return "".join(shown)
