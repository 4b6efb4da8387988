"""The Train tab: what you decide on the left, what happens on the right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from trainer.options import options
from webui import controls
from webui.i18n import say, tagged
from webui.tabs.top import Top

FOLDED = ("lora", "memory", "saving", "evaluation", "learning", "advanced")


@dataclass(frozen=True)
class Train:
    """The controls of the tab by option name, and its buttons."""

    controls: dict[str, Any]
    start: gr.Button


def build(workspace: Any, top: Top) -> Train:
    with gr.Row(elem_id="train"):
        with gr.Column(elem_id="decide", scale=5, min_width=320):
            made = _settings()
            start = _actions()
        with gr.Column(elem_id="happens", scale=6, min_width=320):
            gr.HTML()
    return Train(made, start)


def _settings() -> dict[str, Any]:
    made: dict[str, Any] = {}
    with gr.Column(elem_classes="card"):
        made |= _panel("data")
    with gr.Column(elem_classes="card"):
        made |= _panel("basics")
    for name in FOLDED:
        with gr.Accordion(say(f"train.panel.{name}"), open=False, elem_id=f"say-train-panel-{name}"):
            made |= _panel(name)
    return made


def _panel(panel: str) -> dict[str, Any]:
    made = {}
    with gr.Row(elem_classes="fields"):
        for name, info in options().items():
            if info.panel == panel:
                made[name] = controls.make(info)
    return made


def _actions() -> gr.Button:
    with gr.Row(elem_id="actions"):
        start = gr.Button(say("train.start"), variant="primary", elem_id="say-train-start", scale=0)
        gr.HTML(elem_id="sentence")
    return start
