"""The data drawer: files brought in and datasets kept, opened from the top bar over whatever tab is shown."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from trainer.errors import UserError
from trainer.jobs.place import locate_data
from trainer.jobs.workspace import Workspace
from webui.data_desk import DataDesk
from webui.data_drawer import drawer_html, skeleton
from webui.data_state import Drawer, Press
from webui.held import Held
from webui.live import ALONE, QUIET
from webui.tabs.top import Top
from webui.theme import HERE

SCRIPT = (HERE / "data_drawer.js").read_text(encoding="utf-8")
OPEN = "() => { window.tuneboardData.open(); }"
# A file to be downloaded gets its name in Gradio's folder, whence it is served; what lies there is removed after this time.
DOWNLOADS, KEPT_S = "tuneboard-downloads", 3600.0


class DataDrawer:
    """Built once, outside the tabs. `bring` are further buttons that open it, `dataset` and the like the Train tab's."""

    def __init__(
        self, workspace: Workspace, top: Top, bring: gr.Button, fields: dict[str, Any], tabs: gr.Tabs
    ) -> None:
        self._workspace = workspace
        self._desk = DataDesk(workspace.shelf)
        self._language = top.language
        self._state = gr.State(Held(Drawer()))
        self._html = gr.HTML(skeleton(), elem_id="data", apply_default_css=False, js_on_load=SCRIPT)
        self._dropped = gr.File(visible=False, file_count="multiple")
        self._handed = gr.File(visible=False)
        for button in (top.data, bring):
            button.click(None, None, None, js=OPEN)
        self._listen(fields, tabs)

    def _listen(self, fields: dict[str, Any], tabs: gr.Tabs) -> None:
        html, given, drawn = self._html, [self._state, self._language], self._html
        menus = [fields["dataset"], fields["eval_dataset"]]
        html.load(self._draw, given, drawn, **ALONE)
        self._language.change(self._draw, given, drawn, **QUIET)
        html.click(self._act, [*given, *menus], [drawn, *menus], trigger_mode="multiple", **QUIET)
        html.upload(
            self._receive, [self._dropped, *given], drawn, js="(_, ...given) => [window.tuneboardData.taken(), ...given]", **QUIET
        )  # fmt: skip
        html.select(
            self._use, fields["dataset_dir"], [fields["dataset"], fields["dataset_dir"], tabs], **QUIET
        )
        html.submit(self._download, given, [drawn, self._handed], **QUIET).then(
            None, self._handed, None, js="(file) => { window.tuneboardData.save(file); }"
        )

    def _draw(self, held: Held[Drawer], lang: str) -> str:
        with held.turn:
            held.value = self._desk.look(held.value)
            return drawer_html(self._desk, held.value, lang)

    def _act(
        self, event: gr.EventData, held: Held[Drawer], lang: str, chosen: list[str], chosen_too: list[str]
    ) -> list[Any]:
        press = Press(*(_text(event, name) for name in Press._fields))
        with held.turn:
            held.value = self._desk.act(held.value, press)
            drawn = self._draw(held, lang)
        menus = [gr.skip(), gr.skip()]
        if press.act in ("delete_it", "save_name") and press.id not in self._names():
            # A menu must not go on naming what is not there any more.
            new = press.value.strip() if press.act == "save_name" else ""
            both = (chosen or [], chosen_too or [])
            menus = [
                self._menu(_renamed(each, press.id, new)) if press.id in each else gr.skip() for each in both
            ]
        return [drawn, *menus]

    def _menu(self, chosen: Sequence[str]) -> Any:
        return gr.update(choices=self._names(), value=list(chosen))

    def _names(self) -> list[str]:
        try:
            return [each.name for each in self._desk.shelf.list()]
        except UserError:
            return []

    def _receive(self, paths: list[str] | None, held: Held[Drawer], lang: str) -> str:
        sweep()
        dropped = [Path(path) for path in paths or ()]
        with held.turn:
            held.value = self._desk.receive(held.value, dropped)
            drawn = self._draw(held, lang)
        for path in dropped:
            # The shelf has its own copy; what Gradio has kept would stay for ever.
            with suppress(OSError):
                path.unlink()
        return drawn

    def _use(self, event: gr.EventData, folder: str) -> list[Any]:
        """Chooses a dataset in the Train tab, and the data folder that it lies in."""
        names, name = self._names(), _text(event, "name")
        if name not in names:
            return [gr.skip(), gr.skip(), gr.skip()]
        here = Path(locate_data(str(folder) or "data", self._workspace.root)).resolve()
        same = here == Path(self._desk.shelf.folder).resolve()
        menu = gr.update(choices=names, value=[name])
        return [menu, gr.skip() if same else "data", gr.Tabs(selected="train")]

    def _download(self, event: gr.EventData, held: Held[Drawer], lang: str) -> list[Any]:
        sweep()
        with held.turn:
            held.value, path = self._desk.hand_out(held.value, _text(event, "name"), _text(event, "what"))
            drawn = self._draw(held, lang)
        return [drawn, None if path is None else served(path)]


def served(path: Path) -> str:
    """The file under its own name in a new folder below the one that Gradio serves from."""
    place = Path(get_upload_folder()) / DOWNLOADS
    place.mkdir(parents=True, exist_ok=True)
    link = Path(tempfile.mkdtemp(dir=place)) / path.name
    try:
        os.link(path, link)
    except OSError:
        shutil.copyfile(path, link)
    return str(link)


def sweep() -> None:
    """Removes old downloads, and the parts that Gradio keeps of uploads that were broken off."""
    place = Path(get_upload_folder())
    for old in (*place.glob("tmp*"), *(place / DOWNLOADS).glob("*")):
        with suppress(OSError):
            if time.time() - old.stat().st_mtime < KEPT_S:
                continue
            if old.parent.name == DOWNLOADS:
                shutil.rmtree(old, ignore_errors=True)
            elif old.is_file():
                old.unlink()


def _text(event: gr.EventData, name: str) -> str:
    """A value that the page has sent; it can send anything."""
    data = event._data if isinstance(event._data, dict) else {}
    value = data.get(name, "")
    return value if isinstance(value, str) else ""


def _renamed(chosen: Sequence[str], old: str, new: str) -> list[str]:
    return [new if each == old else each for each in chosen if each != old or new]
