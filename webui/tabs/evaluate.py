"""The Evaluate & Predict tab: whom to test on the left, what it shows on the right, every row below."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from trainer.errors import UserError
from trainer.jobs.workspace import Workspace
from trainer.options import options
from webui import controls, evaluate_said, marks
from webui.evaluate_browse import act, show
from webui.evaluate_desk import ADVANCED, JUDGE, NAMED, ROWS, EvaluateDesk, Wanted
from webui.evaluate_follow import Drawn, Following, catch_up, follow
from webui.evaluate_judge import Judge
from webui.evaluate_overlay import overlay_html
from webui.evaluate_report import report_text
from webui.evaluate_rows import rows_html
from webui.held import Held
from webui.i18n import say, tagged
from webui.live import QUIET, RunPanel, chosen_run
from webui.partner import TOP, Top
from webui.tabs import top as bar
from webui.tabs.data import served, sweep
from webui.theme import HERE
from webui.watch import View

SCRIPT = (HERE / "evaluate_rows.js").read_text(encoding="utf-8")
COUNTED = (HERE / "evaluate_counted.js").read_text(encoding="utf-8")
EXPORTS = ("csv", "jsonl", "html")
FOLD = "say-evaluate-advanced"
# `trigger` sends the click to the server; page.js calls this.
RESETTER = f"window.tuneboard.resets['{FOLD}'] = (name) => trigger('click', {{ name }});"


class EvaluateTab:
    """Built once, inside its tab. `panel` shows evaluations; `rows.select` fires when a row shall be sent to the chat."""

    def __init__(self, workspace: Workspace, top: bar.Top) -> None:
        self._workspace = workspace
        self._desk = EvaluateDesk(workspace)
        self._language = top.language
        self._top = top.inputs()
        self.held = gr.State(Held(Following()))
        self._found = gr.State(())
        with gr.Row(elem_id="evaluate"):
            with gr.Column(elem_id="evaluate-decide", scale=5, min_width=320):
                self._decide()
            with gr.Column(elem_id="evaluate-happens", scale=6, min_width=320):
                self.panel = RunPanel(
                    workspace.jobs, top.language, "eval", "judged", Judge(workspace).body
                )  # fmt: skip
        self._below()
        self._listen()

    # Layout

    def _decide(self) -> None:
        with gr.Column(elem_classes="card", elem_id="evaluate-whom"):
            gr.HTML(tagged("evaluate.whom.title", "h3"))
            with gr.Row(elem_classes="fields"):
                self.whom = gr.Dropdown(
                    [(say("chat.top"), TOP)], value=[TOP], multiselect=True, label=say("evaluate.whom.label"),
                    info=say("evaluate.whom.help"), elem_id="say-evaluate-whom", interactive=True,
                )  # fmt: skip
                self.compare = controls.make(options()["compare_base"])
        with gr.Column(elem_classes="card", elem_id="evaluate-ask"):
            gr.HTML(tagged("evaluate.ask.title", "h3"))
            self.ask = gr.Radio(
                [(say(f"evaluate.ask.{each}"), each) for each in ROWS], value=NAMED, label=say("evaluate.ask.title"),
                show_label=False, container=False, elem_id="say-evaluate-ask", interactive=True,
            )  # fmt: skip
            with gr.Row(elem_classes="fields"):
                self.datasets = gr.Dropdown(
                    self._desk.datasets(), value=[], multiselect=True, label=say("evaluate.datasets.label"),
                    info=say("evaluate.datasets.help"), elem_id="say-evaluate-datasets", interactive=True,
                )  # fmt: skip
            self._note = gr.HTML(elem_id="evaluate-note")
            with gr.Row(elem_classes="fields"):
                self.guard = gr.Checkbox(
                    False, label=say("evaluate.guard.label"), info=say("evaluate.guard.help"),
                    elem_id="say-evaluate-guard", interactive=True,
                )  # fmt: skip
                judge = controls.make(options()[JUDGE], visible=self._workspace.has_judge)
        with (
            gr.Column(elem_classes="folds"),
            gr.Accordion(say("evaluate.advanced"), open=False, elem_id=FOLD),
            gr.Row(elem_classes="fields"),
        ):
            self.advanced = [judge if name == JUDGE else _control(name) for name in ADVANCED]
        self._marks = gr.HTML(elem_id="evaluate-marks", js_on_load=RESETTER)
        with gr.Column(elem_id="evaluate-actions"):
            with gr.Row(elem_classes="line"):
                self.start = gr.Button(
                    say("evaluate.start"), variant="primary", size="lg", elem_id="say-evaluate-start", scale=0,
                    min_width=80,
                )  # fmt: skip
                self._sentence = gr.HTML(elem_id="evaluate-sentence")
            self._problems = gr.HTML(elem_id="evaluate-problems", js_on_load=evaluate_said.SCRIPT)
        with gr.Row(visible=False):
            self._token = gr.Textbox("")

    def _below(self) -> None:
        with gr.Column(elem_classes="card", elem_id="evaluate-overlay"):
            with gr.Row(elem_classes="fields"):
                self.others = gr.Dropdown(
                    [], value=[], multiselect=True, label=say("evaluate.overlay.label"),
                    info=say("evaluate.overlay.help"), elem_id="say-evaluate-overlay", interactive=True,
                )  # fmt: skip
            self._overlay = gr.HTML(elem_id="evaluate-laid", apply_default_css=False)
        with gr.Column(elem_classes="card", elem_id="evaluate-below"):
            with gr.Row(elem_classes="line", elem_id="evaluate-tools"):
                gr.HTML(tagged("evaluate.rows.title", "h3"))
                self.search = gr.Textbox(
                    "",
                    label=say("evaluate.search.label"), placeholder=say("evaluate.search.placeholder"), show_label=False,
                    container=False, max_lines=1, elem_id="say-evaluate-search", interactive=True, scale=1, min_width=160,
                )  # fmt: skip
                self._exports = {
                    what: gr.Button(
                        say(f"evaluate.export.{what}"), size="sm", scale=0, min_width=60,
                        elem_id=f"say-evaluate-export-{what}",
                    )
                    for what in EXPORTS
                }  # fmt: skip
            self.rows = gr.HTML(elem_id="evaluate-rows", apply_default_css=False, js_on_load=SCRIPT)
            # Never seen: its numbers go into the rows that stand there, which a drawing would take from under the reader.
            self._counted = gr.HTML(elem_id="evaluate-counted", apply_default_css=False, js_on_load=COUNTED)
            self._handed = gr.File(visible=False)

    # Wiring

    @property
    def _wanted(self) -> list[Any]:
        return [self.whom, self.ask, self.datasets, self.compare, self.guard, *self.advanced, *self._top]

    @property
    def _menus(self) -> list[Any]:
        return [self.whom, self.ask, self.datasets]

    def attach(self, loaded: Callable[..., Any], shown: Callable[..., Any]) -> None:
        """Fills the tab when the page is loaded, and its rows whenever it is opened."""
        seen = [self.held, self.panel.view, self._language, self.search]
        self._following(shown, seen)
        self.panel.attach(loaded)
        loaded(self._open_up, [self._language], self._menus, **QUIET)

    def open_run(self, event: Callable[..., Any], tabs: gr.Tabs) -> None:
        """Whenever `event` names a run, opens this tab with that run chosen."""
        event(lambda: gr.Tabs(selected="evaluate"), None, tabs, **QUIET)
        event(self._choose, [self._language], self._menus, **QUIET)

    def _listen(self) -> None:
        lang, panel = self._language, self.panel
        assessed = [self._sentence, self._note, self._marks]
        changed = [each.change for each in (*self._wanted, lang)]
        gr.on(changed, self._assess, [lang, *self._wanted], assessed, trigger_mode="always_last", **QUIET)
        self._marks.click(self._reset, None, self.advanced, **QUIET)
        self.whom.input(
            self._suit, [self.whom], [self.ask, self.datasets], trigger_mode="always_last", **QUIET
        )
        self.whom.focus(self._runs, [lang], [self.whom], trigger_mode="always_last", **QUIET)
        self.datasets.focus(
            lambda: gr.update(choices=self._desk.datasets()),
            None,
            [self.datasets],
            trigger_mode="always_last",
            **QUIET,
        )
        self.start.click(
            self._start, [self._token, panel.view, lang, *self._wanted],
            [self._found, self._problems, self.others, *panel.outputs],
            js="(...given) => window.tuneboard.press(given, 'say-evaluate-start')", **QUIET,
        ).then(None, js="() => window.tuneboard.release('say-evaluate-start')")  # fmt: skip
        lang.change(self._say_problems, [lang, self._found], [self._problems], **QUIET)
        lang.change(self._runs, [lang], [self.whom], **QUIET)
        seen = [self.held, panel.view, lang]
        self._following(panel.head.change, [*seen, self.search])
        self.rows.click(self._press, seen, [self.rows], trigger_mode="multiple", **QUIET)
        self.search.change(
            self._search, [*seen, self.search], [self.rows], trigger_mode="always_last", **QUIET
        )
        for what, button in self._exports.items():
            button.click(
                self._exporter(what), seen, [self._handed, self._problems], **QUIET
            ).then(None, self._handed, None, js="(file) => { window.tuneboardData.save(file); }")  # fmt: skip
        self.others.focus(
            self._evaluations, [panel.view, lang], [self.others], trigger_mode="always_last", **QUIET
        )
        gr.on([self.others.change, panel.head.change], self._lay, [*seen, self.others], [self._overlay],
              trigger_mode="always_last", **QUIET)  # fmt: skip

    def _following(self, event: Callable[..., Any], seen: list[Any]) -> None:
        drawn = [self.rows, self._counted]
        followed = event(self._follow, seen, [*drawn, self.search], trigger_mode="always_last", **QUIET)
        followed.then(self._catch_up, [self.held], drawn, **QUIET)

    # The left column

    def _open_up(self, lang: str) -> list[Any]:
        return self._filled(lang, *self._desk.proposal())

    def _choose(self, event: gr.EventData, lang: str) -> list[Any]:
        run = chosen_run(self._workspace.jobs, event)
        return self._filled(lang, *self._desk.suited(self._desk.value_of(run))) if run else [gr.skip()] * 3

    def _filled(self, lang: str, whom: str, ask: str, datasets: tuple[str, ...]) -> list[Any]:
        menu = gr.update(choices=self._desk.runs(lang), value=[whom])
        return [menu, ask, gr.update(choices=self._desk.datasets(), value=list(datasets))]

    def _suit(self, chosen: list[str]) -> list[Any]:
        """The rows follow the first run that is chosen."""
        if len(chosen) != 1 or chosen[0] == TOP:
            return [gr.skip(), gr.skip()]
        _, ask, datasets = self._desk.suited(chosen[0])
        return [ask, list(datasets)]

    def _runs(self, lang: str) -> Any:
        return gr.update(choices=self._desk.runs(lang))

    def _assess(self, lang: str, *given: Any) -> list[Any]:
        wanted = _wanted(given)
        forecast = self._desk.forecast(wanted)
        note = evaluate_said.note(self._desk.held_by(wanted.chosen), forecast, wanted.rows, lang)
        marked = marks.fold_marks(FOLD, wanted.advanced, PROPOSED, lang)
        return [evaluate_said.outlook(forecast, lang), note, marked]

    def _reset(self, event: gr.EventData) -> list[Any]:
        name = event._data.get("name") if isinstance(event._data, dict) else ""
        return [PROPOSED[each] if each == name else gr.skip() for each in ADVANCED]

    def _start(self, token: str, view: Held[View], lang: str, *given: Any) -> list[Any]:
        outcome = self._desk.start(_wanted(given), token)
        told = [outcome.problems, evaluate_said.problems(outcome.problems, lang)]
        if not outcome.jobs:
            return [*told, gr.skip(), *(gr.skip() for _ in self.panel.outputs)]
        first, *more = self._desk.own(outcome.jobs)
        others = (
            gr.update(choices=self._desk.evaluations(lang, more), value=[job.id for job in more])
            if more
            else gr.skip()
        )
        return [*told, others, *self.panel.started(view, first.id, lang)]

    def _say_problems(self, lang: str, found: tuple[UserError, ...]) -> str:
        return evaluate_said.problems(found, lang)

    # The rows

    def _follow(self, held: Held[Following], view: Held[View], lang: str, words: str) -> list[Any]:
        other = held.value.browse.run != view.value.run
        followed = follow(self._workspace.results, held, view.value, lang)
        return [*_skipping(followed), "" if other and words else gr.skip()]

    def _catch_up(self, held: Held[Following]) -> Iterator[list[Any]]:
        # A generator that yields nothing would empty what it could have filled.
        yield [gr.skip(), gr.skip()]
        for followed in catch_up(self._workspace.results, held):
            yield _skipping(followed)

    def _press(self, event: gr.EventData, held: Held[Following], view: Held[View], lang: str) -> str:
        return self._asked(held, event._data if isinstance(event._data, dict) else {}, lang)

    def _search(self, held: Held[Following], view: Held[View], lang: str, words: str) -> Any:
        if words == held.value.browse.wish.search:
            return gr.skip()
        return self._asked(held, {"act": "search", "id": words}, lang)

    def _asked(self, held: Held[Following], data: dict[str, Any], lang: str) -> str:
        with held.turn:
            held.value.browse = act(self._workspace.results, held.value.browse, data)
            return rows_html(held.value.browse, show(self._workspace.results, held.value.browse), lang)

    def _exporter(self, what: Any) -> Callable[..., list[Any]]:
        def export(held: Held[Following], view: Held[View], lang: str) -> list[Any]:
            sweep()
            try:
                job = self._workspace.jobs.get(view.value.run)
                text = report_text(self._workspace, job, lang) if what == "html" else None
                path = self._workspace.results.export(job.id, what, held.value.browse.wish, text)
            except UserError as error:
                return [None, evaluate_said.problems((error,), lang)]
            return [served(path), ""]

        return export

    # Several runs

    def _evaluations(self, view: Held[View], lang: str) -> Any:
        return gr.update(choices=self._desk.evaluations(lang, without=view.value.run))

    def _lay(self, held: Held[Following], view: Held[View], lang: str, others: list[str]) -> Any:
        now = view.value
        key = (now.run, tuple(others or ()), lang, now.cursor.story.final is not None)
        with held.turn:
            if key == held.value.laid:
                return gr.skip()
            held.value.laid = key
        if not others or not now.run:
            return ""
        try:
            runs = list(dict.fromkeys([now.run, *others]))
            return overlay_html(self._workspace.results.overlay(runs), lang)
        except UserError as error:
            return evaluate_said.problems((error,), lang)


def _skipping(drawn: Drawn) -> list[Any]:
    return [gr.skip() if html is None else html for html in drawn]


def _proposed(name: str) -> Any:
    info = options()[name]
    value = info.form_default if info.panel == "predict" else info.default
    return "" if value is None else value


# What the settings below the fold begin with, and return to.
PROPOSED: dict[str, Any] = {name: _proposed(name) for name in ADVANCED}


def _control(name: str) -> Any:
    """The control of a setting that stands in another tab, too, so that it needs an id of its own."""
    info = options()[name]
    own = {"elem_id": f"say-options-{name}"} if info.panel != "predict" else {}
    return controls.make(info, PROPOSED[name], **own)


def _wanted(given: tuple[Any, ...]) -> Wanted:
    whom, ask, datasets, compare, guard, *rest = given
    count = len(ADVANCED)
    advanced = dict(zip(ADVANCED, rest[:count], strict=True))
    return Wanted(
        tuple(whom or ()),
        str(ask),
        tuple(datasets or ()),
        bool(compare),
        bool(guard),
        advanced,
        Top(*rest[count:]),
    )
