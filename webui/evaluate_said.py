"""What the Evaluate tab says before a start: the sentence, what the rows are, and what is wrong. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from trainer.errors import UserError
from webui import beside
from webui.evaluate_desk import HELD, Forecast, Keeps
from webui.i18n import say, say_error
from webui.marks import about
from webui.words import count

# Controls whose names differ from those of the options that they fill.
_CONTROLS = {
    "eval_dataset": "datasets",
    "dataset": "datasets",
    "adapter_name_or_path": "whom",
    "runs": "whom",
    "rows": "ask",
}


SCRIPT = beside.marks_beside("evaluate")


def outlook(forecast: Forecast, lang: str) -> str:
    """The sentence beside the button: who answers, which rows, about how long."""
    if forecast.problem is not None:
        told = say_error(forecast.problem, lang)
        return f"<p>{escape(told.text)} <span>{escape(told.hint)}</span></p>"
    many = len(forecast.names) > 1
    key = ("many_two" if many else "two") if forecast.sides > 1 else ("many" if many else "one")
    who = _say(f"outlook.{key}", lang, name=forecast.names[0], count=len(forecast.names))
    data = ", ".join(forecast.data)
    if forecast.rows is None:
        parts = [_say("outlook.data", lang, data=data)]
    else:
        parts = [_say("outlook.rows", lang, rows=count(forecast.rows, lang), data=data)]
    if forecast.seconds is not None:
        parts.append(_say("outlook.time", lang, time=about(forecast.seconds, lang)))
    return f"<p>{who} {parts[0]}{''.join(f' <span>· {part}</span>' for part in parts[1:])}</p>"


def note(kept: Keeps | None, forecast: Forecast, ask: str, lang: str) -> str:
    """What kind of rows these are: never seen in training, or trained on."""
    if ask == HELD:
        if kept is None:
            return _note("none_held", lang, "tb-held tb-warning")
        rows = count(forecast.rows, lang) if forecast.rows is not None else "–"
        return _note(
            "held_other" if kept.other else "held", lang, "tb-held", rows=rows, data=", ".join(kept.data)
        )
    return _note("seen", lang, "tb-warning") if forecast.seen else ""


def _note(key: str, lang: str, kind: str = "", **values: str) -> str:
    return f'<p class="tb-rows-note {kind}">{_say(f"rows_note.{key}", lang, **values)}</p>'


def problems(found: Sequence[UserError], lang: str) -> str:
    """Every mistake with the way out, and the control that it belongs to."""
    return beside.problems(found, _CONTROLS, lang)


def _say(key: str, lang: str, **values: object) -> str:
    return escape(say(f"evaluate.{key}", lang, **values))
