"""The data drawer as HTML: the way a dropped file takes, step by step, or the list of datasets. Without gradio."""

from __future__ import annotations

from html import escape

from webui.data_columns import columns_html
from webui.data_defects import rows_html
from webui.data_desk import DataDesk
from webui.data_shelf import shelf_html, trouble_html
from webui.data_state import Drawer
from webui.i18n import say, tagged
from webui.panel import button

STEPS = ("shelf", "columns", "rows")


def drawer_html(desk: DataDesk, drawer: Drawer, lang: str) -> str:
    """The whole drawer. `data-token` is what a browser keeps to find the file in hand again, `data-poll` says that
    something goes on by itself, `data-registered` names a dataset that has just been made."""
    poll = "fast" if desk.work(drawer) else "" if drawer.token else "slow"
    made = escape(drawer.registered.name) if drawer.registered else ""
    title = escape(say("data.title", lang))
    return (
        '<div class="tb-shade" data-act="close"></div><aside class="tb-drawer tb-data" role="dialog" aria-modal="true" '
        f'aria-label="{title}" data-acts="{drawer.acts}" data-token="{escape(drawer.token)}" data-poll="{poll}" '
        f'data-registered="{made}" data-limit="{desk.shelf.limits.file_bytes}" tabindex="-1"><div class="tb-title"><h2>{title}</h2>'
        f'<span class="tb-buttons">{button("close", say("data.close", lang), "")}</span></div>'
        f'<div class="tb-way">{_way(drawer, lang)}</div><div class="tb-told">{_told(drawer, lang)}</div>'
        f'<div class="tb-step" data-step="{drawer.step}">{_step(desk, drawer, lang)}</div></aside>'
    )


def skeleton() -> str:
    """The drawer before its first answer: it opens at once, whatever the server does."""
    return (
        '<div class="tb-shade" data-act="close"></div><aside class="tb-drawer tb-data" role="dialog" aria-modal="true" '
        f'data-say-aria-label="data.title" tabindex="-1"><div class="tb-title">{tagged("data.title", "h2")}'
        f'<span class="tb-buttons"><button type="button" class="tb-button " data-act="close" data-id="">{tagged("data.close")}'
        "</button></span></div></aside>"
    )


def _way(drawer: Drawer, lang: str) -> str:
    """The steps from a file to a dataset, with the present one marked."""
    here = STEPS.index(drawer.step)
    items = "".join(
        f'<li{" aria-current=step" if place == here else ""} class="{"tb-past" if place < here else ""}">'
        f"{escape(say(f'data.step.{step}', lang))}</li>"
        for place, step in enumerate(STEPS)
    )
    return f'<ol class="tb-steps">{items}</ol>'


def _told(drawer: Drawer, lang: str) -> str:
    # A refused name is told beside its box.
    named = drawer.renaming or (drawer.step == "rows" and drawer.trouble and drawer.trouble.field == "name")
    if drawer.trouble is not None and not named:
        return trouble_html(drawer.trouble, lang)
    if drawer.lost:
        return f'<div class="tb-note" role="status">{escape(say("data.lost", lang))}</div>'
    return ""


def _step(desk: DataDesk, drawer: Drawer, lang: str) -> str:
    if drawer.step == "columns" and drawer.plan is not None:
        return columns_html(desk.staged(drawer), drawer, lang)
    if drawer.step == "rows" and drawer.plan is not None:
        return rows_html(desk, drawer, lang)
    return shelf_html(desk, drawer, lang)
