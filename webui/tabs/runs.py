"""The runs drawer: every run on disk, opened from the top bar over whatever tab is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from trainer.errors import UserError
from trainer.jobs.jobs import Jobs
from webui.drawer import Drawer, act, drawer_html
from webui.held import Held
from webui.live import ALONE, PRESSED, QUIET, TABS, RunPanel, act_of, chosen_run
from webui.tabs.top import Top
from webui.watch import View
from webui.watch import act as panel_act

OPEN = "(...given) => { window.tuneboardRuns.open(); return given; }"

# The drawer opens and closes without the server; the list is asked for again while it is open.
SCRIPT = """
let opener = null;
const isOpen = () => element.dataset.open === 'yes';
const close = () => {
  if (!isOpen()) return;
  element.dataset.open = 'no';
  if (opener) opener.focus();
};
window.tuneboardRuns = {
  open: () => {
    opener = document.activeElement;
    element.dataset.open = 'yes';
    requestAnimationFrame(() => element.querySelector('[data-act=close].tb-button')?.focus());
  },
};
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') close();
  if (event.key !== 'Tab' || !isOpen()) return;
  const stops = [...element.querySelectorAll('button, input, [tabindex]')];
  const end = event.shiftKey ? stops[0] : stops[stops.length - 1];
  if (document.activeElement === end) {
    event.preventDefault();
    (event.shiftKey ? stops[stops.length - 1] : stops[0]).focus();
  }
});
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-act]:not(form)');
  if (!button || button.getAttribute('aria-disabled') === 'true') return;
  const { act, id } = button.dataset;
  if (act === 'close') return close();
  if (act === 'open' || act === 'resume') { close(); return trigger('submit', { act, id }); }
  if (act === 'chat') { close(); return trigger('select', { act, id }); }
  if (act === 'evaluate') { close(); return trigger('apply', { act, id }); }
  if (act === 'export') { close(); return trigger('release', { act, id }); }
  trigger('click', { act, id });
});
element.addEventListener('submit', (event) => {
  event.preventDefault();
  const { act, id } = event.target.dataset;
  trigger('click', { act, id, name: event.target.querySelector('input').value });
});
watch('value', () => {
  const raised = element.querySelector('form[data-act=save_name] input') || element.querySelector('[data-act=keep]');
  if (!isOpen() || !raised || raised.tbSeen) return;
  raised.tbSeen = true;
  raised.focus();
  raised.select?.();
});
setInterval(() => {
  if (isOpen() && !document.hidden && !element.contains(document.activeElement?.closest('form'))) trigger('load');
}, 3000);
"""


class RunsDrawer:
    """Built once, outside the tabs. `chat`, `evaluate` and `export` are the events of its buttons that lead on with a run."""

    def __init__(self, jobs: Jobs, top: Top) -> None:
        self._jobs = jobs
        self._language = top.language
        self._state = gr.State(Held(Drawer()))
        self._html = gr.HTML(elem_id="runs", apply_default_css=False, js_on_load=SCRIPT)
        self.chat: Callable[..., Any] = self._html.select
        self.evaluate: Callable[..., Any] = self._html.apply
        self.export: Callable[..., Any] = self._html.release
        given, drawn = [self._state, self._language], self._html
        top.runs.click(self._draw, given, drawn, js=OPEN, **QUIET)
        self._html.load(self._draw, given, drawn, **ALONE)
        self._html.click(self._act, given, drawn, **PRESSED)
        self._language.change(self._draw, given, drawn, **QUIET)

    def open_in(self, panels: dict[str, RunPanel], tabs: gr.Tabs) -> None:
        """Lets "Open" and "Resume" show their run in the panel of its kind, in the tab of that panel."""
        outputs = [tabs, *(part for panel in panels.values() for part in panel.outputs)]
        views = [panel.view for panel in panels.values()]

        def show(event: gr.EventData, lang: str, *given: Held[View]) -> list[Any]:
            what, _ = act_of(event)
            run = chosen_run(self._jobs, event)
            kind = self._jobs.get(run).task if run else "train"
            pressed = "show" if what == "open" else what

            def change(view: View) -> View:
                return panel_act(self._jobs, view, pressed, run)

            values: list[Any] = [gr.Tabs(selected=TABS[kind])]
            for (name, panel), view in zip(panels.items(), given, strict=True):
                if name == kind:
                    values += panel.changed(view, lang, change)
                else:
                    values += [gr.skip() for _ in panel.outputs]
            return values

        self._html.submit(show, [self._language, *views], outputs, **QUIET)

    def _draw(self, held: Held[Drawer], lang: str) -> str:
        with held.turn:
            return drawer_html(self._jobs, held.value, lang)

    def _act(self, event: gr.EventData, held: Held[Drawer], lang: str) -> str:
        what, run = act_of(event)
        name = event._data.get("name", "") if isinstance(event._data, dict) else ""
        with held.turn:
            held.value = act(self._jobs, held.value, what, run, str(name))
            try:
                return self._draw(held, lang)
            except UserError:
                held.value = Drawer(acts=held.value.acts + 1)
                return self._draw(held, lang)
