"""The values of a row's fields: of the right type and filled in, or the reason why the row cannot be used."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from trainer.errors import Values

KINDS = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    bytes: "bytes",
}


class Bad(Exception):
    """The row cannot be used: a sentence's code and its values."""

    def __init__(self, code: str, **values: str | int | float) -> None:
        self.code = code
        self.values: Values = values


def kind(value: Any) -> str:
    """What a value is, in the words of a sentence."""
    return "nothing" if value is None else KINDS.get(type(value), type(value).__name__)


def shown(value: Any, most: int = 80) -> str:
    """A value as a sentence quotes it: short, and of characters that every terminal takes."""
    text = value if isinstance(value, str) else str(value)
    return text[:most].encode(errors="replace").decode()


def wrong(field: str, value: Any, allowed: str) -> Bad:
    """The reason for a value of the wrong type."""
    return Bad("row_type", field=field, found=kind(value), allowed=allowed)


class Texts:
    """Reads the texts of rows. `names` gives what `{{name}}` and the like become."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self._marks = re.compile("|".join(re.escape(f"{{{{{name}}}}}") for name in names)) if names else None

    def text(self, value: Any, field: str) -> str:
        """The text of a field with its placeholders filled in; nothing is an empty text."""
        if value is None:
            return ""
        if not isinstance(value, str):
            raise wrong(field, value, "a text")
        whole(value, field)
        if self._marks is None or "{{" not in value:
            return value
        return self._marks.sub(lambda found: self._names[found.group()[2:-2]], value)

    def answer(self, value: Any, field: str) -> str:
        """As `text`, of an answer, which must say something."""
        if value is None:
            raise Bad("row_no_answer", field=field)
        text = self.text(value, field)
        if not text.strip():
            raise Bad("row_empty_answer", field=field)
        return text


def whole(text: str, field: str) -> None:
    """Raises Bad for half a character: JSON can spell half of a surrogate pair ("\\ud83d"), which no tokenizer takes."""
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Bad("row_half_character", field=field, place=error.start + 1) from None


def unpacked(value: Any) -> Any:
    """A list that a table keeps as JSON in one cell; every other value as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith("["):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def as_json(value: Any, field: str) -> str:
    """A value as JSON text. Raises Bad where it holds what JSON has no word for (bytes, NaN) or half a character."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):
        raise Bad("row_json", field=field, reason="it holds a value that JSON has no word for") from None
    whole(text, field)
    return text


def from_json(text: str, field: str) -> Any:
    """The value of a JSON text. Raises Bad with the place of the mistake."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        reason = f"{error.msg} (line {error.lineno}, column {error.colno})"
        raise Bad("row_json", field=field, reason=reason) from None
    except ValueError:
        raise Bad("row_json", field=field, reason="it holds a number of thousands of digits") from None
