"""A YAML or JSON file of settings, read as the programs that people bring their files from read it."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from trainer.errors import UserError

_NUMBER = re.compile(r"[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)[eE][-+]?[0-9]+")


class _Loader(yaml.SafeLoader):
    """YAML with three differences, which are OmegaConf's: `1e-5` is a number, a date is a text, and a name that is
    given twice is a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        first: dict[str, int] = {}
        for key, _ in node.value:
            name, line = str(getattr(key, "value", "")), key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode) and name != "<<" and first.setdefault(name, line) != line:
                raise _Twice(name, first[name], line)
        return super().construct_mapping(node, deep=deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+.0123456789"))


class _Twice(yaml.YAMLError):
    def __init__(self, name: str, first: int, second: int) -> None:
        super().__init__(name)
        self.name, self.first, self.second = name, first, second


def read_file(path: Path) -> dict[str, Any]:
    """The names and values of a YAML or JSON file of settings. Raises UserError with line and column of a mistake."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError("file_missing", path=str(path)) from None
    except UnicodeDecodeError as error:
        raise UserError("file_not_utf8", path=str(path), position=error.start) from None
    except OSError as error:
        raise UserError("file_unreadable", path=str(path), reason=str(error.strerror)) from None
    try:
        found = _json(text) if path.suffix == ".json" else parse(text)
    except json.JSONDecodeError as error:
        raise UserError(
            "json_broken", path=str(path), line=error.lineno, column=error.colno, reason=error.msg
        ) from None
    except _Twice as error:
        code = "json_name_twice" if path.suffix == ".json" else "file_name_twice"
        raise UserError(
            code, path=str(path), name=error.name, first=error.first, second=error.second
        ) from None
    except RecursionError:
        raise UserError("file_too_deep", path=str(path)) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        reason = str(getattr(error, "problem", None) or "cannot be read")
        raise UserError("yaml_broken", path=str(path), line=line, column=column, reason=reason) from None
    if not isinstance(found, dict):
        raise UserError("file_not_mapping", path=str(path), found=type(found).__name__)
    return found


def parse(text: str) -> Any:
    """What a YAML text holds, by the same rules. Raises yaml.YAMLError for one that is none."""
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()  # type: ignore[no-untyped-call]


def _json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, of whose names the last one would otherwise count without a word."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _Twice(name, 0, 0)
        found[name] = value
    return found
