"""Pictures and videos that come with a message: what a file is, where it stands in the text, what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer.dataset import media as seen
from trainer.dataset.chat_template import Unusable
from trainer.dataset.conversation import Media, MediaKind, Part, Text
from trainer.dataset.media_paths import MARKS
from trainer.errors import UserError, sentences

_MARK = re.compile("|".join(f"(?P<{kind}>{re.escape(mark)})" for kind, mark in MARKS.items()))
# What a picture's reader says of a file that may be a video.
_OTHERS = ("row_image_video", "row_image_unknown")


def attach(path: Path, kind: MediaKind | None = None) -> Media:
    """The picture or video in a file, as its content says where `kind` does not. Of a picture every pixel is decoded.

    Raises UserError, which names the file, for one that cannot be used.
    """
    try:
        return _found(path, kind or "image")
    except Unusable as unusable:
        if kind is None and unusable.code in _OTHERS:
            return attach(path, "video")
        raise refusal(unusable) from None


def _found(path: Path, kind: MediaKind) -> Media:
    media = Media(kind, path)
    _check(media)
    return media


def _check(media: Media) -> None:
    # All frames of a video would take as long as the answer; those that the model sees are read before it begins.
    seen.check(media, whole=media.kind == "image")


def require_readable(media: Sequence[Media]) -> None:
    """Raises UserError for a picture or video that is broken."""
    try:
        for each in media:
            _check(each)
    except Unusable as unusable:
        raise refusal(unusable) from None


def parts(text: str, media: Sequence[Media]) -> tuple[Part, ...]:
    """A message's parts: media at the marks <image> and <video> of the text, or all before it where it has none.

    Raises UserError when there are marks, but not as many of a kind as media.
    """
    marks = list(_MARK.finditer(text)) if media else []
    if not marks:
        return (*media, Text(text)) if text or not media else tuple(media)
    _require_counts(marks, media)
    waiting = {kind: iter([each for each in media if each.kind == kind]) for kind in MARKS}
    found: list[Part] = []
    end = 0
    for mark in marks:
        found += [Text(text[end : mark.start()]), next(waiting[_kind(mark)])]
        end = mark.end()
    return tuple(each for each in (*found, Text(text[end:])) if not isinstance(each, Text) or each.text)


def _kind(mark: re.Match[str]) -> MediaKind:
    return "image" if mark["image"] else "video"


def _require_counts(marks: Sequence[re.Match[str]], media: Sequence[Media]) -> None:
    for kind, mark in MARKS.items():
        found = sum(_kind(each) == kind for each in marks)
        given = sum(each.kind == kind for each in media)
        if found != given:
            raise UserError("chat_media_marks", mark=mark, found=found, given=given)


def is_about_media(unusable: Unusable) -> bool:
    """Whether a row's sentence speaks of its pictures or videos."""
    return unusable.code.startswith(("row_image_", "row_video_", "row_media_", "row_no_"))


def refusal(unusable: Unusable) -> UserError:
    """A chat's sentence for what a row's sentence says of a picture or video; it names the file without its folder."""
    code = unusable.code.removeprefix("row_")
    if code in ("no_eyes", "no_video"):
        return UserError(f"chat_{code}")
    if code == "media_marks":
        more = int(unusable.values["found"]) > int(unusable.values["given"])
        return UserError("chat_media_words" if more else "chat_media_template")
    ending = code.removeprefix("image_").removeprefix("video_").removeprefix("media_")
    values: dict[str, Any] = {**unusable.values, "file": Path(str(unusable.values.get("file", ""))).name}
    code = f"chat_media_{ending}"
    return UserError(code if code in sentences() else "chat_media_unknown", **values)
