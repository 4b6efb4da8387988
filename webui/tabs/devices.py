"""The device picker of the Train tab: what this machine has, and what will happen with it."""

from __future__ import annotations

from typing import Any

import gradio as gr
import psutil

from trainer.jobs.workspace import Workspace
from webui import devices, form
from webui.live import ALONE, QUIET

# `page.js` calls it while the accelerators are being looked for.
_ASKER = "window.tuneboard.lookAgain = () => trigger('click', {});"
# What the sentence on the processes depends on.
CAUSES = ("devices", "nproc_per_node", "ds_stage", "ds_offload", "fsdp", "fsdp_offload")


class DevicePicker:
    """A line above the settings of the fold, which says what is there and what will be done with it."""

    def __init__(self, workspace: Workspace, fold: gr.Accordion) -> None:
        self._workspace, self._fold = workspace, fold
        self._line = gr.HTML(elem_id="devices-line", js_on_load=_ASKER)

    def listen(
        self, page: gr.Blocks, fields: dict[str, Any], common: list[Any], language: gr.Dropdown
    ) -> None:
        """`common` are the inputs of the tab's handlers, the form's values last."""
        outputs = [self._line, fields["devices"]]
        gr.on([page.load, self._fold.expand, language.change], self._look, common, outputs,
              trigger_mode="always_last", **QUIET)  # fmt: skip
        self._line.click(self._look, common, outputs, **ALONE)
        gr.on([fields[name].change for name in CAUSES], self._say, common, self._line,
              trigger_mode="always_last", **QUIET)  # fmt: skip

    def _look(self, lang: str, preset: str, proposals: form.Values, *given: Any) -> list[Any]:
        """Looks anew. What was found before stays on the page until the answer is there."""
        self._workspace.survey.refresh()
        found = self._workspace.survey.known or ()
        return [self._said(lang, form.named(given)), gr.update(choices=devices.choices(found, lang))]

    def _say(self, lang: str, preset: str, proposals: form.Values, *given: Any) -> str:
        return self._said(lang, form.named(given))

    def _said(self, lang: str, values: form.Values) -> str:
        survey = self._workspace.survey
        cores = psutil.cpu_count() or 1
        plan = devices.plan_of(values, lang)
        return devices.said(survey.known, survey.looking, values["devices"] or (), cores, plan, lang)
