"""One row of a file -> one conversation, or the reason why it is none."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from typing import Any, NamedTuple, cast

from trainer.dataset.conversation import Conversation, Message, Role, Row, RowProblem, message
from trainer.dataset.files import Broken, Item, read_items
from trainer.dataset.info import DatasetInfo
from trainer.errors import UserError, Values


def read_rows(
    info: DatasetInfo, names: Mapping[str, str] | None = None, limit: int | None = None
) -> Iterator[Row | RowProblem]:
    """The first `limit` rows of a dataset in the order of its file, usable or not; the file is read as far as needed.

    `names` gives what `{{name}}` and the like become. Raises UserError when the file as a whole cannot be read, and,
    after the last row, when a column that the entry names was in none.
    """
    reader = _Reader(info, names or {})
    unseen = {name for name in asdict(info.columns).values() if name} if info.explicit else set()
    for item in islice(read_items(info.path), limit):
        unseen.difference_update(item.value if isinstance(item.value, dict) else ())
        yield reader.read(item)
    if unseen:
        raise UserError(
            "data_column_nowhere", field="dataset", name=info.name, columns=", ".join(sorted(unseen))
        )


class _Bad(Exception):
    """The row cannot be used."""

    def __init__(self, code: str, **values: str | int | float) -> None:
        self.code = code
        self.values: Values = values


class _Reader:
    def __init__(self, info: DatasetInfo, names: Mapping[str, str]) -> None:
        self._info = info
        self._names = names
        self._marks = re.compile("|".join(re.escape(f"{{{{{name}}}}}") for name in names)) if names else None

    def read(self, item: Item) -> Row | RowProblem:
        try:
            if isinstance(item.value, Broken):
                raise _Bad(item.value.code, **item.value.values)
            if not isinstance(item.value, dict):
                raise _Bad("row_not_object", found=_kind(item.value))
            make = self._alpaca if self._info.formatting == "alpaca" else self._chat
            return Row(self._info.name, item.number, make(item.value))
        except _Bad as bad:
            return RowProblem(self._info.name, item.number, bad.code, bad.values)

    def _alpaca(self, row: dict[str, Any]) -> Conversation:
        columns = self._info.columns
        asked = [column for column in (columns.prompt, columns.query) if column]
        if all(row.get(column) is None for column in asked):
            raise _Bad("row_missing", field=asked[0])
        question = "\n".join(text for column in asked if (text := self._text(row.get(column), column)))
        said = self._history(row)
        said.append(message("user", question))
        said.append(
            message(
                "assistant", self._answer(row.get(cast(str, columns.response)), cast(str, columns.response))
            )
        )
        return Conversation(tuple(said), self._system(row))

    def _history(self, row: dict[str, Any]) -> list[Message]:
        column = self._info.columns.history
        pairs = row.get(column) if column else None
        if pairs is None:
            return []
        if not isinstance(pairs, list):
            raise _Bad(
                "row_type", field=column or "", found=_kind(pairs), allowed="a list of [question, answer]"
            )
        said: list[Message] = []
        for place, pair in enumerate(pairs, 1):
            field = f"{column}[{place}]"
            if not isinstance(pair, list) or len(pair) != 2:
                raise _Bad("row_type", field=field, found=_kind(pair), allowed="[question, answer]")
            said.append(message("user", self._text(pair[0], field)))
            said.append(message("assistant", self._answer(pair[1], field)))
        return said

    def _system(self, row: dict[str, Any]) -> str:
        column = self._info.columns.system
        return self._text(row.get(column), column) if column else ""

    def _chat(self, row: dict[str, Any]) -> Conversation:
        column = cast(str, self._info.columns.messages)
        said = row.get(column)
        if said is None:
            raise _Bad("row_missing", field=column)
        if not isinstance(said, list):
            raise _Bad("row_type", field=column, found=_kind(said), allowed="a list of messages")
        turns = [self._turn(each, f"{column}[{place}]") for place, each in enumerate(said, 1)]
        system = self._system(row)
        if turns and turns[0].role == "system":
            system = turns.pop(0).text
        return Conversation(_in_order(turns, column, len(said) - len(turns)), system)

    def _turn(self, given: Any, field: str) -> _Turn:
        tags = self._info.tags
        if not isinstance(given, dict):
            raise _Bad("row_type", field=field, found=_kind(given), allowed="an object")
        for tag in (tags.role_tag, tags.content_tag):
            if tag not in given:
                raise _Bad("row_missing", field=f"{field}.{tag}")
        if given.get("tool_calls"):
            raise _Bad("row_not_yet", field=field, what="tool_calls")
        role = self._role(given[cast(str, tags.role_tag)], field)
        where = f"{field}.{tags.content_tag}"
        content = _joined(given[cast(str, tags.content_tag)], where)
        text = self._answer(content, where) if role == "assistant" else self._text(content, where)
        return _Turn(role, text, _train_flag(given, field))

    def _role(self, word: Any, field: str) -> str:
        tags = self._info.tags
        known = {tags.user_tag: "user", tags.assistant_tag: "assistant", tags.system_tag: "system"}
        later = (tags.observation_tag, tags.function_tag)
        known.pop(None, None)
        if isinstance(word, str) and word in known:
            return known[word]
        if isinstance(word, str) and word in later:
            raise _Bad("row_not_yet", field=field, what=word)
        raise _Bad(
            "row_role", field=field, role=str(word)[:80], allowed=", ".join(str(each) for each in known)
        )

    def _answer(self, value: Any, field: str) -> str:
        if value is None:
            raise _Bad("row_no_answer", field=field)
        text = self._text(value, field)
        if not text.strip():
            raise _Bad("row_empty_answer", field=field)
        return text

    def _text(self, value: Any, field: str) -> str:
        """The text of a field with its placeholders filled in; nothing is an empty text."""
        if value is None:
            return ""
        if not isinstance(value, str):
            raise _Bad("row_type", field=field, found=_kind(value), allowed="a text")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            # JSON can spell half of a surrogate pair ("\\ud83d"), which no tokenizer takes.
            raise _Bad("row_half_character", field=field, place=error.start + 1) from None
        if self._marks is None or "{{" not in value:
            return value
        return self._marks.sub(lambda found: self._names[found.group()[2:-2]], value)


class _Turn(NamedTuple):
    role: str
    text: str
    train: bool


def _in_order(turns: Sequence[_Turn], column: str, skipped: int) -> tuple[Message, ...]:
    """Question, answer, question, answer …; anything else is the reader's to mend, not ours to guess."""
    if not turns:
        raise _Bad("row_no_messages", field=column)
    for place, turn in enumerate(turns):
        expected = "assistant" if place % 2 else "user"
        if turn.role != expected:
            field = f"{column}[{place + skipped + 1}]"
            raise _Bad("row_order", field=field, role=turn.role, expected=expected)
    if len(turns) % 2:
        raise _Bad("row_no_answer", field=f"{column}[{len(turns) + skipped}]")
    return tuple(message(cast(Role, turn.role), turn.text, turn.train) for turn in turns)


def _joined(content: Any, field: str) -> Any:
    """OpenAI's list of parts as one text; everything else as it is."""
    if not isinstance(content, list):
        return content
    texts = []
    for place, part in enumerate(content, 1):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind != "text":
            if isinstance(kind, str):
                raise _Bad("row_not_yet", field=f"{field}[{place}]", what=kind[:80])
            raise _Bad("row_type", field=f"{field}[{place}]", found=_kind(part), allowed="a part with a type")
        if not isinstance(part.get("text"), str):
            raise _Bad(
                "row_type", field=f"{field}[{place}].text", found=_kind(part.get("text")), allowed="a text"
            )
        texts.append(part["text"])
    return "".join(texts)


def _train_flag(given: Mapping[str, Any], field: str) -> bool:
    """A row's own word on what is learned: `train`, or OpenAI's `weight` of 0 or 1."""
    flag = given.get("train", given.get("weight"))
    if flag is None:
        return True
    if flag in (True, False):
        return bool(flag)
    name = "train" if "train" in given else "weight"
    raise _Bad("row_type", field=f"{field}.{name}", found=str(flag)[:80], allowed="true or false")


_KINDS = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
}


def _kind(value: Any) -> str:
    return "nothing" if value is None else _KINDS.get(type(value), type(value).__name__)
