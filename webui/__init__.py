"""The page. The only package that imports gradio."""

from __future__ import annotations

from functools import partial

import gradio as gr
import uvicorn
from fastapi import FastAPI

from trainer.jobs.workspace import Workspace
from webui import given, theme
from webui.i18n import say
from webui.live import show_each_other
from webui.quiet import quiet
from webui.tabs import top, train
from webui.tabs.chat import ChatTab
from webui.tabs.data import DataDrawer
from webui.tabs.evaluate import EvaluateTab
from webui.tabs.export import ExportTab
from webui.tabs.runs import RunsDrawer

# The language menu still says English when a page has just been loaded; the script knows better. It is the last input.
IN_ITS_LANGUAGE = "(...given) => [...given.slice(0, -1), window.tuneboard.language()]"
# Pages keep a connection open; the end does not wait for them longer than this.
GRACE_S = 1


def build(workspace: Workspace, hub: str = "huggingface") -> gr.Blocks:
    """The page over a workspace: top bar, tabs, drawer. `hub` is the hub that is chosen at first."""
    page: gr.Blocks = gr.Blocks(title="TuneBoard", analytics_enabled=False, fill_width=True)
    loaded = partial(page.load, js=IN_ITS_LANGUAGE)
    with page:
        bar = top.build(hub)
        # First of all that a change of language does: Gradio takes the rest one after another, each with its answer.
        bar.language.change(None, [bar.language], None, js="(lang) => { window.tuneboard.speak(lang); }")
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab(say("page.tab.train"), id="train", elem_id="say-page-tab-train"):
                training = train.build(page, workspace, bar)
                panel = training.panel
                panel.attach(loaded)
            with gr.Tab(
                say("page.tab.evaluate"), id="evaluate", elem_id="say-page-tab-evaluate"
            ) as evaluating:
                judging = EvaluateTab(workspace, bar)
            with gr.Tab(say("page.tab.chat"), id="chat", elem_id="say-page-tab-chat") as talking:
                talk = ChatTab(workspace, bar)
            with gr.Tab(say("page.tab.export"), id="export", elem_id="say-page-tab-export") as taking_home:
                home = ExportTab(workspace, bar)
        gr.HTML(top.foot(), elem_id="foot")
        judging.attach(loaded, evaluating.select)
        talk.attach(loaded, talking.select)
        home.attach(loaded, taking_home.select)
        panels = {"train": panel, "eval": judging.panel, "export": home.panel}
        drawer = RunsDrawer(workspace.jobs, bar)
        drawer.open_in(panels, tabs)
        DataDrawer(workspace, bar, training.bring, training.fields, tabs)
        for asked in (panel.head.select, drawer.chat):
            talk.open_run(asked, tabs)
        for asked in (panel.head.apply, drawer.evaluate):
            judging.open_run(asked, tabs)
        for asked in (panel.head.release, drawer.export):
            home.open_run(asked, tabs)
        talk.open_export(home.panel.body.select, tabs)
        talk.open_row(judging.rows.select, judging.held, tabs)
        show_each_other(panels, workspace.jobs, tabs)
        page.load(None, None, [bar.language], js="() => window.tuneboard.language()")
    given.settle(page)
    return page


def launch(
    workspace: Workspace, host: str, port: int, auth: tuple[str, str] | None = None, hub: str = "huggingface"
) -> None:
    """Serves the page until the process is told to end, by Ctrl-C or SIGTERM, which then come through."""
    page = build(workspace, hub)
    page.queue(default_concurrency_limit=16)
    # Gradio's own launch gives up when the first answers take a few seconds or a proxy is set; a server of ours does not.
    outer = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    served = gr.mount_gradio_app(
        outer, page, path="/", server_name=host, server_port=port, auth=auth, theme=theme.theme(),
        css_paths=theme.STYLES, head=theme.head(), footer_links=[], run_history=False, show_error=False, ssr_mode=False,
        max_file_size=workspace.shelf.limits.file_bytes, enable_monitoring=False,
    )  # fmt: skip
    config = uvicorn.Config(
        quiet(served), host=host, port=port, log_level="warning", timeout_graceful_shutdown=GRACE_S
    )
    uvicorn.Server(config).run()
