"""`${...}` in a file of settings: another name of the file, or a variable of the environment.

The notation is OmegaConf's (https://omegaconf.readthedocs.io/en/latest/usage.html#variable-interpolation): `${name}`,
`${outer.inner}`, `${oc.env:NAME}`, `${oc.env:NAME,default}`, `${oc.decode:text}`, and `\\${` for the characters.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from trainer.errors import UserError

Variable = Callable[[str], str | None]
_INNERMOST = re.compile(r"(?<!\\)\$\{([^{}$]*)\}")
_OPEN = re.compile(r"(?<!\\)\$\{")
# A name that stands for itself, by way of others too, would be looked up for ever.
_DEEPEST = 32
# What a model is told or asked is handed over letter by letter.
SPOKEN = ("learn_prompts", "export_prompts", "system", "default_system")


def resolve(values: Mapping[str, Any], variable: Variable) -> dict[str, Any]:
    """`values` with every `${...}` replaced, in lists and mappings too (not in what a model is told); `variable` answers for the environment.

    A text that is one `${...}` takes the value with its type. Raises UserError for a name or a variable that is not
    there, and for names that stand for each other.
    """
    return {
        name: each if name in SPOKEN else _value(each, values, variable, name, 0)
        for name, each in values.items()
    }


def _value(value: Any, all_of: Mapping[str, Any], variable: Variable, field: str, depth: int) -> Any:
    if isinstance(value, Mapping):
        return {name: _value(each, all_of, variable, field, depth) for name, each in value.items()}
    if isinstance(value, list):
        return [_value(each, all_of, variable, field, depth) for each in value]
    return _text(value, all_of, variable, field, depth) if isinstance(value, str) else value


def _text(text: str, all_of: Mapping[str, Any], variable: Variable, field: str, depth: int) -> Any:
    if depth > _DEEPEST:
        raise UserError("interpolation_circle", field=field, name=field)
    while found := _INNERMOST.search(text):
        meant = _value(_meant(found[1].strip(), all_of, variable, field), all_of, variable, field, depth + 1)
        if found.span() == (0, len(text)):
            return meant
        text = text[: found.start()] + _as_text(meant, field) + text[found.end() :]
    if _OPEN.search(text):
        raise UserError("interpolation_broken", field=field, name=field, value=text[:80])
    return text.replace("\\${", "${")


def _as_text(value: Any, field: str) -> str:
    """A value inside a longer text. Raises UserError for one that is no text, number or switch."""
    if isinstance(value, (Mapping, list)):
        raise UserError("interpolation_broken", field=field, name=field, value=str(value)[:80])
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def _meant(inner: str, all_of: Mapping[str, Any], variable: Variable, field: str) -> Any:
    resolver, colon, rest = inner.partition(":")
    if not colon:
        return _named(inner, all_of, field)
    if resolver == "oc.decode":
        return _decoded(rest)
    if resolver not in ("oc.env", "env"):
        raise UserError("interpolation_unknown", field=field, name=field, resolver=resolver)
    name, comma, default = rest.partition(",")
    found = variable(name.strip())
    if found is None and not comma:
        raise UserError("interpolation_variable", field=field, name=field, variable=name.strip())
    # A default is written as YAML is, a variable of the environment is a text.
    return _decoded(default.strip()) if found is None else found


def _decoded(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _named(path: str, all_of: Mapping[str, Any], field: str) -> Any:
    found: Any = all_of
    for part in path.split("."):
        if not isinstance(found, Mapping) or part not in found:
            near = difflib.get_close_matches(path, [str(each) for each in all_of], n=1, cutoff=0.0)
            raise UserError(
                "interpolation_name", field=field, name=field, missing=path, nearest=near[0] if near else ""
            )
        found = found[part]
    return found
