"""A value as somebody wrote it (YAML, a flag's text, a form) -> the value an option takes."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import yaml

from trainer import compat
from trainer.errors import UserError
from trainer.options import OptionInfo
from trainer.settings_file import parse

SENTENCES = ("learn_prompts", "export_prompts")
ROW_PROMPT = "row:"
_ROW_PROMPT = re.compile(ROW_PROMPT + r"\s*([1-9][0-9]{0,8})(?:\s+(.*))?", re.DOTALL | re.IGNORECASE)


def named_row(prompt: str) -> tuple[int, str]:
    """The row that a question while it learns names (`row:3`), and what is asked instead of the row's own question.

    (0, "") for a question that names none.
    """
    found = _ROW_PROMPT.fullmatch(prompt.strip())
    return (int(found[1]), (found[2] or "").strip()) if found else (0, "")


def short(value: Any) -> str:
    """A value for a sentence, as a file writes it: at most 80 characters."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 80 else text[:79] + "…"


def plain(value: Any) -> Any:
    """A flag's text as the value YAML would read from it; `1e-4` is a number, too."""
    if not isinstance(value, str):
        return value
    try:
        read = parse(value)
    except yaml.YAMLError:
        return value
    if isinstance(read, str):
        try:
            return float(read)
        except ValueError:
            return read
    return read


def is_optional(kind: Any) -> bool:
    """Whether an option may be left empty."""
    return get_origin(kind) in (Union, UnionType) and NoneType in get_args(kind)


def plain_kind(kind: Any) -> Any:
    """The option's type without `| None`."""
    return next(each for each in get_args(kind) if each is not NoneType) if is_optional(kind) else kind


def checked(info: OptionInfo, value: Any) -> Any:
    """`value` as the option's type and within its range. Raises UserError that names the option and what is allowed."""
    kind = plain_kind(info.kind)
    word = value.strip().lower() if isinstance(value, str) else ""
    # What may be left empty is chosen by the program, which people also say as a word.
    if word == "auto" and is_optional(info.kind):
        return None
    if value is None or (isinstance(value, str) and word in ("", "none", "null")):
        if is_optional(info.kind):
            return None
        # Of a closed list `none` is one of the words, or a mistake.
        if not word or get_origin(kind) is not Literal:
            return info.default
    parsed = _parse(info, kind, value)
    if isinstance(parsed, (int, float)) and not isinstance(parsed, bool):
        _check_range(info, parsed)
    return parsed


def _parse(info: OptionInfo, kind: Any, value: Any) -> Any:
    if get_origin(kind) is Literal:
        return _choice(info, get_args(kind), value)
    if get_origin(kind) is tuple:
        return _names(info, value)
    if kind is bool:
        if isinstance(value, bool):
            return value
        word = str(value).strip().lower()
        if word in compat.TRUE or word in compat.FALSE:
            return word in compat.TRUE
        raise UserError("option_not_bool", field=info.name, name=info.name, value=short(value))
    if kind in (int, float):
        return _number(info, kind, value)
    if isinstance(value, (Mapping, list, tuple)):
        raise UserError("option_not_text", field=info.name, name=info.name, value=short(value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _choice(info: OptionInfo, allowed: tuple[str, ...], value: Any) -> str:
    word = str(value).strip()
    if isinstance(value, (list, tuple)) and len(value) == 1:
        word = str(value[0])
    if isinstance(value, float) and value.is_integer():
        word = str(int(value))
    # YAML reads a bare `no` as false and `on` as true.
    if isinstance(value, bool):
        word = next((each for each in allowed if each in (compat.TRUE if value else compat.FALSE)), word)
    if word in allowed:
        return word
    near = difflib.get_close_matches(word.lower(), allowed, n=1, cutoff=0.0)
    raise UserError(
        "option_not_choice", field=info.name, name=info.name, value=short(value), choices=", ".join(allowed),
        nearest=near[0] if near else allowed[0],
    )  # fmt: skip


def _names(info: OptionInfo, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        # Questions to the model are whole sentences, one a line; everything else is a list of names.
        parts = value.splitlines() if info.name in SENTENCES else value.split(",")
    elif isinstance(value, (list, tuple)) and all(isinstance(each, (str, int, float)) for each in value):
        parts = [str(each) for each in value]
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        parts = [str(value)]
    else:
        raise UserError("option_not_list", field=info.name, name=info.name, value=short(value))
    names = tuple(part.strip() for part in parts if part.strip())
    return names or (info.default if value in ("", [], ()) else names)


def _number(info: OptionInfo, kind: type, value: Any) -> int | float:
    code = "option_not_int" if kind is int else "option_not_float"
    wrong = UserError(code, field=info.name, name=info.name, value=short(value))
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise wrong
    try:
        number = float(_product(value))
    except ValueError:
        raise wrong from None
    if number != number or number in (float("inf"), float("-inf")) or (kind is int and number != int(number)):
        raise wrong
    return int(number) if kind is int else number


def _product(value: int | float | str) -> int | float | str:
    """LLaMA-Factory's files give an area as `768*768`, or in patches as `1280*28*28`."""
    factors = value.split("*") if isinstance(value, str) else []
    return math.prod(float(each) for each in factors) if len(factors) > 1 else value


def _check_range(info: OptionInfo, number: float) -> None:
    if info.min is not None and number < info.min:
        raise UserError("option_below", field=info.name, name=info.name, value=number, min=info.min)
    if info.max is not None and number > info.max:
        raise UserError("option_above", field=info.name, name=info.name, value=number, max=info.max)
