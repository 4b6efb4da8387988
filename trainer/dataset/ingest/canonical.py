"""A row of a person's table -> the row that is registered: mapped columns only, media as lists, messages in one column.

What need not change stays as it is, value for value.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from collections.abc import Mapping as AnyMapping
from typing import Any

from trainer.dataset.ingest.mapping import SHARED, Mapping

Names = AnyMapping[str, str]
_PART_KEYS = ("image", "video", "image_url", "video_url", "input_image", "path", "url", "bytes")


class Canonical:
    """Makes registered rows under one mapping. `names` gives the column that each role is written to."""

    def __init__(self, mapping: Mapping) -> None:
        self.mapping = mapping
        self.names: Names = mapping.written()
        self._role_tag = mapping.tag("role_tag") or "role"
        self._content_tag = mapping.tag("content_tag") or "content"
        # A table keeps lists as JSON in its cells; a file of rows has no need to.
        self._lists = ("messages", "chosen", "rejected") if mapping.chat else ("history",)

    def make(self, row: AnyMapping[str, Any]) -> dict[str, Any]:
        """The row as it would be registered, before repairs. Columns that it lacks are left out."""
        mapping, names = self.mapping, self.names
        made: dict[str, Any] = {}
        if mapping.joins:
            made.update(self._joined(row))
        elif "prompt" in names and mapping.column("prompt") is None:
            made[names["prompt"]] = mapping.ask
        for column, role in mapping.roles:
            target = names.get(role)
            if (
                role == "ignore"
                or column not in row
                or target is None
                or (target in made and role not in SHARED)
            ):
                continue
            if role in SHARED:
                made[target] = [*made.get(target, ()), *as_list(row[column])]
            else:
                made[target] = parsed(row[column]) if role in self._lists else row[column]
        return made

    def _joined(self, row: AnyMapping[str, Any]) -> dict[str, Any]:
        """The conversation of a row whose question and answers are lists of messages in columns of their own."""
        said = {role: self._messages(row, role) for role in ("prompt", "response", "chosen", "rejected")}
        if self.mapping.ranking:
            chosen, rejected, before = said["chosen"], said["rejected"], said["prompt"]
            shared = 0
            while shared < min(len(chosen), len(rejected)) - 1 and chosen[shared] == rejected[shared]:
                shared += 1
            # Each list may hold the whole conversation, with the question or without it being told apart.
            messages = (
                chosen[:shared] if shared and chosen[: len(before)] == before else before + chosen[:shared]
            )
            last = {self.names["chosen"]: chosen[shared:], self.names["rejected"]: rejected[shared:]}
            pair = {name: each[0] if len(each) == 1 else each for name, each in last.items()}
            return {self.names["messages"]: messages, **pair}
        answer = said["response"] or said["chosen"]
        return {self.names["messages"]: [*said["prompt"], *answer]}

    def _messages(self, row: AnyMapping[str, Any], role: str) -> list[Any]:
        column = self.mapping.column(role)
        value = parsed(row.get(column)) if column else None
        if value is None:
            return []
        if isinstance(value, list):
            return value
        if isinstance(value, str):
            word = self.mapping.tag("user_tag" if role == "prompt" else "assistant_tag")
            return [{self._role_tag: word, self._content_tag: value}]
        return [value]


def as_list(value: Any) -> list[Any]:
    """Media of a row as a list: a single name, several, or none (peers count the letters of a name instead)."""
    if value is None or value == "":
        return []
    if isinstance(value, str):
        found = parsed(value)
        return found if isinstance(found, list) else [value]
    return value if isinstance(value, list) else [value]


def parsed(value: Any) -> Any:
    """The JSON list or object that a table's cell spells; every other value as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
        return value
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return found if isinstance(found, (list, dict)) else value


def with_media(
    row: dict[str, Any], mapping: Mapping, names: Names, change: Callable[[Any, str], Any]
) -> dict[str, Any]:
    """The row with every medium (a file's name, or an object with bytes) given to `change` with its field."""
    made = dict(row)
    for role in SHARED:
        column = names.get(role)
        if column and isinstance(made.get(column), list):
            made[column] = [_changed(each, column, change) for each in made[column]]
    if mapping.chat:
        for role in ("messages", "chosen", "rejected"):
            column = names.get(role)
            if column and column in made:
                made[column] = _in_messages(
                    made[column], mapping.tag("content_tag") or "content", column, change
                )
    return made


def _changed(value: Any, field: str, change: Callable[[Any, str], Any]) -> Any:
    """A video may be the list of its frames."""
    return [change(each, field) for each in value] if isinstance(value, list) else change(value, field)


def _in_messages(value: Any, content: str, field: str, change: Callable[[Any, str], Any]) -> Any:
    if isinstance(value, list):
        return [_in_messages(each, content, field, change) for each in value]
    if not isinstance(value, dict) or not isinstance(value.get(content), list):
        return value
    return {**value, content: [_in_part(part, field, change) for part in value[content]]}


def _in_part(part: Any, field: str, change: Callable[[Any, str], Any]) -> Any:
    if not isinstance(part, dict) or part.get("type") in (None, "text"):
        return part
    made = dict(part)
    for key in _PART_KEYS:
        value = made.get(key)
        if isinstance(value, dict) and isinstance(value.get("url"), str):
            made[key] = {**value, "url": change(value["url"], field)}
        elif isinstance(value, (str, bytes, list)) or (isinstance(value, dict) and "bytes" in value):
            made[key] = _changed(value, field, change)
    return made
