"""Every row checked: how far it is, what is wrong with which rows, what is done about it, and the name. As HTML."""

from __future__ import annotations

import re
from html import escape

from trainer.dataset.conversation import RowProblem
from trainer.dataset.ingest.checking import Checked, Defect
from trainer.dataset.ingest.plan import Plan
from trainer.dataset.ingest.repair import REPAIRS
from webui.data_desk import DataDesk
from webui.data_shelf import rows_said, size, trouble_html
from webui.data_state import Drawer, Work
from webui.i18n import say, say_sentence
from webui.panel import button
from webui.phrases import in_language
from webui.words import clock, count

FEW, PAGE = 4, 20
# A row's sentence begins with the place of the row, which stands in a column of its own here.
_PLACE = re.compile(r"^[^:：]*\{number\}[^:：]*[:：]\s*")


def rows_html(desk: DataDesk, drawer: Drawer, lang: str) -> str:
    """The progress of what goes on, or what the check has found with the way to a dataset."""
    assert drawer.plan is not None
    work = desk.work(drawer)
    if work is not None:
        return _progress(work, lang)
    checked = desk.checked(drawer)
    if checked is None:
        return f'<p class="tb-hint">{_say("unchecked", lang)}</p>{_back(lang)}'
    return (
        f"{_summary(checked, lang)}{_repaired(checked, drawer.plan, lang)}{_kinds(checked, drawer, lang)}"
        f"{_name(checked, drawer, lang)}"
    )


def _say(key: str, lang: str, **values: object) -> str:
    return escape(say(f"data.{key}", lang, **values))


def _back(lang: str) -> str:
    return button("columns", say("data.back", lang), "")


def _progress(work: Work, lang: str) -> str:
    progress = work.progress
    known = progress.bytes_total > 0
    share = min(1.0, progress.bytes_done / progress.bytes_total) if known else 0.0
    facts = [rows_said(progress.rows, lang)]
    if known:
        facts.append(say("data.of", lang, done=size(progress.bytes_done), total=size(progress.bytes_total)))
    if 0.02 < share < 1 and work.seconds > 1:
        facts.append(say("data.left", lang, time=clock(work.seconds * (1 - share) / share)))
    title = _say(f"working.{work.what}", lang)
    unknown = "" if known else " tb-unknown"
    spans = "".join(f"<span>{escape(fact)}</span>" for fact in facts)
    return (
        f'<div class="tb-work" role="status"><b>{title}</b><div class="tb-bar{unknown}" role="progressbar" aria-label="{title}" '
        f'aria-valuenow="{share * 100:.0f}" aria-valuemin="0" aria-valuemax="100"><div style="width:{share * 100:.1f}%"></div></div>'
        f'<div class="tb-counts">{spans}{button("stop", say("data.stop", lang), "", busy=say("data.stopping", lang))}</div></div>'
    )


def _summary(checked: Checked, lang: str) -> str:
    bad = checked.rows - checked.usable
    facts = [
        rows_said(checked.rows, lang),
        say("data.usable", lang, rows=count(checked.usable, lang)),
    ]
    if bad:
        facts.append(say("data.defective", lang, rows=count(bad, lang)))
    if checked.encoding:
        facts.append(checked.encoding.upper())
    notes = "".join(
        f"<li>{escape(' '.join(say_sentence(note.code, note.values, lang)).strip())}</li>"
        for note in checked.notes
    )
    whole = "" if bad else f'<p class="tb-good">{_say("whole", lang)}</p>'
    listed = f'<ul class="tb-notes">{notes}</ul>' if notes else ""
    return f'<p class="tb-sum"><b>{escape(" · ".join(facts))}</b></p>{whole}{listed}'


def _repaired(checked: Checked, plan: Plan, lang: str) -> str:
    """What the chosen repairs have mended; each can be taken back."""
    items = ""
    for name in plan.repairs:
        rows = checked.repaired.get(name, 0)
        if not rows or name not in REPAIRS:
            continue
        label = REPAIRS[name].label
        said = escape(say_sentence(label.code, label.values, lang).text)
        undo = _press("keep_out", say("data.undo", lang), "", name)
        items += f"<li><span><b>{_say('mended', lang, rows=count(rows, lang))}</b> {said}</span>{undo}</li>"
    return f'<ul class="tb-mended">{items}</ul>' if items else ""


def _press(act: str, label: str, id: str, value: str, chosen: bool | None = None) -> str:
    state = "" if chosen is None else f' aria-pressed="{"true" if chosen else "false"}"'
    return (
        f'<button type="button" class="tb-button" data-act="{act}" data-id="{escape(id)}" data-value="{escape(value)}"{state}>'
        f"{escape(label)}</button>"
    )


def _kinds(checked: Checked, drawer: Drawer, lang: str) -> str:
    """One card for each kind of defect, the commonest first."""
    kinds = sorted(checked.counts.items(), key=lambda each: (-each[1], each[0]))
    return "".join(_kind(checked, code, rows, drawer, lang) for code, rows in kinds if rows)


def _kind(checked: Checked, code: str, rows: int, drawer: Drawer, lang: str) -> str:
    whole = drawer.kind == code
    page = drawer.page if whole else 1
    shown = checked.page(page, PAGE if whole else FEW, code)
    listed = sum(1 for each in checked.defects if each.problem.code == code)
    title = reason(shown[0].problem, lang) if shown else code
    body = "".join(_row(each, lang) for each in shown)
    label = escape(title)
    return (
        f'<section class="tb-kind" aria-label="{label}"><div class="tb-kind-head"><b>{escape(rows_said(rows, lang))}</b>'
        f"<span>{label}</span></div>{_remedies(checked, code, rows, lang)}"
        f'<div class="tb-scroll" tabindex="0"><table class="tb-table tb-defects"><thead><tr><th scope="col">{_say("row_head", lang)}</th>'
        f'<th scope="col">{_say("field", lang)}</th><th scope="col">{_say("reason", lang)}</th></tr></thead>'
        f"<tbody>{body}</tbody></table></div>{_pager(code, page, listed, rows, whole, lang)}</section>"
    )


def _remedies(checked: Checked, code: str, rows: int, lang: str) -> str:
    """Drop them, as it stands, or a repair for all of them that can be repaired so."""
    offers: dict[str, int] = {}
    for defect in checked.defects:
        if defect.problem.code == code:
            for name in defect.repairs:
                offers[name] = offers.get(name, 0) + 1
    dropped = _say("drop_one", lang) if rows == 1 else _say("drop_all", lang, rows=count(rows, lang))
    drop = f'<span class="tb-chosen">{dropped}</span>'
    repairs = "".join(
        _press("repair", _offer(name, mended, rows, lang), code, name)
        for name, mended in sorted(offers.items(), key=lambda each: -each[1])
        if name in REPAIRS
    )
    other = (
        f"<span>{_say('or', lang)}</span>{repairs}" if repairs else f"<span>{_say('only_drop', lang)}</span>"
    )
    return f'<div class="tb-remedies">{drop}{other}</div>'


def _offer(name: str, mended: int, rows: int, lang: str) -> str:
    label = REPAIRS[name].label
    how = say_sentence(label.code, label.values, lang).text
    return say("data.repair", lang, how=how, rows=count(mended, lang), all=count(rows, lang))


def _row(defect: Defect, lang: str) -> str:
    problem = defect.problem
    place = count(problem.number, lang) + (f" · {problem.file}" if problem.file else "")
    return (
        f"<tr><td>{escape(place)}</td><td>{escape(str(problem.values.get('field', '')))}</td>"
        f"<td>{escape(reason(problem, lang))}</td></tr>"
    )


def reason(problem: RowProblem, lang: str) -> str:
    """What is wrong with a row, without the words for where it stands."""
    sentence = _PLACE.sub("", say(f"errors.{problem.code}.text", lang))
    said = sentence.format(**in_language(problem.shown, lang))
    # A name at the beginning stays as it is written.
    return said if sentence.startswith("{") else said[:1].upper() + said[1:]


def _pager(code: str, page: int, listed: int, rows: int, whole: bool, lang: str) -> str:
    most = f"<span>{_say('listed', lang, rows=count(listed, lang))}</span>" if listed < rows else ""
    if not whole:
        if listed <= FEW:
            return most
        return f'<div class="tb-pager">{_press("kind", say("data.show_all", lang, rows=count(listed, lang)), code, "1")}</div>'
    last = max(1, -(-listed // PAGE))
    back = _press("kind", say("data.previous", lang), code, str(page - 1)) if page > 1 else ""
    on = _press("kind", say("data.next", lang), code, str(page + 1)) if page < last else ""
    place = _say("page", lang, page=count(page, lang), pages=count(last, lang))
    return f'<div class="tb-pager">{back}<span>{place}</span>{on}{_press("kind", say("data.show_few", lang), "", "1")}{most}</div>'


def _name(checked: Checked, drawer: Drawer, lang: str) -> str:
    """The name and the button that makes the dataset, or why there is nothing to make."""
    bad = checked.rows - checked.usable
    if not checked.usable:
        return (
            f'<div class="tb-closing"><div class="tb-problem" role="alert"><b>{_say("nothing_usable", lang)}</b>'
            f'<p>{_say("nothing_usable_hint", lang)}</p></div><div class="tb-acts">{_back(lang)}</div></div>'
        )
    key = "replace" if drawer.replacing else "register"
    label = _say(key, lang, rows=rows_said(checked.usable, lang))
    fixed = " readonly" if drawer.replacing else ""
    refused = drawer.trouble if drawer.trouble is not None and drawer.trouble.field == "name" else None
    wrong = ' aria-invalid="true"' if refused else ""
    told = trouble_html(refused, lang) if refused else ""
    left_out = _say("left_out", lang, rows=count(bad, lang)) + " " if bad else ""
    return (
        f'<form class="tb-closing tb-name-form" data-act="register" data-id="">{told}<label>{_say("name", lang)}'
        f'<input class="tb-input" value="{escape(drawer.name)}" maxlength="100" autocomplete="off" spellcheck="false"{fixed}{wrong}></label>'
        f'<div class="tb-acts"><button type="submit" class="tb-button tb-primary">{label}</button>{_back(lang)}'
        f"<span>{left_out}{_say('original_kept', lang)}</span></div></form>"
    )
