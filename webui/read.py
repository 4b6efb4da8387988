"""Values of a mapping that another program, or another version of this one, has written: of the wanted kind, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def text_in(holder: Mapping[str, Any], name: str) -> str:
    value = holder.get(name)
    return value if isinstance(value, str) else ""


def number_in(holder: Mapping[str, Any], name: str) -> float:
    value = holder.get(name)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0


def count_in(holder: Mapping[str, Any], name: str) -> int:
    value = holder.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def mapping_in(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = holder.get(name)
    return value if isinstance(value, Mapping) else {}


def mappings_in(holder: Mapping[str, Any], name: str) -> tuple[Mapping[str, Any], ...]:
    value = holder.get(name)
    return tuple(each for each in value if isinstance(each, Mapping)) if isinstance(value, list) else ()
