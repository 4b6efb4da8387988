"""Where a file is dropped, and the datasets that are there already, as HTML. Without gradio."""

from __future__ import annotations

from html import escape
from pathlib import Path

from trainer.dataset.ingest.archive import MEDIA, TABLES
from trainer.dataset.ingest.cupboard import STAGING
from trainer.dataset.ingest.register import Registered
from trainer.errors import UserError, Values
from trainer.jobs.shelf import Shelved
from webui.data_desk import DataDesk
from webui.data_state import Drawer
from webui.i18n import say, say_sentence
from webui.panel import button
from webui.words import count, memory


def size(amount: float) -> str:
    """`412 KB`, `3 MB`, `2.0 GB`."""
    return f"{max(1, round(amount / 1024)) if amount else 0} KB" if amount < 2**20 else memory(amount / 2**20)


def rows_said(rows: int, lang: str) -> str:
    """`1 row`, `4,102 rows`."""
    return say("data.one_row", lang) if rows == 1 else say("data.rows", lang, rows=count(rows, lang))


def trouble_html(error: UserError, lang: str) -> str:
    """A refusal with the way out of it."""
    values: Values = dict(error.values)
    if STAGING in Path(str(values.get("path", ""))).parts:
        # Where an upload lies for a day is nobody's business.
        values["path"] = Path(str(values["path"])).name
    text, hint = say_sentence(error.code, values, lang)
    return f'<div class="tb-problem" role="alert"><b>{escape(text)}</b><p>{escape(hint)}</p></div>'


def shelf_html(desk: DataDesk, drawer: Drawer, lang: str) -> str:
    """The place to drop a file, what has just been registered, and the list."""
    try:
        rows = "".join(_row(each, drawer, lang) for each in desk.shelf.list())
        inner = (
            f'<ol class="tb-runs">{rows}</ol>' if rows else f'<p class="tb-hint">{_say("empty", lang)}</p>'
        )
    except UserError as error:
        inner = trouble_html(error, lang)
    return f'{_made(drawer.registered, lang)}{_drop(desk, lang)}<h3 class="tb-head">{_say("shelf", lang)}</h3>{inner}'


def _say(key: str, lang: str, **values: object) -> str:
    return escape(say(f"data.{key}", lang, **values))


def _drop(desk: DataDesk, lang: str) -> str:
    """The script `data_drawer.js` sends the file and fills in how far it is."""
    limits = desk.shelf.limits
    most = _say(
        "limits", lang, size=f"{limits.file_bytes / 2**30:g} GiB", media=count(limits.media_files, lang),
        pixels=f"{limits.megapixels:g}",
    )  # fmt: skip
    accepted = ",".join((*TABLES, ".zip", *MEDIA))
    return (
        f'<label class="tb-drop"><input type="file" multiple accept="{accepted}" aria-label="{_say("drop", lang)}">'
        f"<b>{_say('drop', lang)}</b><span>{_say('kinds', lang)}</span><small>{most}</small>"
        f"<small>{_say('stays', lang)}</small></label>"
        '<div class="tb-sending" role="status"><b></b><div class="tb-bar"><div></div></div>'
        f'<div class="tb-counts"><span></span>{button("cancel", say("data.cancel", lang), "")}</div></div>'
        '<div class="tb-problem tb-unsent" role="alert"></div>'
    )


def _made(made: Registered | None, lang: str) -> str:
    if made is None:
        return ""
    facts = [say("data.made", lang, name=made.name, rows=rows_said(made.rows, lang))]
    if made.dropped:
        facts.append(say("data.made_dropped", lang, rows=count(made.dropped, lang)))
    if made.repaired:
        facts.append(say("data.made_repaired", lang, rows=count(sum(made.repaired.values()), lang)))
    return f'<div class="tb-note tb-made" role="status">{escape(" ".join(facts))}</div>'


def _row(each: Shelved, drawer: Drawer, lang: str) -> str:
    facts = [] if each.rows is None else [rows_said(each.rows, lang)]
    if each.bytes:
        facts.append(size(each.bytes))
    facts.append(each.formatting)
    origin = [say("data.from", lang, source=each.source)] if each.source else []
    origin += [each.date[:10]] if each.date else []
    used = (
        f'<div class="tb-used">{_say("used", lang, runs=", ".join(each.used_by))}</div>'
        if each.used_by
        else ""
    )
    wrong = ""
    if each.problem is not None:
        wrong = f'<div class="tb-problem">{escape(say_sentence(each.problem.code, each.problem.values, lang).text)}</div>'
    return (
        f'<li class="tb-item" data-name="{escape(each.name)}"><div class="tb-about"><div><b>{escape(each.name)}</b></div>'
        f"<div>{escape(' · '.join(facts))}</div><div>{escape(' · '.join(origin))}</div>{used}{wrong}</div>"
        f"{_foot(each, drawer, lang)}</li>"
    )


def _foot(each: Shelved, drawer: Drawer, lang: str) -> str:
    """The buttons of a dataset, or the question that one of them has raised."""
    if drawer.asking == each.name:
        question = _say("ask_delete" if each.ours else "ask_remove", lang, name=each.name)
        return (
            f'<div class="tb-foot" role="alert"><span>{question}</span>'
            + button("delete_it", say("data.delete_it", lang), each.name, kind="tb-danger")
            + button("keep", say("data.keep", lang), each.name)
            + "</div>"
        )
    if drawer.renaming == each.name:
        told = trouble_html(drawer.trouble, lang) if drawer.trouble else ""
        name = drawer.name if drawer.trouble else each.name
        return (
            f'<form class="tb-foot" data-act="save_name" data-id="{escape(each.name)}">{told}<input class="tb-input" '
            f'value="{escape(name)}" aria-label="{_say("new_name", lang)}" maxlength="100" autocomplete="off">'
            f'<button type="submit" class="tb-button">{_say("save_name", lang)}</button>'
            f"{button('keep', say('data.keep', lang), each.name)}</form>"
        )
    busy = say("data.why.used", lang, runs=", ".join(each.used_by)) if each.used_by else ""
    broken = say("data.why.broken", lang) if each.problem else ""
    by_hand = "" if each.ours else say("data.why.by_hand", lang)
    return (
        '<div class="tb-foot">'
        + button("use", say("data.use", lang), each.name, why_not=broken)
        + button("change", say("data.change", lang), each.name, why_not=by_hand or busy)
        + button("download", say("data.download", lang), each.name, why_not=broken)
        + button("original", say("data.original", lang), each.name, why_not=by_hand)
        + button("rename", say("data.rename", lang), each.name, why_not=busy)
        + button("delete", say("data.delete", lang), each.name, why_not=busy, kind="tb-danger")
        + "</div>"
    )
