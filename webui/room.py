"""Whether the run fits, as the page says it: a quiet line with the parts on demand, or a warning with changes to press. Pure."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from trainer.model.fit import Fit, gigabytes
from trainer.model.fit.estimate import PARTS
from trainer.model.fit.weighing import Change
from webui import marks
from webui.i18n import say

# A press on a change sends the options it sets; open parts stay open when the line is drawn anew.
SCRIPT = """
let open = false;
element.addEventListener("toggle", (event) => { open = event.target.open; }, true);
new MutationObserver(() => {
  const parts = element.querySelector("details");
  if (parts && open && !parts.open) parts.open = true;
}).observe(element, { childList: true, subtree: true });
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-fit]");
  if (button) trigger("click", { fit: button.dataset.fit });
});
"""


def room(found: Fit | None, lang: str) -> str:
    """The line beneath Start; nothing for a model whose sizes nobody knows yet."""
    if found is None:
        return ""
    state = {True: "fits", False: "short" if found.cannot else "tight", None: "open"}[found.fits]
    parts = f"<details><summary>{_bar(found)}<span>{escape(_line(found, lang))}</span></summary>{_parts(found, lang)}</details>"
    return f'<div class="tb-room" data-fits="{state}">{parts}{_warning(found, state, lang)}</div>'


def asked(found: Fit | None, data: Any) -> dict[str, Any]:
    """The options of the change that was pressed; none when it is no longer among those that are offered."""
    wanted = data.get("fit") if isinstance(data, dict) else ""
    for change in found.changes if found else ():
        if _sent(change) == wanted:
            return change.values
    return {}


def _sent(change: Change) -> str:
    return json.dumps(change.values)


def _line(found: Fit, lang: str) -> str:
    need = gigabytes(found.need.total)
    if found.free is None:
        said = say("train.room.needs", lang, need=need)
    else:
        said = say("train.room.line", lang, need=need, free=gigabytes(found.free))
    devices = len(found.machine.free)
    return f"{said} {say('train.room.each', lang, count=devices)}" if devices > 1 else said


def _bar(found: Fit) -> str:
    share = min(100.0, 100 * found.need.total / found.free) if found.free else 0.0
    return f'<i class="bar" aria-hidden="true"><b style="width:{share:.0f}%"></b></i>'


def _parts(found: Fit, lang: str) -> str:
    sizes = found.need.parts()
    rows = "".join(
        f"<dt>{escape(say(f'train.room.part.{name}', lang))}</dt><dd>{gigabytes(sizes[name])} GB</dd>"
        for name in PARTS
        if sizes[name] >= 5_000_000
    )
    host = ""
    if found.need.host:
        values = {"need": gigabytes(found.need.host), "free": gigabytes(found.machine.host)}
        host = f"<p>{escape(say('train.room.host', lang, **values))}</p>"
    note = escape(say("train.room.note", lang))
    on = f" {escape(say('train.room.checkpointing', lang))}" if found.checkpointing else ""
    return f"<dl>{rows}</dl>{host}<p>{note}{on}</p>"


def _warning(found: Fit, state: str, lang: str) -> str:
    if found.fits is not False:
        return ""
    said = escape(say(f"train.room.{state}", lang))
    if not found.changes:
        return f'<p role="status"><b>{said}</b> {escape(say("train.room.no_change", lang))}</p>'
    buttons = "".join(_button(each, lang) for each in found.changes)
    return f'<p role="status"><b>{said}</b> {escape(say("train.room.would", lang))}</p><div class="ways">{buttons}</div>'


def _button(change: Change, lang: str) -> str:
    said = " · ".join(
        f"{marks.label(name, lang)}: {marks.shown(value, lang)}" for name, value in change.values.items()
    )
    needs = say("train.room.then", lang, need=gigabytes(change.need.total))
    return (
        f'<button type="button" class="tb-button" data-fit="{escape(_sent(change))}">{escape(said)} '
        f"<small>{escape(needs)}</small></button>"
    )
