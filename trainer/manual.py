"""What the options say of themselves, as a table for the terminal and as docs/options.md."""

from __future__ import annotations

import difflib
from typing import Any, Literal, get_args, get_origin

from trainer import compat
from trainer.errors import UserError
from trainer.options import OptionInfo, options
from trainer.values import SENTENCES, is_optional, plain_kind

_TITLES = {
    "model": "Model",
    "data": "Data",
    "method": "Method",
    "lora": "LoRA",
    "train": "Training",
    "optimizer": "Optimisers",
    "distributed": "Many processes",
    "generate": "Chat and generation",
    "evaluate": "Evaluation",
    "export": "Export",
}


def kind_of(info: OptionInfo) -> str:
    """What the option takes, in words: its type, its range, its choices."""
    kind = plain_kind(info.kind)
    if get_origin(kind) is Literal:
        return " | ".join(get_args(kind))
    if get_origin(kind) is tuple:
        return "one a line" if info.name in SENTENCES else "names, separated by commas"
    words = {bool: "true | false", int: "whole number", float: "number", str: "text"}[kind]
    return f"{words} {_range(info)}".strip() + (" or empty" if is_optional(info.kind) else "")


def _range(info: OptionInfo) -> str:
    low, high = (f"{bound:g}" if bound is not None else "" for bound in (info.min, info.max))
    if low and high:
        return f"{low} to {high}"
    return f"from {low}" if low else f"to {high}" if high else ""


def shown(value: Any) -> str:
    """A default as it would be written in a file."""
    if value is None or value in ((), ""):
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def table() -> str:
    """Every option with its default and its help, one a line."""
    width = max(len(name) for name in options())
    defaults = max(len(shown(info.default)) for info in options().values())
    lines = []
    for section, title in _TITLES.items():
        lines.append(f"\n{title}")
        lines += [
            f"  {name:<{width}}  {shown(info.default):<{defaults}}  {info.help}"
            for name, info in options().items()
            if info.section == section
        ]
    return "\n".join(lines).strip() + "\n"


def explain(name: str) -> str:
    """One option in full; a word of LLaMA-Factory's is explained by ours. Raises UserError for an unknown one."""
    name = name.strip().removeprefix("--").replace("-", "_")
    info = options().get(name)
    if info:
        form = "" if info.form_default == info.default else f"\n  on the page: {shown(info.form_default)}"
        choices = f"\n  for example: {', '.join(info.choices)}" if info.choices else ""
        return f"{name}: {info.help}\n  takes: {kind_of(info)}\n  default: {shown(info.default)}{form}{choices}\n"
    if said_as := _said_as(name):
        own, value = next(iter(said_as.items()))
        more = explain(own) if own in options() else "an argument of TRL's SFTConfig\n"
        return f"{name}: is read as {own}: {value}\n\n{more}"
    if refusal := compat.REFUSED.get(name):
        return f"{name}: cannot be used here: {refusal.reason} {refusal.way}\n"
    if name in compat.OWN:
        return f"{name}: is called {compat.OWN[name]} here\n\n{explain(compat.OWN[name])}"
    if compat.is_harmless(name):
        return f"{name}: accepted from other programs' files, without effect here\n"
    near = difflib.get_close_matches(name, list(options()), n=1, cutoff=0.6)
    raise UserError(
        "option_unknown" if near else "option_unknown_far", name=name, nearest=near[0] if near else ""
    )


def markdown() -> str:
    """The whole of docs/options.md."""
    lines = [
        "# Options",
        "",
        "Made by `python -m trainer options --markdown > docs/options.md`; the source is `trainer/options/`.",
        "",
        "Each option has the same name in a YAML or JSON file (`name: value`), as a flag (`--name value` or",
        "`name=value`) and on the page. *Default* holds for files and flags; where the page proposes something else it",
        "stands under *Page*. Any other argument of TRL's `SFTConfig` is taken by its own name.",
    ]
    for section, title in _TITLES.items():
        lines += [
            "",
            f"## {title}",
            "",
            "| Option | Takes | Default | Page | Meaning |",
            "|---|---|---|---|---|",
        ]
        lines += [_row(info) for info in options().values() if info.section == section]
    lines += ["", "## Words of LLaMA-Factory", "", "| In its files | Here |", "|---|---|"]
    renamed = [name for name in sorted(compat.RENAMED) if name not in options() and _said_as(name)]
    lines += [f"| `{name}` | {_renamed(name)} |" for name in renamed]
    lines += [f"| `{name}` | `{own}` |" for name, own in sorted(compat.OWN.items())]
    lines += [
        f"| `{name}` | refused: {refusal.reason} {refusal.way} |"
        for name, refusal in sorted(compat.REFUSED.items())
    ]
    lines += [f"| `{name}` | accepted, without effect |" for name in sorted(compat.HARMLESS)]
    return "\n".join(lines) + "\n"


def _row(info: OptionInfo) -> str:
    takes = kind_of(info).replace("|", "\\|")
    page = "" if info.form_default == info.default else f"`{shown(info.form_default)}`"
    default = shown(info.default)
    return f"| `{info.name}` | {takes} | {default if default == 'empty' else f'`{default}`'} | {page} | {info.help} |"


def _said_as(name: str) -> dict[str, Any]:
    """What a renamed word says in ours, with the value that says anything at all."""
    return compat.translate(name, True) or compat.translate(name, False) or {}


def _renamed(name: str) -> str:
    said_as = _said_as(name)
    return ", ".join(f"`{own}`" if value is True else f"`{own}: {value}`" for own, value in said_as.items())
