"""Rendered rows as HTML: exactly the tokens of training, the trained ones marked, pictures in their places. Pure."""

from __future__ import annotations

from base64 import b64encode
from html import escape

from trainer.dataset.doctor import Page, PictureView, Piece, RowView
from webui.i18n import say, say_sentence
from webui.words import count

# A longer row is shown in part: a browser should not be asked to draw a book.
MOST_SHOWN = 6000


def preview(page: Page, number: int, lang: str) -> str:
    """Page `number` (from 1) with the buttons for the pages beside it."""
    rows = "".join(_row(row, lang) for row in page.rows) or f"<p>{_say('empty', lang)}</p>"
    return (
        f'<section class="preview" aria-label="{_say("title", lang)}"><header>{_legend(lang)}{_pager(page, number, lang)}'
        f"</header>{rows}</section>"
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


def _row(row: RowView, lang: str) -> str:
    place = f"{row.dataset} ({row.file})" if row.file else row.dataset
    title = f"{escape(place)} · {_say('row', lang, number=count(row.number, lang))}"
    if row.problem is not None:
        text, hint = say_sentence(row.problem.code, row.problem.shown, lang)
        return f'<article><h4>{title}</h4><p class="wrong">{escape(f"{text} {hint}".strip())}</p></article>'
    facts = _say("of", lang, trained=count(row.trained, lang), tokens=count(len(row.input_ids), lang))
    if row.cut:
        facts += " · " + _say("shortened", lang, tokens=count(row.length, lang))
    return f'<article><h4>{title}<span>{facts}</span></h4><pre tabindex="0" dir="auto">{_pieces(row, lang)}</pre></article>'


def _pieces(row: RowView, lang: str) -> str:
    shown = []
    room = MOST_SHOWN
    for piece in row.pieces:
        if room <= 0:
            shown.append("…")
            break
        if piece.picture is not None and piece.picture < len(row.pictures):
            shown.append(_picture(row.pictures[piece.picture], lang))
            continue
        shown.append(_piece(piece, room))
        room -= len(piece.text)
    return "".join(shown)


def _piece(piece: Piece, room: int) -> str:
    text = escape(piece.text[:room])
    if piece.special:
        text = f"<code>{text}</code>"
    return f'<mark class="trained">{text}</mark>' if piece.trained else text


def _picture(picture: PictureView, lang: str) -> str:
    """The picture itself where the model has so many tokens for it."""
    data = b64encode(picture.thumbnail).decode()
    cost = _say("picture", lang, tokens=count(picture.tokens, lang))
    name = escape(picture.name)
    return (
        f'<span class="picture"><img src="data:image/jpeg;base64,{data}" alt="{name}" title="{name}">'
        f"<small>{cost}</small></span>"
    )
