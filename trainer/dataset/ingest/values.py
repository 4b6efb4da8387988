"""What the values of a column are, from a sample of them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal

from trainer.dataset.ingest.archive import PICTURES, VIDEOS
from trainer.dataset.ingest.words import ROLE_KEYS, TEXT_KEYS, speaker

Kind = Literal[
    "empty", "text", "texts", "number", "flag", "images", "videos", "messages", "message", "pairs", "tools", "list", "other",
]  # fmt: skip
# The share of the values that must be of a kind.
_MOST = 0.7
_FLAGS = frozenset(["true", "false", "yes", "no", "0", "1", "0.0", "1.0", "是", "否"])
_ID = re.compile(r"[\w./:-]{1,64}")
EXAMPLE = 80


@dataclass(frozen=True)
class Values:
    """The kind of a column's values; `items` are those that are there, JSON text read; `length` their mean in characters."""

    kind: Kind
    items: list[Any]
    length: float
    example: str
    is_id: bool


def values_of(given: Sequence[Any]) -> Values:
    """What the values of a column are; the kind that most of them have."""
    there = [value for value in given if not _nothing(value)]
    items = [read_json(value) for value in there]
    if not items:
        return Values(
            "empty" if not any(isinstance(value, list) for value in given) else "list", [], 0.0, "", False
        )
    kinds = [_kind(item) for item in items]
    best = max(dict.fromkeys(kinds), key=kinds.count)
    kind: Kind = best if kinds.count(best) >= _MOST * len(kinds) else "other"
    if (
        {"text", "number"} >= set(kinds)
        or {"text", "flag"} >= set(kinds)
        or {"text", "flag", "number"} >= set(kinds)
    ):
        kind = "text" if "text" in kinds else "number" if "number" in kinds else "flag"
    texts = [item for item in items if isinstance(item, str)]
    length = sum(map(len, texts)) / len(texts) if texts else 0.0
    return Values(kind, items, length, _shown(there[0]), _is_id(texts, len(items)))


def read_json(value: Any) -> Any:
    """A list or an object that a cell spells as JSON text; every other value as it is."""
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        try:
            found = json.loads(value)
        except (ValueError, RecursionError):
            return value
        if _kind(found) in ("messages", "message", "pairs", "images", "videos", "tools"):
            return found
    return value


def _nothing(value: Any) -> bool:
    return value is None or value == "" or value == [] or (isinstance(value, float) and value != value)


def _kind(value: Any) -> Kind:
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, (int, float)):
        return "flag" if value in (0, 1) else "number"
    if isinstance(value, (bytes, bytearray)):
        return "images"
    if isinstance(value, str):
        return _kind_of_text(value)
    if isinstance(value, dict):
        return _kind_of_object(value)
    return _kind_of_list(value) if isinstance(value, (list, tuple)) else "other"


def _kind_of_text(value: str) -> Kind:
    if value.strip().casefold() in _FLAGS:
        return "flag"
    name = value.strip()
    if len(name) < 1024 and "\n" not in name:
        suffix = PurePosixPath(name.replace("\\", "/")).suffix.lower()
        if suffix in PICTURES or name.startswith("data:image/"):
            return "images"
        if suffix in VIDEOS:
            return "videos"
    return "text"


def _kind_of_object(value: dict[str, Any]) -> Kind:
    keys = set(value)
    if "bytes" in keys and keys <= {"bytes", "path"}:
        return "images"
    if keys == {"path"} and isinstance(value["path"], str):
        return (
            _kind_of_text(value["path"]) if _kind_of_text(value["path"]) in ("images", "videos") else "other"
        )
    return "message" if _is_message(value) else "other"


def _kind_of_list(value: Sequence[Any]) -> Kind:
    if all(isinstance(each, dict) for each in value):
        # First, because "function" is also a word for a speaker.
        if all(_is_function(each) for each in value):
            return "tools"
        if all(_is_message(each) for each in value):
            return "messages"
    if all(
        isinstance(each, (list, tuple)) and len(each) == 2 and all(isinstance(x, str) for x in each)
        for each in value
    ):
        return "pairs"
    kinds = {_kind(each) for each in value if not isinstance(each, (list, tuple))}
    for kind in ("images", "videos"):
        if kinds == {kind}:
            return kind  # type: ignore[return-value]
    return "texts" if all(isinstance(each, str) for each in value) else "list"


def _is_message(value: dict[str, Any]) -> bool:
    """An object that says who speaks: by its keys, or by a value that is a word for a speaker."""
    keys = set(value)
    if keys & set(ROLE_KEYS) and keys & {*TEXT_KEYS, "tool_calls", "function_call"}:
        return True
    return len(keys) >= 2 and any(speaker(each) for each in value.values())


def _is_function(value: dict[str, Any]) -> bool:
    inner = value.get("function", value)
    return isinstance(inner, dict) and "name" in inner and ("parameters" in inner or "description" in inner)


def _is_id(texts: Sequence[str], count: int) -> bool:
    """Short signs without a blank, all different: names of rows, not texts."""
    short = [text for text in texts if _ID.fullmatch(text) and any(char.isdigit() for char in text)]
    return bool(texts) and len(short) == len(texts) == count and len(set(texts)) == len(texts)


def _shown(value: Any) -> str:
    if isinstance(value, (bytes, bytearray)):
        return f"{len(value)} bytes"
    text = (
        value
        if isinstance(value, str)
        else json.dumps(value, ensure_ascii=False, default=lambda each: f"<{type(each).__name__}>")
    )
    text = " ".join(text.encode("utf-8", "replace").decode().split())
    return text if len(text) <= EXAMPLE else f"{text[: EXAMPLE - 1]}…"
