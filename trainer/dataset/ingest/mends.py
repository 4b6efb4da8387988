"""The repairs themselves. Each takes a row and gives back the same object when there is nothing for it to do."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trainer.dataset.ingest.mapping import Mapping
from trainer.dataset.ingest.words import speaker

RawRow = dict[str, Any]
_SURROGATES = re.compile("[\ud800-\udfff]")
_YES = frozenset(["true", "yes", "y", "1", "good", "是", "对", "好", "да", "はい", "예"])
_NO = frozenset(["false", "no", "n", "0", "bad", "否", "错", "不好", "нет", "いいえ", "아니요"])
_TEXTS = ("prompt", "query", "response", "system")


@dataclass(frozen=True)
class Field:
    """Where in a registered row things stand: its columns by role, and the words inside messages."""

    names: tuple[tuple[str, str], ...]
    mapping: Mapping

    def column(self, role: str) -> str | None:
        return dict(self.names).get(role)

    def tag(self, name: str) -> str:
        return self.mapping.tag(name) or ""

    def word(self, role: str) -> str:
        """The word of the mapping for a speaker of `words.SPEAKERS`."""
        return self.tag(f"{role}_tag")


def _put(row: RawRow, column: str, value: Any) -> RawRow:
    return row if value is row[column] else {**row, column: value}


def _each(row: RawRow, field: Field, roles: tuple[str, ...], change: Callable[[Any], Any]) -> RawRow:
    for role in roles:
        column = field.column(role)
        if column and column in row:
            row = _put(row, column, change(row[column]))
    return row


def _messages(row: RawRow, field: Field, change: Callable[[list[Any]], list[Any]]) -> RawRow:
    """The row with its messages changed; `change` gives back the same list when there is nothing to do."""
    column = field.column("messages") if field.mapping.chat else None
    if not column or not isinstance(row.get(column), list):
        return row
    said = row[column]
    if not all(isinstance(each, dict) and field.tag("role_tag") in each for each in said):
        return row
    return _put(row, column, change(said))


def _contents(row: RawRow, field: Field, change: Callable[[Any], Any]) -> RawRow:
    """The row with every text of it (columns, history, contents of messages) given to `change`."""
    chat = field.mapping.chat
    row = _each(row, field, ("system",) if chat else (*_TEXTS, "chosen", "rejected"), change)
    row = _each(row, field, ("history",), lambda value: _nested(value, change))
    content = field.tag("content_tag")

    def inside(value: Any) -> Any:
        if isinstance(value, list):
            return _mapped(value, inside)
        if isinstance(value, dict) and content in value:
            return _put(value, content, change(value[content]))
        return value

    return _each(row, field, ("messages", "chosen", "rejected"), inside) if chat else row


def _mapped(values: list[Any], change: Callable[[Any], Any]) -> list[Any]:
    changed = [change(each) for each in values]
    return values if all(new is old for new, old in zip(changed, values, strict=True)) else changed


def _nested(value: Any, change: Callable[[Any], Any]) -> Any:
    """`change` for the texts of a list of [question, answer]."""
    if not isinstance(value, list):
        return value
    return _mapped(value, lambda pair: _mapped(pair, change) if isinstance(pair, list) else pair)


def strip_surrogates(row: RawRow, field: Field) -> RawRow:
    """Halves of characters are left out, wherever they stand."""

    def clean(value: Any) -> Any:
        if isinstance(value, str):
            return _SURROGATES.sub("", value) if _SURROGATES.search(value) else value
        if isinstance(value, list):
            return _mapped(value, clean)
        if isinstance(value, dict):
            changed = {clean(key): clean(each) for key, each in value.items()}
            same = all(new is old for new, old in zip(changed.values(), value.values(), strict=False))
            return value if same and changed.keys() == value.keys() else changed
        return value

    return {**found} if (found := clean(row)) is not row else row


def read_flags(row: RawRow, field: Field) -> RawRow:
    """Words and numbers that mean yes or no become true or false."""

    def flag(value: Any) -> Any:
        if isinstance(value, bool):
            return value
        word = str(int(value) if isinstance(value, float) and value in (0, 1) else value).strip().casefold()
        return True if word in _YES else False if word in _NO else value

    return _each(row, field, ("kto_tag",), flag)


def join_lists(row: RawRow, field: Field) -> RawRow:
    """A list of texts where one text belongs becomes its lines."""

    def joined(value: Any) -> Any:
        texts = isinstance(value, list) and value and all(isinstance(each, str) for each in value)
        return "\n".join(value) if texts else value

    return _contents(row, field, joined)


def write_numbers(row: RawRow, field: Field) -> RawRow:
    """A number where a text belongs is written out."""

    def written(value: Any) -> Any:
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, float):
            if not math.isfinite(value):
                return value
            return str(int(value)) if value.is_integer() and abs(value) < 1e15 else str(value)
        return str(value) if isinstance(value, int) and abs(value) < 10**1000 else value

    return _contents(row, field, written)


def unify_speakers(row: RawRow, field: Field) -> RawRow:
    """Another word for a known speaker (`Human`, `bot`) becomes the word of the mapping."""
    tag = field.tag("role_tag")
    known = {
        word
        for name, word in field.mapping.tags
        if name.endswith("_tag") and name not in ("role_tag", "content_tag")
    }

    def unified(turn: Any) -> Any:
        word = turn[tag]
        role = None if word in known else speaker(word)
        return {**turn, tag: field.word(role)} if role and field.word(role) else turn

    return _messages(row, field, lambda said: _mapped(said, unified))


def drop_empty(row: RawRow, field: Field) -> RawRow:
    """Turns without a word are left out."""
    content = field.tag("content_tag")

    def empty(turn: dict[str, Any]) -> bool:
        value = turn.get(content)
        nothing = value is None or (isinstance(value, str) and not value.strip()) or value == []
        return nothing and not turn.get("tool_calls")

    def filled(said: list[Any]) -> list[Any]:
        return [turn for turn in said if not empty(turn)] if any(map(empty, said)) else said

    def asked(pairs: Any) -> Any:
        if not isinstance(pairs, list):
            return pairs
        kept = [pair for pair in pairs if not (isinstance(pair, list) and not any(pair))]
        return pairs if len(kept) == len(pairs) else kept

    return _each(_messages(row, field, filled), field, ("history",), asked)


def fold_system(row: RawRow, field: Field) -> RawRow:
    """A system message after the first turn goes in front of the question that follows it, or of the one before."""
    tag, content = field.tag("role_tag"), field.tag("content_tag")

    def folded(said: list[Any]) -> list[Any]:
        late = [place for place, turn in enumerate(said) if place and turn[tag] == field.word("system") != ""]
        if not late or not all(isinstance(said[place].get(content), str) for place in late):
            return said
        turns = list(said)
        for place in late:
            asks = [each for each, turn in enumerate(said) if turn[tag] == field.word("user")]
            target = next((each for each in asks if each > place), asks[-1] if asks else None)
            if target is None or not isinstance(turns[target].get(content), str):
                return said
            turns[target] = {**turns[target], content: f"{said[place][content]}\n\n{turns[target][content]}"}
        return [turn for place, turn in enumerate(turns) if place not in late]

    return _messages(row, field, folded)


def drop_leading_answer(row: RawRow, field: Field) -> RawRow:
    """Answers before the first question are left out."""
    tag = field.tag("role_tag")

    def dropped(said: list[Any]) -> list[Any]:
        start = 1 if said and said[0][tag] == field.word("system") else 0
        end = start
        while end < len(said) and said[end][tag] == field.word("assistant"):
            end += 1
        return said if end == start else [*said[:start], *said[end:]]

    return _messages(row, field, dropped)


def merge_turns(row: RawRow, field: Field) -> RawRow:
    """What one side says in several turns on end becomes one turn."""
    tag, content = field.tag("role_tag"), field.tag("content_tag")
    sides = (field.word("user"), field.word("assistant"))

    def alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
        rest = [{key: value for key, value in turn.items() if key != content} for turn in (one, other)]
        return one[tag] in sides and rest[0] == rest[1] and not one.get("tool_calls")

    def merged(said: list[Any]) -> list[Any]:
        turns: list[Any] = []
        for turn in said:
            both = (
                _joined(turns[-1].get(content), turn.get(content))
                if turns and alike(turns[-1], turn)
                else None
            )
            if both is None:
                turns.append(turn)
            else:
                turns[-1] = {**turns[-1], content: both}
        return turns if len(turns) < len(said) else said

    return _messages(row, field, merged)


def _joined(one: Any, other: Any) -> str | list[Any] | None:
    if isinstance(one, str) and isinstance(other, str):
        return f"{one}\n{other}"
    if isinstance(one, (str, list)) and isinstance(other, (str, list)):
        return [*_parts(one), *_parts(other)]
    return None


def _parts(content: str | list[Any]) -> list[Any]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def drop_trailing_question(row: RawRow, field: Field) -> RawRow:
    """Questions after the last answer are left out."""
    tag = field.tag("role_tag")

    def dropped(said: list[Any]) -> list[Any]:
        end = len(said)
        while end and said[end - 1][tag] == field.word("user"):
            end -= 1
        return said if end == len(said) else said[:end]

    return _messages(row, field, dropped)


def settle_marks(row: RawRow, field: Field) -> RawRow:
    """As many `<image>` and `<video>` as there are media: missing ones in front of the first question, surplus ones away."""
    for role, mark in (("videos", "<video>"), ("images", "<image>")):
        column = field.column(role)
        if not column or not isinstance(row.get(column, []), list):
            continue
        found: list[str] = []
        _contents(row, field, lambda text, found=found: found.append(text) if isinstance(text, str) else text)  # type: ignore[misc]
        marks, media = sum(text.count(mark) for text in found), len(row.get(column, ()))
        if marks < media:
            row = _in_front(row, field, mark * (media - marks))
        elif marks > media:
            row = _without_last(row, field, mark, marks - media)
    return row


def _in_front(row: RawRow, field: Field, marks: str) -> RawRow:
    if not field.mapping.chat:
        column = field.column("prompt")
        text = row.get(column, "") if column else None
        return (
            {**row, column: f"{marks}{text or ''}"} if column and isinstance(text, (str, type(None))) else row
        )
    tag, content = field.tag("role_tag"), field.tag("content_tag")

    def marked(said: list[Any]) -> list[Any]:
        place = next((each for each, turn in enumerate(said) if turn[tag] == field.word("user")), None)
        if place is None or not isinstance(said[place].get(content), str):
            return said
        turn = {**said[place], content: f"{marks}{said[place][content]}"}
        return [*said[:place], turn, *said[place + 1 :]]

    return _messages(row, field, marked)


def _without_last(row: RawRow, field: Field, mark: str, surplus: int) -> RawRow:
    """Without the last `surplus` marks, in the order in which `_contents` meets the texts."""
    total: list[int] = []
    _contents(row, field, lambda text: total.append(text.count(mark)) if isinstance(text, str) else text)
    keep = sum(total) - surplus

    def cut(text: Any) -> Any:
        nonlocal keep
        if not isinstance(text, str) or mark not in text:
            return text
        pieces = text.split(mark)
        kept = min(keep, len(pieces) - 1)
        keep -= kept
        return (
            text if kept == len(pieces) - 1 else mark.join(pieces[: kept + 1]) + "".join(pieces[kept + 1 :])
        )

    return _contents(row, field, cut)
