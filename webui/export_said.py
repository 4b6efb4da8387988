"""What the Export tab says before a start: the sentence, what it needs, and what is wrong. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from trainer.errors import UserError
from trainer.events import Note
from webui import beside
from webui.export_desk import Forecast
from webui.export_words import names, size
from webui.i18n import say, say_error
from webui.panel import spoken

SCRIPT = beside.marks_beside("export")
# Controls whose names differ from those of the options that they fill.
_CONTROLS = {"export_format": "formats", "adapter_name_or_path": "from", "model_name_or_path": "from"}
# Less than this share of what is free is not worth a word.
_MUCH = 0.5


def outlook(forecast: Forecast, lang: str) -> str:
    """The sentence beside the button: what will be written, how large it is, where it goes, what is free."""
    found = forecast.outlook
    if forecast.problems:
        told = say_error(forecast.problems[0], lang)
        return f'<p class="tb-short">{escape(told.text)} <span>{escape(told.hint)}</span></p>'
    if found is None or not forecast.formats:
        return f"<p><span>{_say('problems.none_chosen', lang)}</span></p>"
    total = sum(forecast.sizes.get(each, 0) for each in forecast.formats)
    what = {"formats": names(forecast.formats, lang), "name": forecast.name}
    said = (
        _say("outlook.size", lang, size=size(total), **what)
        if total
        else _say("outlook.unknown", lang, **what)
    )
    facts = [
        _say("outlook.disk", lang, free=size(found.disk_free)),
        *_memory(found.memory_needed, found.memory_free, lang),
    ]
    return (
        f"<p>{said}{''.join(f' <span>· {fact}</span>' for fact in facts)}<br>{_place(found.target, lang)}</p>"
    )


def _place(target: Path | None, lang: str) -> str:
    if target is None:
        return f"<span>{_say('outlook.own', lang)}</span>"
    return f'<span>{_say("outlook.place", lang)} <code class="tb-path">{escape(str(target))}</code></span>'


def _memory(needed: int, free: int, lang: str) -> list[str]:
    if not needed or not free or needed < _MUCH * free:
        return []
    return [_say("outlook.memory", lang, needed=size(needed), free=size(free))]


def notes(forecast: Forecast, lang: str) -> str:
    """What the person should know of these formats beforehand."""
    found = forecast.outlook.notes if forecast.outlook else ()
    return "".join(_note(each, lang) for each in found)


def _note(note: Note, lang: str) -> str:
    said = spoken(note.code, note.values, lang)
    level = "" if note.level == "info" else " tb-warning"
    return f'<p class="tb-rows-note{level}">{escape(f"{said.text} {said.hint}".strip())}</p>'


def problems(found: Sequence[UserError], lang: str) -> str:
    """Every mistake with the way out, and the control that it belongs to."""
    return beside.problems(found, _CONTROLS, lang)


def _say(key: str, lang: str, **values: object) -> str:
    return escape(say(f"export.{key}", lang, **values))
