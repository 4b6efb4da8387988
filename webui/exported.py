"""Exports as whom a person talks with: from this workspace's list, or by a path that the person types."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.chat.exports import base_of, named
from trainer.errors import UserError
from webui import partner as a_run
from webui.export_words import name_of
from webui.i18n import say
from webui.partner import TOP, Partner, Top, model_of, short_name

if TYPE_CHECKING:
    from trainer.jobs.exports import Exported, Exports
    from trainer.jobs.workspace import Workspace

# The menu's value for a path that is typed; the others are "export:<run>#<format>:<type>".
TYPED = "typed:"
_EXPORT = "export:"
# A run is compared with its base unless the person has said otherwise; of a typed path nobody knows the base. Without the
# server: who presses Load at once gets what the page shows.
SUITED = f"""(whom, mode) => {{
  if (whom === {json.dumps(TOP)} || mode !== 'base') return mode;
  return whom === {json.dumps(TYPED)} ? 'tuned' : 'compare';
}}"""


def is_export(whom: str) -> bool:
    """Whether a value of the menu means something exported."""
    return whom == TYPED or whom.startswith(_EXPORT)


def choices(exports: Exports, lang: str) -> list[tuple[str, str]]:
    """Labels and values of the menu: everything that this workspace's exports have written, then the typed path."""
    found = [(_label(each, lang), _value(each)) for each in exports.made()]
    return [*found, (say("chat.typed", lang), TYPED)]


def _label(made: Exported, lang: str) -> str:
    about = f"{name_of(made.format, lang)} {made.type}".rstrip()
    return f"{made.name} · {made.model} · {about}"


def _value(made: Exported) -> str:
    return f"{_EXPORT}{made.run}#{made.format}:{made.type}"


def value_of(exports: Exports, run: str, key: str) -> str:
    """The menu's value for a format of a receipt, such as "gguf" or "gguf:q8_0". Raises UserError when it is gone."""
    return _value(_find(exports.made(), run, key))


def _find(made: Sequence[Exported], run: str, key: str) -> Exported:
    own = [each for each in made if each.run == run]
    exact = [each for each in own if key in (f"{each.format}:{each.type}", each.format)]
    if not exact:
        raise UserError("chat_export_gone", name=f"{Path(run).name} {key.rstrip(':')}".strip())
    return exact[0]


def chosen(data: Any) -> tuple[str, str] | None:
    """The run and the format of a receipt whose button "Open in Chat" was pressed; None for every other event."""
    if not isinstance(data, dict) or data.get("act") != "chat":
        return None
    return str(data.get("id", "")), str(data.get("name", ""))


def anyone(workspace: Workspace, whom: str, typed: str, top: Top) -> Partner:
    """Whom a value of the chat's menu means: the top of the page, a run, an export or a typed path. Raises UserError."""
    if is_export(whom):
        return partner(workspace, whom, typed or "", top)
    return a_run.partner(workspace.jobs, whom, top)


def partner(workspace: Workspace, whom: str, typed: str, top: Top) -> Partner:
    """What to load for an export, with the model that it was made from as its base. Raises UserError if it is gone."""
    if whom == TYPED:
        path = named(typed)
        return _made_of(path, Partner("", model_of(top), (), "", top.hub))
    run, _, key = whom.removeprefix(_EXPORT).partition("#")
    made = _find(workspace.exports.made(), run, key)
    config = workspace.jobs.get(run).config
    known = Partner(
        "", config.model.model_name_or_path, (), config.data.template, config.model.hub, config.data
    )
    name = f"{made.name} · {made.format} {made.type}".rstrip()
    return _made_of(made.path, known)._replace(name=name)


def _made_of(path: Path, known: Partner) -> Partner:
    model = base_of(path) or known.model or str(path)
    return known._replace(name=short_name(str(path)), model=model, checkpoints=(str(path),))
