"""The settings that are folded up at first, with the search box that opens the right fold."""

from __future__ import annotations

from typing import Any, NamedTuple

import gradio as gr

from trainer.jobs.workspace import Workspace
from trainer.options import options
from webui import controls, form
from webui.i18n import say
from webui.live import QUIET
from webui.tabs.devices import DevicePicker

# Choices that stand for themselves: whoever adds another takes them back, and they take back all others.
ALONE = {
    "report_to": ("none", "all"),
    **dict.fromkeys(("lora_target", "oft_target", "freeze_trainable_modules", "galore_target", "apollo_target"), ("all",)),
}  # fmt: skip
# The newest choice is the last one. Nothing is sent to the server for it; Gradio takes a list for those of all outputs.
_SETTLE = "(chosen) => [window.tuneboard.settle(chosen, {alone})]"


class Folds(NamedTuple):
    """The controls by their options' names, the fold of pictures, and the device picker."""

    fields: dict[str, Any]
    pictures: gr.Accordion
    devices: DevicePicker


def draw(values: form.Values, workspace: Workspace) -> Folds:
    """All folds, closed, in the order of `form.FOLDED`."""
    gr.HTML(_search(), elem_id="search")
    made: dict[str, Any] = {}
    folds: dict[str, gr.Accordion] = {}
    with gr.Column(elem_classes="folds"):
        for name in (*form.FOLDED, "extra"):
            with gr.Accordion(
                say(f"train.panel.{name}"), open=False, elem_id=f"say-train-panel-{name}"
            ) as fold:
                folds[name] = fold
                if name == "devices":
                    picker = DevicePicker(workspace, fold)
                made |= _extra() if name == "extra" else fields(name, values)
    for name, alone in ALONE.items():
        made[name].input(
            None,
            made[name],
            made[name],
            js=_SETTLE.format(alone=list(alone)),
            trigger_mode="always_last",
            **QUIET,
        )
    return Folds(made, folds["multimodal"], picker)


def fields(panel: str, values: form.Values) -> dict[str, Any]:
    """The controls of a panel by their options' names."""
    with gr.Row(elem_classes="fields"):
        return {name: controls.make(options()[name], values[name]) for name in form.names_in(panel)}


def _extra() -> dict[str, Any]:
    with gr.Row(elem_classes="fields"):
        return {
            "extra": gr.Textbox(
                "", label=say("train.extra.label"), info=say("train.extra.help"), placeholder='{"adam_beta2": 0.98}',
                lines=2, elem_id="say-train-extra", interactive=True,
            )
        }  # fmt: skip


def _search() -> str:
    return (
        '<div class="find"><input type="search" id="find" autocomplete="off" role="combobox" aria-expanded="false" '
        'aria-controls="found" data-say-placeholder="train.search" data-say-aria-label="train.search">'
        '<ul id="found" role="listbox" hidden></ul></div>'
    )
