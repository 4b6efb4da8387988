"""The Train tab: what you decide on the left, what happens on the right."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from trainer.errors import UserError
from trainer.jobs.workspace import Workspace
from webui import counts, form, marks, preview, room
from webui.desk import Desk
from webui.held import Held
from webui.i18n import say, tagged
from webui.live import QUIET, RunPanel
from webui.tabs.devices import DevicePicker
from webui.tabs.folds import draw, fields
from webui.tabs.top import Top, model_choices
from webui.watch import View

# What an open preview shows changes with these.
SEEN = (
    "dataset", "dataset_dir", "max_samples", "identity_name", "identity_author", "cutoff_len", "template",
    "train_on_prompt", "mask_history", "val_size", "model_name_or_path", "model_path", "default_system", "enable_thinking",
    "preserve_thinking", "image_max_pixels", "per_device_train_batch_size", "eval_dataset", "packing", "stage",
)  # fmt: skip
# What follows the controls has one listener for all of them, which looks once more at what has changed during its answer:
# by Gradio's own rule such a change would be passed over, and of several listeners the slowest answer would stay.
FOLLOWING: dict[str, Any] = {**QUIET, "trigger_mode": "always_last"}


@dataclass(frozen=True)
class Parts:
    """The components of the left column that are no settings."""

    preset: gr.Radio
    facts: gr.HTML
    counts: gr.HTML
    preview: gr.HTML
    preset_note: gr.HTML
    sentence: gr.HTML
    room: gr.HTML
    problems: gr.HTML
    marks: gr.HTML
    said: gr.HTML
    yaml: gr.Textbox
    token: gr.Textbox
    insist: gr.Textbox
    page: gr.Number
    pictures: gr.Accordion
    devices: DevicePicker
    buttons: dict[str, Any]


class Built(NamedTuple):
    """What other parts of the page reach: the run panel, the controls by their options' names, and "Bring data"."""

    panel: RunPanel
    fields: dict[str, Any]
    bring: gr.Button


def build(page: gr.Blocks, workspace: Workspace, top: Top) -> Built:
    """Draws the tab and wires it."""
    values = form.proposed("Sprout", "lora")
    fields = {
        "model_name_or_path": top.model, "model_path": top.path, "hub": top.hub, "finetuning_type": top.method,
        "adapter_name_or_path": top.checkpoints, "template": top.template,
    }  # fmt: skip
    with gr.Row(elem_id="train"):
        with gr.Column(elem_id="decide", scale=5, min_width=320):
            made, parts = _decide(values, workspace)
        with gr.Column(elem_id="happens", scale=6, min_width=320):
            panel = RunPanel(workspace.jobs, top.language)
    _Wiring(Desk(workspace), top, panel, fields | made, parts).listen(page)
    return Built(panel, fields | made, parts.buttons["bring"])


def _decide(values: form.Values, workspace: Workspace) -> tuple[dict[str, Any], Parts]:
    made: dict[str, Any] = {}
    html: dict[str, Any] = {}
    buttons: dict[str, Any] = {}
    with gr.Column(elem_classes="card", elem_id="data-card"):
        gr.HTML(tagged("train.panel.data", "h3"))
        made |= fields("data", values)
        with gr.Row(elem_classes="line"):
            html["facts"] = gr.HTML(elem_id="facts")
            buttons["bring"] = gr.Button(
                say("data.bring"), elem_id="say-data-bring", scale=0, min_width=80, size="sm"
            )
            buttons["preview"] = _button("preview", size="sm")
        html["counts"] = gr.HTML(elem_id="counts", js_on_load=_COUNTER)
        html["preview"] = gr.HTML(elem_id="preview", js_on_load=_PAGER)
    with gr.Column(elem_classes="card", elem_id="basics-card"):
        gr.HTML(tagged("train.panel.basics", "h3"))
        goal = gr.Radio(
            [(say(f"train.goal.{name}"), name) for name in form.PRESETS], value="balanced",
            label=say("train.goal.label"), show_label=False, container=False, elem_id="say-train-goal",
        )  # fmt: skip
        html["preset_note"] = gr.HTML(elem_id="goal-note")
        made |= fields("basics", values)
    folds = draw(values, workspace)
    made |= folds.fields
    _actions(html, buttons)
    html["marks"] = gr.HTML(elem_id="marks", js_on_load=_RESETTER)
    with gr.Row(visible=False):
        yaml, token, insist, number = gr.Textbox(""), gr.Textbox(""), gr.Textbox(""), gr.Number(0)
    return made, Parts(
        **html,
        preset=goal,
        yaml=yaml,
        token=token,
        insist=insist,
        page=number,
        buttons=buttons,
        pictures=folds.pictures,
        devices=folds.devices,
    )


def _actions(html: dict[str, Any], buttons: dict[str, Any]) -> None:
    """Start with its sentence, the tools below it, and what they say; they stay in view."""
    with gr.Column(elem_id="actions"):
        with gr.Row(elem_classes="line"):
            buttons["start"] = _button("start", variant="primary", size="lg")
            html["sentence"] = gr.HTML(elem_id="sentence")
        html["room"] = gr.HTML(elem_id="room", js_on_load=room.SCRIPT)
        html["problems"] = gr.HTML(elem_id="problems")
        with gr.Row(elem_classes="line", elem_id="tools"):
            buttons["command"] = _button("command", size="sm")
            buttons["save"] = _button("save", size="sm")
            buttons["load"] = gr.UploadButton(
                say("train.load"), file_types=[".yaml", ".yml", ".json"], size="sm", scale=0, elem_id="say-train-load",
            )  # fmt: skip
        html["said"] = gr.HTML(elem_id="said")


# `trigger` sends the click to the server; page.js calls these.
_RESETTER = "window.tuneboard.reset = (name) => trigger('click', { name });"
_PAGER = "window.tuneboard.turn = (page) => trigger('click', { page });"
_COUNTER = "window.tuneboard.recount = () => trigger('click', {});"


def _button(name: str, **more: Any) -> gr.Button:
    return gr.Button(say(f"train.{name}"), elem_id=f"say-train-{name}", scale=0, min_width=80, **more)


class _Wiring:
    """Listeners of the Train tab. Every one takes the language, what is proposed now and the form's values."""

    def __init__(self, desk: Desk, top: Top, panel: RunPanel, fields: dict[str, Any], parts: Parts) -> None:
        self.desk, self.top, self.panel, self.parts = desk, top, panel, parts
        self.fields = [fields[name] for name in form.NAMES]
        self.by_name = fields
        self.shown = [parts.preview, parts.counts, parts.page]
        self.lists = [fields["dataset"], fields["eval_dataset"], top.checkpoints, top.template]
        self.proposals = gr.State(form.proposed("Sprout", "lora"))
        self.found = gr.State(())
        self.common = [top.language, parts.preset, self.proposals, *self.fields]

    def listen(self, page: gr.Blocks) -> None:
        top, parts = self.top, self.parts
        assessed = [parts.marks, parts.sentence, parts.room, parts.preset_note, parts.facts]
        every_change = [field.change for field in [*self.fields, parts.preset]]
        gr.on([*every_change, top.language.change, self.proposals.change, page.load], self._assess, self.common,
              assessed, js="(lang, ...given) => [window.tuneboard.language(), ...given]", **FOLLOWING)  # fmt: skip
        name = [self.by_name["output_dir"]]
        page.load(None, name, name, js="(name) => name || window.tuneboard.runName()")
        gr.on([top.language.change, *(self.by_name[name].change for name in SEEN)], self._turn_again,
              [parts.page, *self.common], [parts.preview, parts.counts], **FOLLOWING)  # fmt: skip
        menus = [top.model, top.method, self.by_name["dataset_dir"]]
        looked_at = [self.by_name["dataset"].focus, self.by_name["eval_dataset"].focus, top.checkpoints.focus]
        changed = [each.change for each in menus]
        gr.on([page.load, *changed, *looked_at], self._lists, menus, self.lists, **FOLLOWING)
        gr.on([top.model.input, top.method.input, self.by_name["stage"].input, parts.preset.input], self._propose, self.common,
              [*self.fields, self.proposals, parts.said], **FOLLOWING)  # fmt: skip
        top.model.change(lambda model: gr.update(visible=model == form.CUSTOM), top.model, top.path, **QUIET)
        gr.on([page.load, top.model.change, top.path.change], lambda *model: gr.update(visible=self.desk.sees(*model) or "hidden"),
              [top.model, top.path, top.hub], parts.pictures, **FOLLOWING)  # fmt: skip
        parts.marks.click(self._reset, self.common, self.fields, **QUIET)
        parts.room.click(self._make_fit, self.common, self.fields, **QUIET)
        top.language.change(self._say_problems, [top.language, self.found], parts.problems, **QUIET)
        # What was said about a press that is over would stay in the old language.
        top.language.change(lambda: "", None, parts.said, **QUIET)
        top.language.change(
            lambda lang: gr.update(choices=model_choices(lang)), top.language, top.model, **QUIET
        )
        parts.devices.listen(page, self.by_name, self.common, top.language)
        self._listen_to_buttons()

    def _listen_to_buttons(self) -> None:
        parts, buttons, told = self.parts, self.parts.buttons, [self.found, self.parts.problems]
        panel = self.panel
        buttons["start"].click(
            self._start, [parts.token, parts.insist, panel.view, *self.common], [*told, self.by_name["output_dir"], parts.said, *panel.outputs],
            js="(...given) => window.tuneboard.press(given)", **QUIET,
        ).then(None, js=_free("start"))  # fmt: skip
        shown = [*told, *self.shown]
        for press in (buttons["preview"].click(self._preview, self.common, shown, **QUIET),
                      parts.preview.click(self._turn, self.common, shown, **QUIET)):  # fmt: skip
            press.then(None, js=_free("preview"))
        parts.counts.click(
            self._recount, [parts.page, *self.common], parts.counts, trigger_mode="once", **QUIET
        )
        buttons["command"].click(self._command, self.common, [*told, parts.said], **QUIET).then(
            None, js=_free("command")
        )
        buttons["save"].click(self._save, self.common, [*told, parts.yaml], **QUIET).then(
            None, [parts.yaml], js="(text) => window.tuneboard.save(text)"
        )
        buttons["load"].upload(
            self._load,
            [buttons["load"], *self.common],
            [*told, parts.said, *self.fields, self.proposals],
            **QUIET,
        )

    def _assess(self, lang: str, preset: str, proposals: form.Values, *given: Any) -> list[Any]:
        values = form.named(given)
        look = self.desk.look(values)
        return [
            marks.marks(values, proposals, look.unfilled, lang),
            marks.outlook(values, look, lang),
            room.room(self.desk.room(values), lang),
            marks.preset(values["model_name_or_path"], values["finetuning_type"], preset, lang),
            marks.facts(look, lang),
        ]

    def _propose(self, lang: str, preset: str, before: form.Values, *given: Any) -> list[Any]:
        values = form.named(given)
        after = form.proposed_for(values, preset)
        new, kept = form.fill(values, before, after)
        return [*_updates(new), after, marks.kept(kept, lang)]

    def _reset(
        self, event: gr.EventData, lang: str, preset: str, proposals: form.Values, *given: Any
    ) -> list[Any]:
        name = event._data.get("name") if isinstance(event._data, dict) else ""
        return _updates({name: proposals[name]} if name in proposals else {})

    def _make_fit(self, event: gr.EventData, *common: Any) -> list[Any]:
        """Sets the options of a change under which the run fits."""
        return _updates(self.desk.make_fit(form.named(common[3:]), event._data))

    def _lists(self, model: str, method: str, dataset_dir: str) -> list[Any]:
        lists = self.desk.lists(model, method, dataset_dir)
        return [
            gr.update(choices=each)
            for each in (lists.datasets, lists.datasets, lists.checkpoints, lists.templates)
        ]

    def _say_problems(self, lang: str, found: tuple[UserError, ...]) -> str:
        return marks.problems(found, lang)

    def _start(
        self,
        token: str,
        insist: str,
        view: Held[View],
        lang: str,
        preset: str,
        proposals: form.Values,
        *given: Any,
    ) -> list[Any]:
        values = form.named(given)
        job, problems, held = self.desk.start(values, token, insist == "yes")
        told = [problems, marks.problems(problems, lang) + counts.held(held, lang)]
        if job is None:
            return [*told, gr.skip(), gr.skip(), *(gr.skip() for _ in self.panel.outputs)]
        name = self.desk.next_name(values)
        return [*told, name, "", *self.panel.started(view, job.id, lang)]

    def _preview(self, lang: str, preset: str, proposals: form.Values, *given: Any) -> list[Any]:
        return self._show(1, lang, form.named(given))

    def _turn(
        self, event: gr.EventData, lang: str, preset: str, proposals: form.Values, *given: Any
    ) -> list[Any]:
        page = event._data.get("page") if isinstance(event._data, dict) else 0
        return self._show(page if isinstance(page, int) else 0, lang, form.named(given))

    def _turn_again(self, page: Any, lang: str, preset: str, proposals: form.Values, *given: Any) -> Any:
        """An open preview follows what it shows; mistakes wait until they are asked about."""
        shown = page if isinstance(page, int) else 0
        return self._show(shown, lang, form.named(given))[2:4] if shown else [gr.skip(), gr.skip()]

    def _recount(self, page: Any, lang: str, preset: str, proposals: form.Values, *given: Any) -> Any:
        """How far the counting is, as long as the preview is open."""
        found = self.desk.counts(form.named(given)).result if page else None
        return counts.counts(found.totals, found.progress, lang) if found else ""

    def _show(self, page: int, lang: str, values: form.Values) -> list[Any]:
        if page < 1:
            return [(), "", "", "", 0]
        seen, problems, _ = self.desk.preview(values, page)
        told = [problems, marks.problems(problems, lang)]
        if seen is None:
            return [*told, "", "", 0]
        counted = counts.counts(seen.counts.totals, seen.counts.progress, lang)
        return [*told, preview.preview(seen.page, page, lang), counted, page]

    def _command(self, lang: str, preset: str, proposals: form.Values, *given: Any) -> list[Any]:
        text, problems, _ = self.desk.command(form.named(given))
        return [problems, marks.problems(problems, lang), marks.command(text, lang) if text else ""]

    def _save(self, lang: str, preset: str, proposals: form.Values, *given: Any) -> list[Any]:
        text, problems, _ = self.desk.save(form.named(given))
        return [problems, marks.problems(problems, lang), text or ""]

    def _load(self, path: str | None, lang: str, preset: str, before: form.Values, *given: Any) -> list[Any]:
        if path is None:
            return [gr.skip() for _ in range(4 + len(self.fields))]
        config, problems, _ = self.desk.load(Path(path))
        told = [problems, marks.problems(problems, lang)]
        if config is None:
            return [*told, "", *_updates({}), gr.skip()]
        values = form.write(config)
        if not values["output_dir"]:
            del values["output_dir"]
        after = form.proposed_for(values, preset)
        return [*told, marks.notes(form.notes_of(config), lang), *_updates(values), after]


def _free(button: str) -> str:
    """Script that ends the waiting look of a button."""
    return f"() => window.tuneboard.release('say-train-{button}')"


def _updates(new: form.Values) -> list[Any]:
    """An output for each field: a value, or nothing where `new` has none."""
    return [new[name] if name in new else gr.skip() for name in form.NAMES]
