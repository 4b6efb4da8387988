"""The Export tab: what is taken home and as what on the left, the receipt on the right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from trainer.errors import UserError
from trainer.jobs.workspace import Workspace
from trainer.options import options
from webui import controls, export_said
from webui.export_desk import MORE, SHOWN, ExportDesk, Wanted, at_top
from webui.export_receipt import Receipts
from webui.export_words import FORMATS
from webui.held import Held
from webui.i18n import say, tagged
from webui.live import QUIET, RunPanel, act_of, chosen_run
from webui.partner import TOP, Top
from webui.tabs import top as bar
from webui.tabs.data import served, sweep
from webui.watch import View

# The file is saved, and the button that asked for it can be pressed again.
SAVE = """(file) => {
  window.tuneboardData.save(file);
  document.querySelectorAll('[data-act=zip][data-before]').forEach((each) => {
    each.textContent = each.dataset.before;
    each.removeAttribute('aria-disabled');
  });
}"""


@dataclass(frozen=True)
class Choice:
    """What one page has chosen: `whom` is the run, None before the first choice; `asked` counts the questions.

    Sizes are worked out only for a page that has opened the tab: the first time takes a second.
    """

    opened: bool = False
    whom: str | None = None
    asked: int = 0


class ExportTab:
    """Built once, inside its tab. `panel` shows exports; its body fires `select` with a run to be opened in Chat."""

    def __init__(self, workspace: Workspace, top: bar.Top) -> None:
        self._workspace = workspace
        self._desk = ExportDesk(workspace)
        self._language = top.language
        self._top = top.inputs()
        self._found = gr.State(())
        self._held = gr.State(Held(Choice()))
        with gr.Row(elem_id="export"):
            with gr.Column(elem_id="export-decide", scale=5, min_width=320):
                self._decide()
            with gr.Column(elem_id="export-happens", scale=6, min_width=320):
                receipts = Receipts(workspace)
                self.panel = RunPanel(workspace.jobs, top.language, "export", "exported", receipts.body)
                self._handed = gr.File(visible=False)
        self._listen()

    # Layout

    def _decide(self) -> None:
        with gr.Column(elem_classes="card", elem_id="export-whom"):
            gr.HTML(tagged("export.from.title", "h3"))
            self.whom = gr.Radio(
                [at_top("en")], value=TOP, label=say("export.from.label"), show_label=False, container=False,
                elem_id="say-export-from", interactive=True,
            )  # fmt: skip
            with gr.Row(elem_classes="fields"):
                self.step = gr.Dropdown(
                    [(say("export.step.end"), "")], value="", label=say("export.step.label"), info=say("export.step.help"),
                    elem_id="say-export-step", visible=False, interactive=True,
                )  # fmt: skip
        with gr.Column(elem_classes="card", elem_id="export-as"):
            gr.HTML(tagged("export.formats.title", "h3"))
            self.formats = gr.CheckboxGroup(
                self._desk.formats(None, "en"), value=list(FORMATS[:1]), label=say("export.formats.label"),
                show_label=False, container=False, elem_id="say-export-formats", interactive=True,
            )  # fmt: skip
            self._note = gr.HTML(elem_id="export-note")
            with gr.Row(elem_classes="fields"):
                self.shown = [_control(name) for name in SHOWN]
        with (
            gr.Column(elem_classes="folds"),
            gr.Accordion(say("export.more"), open=False, elem_id="say-export-more"),
            gr.Row(elem_classes="fields"),
        ):
            self.more = [_control(name) for name in MORE]
        with gr.Column(elem_id="export-actions"):
            with gr.Row(elem_classes="line"):
                self.start = gr.Button(
                    say("export.start"), variant="primary", size="lg", elem_id="say-export-start", scale=0, min_width=80
                )  # fmt: skip
                self._sentence = gr.HTML(tagged("export.outlook.working", "p"), elem_id="export-sentence")
            self._problems = gr.HTML(elem_id="export-problems", js_on_load=export_said.SCRIPT)
        with gr.Row(visible=False):
            self._token = gr.Textbox("")

    # Wiring

    @property
    def _wanted(self) -> list[Any]:
        return [self.whom, self.step, self.formats, *self.shown, *self.more, *self._top]

    @property
    def _chosen(self) -> list[Any]:
        return [self._held, self._language, *self._sources]

    @property
    def _sources(self) -> list[Any]:
        return [self.whom, self.step]

    @property
    def _asked(self) -> list[Any]:
        return [self._held, self._language, *self._wanted]

    @property
    def _forecast(self) -> list[Any]:
        return [self.formats, self._sentence, self._note, *self.shown]

    def attach(self, loaded: Callable[..., Any], shown: Callable[..., Any]) -> None:
        """Fills the tab when the page is loaded, and its list of runs whenever it is opened."""
        self.panel.attach(loaded)
        loaded(self._open_up, [self._held, self._language], self._sources, **QUIET)
        shown(self._list, self._chosen, self._sources, **QUIET).then(
            self._look, self._asked, self._forecast, **QUIET
        )

    def open_run(self, event: Callable[..., Any], tabs: gr.Tabs) -> None:
        """Whenever `event` names a run, opens this tab with that run chosen."""
        event(lambda: gr.Tabs(selected="export"), None, tabs, **QUIET)
        event(self._choose, [self._held, self._language], self._sources, **QUIET).then(
            self._look, self._asked, self._forecast, **QUIET
        )

    def _listen(self) -> None:
        lang, panel = self._language, self.panel
        changed = [each.change for each in (*self._wanted, lang)]
        gr.on(changed, self._assess, self._asked, self._forecast, trigger_mode="always_last", **QUIET)
        self.whom.input(
            self._steps, [self._held, self.whom, lang], [self.step], trigger_mode="always_last", **QUIET
        )
        lang.change(self._list, self._chosen, self._sources, **QUIET)
        self.start.click(
            self._start, [self._token, panel.view, lang, *self._wanted],
            [self._found, self._problems, *panel.outputs],
            js="(...given) => window.tuneboard.press(given, 'say-export-start')", **QUIET,
        ).then(None, js="() => window.tuneboard.release('say-export-start')")  # fmt: skip
        lang.change(self._say_problems, [lang, self._found], [self._problems], **QUIET)
        panel.body.download(
            self._pack, [panel.view, lang], [self._handed, *panel.outputs], **QUIET
        ).then(None, self._handed, None, js=SAVE)  # fmt: skip

    # The left column

    def _open_up(self, held: Held[Choice], lang: str) -> list[Any]:
        return self._filled(held, lang, *self._desk.proposal())

    def _choose(self, event: gr.EventData, held: Held[Choice], lang: str) -> list[Any]:
        run = chosen_run(self._workspace.jobs, event)
        return self._filled(held, lang, *self._desk.suited(run)) if run else [gr.skip(), gr.skip()]

    def _list(self, held: Held[Choice], lang: str, whom: str, step: str) -> list[Any]:
        """The lists anew. What is chosen stays, unless it is gone."""
        whom = whom if held.value.whom is None else held.value.whom
        kept = self._desk.still(whom)
        if kept != whom:
            return self._filled(held, lang, *self._desk.suited(kept))
        steps = self._desk.steps(whom, lang)
        return [gr.update(choices=self._desk.runs(lang)), gr.update(choices=steps, visible=len(steps) > 1)]

    def _steps(self, held: Held[Choice], whom: str, lang: str) -> Any:
        return self._filled(held, lang, *self._desk.suited(whom))[1]

    def _filled(self, held: Held[Choice], lang: str, whom: str, step: str) -> list[Any]:
        with held.turn:
            held.value = replace(held.value, whom=whom)
        steps = self._desk.steps(whom, lang)
        menu = gr.update(choices=steps, value=step, visible=len(steps) > 1)
        return [gr.update(choices=self._desk.runs(lang), value=whom), menu]

    def _look(self, held: Held[Choice], *given: Any) -> list[Any]:
        with held.turn:
            held.value = replace(held.value, opened=True)
        return self._assess(held, *given)

    def _assess(self, held: Held[Choice], lang: str, *given: Any) -> list[Any]:
        with held.turn:
            if not held.value.opened:
                return [gr.skip() for _ in self._forecast]
            held.value = replace(held.value, asked=held.value.asked + 1)
            asked, wanted = held.value.asked, _wanted(given)
        forecast = self._desk.forecast(wanted)
        if held.value.asked != asked:
            # Something else was asked meanwhile, whose answer may be there already.
            return [gr.skip() for _ in self._forecast]
        formats = gr.update(choices=self._desk.formats(forecast, lang))
        seen = [gr.update(visible=each) for each in self._desk.seen(wanted)]
        return [formats, export_said.outlook(forecast, lang), export_said.notes(forecast, lang), *seen]

    def _start(self, token: str, view: Held[View], lang: str, *given: Any) -> list[Any]:
        outcome = self._desk.start(_wanted(given), token)
        told = [outcome.problems, export_said.problems(outcome.problems, lang)]
        if outcome.job is None:
            return [*told, *(gr.skip() for _ in self.panel.outputs)]
        return [*told, *self.panel.started(view, outcome.job.id, lang)]

    def _say_problems(self, lang: str, found: tuple[UserError, ...]) -> str:
        return export_said.problems(found, lang)

    # The receipt

    def _pack(self, event: gr.EventData, view: Held[View], lang: str) -> list[Any]:
        sweep()
        path, trouble = None, None
        try:
            path = served(self._desk.archive(act_of(event)[1]))
        except UserError as error:
            trouble = error
        drawn = self.panel.changed(view, lang, lambda now: replace(now, acts=now.acts + 1, trouble=trouble))
        return [path, *drawn]


def _control(name: str) -> Any:
    info = options()[name]
    own = {"elem_id": f"say-options-{name}"} if info.panel != "export" else {}
    return controls.make(info, "" if info.default is None else info.default, **own)


def _wanted(given: tuple[Any, ...]) -> Wanted:
    whom, step, formats, *rest = given
    names = (*SHOWN, *MORE)
    settings = dict(zip(names, rest[: len(names)], strict=True))
    return Wanted(str(whom or TOP), str(step or ""), tuple(formats or ()), settings, Top(*rest[len(names) :]))
