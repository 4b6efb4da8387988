"""Pictures and videos of a chat on a page: taken from an upload, kept by an id, drawn small with what they cost."""

from __future__ import annotations

import base64
import hashlib
import secrets
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

from trainer.chat.attached import attach
from trainer.chat.engine import ChatEngine
from trainer.dataset.conversation import Media, MediaKind
from trainer.dataset.media import thumbnail
from trainer.errors import UserError
from webui.i18n import say, say_error
from webui.panel import button
from webui.words import count

MOST = 16
# Twice what is shown, for screens with fine pixels.
THUMBNAIL = 144


@dataclass(frozen=True)
class Picture:
    """A file that a person has sent. `tokens` are what it costs the loaded model, None while nobody knows."""

    id: str
    media: Media
    thumbnail: bytes
    tokens: int | None = None

    @property
    def name(self) -> str:
        return self.media.name


class Uploads:
    """The files that pages have sent, each in a folder of its own below its page's; gone with the program.

    A page knows its files by their ids only.
    """

    def __init__(self) -> None:
        self._place: Path | None = None

    def take(self, page: str, path: Path) -> Picture:
        """Moves a file here. Raises UserError, and removes it, when it is no picture or video that can be used."""
        if self._place is None:
            self._place = Path(tempfile.mkdtemp(prefix="tuneboard-chat-"))
            weakref.finalize(self, shutil.rmtree, self._place, ignore_errors=True)
        name = secrets.token_hex(8)
        # What a page calls itself comes from the page.
        folder = self._place / hashlib.sha256(page.encode(errors="replace")).hexdigest()[:16] / name
        folder.mkdir(parents=True)
        kept = Path(shutil.move(path, folder / path.name))
        try:
            media = attach(kept)
            return Picture(name, media, thumbnail(media, THUMBNAIL))
        except Exception:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def drop(self, pictures: Iterable[Picture]) -> None:
        """Removes the files of pictures that nobody will ask about again."""
        for each in pictures:
            if each.media.path is not None:
                shutil.rmtree(each.media.path.parent, ignore_errors=True)


@dataclass(frozen=True)
class Tray:
    """What waits to be sent: pictures, and what was wrong with the last files that came."""

    pictures: tuple[Picture, ...] = ()
    problems: tuple[UserError, ...] = ()

    def without(self, id_: str) -> Tray:
        return Tray(tuple(each for each in self.pictures if each.id != id_))


def receive(tray: Tray, uploads: Uploads, chat: ChatEngine, page: str, paths: Sequence[Path]) -> Tray:
    """The tray with the files that can be shown to the loaded model; the others are removed and told."""
    pictures, problems = list(tray.pictures), []
    for path in paths:
        try:
            if len(pictures) >= MOST:
                raise UserError("chat_media_many", most=MOST)
            taken = uploads.take(page, path)
            try:
                pictures.append(counted(chat, taken))
            except UserError:
                uploads.drop([taken])
                raise
        except UserError as error:
            problems.append(error)
        except OSError as error:  # a full disk, for one
            reason = error.strerror or type(error).__name__
            problems.append(UserError("chat_media_closed", file=path.name, reason=reason))
        finally:
            path.unlink(missing_ok=True)
    told = {error.text: error for error in problems}
    return Tray(tuple(pictures), tuple(told.values()))


def counted(chat: ChatEngine, picture: Picture) -> Picture:
    """With the tokens for what is loaded. Raises UserError when that does not take it."""
    return replace(picture, tokens=chat.cost(picture.media) if chat.loaded else None)


def recounted(chat: ChatEngine, tray: Tray) -> Tray:
    """The tray for another model; what that does not take stays, and is told."""
    pictures, problems = [], {}
    for picture in tray.pictures:
        try:
            pictures.append(counted(chat, picture))
        except UserError as error:
            pictures.append(replace(picture, tokens=None))
            problems[error.text] = error
    return Tray(tuple(pictures), tuple(problems.values()))


def refused(tray: Tray) -> Tray:
    """The tray when something is dropped on a model that reads only text."""
    return replace(tray, problems=(UserError("chat_no_eyes"),))


def pictures_html(pictures: Sequence[Picture], lang: str, *, remove: bool = False) -> str:
    """Thumbnails in a row, with name and tokens below. Their pixels are in `sheet`, once for all places."""
    if not pictures:
        return ""
    items = "".join(_item(each, lang, remove) for each in pictures)
    return f'<ul class="tb-pictures">{items}</ul>'


def _item(picture: Picture, lang: str, remove: bool) -> str:
    known = picture.tokens is not None
    cost = say("chat.pictures.tokens", lang, count=count(picture.tokens or 0, lang)) if known else ""
    label = escape(say(f"chat.pictures.{picture.media.kind}", lang, name=picture.name))
    away = escape(say("chat.pictures.remove", lang, name=picture.name))
    cross = (
        f'<button type="button" class="tb-remove" data-act="remove" data-id="{picture.id}" aria-label="{away}">×</button>'
        if remove
        else ""
    )
    return (
        f'<li class="tb-picture" data-kind="{picture.media.kind}"><span class="tb-thumb tb-thumb-{picture.id}" role="img" '
        f'aria-label="{label}" title="{escape(picture.name)}"></span>'
        f'<span class="tb-picture-name">{escape(picture.name)}</span>'
        f'<span class="tb-picture-tokens">{escape(cost)}</span>{cross}</li>'
    )


def sheet(pictures: Iterable[Picture]) -> str:
    """A style sheet with the pixels of all thumbnails: an answer is drawn ten times a second, they only when they change."""
    rules = (
        f".tb-thumb-{each.id}{{background-image:url(data:image/jpeg;base64,{base64.b64encode(each.thumbnail).decode()})}}"
        for each in {each.id: each for each in pictures}.values()
    )
    return f"<style>{''.join(rules)}</style>"


def tray_html(
    tray: Tray,
    said: Sequence[Picture],
    sees: Sequence[MediaKind] | None,
    lang: str,
    *,
    limit: int,
    acts: int = 0,
) -> str:
    """The button for files, what waits to be sent, and what was wrong. `said` are the pictures of the conversation.

    `sees` is what the loaded model takes, None without a model. `limit` is the most bytes of a file.
    """
    blind = sees is not None and not sees
    why = say("chat.pictures.blind", lang) if blind else ""
    add = button("attach", say("chat.pictures.add", lang), "", why_not=why)
    hint = why or say("chat.pictures.hint", lang)
    kinds = "image/*,video/*" if sees is None or "video" in sees else "image/*"
    problems = "".join(_problem(each, lang) for each in tray.problems)
    return (
        f'<section class="tb-tray" data-acts="{acts}" data-limit="{limit}" data-sees="{" ".join(sees or ())}">'
        f'{sheet([*said, *tray.pictures])}<input type="file" multiple hidden accept="{kinds}" tabindex="-1" '
        f'aria-label="{escape(say("chat.pictures.add", lang))}">'
        f"{pictures_html(tray.pictures, lang, remove=True)}"
        f'<div class="tb-tray-line">{add}<span class="tb-hint" role="status" data-hint="{escape(hint)}">{escape(hint)}</span></div>'
        f"{problems}</section>"
    )


def _problem(problem: UserError, lang: str) -> str:
    told = say_error(problem, lang)
    return f'<div class="tb-problem" role="alert"><b>{escape(told.text)}</b><p>{escape(told.hint)}</p></div>'
