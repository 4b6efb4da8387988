"""The top bar: language, light and dark, and which model is worked on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
import psutil

from trainer import __version__
from trainer.model import catalog
from trainer.options import options
from webui import controls
from webui.form import CUSTOM
from webui.i18n import LANGUAGES, say, tagged


@dataclass(frozen=True)
class Top:
    """The components of the top bar that other parts read or write.

    `language` is the language menu ("en", "zh", ...): every handler that writes text takes it as an input. `model` holds
    a name of the catalogue or `CUSTOM`, `path` the folder or hub id for the latter. `runs` and `data` open the drawers.
    """

    language: gr.Dropdown
    runs: gr.Button
    data: gr.Button
    model: gr.Dropdown
    path: gr.Textbox
    hub: gr.Dropdown
    method: gr.Dropdown
    checkpoints: gr.Dropdown
    template: gr.Dropdown

    def inputs(self) -> list[Any]:
        return [self.model, self.path, self.hub, self.method, self.checkpoints, self.template]


def build(hub: str) -> Top:
    with gr.Row(elem_id="bar"):
        gr.HTML(_brand(), elem_id="brand")
        runs = gr.Button(say("page.runs"), elem_id="say-page-runs", size="sm", scale=0)
        data = gr.Button(say("data.open"), elem_id="say-data-open", size="sm", scale=0)
        language = gr.Dropdown(
            [(name, lang) for lang, name in LANGUAGES.items()], value="en", show_label=False, container=False,
            filterable=False, elem_id="say-page-language", scale=0, label=say("page.language"),
        )  # fmt: skip
    with gr.Row(elem_id="top"):
        known = options()
        model = gr.Dropdown(
            model_choices("en"), value="Sprout", label=known["model_name_or_path"].label,
            info=known["model_name_or_path"].help, elem_id="o-model_name_or_path", interactive=True,
        )  # fmt: skip
        path = gr.Textbox(
            "", label=say("page.model_path.label"), info=say("page.model_path.help"), placeholder="models/sprout",
            elem_id="say-page-model_path", visible=False, max_lines=1, interactive=True,
        )  # fmt: skip
        method = controls.make(known["finetuning_type"])
        checkpoints = controls.make(known["adapter_name_or_path"])
        template = controls.make(known["template"])
        hub_menu = controls.make(known["hub"], hub)
    return Top(language, runs, data, model, path, hub_menu, method, checkpoints, template)


def model_choices(lang: str) -> list[tuple[str, str]]:
    """Labels and values of the model menu: the built-in one, a path of one's own, then the catalogue."""
    first, *others = [(each.name, each.name) for each in catalog.entries()]
    return [first, (say("page.custom_model", lang), CUSTOM), *others]


def foot() -> str:
    """The last line of the page: version, machine, and that nothing leaves it."""
    memory = psutil.virtual_memory().total / 2**30
    facts = f"TuneBoard {__version__} · {psutil.cpu_count()} × CPU · {memory:.0f} GB · "
    return facts + tagged("page.private")


def _brand() -> str:
    return (
        '<span class="brand">TuneBoard</span>'
        + tagged("page.tagline", class_="tagline")
        + '<button type="button" class="shade" data-do="shade" data-say-aria-label="page.shade" '
        f'data-say-title="page.shade" aria-label="{say("page.shade")}">◐</button>'
    )
