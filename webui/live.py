"""The run panel on the page: its components, its timers, and what its buttons do."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gradio as gr

from trainer.errors import UserError
from trainer.jobs.jobs import Jobs
from webui import findings
from webui.held import Held
from webui.i18n import say
from webui.panel import AREAS
from webui.watch import Body, Look, View, act, look, show

TICK_S = 1.0
# While nothing is on, a page looks this often whether another one has started something.
LOOKOUT_S = 10.0

# The tab in which runs of a kind are shown.
TABS = {"train": "train", "eval": "evaluate", "export": "export"}

# Events must not paint progress over the page, nor wait for one another.
QUIET: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": None, "api_visibility": "private"}
# Of quick presses none is lost: by Gradio's own rule one is passed over while another is being answered.
PRESSED: dict[str, Any] = {**QUIET, "trigger_mode": "multiple"}
# What the clock does has no progress at all: Gradio's page notes it down at every component that any event ever had for an
# output, walking through the whole page for each. For what a person does it must stay: without it the first change of a
# control in a fold that has just been opened is lost.
ALONE: dict[str, Any] = {**QUIET, "show_progress_on": []}

# Buttons are drawn with the panel; one listener hands their act and run to Python. A pressed one answers at once, and
# the next drawing puts it right. Scrolled strips stay at their newest end unless the person scrolled back.
SCRIPT = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-act]');
  if (!button || button.getAttribute('aria-disabled') === 'true') return;
  const { act, id, busy } = button.dataset;
  if (act === 'chat') return trigger('select', { act, id, name: button.dataset.name || '' });
  if (act === 'evaluate') return trigger('apply', { act, id });
  if (act === 'export') return trigger('release', { act, id });
  if (act === 'zip') {
    button.dataset.before = button.textContent;
    button.textContent = busy;
    button.setAttribute('aria-disabled', 'true');
    return trigger('download', { act, id });
  }
  if (act === 'go') return trigger('submit', { act, id });
  if (busy) button.textContent = busy;
  button.setAttribute('aria-disabled', 'true');
  trigger('click', { act, id });
});
element.addEventListener('scroll', (event) => {
  const box = event.target;
  box.tbAway = box.scrollWidth - box.clientWidth - box.scrollLeft > 40 || box.scrollHeight - box.clientHeight - box.scrollTop > 40;
}, true);
watch('value', () => {
  for (const box of element.querySelectorAll('.tb-strip-cards, .tb-log')) {
    if (box.tbAway) continue;
    if (box.matches('.tb-log')) box.scrollTop = box.scrollHeight; else box.scrollLeft = box.scrollWidth;
  }
});
"""


class RunPanel:
    """Built once, inside the column that shows what happens.

    `outputs` with `started(view, run, lang)` let another part (the Start button, the runs drawer) put a run on show.
    `kind` is the kind of runs that it shows by itself, `name` begins the ids of its parts, `body` draws what stands below
    the head. Its head fires events whose data hold a run's `id`: `select` when the person wants to chat with it, `apply`
    to have it evaluated, `release` to have it exported, and `submit` to see a run of another kind.
    """

    def __init__(
        self,
        jobs: Jobs,
        language: gr.Dropdown,
        kind: str = "train",
        name: str = "run",
        body: Body = findings.body,
    ) -> None:
        self._jobs = jobs
        self.language = language
        self._draw = body
        area = AREAS[kind]
        with gr.Column(elem_id=name):
            self.head = gr.HTML(elem_id=f"{name}-head", apply_default_css=False, js_on_load=SCRIPT)
            self.body = gr.HTML(elem_id=f"{name}-body", apply_default_css=False, js_on_load=SCRIPT)
            with gr.Accordion(say(f"{area}.log"), open=False, elem_id=f"say-{area}-log") as drawer:
                self.log = gr.HTML(elem_id=f"{name}-log", apply_default_css=False, js_on_load=SCRIPT)
        self.view = gr.State(Held(View(kind=kind)))
        self.timer = gr.Timer(TICK_S, active=False)
        self._lookout = gr.Timer(LOOKOUT_S)
        self._listen(drawer)

    @property
    def inputs(self) -> list[Any]:
        return [self.view, self.language]

    @property
    def outputs(self) -> list[Any]:
        """What `started` fills."""
        return [self.head, self.body, self.log, self.timer]

    def attach(self, loaded: Callable[..., Any]) -> None:
        """Shows the run that is on, or the newest, when the page is loaded: `loaded` registers a listener for that."""
        loaded(self._refresh, self.inputs, self.outputs, **QUIET)

    def started(self, view: Held[View], run: str, lang: str) -> list[Any]:
        """Values of `outputs` that show a run, or its place in the queue. Raises UserError for an unknown one."""
        return self.changed(view, lang, lambda now: show(self._jobs, now, run))

    def _listen(self, drawer: gr.Accordion) -> None:
        for tick in (self.timer.tick, self._lookout.tick):
            tick(self._refresh, self.inputs, self.outputs, **ALONE)
        self.language.change(self._refresh, self.inputs, self.outputs, **QUIET)
        for drawn in (self.head, self.body):
            drawn.click(self._act, self.inputs, self.outputs, **PRESSED)
        drawer.expand(self._open_log, self.inputs, self.outputs, **QUIET)
        drawer.collapse(self._close_log, self.inputs, self.outputs, **QUIET)

    def _refresh(self, view: Held[View], lang: str) -> list[Any]:
        return self.changed(view, lang, lambda now: now)

    def _act(self, view: Held[View], lang: str, event: gr.EventData) -> list[Any]:
        return self.changed(view, lang, lambda now: act(self._jobs, now, *act_of(event)))

    def _open_log(self, view: Held[View], lang: str) -> list[Any]:
        return self.changed(view, lang, lambda now: replace(now, log_open=True))

    def _close_log(self, view: Held[View], lang: str) -> list[Any]:
        return self.changed(view, lang, lambda now: replace(now, log_open=False))

    def changed(self, view: Held[View], lang: str, change: Callable[[View], View]) -> list[Any]:
        """Values of `outputs` after a change of the view: what has to be drawn anew, and the timer when it starts or ends."""
        with view.turn:
            before = view.value
            seen: Look = look(self._jobs, change(before), lang, time.time(), self._draw)
            view.value = seen.view
            drawn = [gr.skip() if html is None else html for html in (seen.head, seen.body, seen.log)]
            same = seen.view.ticking == before.ticking
            return [*drawn, gr.skip() if same else gr.Timer(active=seen.view.ticking)]


def show_each_other(panels: dict[str, RunPanel], jobs: Jobs, tabs: gr.Tabs) -> None:
    """Lets the panel of one kind lead to a run of another, whose tab is called `TABS[kind]`."""
    outputs = [tabs, *(part for panel in panels.values() for part in panel.outputs)]
    inputs = [*(panel.view for panel in panels.values()), next(iter(panels.values())).language]

    def go(event: gr.EventData, *given: Any) -> list[Any]:
        *views, lang = given
        try:
            job = jobs.get(act_of(event)[1])
        except UserError:
            return [gr.skip() for _ in outputs]
        values: list[Any] = [gr.Tabs(selected=TABS[job.task])]
        for (kind, panel), view in zip(panels.items(), views, strict=True):
            own = kind == job.task
            values += panel.started(view, job.id, lang) if own else [gr.skip() for _ in panel.outputs]
        return values

    for panel in panels.values():
        panel.head.submit(go, inputs, outputs, **QUIET)


def act_of(event: gr.EventData) -> tuple[str, str]:
    """The act and the run of a pressed button; a page can send anything, so anything else becomes empty text."""
    data = event._data if isinstance(event._data, dict) else {}
    return str(data.get("act", "")), str(data.get("id", ""))


def chosen_run(jobs: Jobs, event: gr.EventData) -> str:
    """The id of an existing run that a button named, or "" when there is none."""
    try:
        return jobs.get(act_of(event)[1]).id
    except UserError:
        return ""
