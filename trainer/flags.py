"""What was typed after `python -m trainer train`: a file of settings and values that go before it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer import compat
from trainer.config import read_file
from trainer.errors import UserError, UserErrors
from trainer.interpolation import resolve
from trainer.jobs.launch import variable
from trainer.options import options
from trainer.values import plain

FILES = (".yaml", ".yml", ".json")


def read_flags(words: Sequence[str]) -> dict[str, Any]:
    """The names and values of `[FILE] [name=value | --name value | --name=value | --name] ...`; the last one counts.

    `outer.inner=value` changes one value of a mapping. `${...}` is replaced, after values that were typed have taken the
    place of the file's. Raises UserErrors for words that are none of these, and UserError for a file that cannot be
    read.
    """
    files: list[Path] = []
    values: dict[str, Any] = {}
    problems: list[UserError] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if word.startswith("--") and len(name) > 2:
            if not equals:
                # A flag alone switches its option on; `-1` is a value, `--name` is the next flag.
                value = rest.pop(0) if rest and not rest[0].startswith("--") else "true"
            values[_plain(name)] = value
        elif equals and all(part.isidentifier() for part in name.split(".")):
            values[name] = value
        elif Path(word).suffix.lower() in FILES and not word.startswith("-"):
            files.append(Path(word))
        else:
            problems.append(UserError("flag_unknown", word=word))
    if len(files) > 1:
        problems.append(UserError("flag_two_files", first=str(files[0]), second=str(files[1])))
    if problems:
        raise UserErrors(problems)
    if not files:
        return _placed({}, values)
    return resolve(_placed(_beside(files[0], read_file(files[0])), values), variable)


def _beside(file: Path, written: dict[str, Any]) -> dict[str, Any]:
    """Files of an engine may lie beside the file of settings, which names them as seen from there."""
    found = dict(written)
    for name in ("deepspeed", "fsdp_config"):
        value = written.get(name)
        if isinstance(value, str) and not Path(value).is_file() and (file.parent / value).is_file():
            found[name] = str(file.parent / value)
    return found


def _placed(written: dict[str, Any], typed: dict[str, Any]) -> dict[str, Any]:
    """The file's values with those that were typed in their places."""
    whole = {name: value for name, value in typed.items() if "." not in name}
    found = {**_without(written, whole), **whole}
    for name, value in typed.items():
        outer, _, inner = name.partition(".")
        if inner:
            found[outer] = _changed(found.get(outer), inner, plain(value))
    return found


def _changed(held: Any, path: str, value: Any) -> Any:
    """`held`, a mapping or nothing, with the value at `path` (`inner.innermost`) put in."""
    name, _, rest = path.partition(".")
    before = held if isinstance(held, dict) else {}
    return {**before, name: _changed(before.get(name), rest, value) if rest else value}


def _plain(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def _without(written: dict[str, Any], typed: dict[str, Any]) -> dict[str, Any]:
    """The file's values that no typed one says otherwise: `bf16: true` yields to `--compute_type fp32`."""
    decided = {own for name, value in typed.items() for own in _means(name, value)}
    return {name: value for name, value in written.items() if not decided & set(_means(name, value))}


def _means(name: str, value: Any) -> tuple[str, ...]:
    said_as = compat.translate(name, value) or {}
    return (name, *said_as) if name in options() else tuple(said_as)
