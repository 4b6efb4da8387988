"""What the page says about the form: HTML for people, and marks that `page.js` puts beside the controls. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from trainer.errors import UserError
from trainer.events import Note
from trainer.options import options
from webui import form
from webui.data_shelf import rows_said
from webui.i18n import say, say_error, say_sentence
from webui.outlook import Look
from webui.words import clock, count


def label(name: str, lang: str) -> str:
    """What a control is called on the page."""
    if name in options():
        return say(f"options.{name}.label", lang)
    return say({"extra": "train.extra.label", "model_path": "page.model_path.label"}[name], lang)


def marks(values: Mapping[str, Any], proposals: Mapping[str, Any], unfilled: Iterable[str], lang: str) -> str:
    """An element that tells `page.js` what is changed (with the value a reset brings back) and what is hidden.

    `unfilled` are options without a purpose for the chosen data.
    """
    changed = {name: shown(proposals[name], lang) for name in form.changed(values, proposals)}
    panels: dict[str, int] = {}
    for name in changed:
        panels[form.panel_of(name)] = panels.get(form.panel_of(name), 0) + 1
    gone = form.hidden(values) | set(unfilled)
    folded = [panel for panel in form.FOLDED if gone.issuperset(form.names_in(panel))]
    titles = {"lora": values["finetuning_type"]} if values.get("finetuning_type") == "oft" else {}
    facts = {
        "changed": changed, "panels": panels, "hidden": sorted(gone), "folded": folded, "titles": titles,
    }  # fmt: skip
    return f'<div hidden data-marks="{escape(json.dumps(facts, ensure_ascii=False))}"></div>'


def fold_marks(fold: str, values: Mapping[str, Any], proposals: Mapping[str, Any], lang: str) -> str:
    """The same for a fold outside the Train tab, by its id: what is changed there, under the names of the options."""
    changed = {
        name: shown(proposal, lang)
        for name, proposal in proposals.items()
        if not form.same(name, values[name], proposal)
    }
    facts = json.dumps({"changed": changed, "names": list(proposals)}, ensure_ascii=False)
    return f'<div hidden data-fold="{escape(fold)}" data-marks="{escape(facts)}"></div>'


def shown(value: Any, lang: str) -> str:
    """A value as a person reads it."""
    if value in ("", None, [], ()):
        return say("train.nothing", lang)
    if isinstance(value, bool):
        return say("train.yes" if value else "train.no", lang)
    if isinstance(value, (list, tuple)):
        return ", ".join(str(each) for each in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def problems(found: Sequence[UserError], lang: str) -> str:
    """Every mistake with the way out; `page.js` shows each beside its control, too."""
    if not found:
        return ""
    items = "".join(_problem(each, lang) for each in found)
    title = say("train.problems.one" if len(found) == 1 else "train.problems.many", lang, count=len(found))
    return f'<div class="tb-problem" role="alert"><b>{escape(title)}</b><ul>{items}</ul></div>'


def _problem(error: UserError, lang: str) -> str:
    text, hint = say_error(error, lang)
    field = error.field if error.field in form.NAMES else ""
    name = f'<button type="button" data-go="{field}">{escape(label(field, lang))}</button> ' if field else ""
    said = f'<span class="said">{escape(text)} <i>{escape(hint)}</i></span>'
    return f'<li data-field="{field}">{name}{said}</li>'


def notes(found: Sequence[Note], lang: str) -> str:
    """What a person should know about how a file was read."""
    if not found:
        return ""
    sentences = (say_sentence(note.code, note.values, lang) for note in found)
    items = "".join(f"<li>{escape(' '.join(each).strip())}</li>" for each in sentences)
    return f'<div class="tb-note" role="status"><ul>{items}</ul></div>'


def kept(names: Sequence[str], lang: str) -> str:
    """That some settings were left as the person had set them although the proposals changed."""
    if not names:
        return ""
    listed = ", ".join(label(name, lang) for name in names)
    return f'<div class="tb-note" role="status">{escape(say("train.kept", lang, names=listed))}</div>'


def preset(model: str, method: str, chosen: str, lang: str) -> str:
    """What the chosen preset is for and what it sets otherwise than the balanced one; nothing for no preset."""
    if chosen not in form.PRESETS:
        return ""
    changes = form.preset_changes(model, method, chosen)
    items = "".join(
        f"<li>{escape(label(name, lang))} <s>{escape(shown(before, lang))}</s> → <b>{escape(shown(after, lang))}</b></li>"
        for name, before, after in changes
    )
    listed = f'<ul class="changes">{items}</ul>' if items else ""
    return f'<div class="goal-note"><p>{escape(say(f"train.goal_help.{chosen}", lang))}</p>{listed}</div>'


def outlook(values: Mapping[str, Any], look: Look, lang: str) -> str:
    """The sentence beside Start: what will be learnt, from how many rows in how many steps, about how long."""
    model = form.model_name(values)
    data = ", ".join(values.get("dataset") or ())
    if not data:
        return f"<p>{escape(say('train.outlook.nothing', lang))}</p>"
    named = look.rows is not None and "identity_name" not in look.unfilled
    name = values.get("identity_name") or options()["identity_name"].default
    said = say(
        "train.outlook.named" if named else "train.outlook.data", lang, model=model, name=name, data=data
    )
    parts = []
    if look.rows is not None:
        parts.append(rows_said(look.rows, lang))
    if look.steps is not None:
        parts.append(say("train.outlook.steps", lang, steps=count(look.steps, lang)))
    if look.seconds is not None:
        parts.append(say("train.outlook.time", lang, time=about(look.seconds, lang)))
    return f"<p>{escape(said)} <span>{escape(' · '.join(parts))}</span></p>"


def facts(look: Look, lang: str) -> str:
    """What is known of the chosen data, or why they cannot be read."""
    if look.problem is not None:
        text, hint = say_error(look.problem, lang)
        return f'<span class="wrong">{escape(text)} <i>{escape(hint)}</i></span>'
    if look.rows is None:
        return ""
    said = [rows_said(look.rows, lang)]
    if look.unusable:
        said.append(say("train.unusable", lang, count=count(look.unusable, lang)))
    return escape(" · ".join(said))


def about(seconds: float, lang: str) -> str:
    """A time that is only guessed, rounded as guesses are."""
    if seconds < 100:
        return say("train.outlook.seconds", lang, seconds=max(5, 5 * round(seconds / 5)))
    if seconds < 5400:
        return say("train.outlook.minutes", lang, minutes=round(seconds / 60))
    return clock(seconds)


def command(text: str, lang: str) -> str:
    """The command with buttons that copy it and put it away."""
    copy = (
        f'<button type="button" class="tb-button" data-do="copy">{escape(say("train.copy", lang))}</button>'
    )
    close = escape(say("train.dismiss", lang))
    dismiss = f'<button type="button" class="tb-button" data-do="dismiss" aria-label="{close}" title="{close}">×</button>'
    return f'<div class="command"><pre tabindex="0">{escape(text)}</pre><span>{copy}{dismiss}</span></div>'
