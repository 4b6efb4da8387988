"""The line above a conversation: what is loaded, what it costs, what went wrong."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

import psutil

from trainer import device
from trainer.chat.engine import Loaded
from trainer.errors import UserError
from webui.i18n import say, say_error
from webui.panel import button, spoken
from webui.partner import short_name
from webui.words import count, memory


class Standing(NamedTuple):
    """What stands after a page's last press: what went wrong, or the name of what it has begun to load."""

    problem: UserError | None = None
    loading: str = ""


@dataclass(frozen=True)
class Status:
    """`state` and `loaded` are the engine's; `run_is_on` says whether something is trained meanwhile.

    `taken_mb` is what the program takes in MB; `freed_mb` is told after unloading.
    """

    state: str
    loaded: Loaded | None
    run_is_on: bool
    taken_mb: float
    standing: Standing = Standing()
    freed_mb: float | None = None

    @property
    def loads(self) -> bool:
        """Whether something is being loaded; who has just asked for it may be told before the engine knows."""
        return self.state == "loading" or self.standing.loading != ""


def taken_mb() -> float:
    """Memory of this process in MB, and what it holds on a GPU."""
    taken = psutil.Process().memory_info().rss
    # While the libraries are still being imported in the background nothing waits for them.
    if getattr(sys.modules.get("torch"), "get_device_module", None):
        taken += device.reserved_memory()
    return float(taken) / 1024**2


def status_html(status: Status, lang: str) -> str:
    """One line, and below it notes and a problem."""
    dot, text = _line(status, lang)
    facts = [say("chat.takes", lang, memory=memory(status.taken_mb))]
    loaded = status.loaded
    if loaded:
        facts = [
            f"{loaded.device.upper()} · {loaded.dtype}",
            say("chat.context", lang, count=count(loaded.context, lang)),
            *facts,
        ]
    nothing = "" if loaded else say("chat.why.not_loaded", lang)
    unload = button("unload", say("chat.unload", lang), "", why_not=nothing, busy=say("chat.unloading", lang))
    lines = [spoken(note.code, note.values, lang).text for note in (loaded.notes if loaded else ())]
    if status.run_is_on and loaded:
        lines.append(say("chat.run_is_on", lang))
    notes = "".join(f'<p class="tb-hint">{escape(line)}</p>' for line in lines)
    return (
        f'<section class="tb-chat-status" data-state="{"loading" if status.loads else status.state}" '
        f'data-at="{status.taken_mb}"><div class="tb-title">'
        f'<span class="tb-state {dot}"><i class="tb-dot"></i><span role="status">{escape(text)}</span></span>'
        f'<span class="tb-name">{escape(" · ".join(facts))}</span><span class="tb-buttons">{unload}</span></div>'
        f"{notes}{_problem(status.standing.problem, lang)}</section>"
    )


def _line(status: Status, lang: str) -> tuple[str, str]:
    if status.loads:
        return "tb-is-running", say("chat.loading", lang, name=status.standing.loading or "…")
    if status.freed_mb is not None:
        return "", say("chat.freed", lang, memory=memory(status.freed_mb))
    loaded = status.loaded
    if loaded is None:
        return "", say("chat.none", lang)
    names = " · ".join([short_name(loaded.model), say(f"chat.mode.{loaded.mode}", lang)])
    return "tb-is-finished", say("chat.loaded", lang, name=names)


def _problem(problem: UserError | None, lang: str) -> str:
    if problem is None:
        return ""
    sentence = say_error(problem, lang)
    return f'<div class="tb-problem" role="alert"><b>{escape(sentence.text)}</b><p>{escape(sentence.hint)}</p></div>'
