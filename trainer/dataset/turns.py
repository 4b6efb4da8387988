"""One message of a chat row: who speaks, and what it says, thinks, shows and calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, cast

from trainer.dataset.conversation import Call, Media, MediaKind, Part, Text
from trainer.dataset.entry import TAGS, DatasetInfo, Tags
from trainer.dataset.fields import Bad, Texts, shown, wrong
from trainer.dataset.media_paths import Gallery
from trainer.dataset.tools import read_calls, read_spoken

Side = Literal["user", "assistant", "tool", "call", "system"]
_TEXTS = ("text", "input_text", "output_text")
_MEDIA: dict[str, MediaKind] = {
    "image": "image", "image_url": "image", "input_image": "image", "video": "video", "video_url": "video",
}  # fmt: skip
_THOUGHTS = ("thinking", "reasoning")
# Under which names servers and datasets keep what an answer thinks.
_THINKING = ("reasoning_content", *_THOUGHTS)


class Turn(NamedTuple):
    """A message as it was read; `field` is its place in the row, for a sentence."""

    side: Side
    field: str
    parts: tuple[Part, ...]
    train: bool = True
    thinking: str = ""
    calls: tuple[Call, ...] = ()
    # The file's own word for the side.
    word: str = ""


class _Words(NamedTuple):
    role: str
    content: str
    sides: dict[str, Side]


def _words(tags: Tags, formatting: str) -> _Words:
    sides: dict[str | None, Side] = {
        tags.user_tag: "user", tags.assistant_tag: "assistant", tags.system_tag: "system",
        tags.observation_tag: "tool", tags.function_tag: "call",
    }  # fmt: skip
    known = {word: side for word, side in sides.items() if word}
    if formatting == "openai" and tags.system_tag:
        # The newer word for it: https://platform.openai.com/docs/api-reference/chat/create
        known.setdefault("developer", "system")
    return _Words(cast(str, tags.role_tag), cast(str, tags.content_tag), known)


class TurnReader:
    """Reads the messages of one dataset."""

    def __init__(self, info: DatasetInfo, texts: Texts) -> None:
        self._texts = texts
        self._named = info.tagged
        self._own = _words(info.tags, info.formatting)
        # LLaMA-Factory's words where an entry gives none, whatever the formatting.
        self._plain = _words(TAGS["sharegpt"], info.formatting)

    def read(self, given: Any, field: str, gallery: Gallery) -> Turn:
        """Raises Bad when the message is none, or holds what cannot be read."""
        if not isinstance(given, dict):
            raise wrong(field, given, "an object")
        words = self._own
        if not self._named and words.role not in given and self._plain.role in given:
            words = self._plain
        if words.role not in given:
            raise Bad("row_missing", field=f"{field}.{words.role}")
        side = self._side(given, words, field)
        where = f"{field}.{words.content}"
        calls = _listed_calls(given, field) if side == "assistant" else ()
        if words.content not in given and not calls:
            raise Bad("row_missing", field=where)
        content = given.get(words.content)
        train = _train_flag(given, field)
        if side == "call":
            thinking, parts, calls = self._calls(content, where, gallery)
        else:
            thinking, parts = self._content(content, where, gallery if side != "system" else None)
        if side in ("assistant", "call"):
            thinking = self._thinking(given, field) or thinking
        if side == "assistant":
            _require_answer(content, parts, calls, where)
            # An answer that only calls says nothing.
            parts = () if calls and parts == (Text(""),) else parts
        return Turn(side, field, parts, train, thinking, calls, given[words.role])

    def word(self, side: str) -> str:
        """What the file calls a side; the side itself where it has no word for it."""
        return next((word for word, own in self._own.sides.items() if own == side), side)

    def answer(self, text: str, field: str, gallery: Gallery) -> Turn:
        """An answer that is given as its text alone."""
        return Turn("assistant", field, gallery.split(self._texts.answer(text, field)), word=field)

    def _side(self, given: Mapping[str, Any], words: _Words, field: str) -> Side:
        word = given[words.role]
        side = words.sides.get(word) if isinstance(word, str) else None
        if side is None:
            known = ", ".join(each for each in words.sides if each != "developer")
            raise Bad("row_role", field=field, role=shown(word), allowed=known)
        if side == "call" and word == "function" and not self._named and given.get("name"):
            # In older files a message of this role is what the function of this name gave back.
            return "tool"
        return side

    def _calls(
        self, content: Any, field: str, gallery: Gallery
    ) -> tuple[str, tuple[Part, ...], tuple[Call, ...]]:
        """The calls of a message that is nothing else; they may come as JSON text or as they are."""
        if content is None:
            raise Bad("row_no_answer", field=field)
        if isinstance(content, (list, dict)):
            return "", (), read_calls(content, field)
        spoken = read_spoken(self._texts.answer(content, field), field)
        return spoken.thinking, gallery.split(spoken.text) if spoken.text else (), spoken.calls

    def _content(self, content: Any, field: str, gallery: Gallery | None) -> tuple[str, tuple[Part, ...]]:
        """A thought and the parts of a content: a text, or a list of parts. Without a gallery only texts are allowed."""
        if not isinstance(content, list):
            text = self._texts.text(content, field)
            return "", gallery.split(text) if gallery and text else (Text(text),)
        thoughts: list[str] = []
        parts: list[Part] = []
        for place, part in enumerate(content, 1):
            where = f"{field}[{place}]"
            kind = part.get("type") if isinstance(part, dict) else None
            if not isinstance(kind, str):
                raise wrong(where, part, "a part with a type")
            if kind in _TEXTS:
                text = self._part_text(part, "text", where)
                parts += gallery.split(text) if gallery and text else [Text(text)]
            elif kind in _MEDIA and gallery:
                parts.append(_medium(part, kind, where, gallery))
            elif kind in _THOUGHTS and gallery:
                thoughts.append(self._part_text(part, kind if part.get(kind) is not None else "text", where))
            else:
                allowed = ", ".join(("text", *_MEDIA) if gallery else ("text",))
                raise Bad("row_part", field=where, what=shown(kind), allowed=allowed)
        return "".join(thoughts), _joined(parts)

    def _part_text(self, part: Mapping[str, Any], key: str, field: str) -> str:
        if not isinstance(part.get(key), str):
            raise wrong(f"{field}.{key}", part.get(key), "a text")
        return self._texts.text(part[key], f"{field}.{key}")

    def _thinking(self, given: Mapping[str, Any], field: str) -> str:
        for key in _THINKING:
            if given.get(key):
                return self._texts.text(given[key], f"{field}.{key}")
        return ""


def _joined(parts: list[Part]) -> tuple[Part, ...]:
    """Neighbouring texts as one, so that the same words are the same message however they were parted."""
    found: list[Part] = []
    for part in parts:
        if found and isinstance(part, Text) and isinstance(found[-1], Text):
            found[-1] = Text(found[-1].text + part.text)
        else:
            found.append(part)
    if any(isinstance(part, Media) for part in found):
        found = [part for part in found if part != Text("")]
    return tuple(found) or (Text(""),)


def _medium(part: Mapping[str, Any], kind: str, field: str, gallery: Gallery) -> Media:
    """The medium of a part: named in it, or, where it names none, the next one of its column."""
    for key in dict.fromkeys((kind, _MEDIA[kind], "url", "path", "bytes")):
        if part.get(key) is not None:
            return gallery.inline(_MEDIA[kind], part[key], f"{field}.{key}")
    return gallery.next(_MEDIA[kind])


def _listed_calls(given: Mapping[str, Any], field: str) -> tuple[Call, ...]:
    """What an answer calls: `tool_calls`, or the one `function_call` of older files."""
    for key in ("tool_calls", "function_call"):
        if given.get(key):
            return read_calls(given[key], f"{field}.{key}")
    return ()


def _require_answer(content: Any, parts: tuple[Part, ...], calls: tuple[Call, ...], field: str) -> None:
    if calls:
        return
    if content is None:
        raise Bad("row_no_answer", field=field)
    if not any(isinstance(part, Media) or part.text.strip() for part in parts):
        raise Bad("row_empty_answer", field=field)


def _train_flag(given: Mapping[str, Any], field: str) -> bool:
    """A row's own word on what is learned: `train`, or OpenAI's `weight` of 0 or 1."""
    name = "train" if given.get("train") is not None else "weight"
    flag = given.get(name)
    if flag is None:
        return True
    if flag in (True, False):
        return bool(flag)
    raise Bad("row_type", field=f"{field}.{name}", found=shown(flag), allowed="true or false")
