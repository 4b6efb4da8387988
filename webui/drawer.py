"""The list of all runs as HTML, what may be done with each, and several laid over one another. Without gradio."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

from trainer.errors import UserError
from trainer.jobs.job import Job
from trainer.jobs.jobs import Jobs
from trainer.options import options
from webui.evaluate_cards import score_name
from webui.export_words import names
from webui.i18n import say, say_error
from webui.panel import button
from webui.plot import Line, Point, chart, number, smoothed, spark
from webui.words import count

MOST_TICKED = 6
_PAGE = 30


@dataclass(frozen=True)
class Drawer:
    """What one page has done in the list. `asking` and `renaming` name the run that is in question."""

    ticked: tuple[str, ...] = ()
    asking: str = ""
    renaming: str = ""
    shown: int = _PAGE
    acts: int = 0
    trouble: UserError | None = None


def act(jobs: Jobs, drawer: Drawer, what: str, run: str, name: str = "") -> Drawer:
    """The list after a press. A refusal is remembered with its sentence."""
    before = drawer
    drawer = replace(drawer, acts=drawer.acts + 1, asking="", renaming="", trouble=None)
    try:
        if what == "tick":
            return replace(drawer, ticked=_toggled(drawer.ticked, run))
        if what == "delete":
            return replace(drawer, asking=jobs.get(run).id)
        if what == "rename":
            return replace(drawer, renaming=jobs.get(run).id)
        if what == "delete_it" and before.asking == run:
            jobs.delete(run)
            return replace(drawer, ticked=tuple(each for each in drawer.ticked if each != run))
        if what == "save_name":
            new = jobs.rename(run, name).id
            return replace(drawer, ticked=tuple(new if each == run else each for each in drawer.ticked))
        if what == "more":
            return replace(drawer, shown=drawer.shown + _PAGE)
    except UserError as error:
        return replace(drawer, trouble=error, renaming=run if what == "save_name" else "")
    return drawer


def _toggled(ticked: tuple[str, ...], run: str) -> tuple[str, ...]:
    if run in ticked:
        return tuple(each for each in ticked if each != run)
    return (*ticked, run)[-MOST_TICKED:]


def drawer_html(jobs: Jobs, drawer: Drawer, lang: str) -> str:
    """The whole drawer: title, comparison of the ticked runs, list."""
    listed = jobs.list()
    ticked = [job for run in drawer.ticked for job in listed if job.id == run]
    rows = "".join(_row(job, drawer, lang) for job in listed[: drawer.shown])
    more = button("more", say("runs.more", lang), "") if len(listed) > drawer.shown else ""
    inner = (
        f'<ol class="tb-runs">{rows}</ol>{more}'
        if listed
        else f'<p class="tb-hint">{_say("empty", lang)}</p>'
    )
    return (
        f'<div class="tb-shade" data-act="close"></div><aside class="tb-drawer" role="dialog" aria-modal="true" '
        f'aria-label="{_say("title", lang)}" data-acts="{drawer.acts}"><div class="tb-title"><h2>{_say("title", lang)}</h2>'
        f'<span class="tb-buttons">{button("close", say("runs.close", lang), "")}</span></div>'
        f"{_trouble(drawer.trouble, lang)}{_compared(jobs, ticked, lang)}{inner}</aside>"
    )


def _say(key: str, lang: str, **values: object) -> str:
    return escape(say(f"runs.{key}", lang, **values))


def _trouble(error: UserError | None, lang: str) -> str:
    if error is None:
        return ""
    sentence = say_error(error, lang)
    return f'<div class="tb-problem" role="alert"><b>{escape(sentence.text)}</b><p>{escape(sentence.hint)}</p></div>'


def _row(job: Job, drawer: Drawer, lang: str) -> str:
    ticked = job.id in drawer.ticked
    place = f" tb-run-{drawer.ticked.index(job.id)}" if ticked else ""
    about = " · ".join(each for each in (job.model, job.method, ", ".join(job.datasets)) if each)
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(job.created_at))
    tick = (
        f'<button type="button" class="tb-tick{place}" role="checkbox" aria-checked="{"true" if ticked else "false"}" '
        f'data-act="tick" data-id="{escape(job.id)}" aria-label="{_say("compare", lang)}: {escape(job.name)}"></button>'
    )
    points = [Point(*point) for point in job.facts.curve] if job.task == "train" else []
    curve = spark(points, say("runs.curve", lang, name=job.name))
    return (
        f'<li class="tb-item" data-run="{escape(job.id)}">{tick}<div class="tb-about"><div><b class="tb-run-name">'
        f'{escape(job.name)}</b> <span class="tb-state tb-is-{job.state}"><i class="tb-dot"></i>'
        f"{escape(say(f'live.state.{job.state}', lang))}</span></div><div>{escape(about)}</div>"
        f"<div>{escape(' · '.join([when, *_scores(job, lang)]))}</div>"
        f"{_problem(job)}</div>{curve}{_foot(job, drawer, lang)}</li>"
    )


def _scores(job: Job, lang: str) -> list[str]:
    facts = job.facts
    found = []
    if job.task == "eval":
        return _evaluated(job, lang)
    if job.task == "export":
        return [names(job.config.export.export_format, lang)]
    if facts.total_steps:
        done, total = count(facts.step, lang), count(facts.total_steps, lang)
        found.append(say("runs.steps", lang, done=done, total=total))
    loss = facts.scores.get("train_loss", facts.loss)
    if loss is not None:
        found.append(f"{say('runs.loss', lang)} {number(loss)}")
    if "eval_loss" in facts.scores:
        found.append(f"{say('runs.eval_loss', lang)} {number(facts.scores['eval_loss'])}")
    return found


def _evaluated(job: Job, lang: str) -> list[str]:
    """How many rows an evaluation has answered, and the main score of each side."""
    facts = job.facts
    done, total = count(facts.step, lang), count(facts.total_steps, lang)
    found = [say("evaluate.rows_done", lang, done=done, total=total)] if facts.total_steps else []
    for name, value in facts.scores.items():
        side, score = ("base", name[5:]) if name.startswith("base_") else ("tuned", name)
        if score != "eval_loss":
            found.append(f"{say(f'chat.side.{side}', lang)}: {score_name(score, lang)} {value:.1f}")
    return found


def _problem(job: Job) -> str:
    return f'<div class="tb-problem">{escape(job.problem)}</div>' if job.problem else ""


def _foot(job: Job, drawer: Drawer, lang: str) -> str:
    """The buttons of a run, or the question that one of them has raised."""
    if drawer.asking == job.id:
        return (
            f'<div class="tb-foot"><span>{_say("ask_delete", lang, name=job.name)}</span>'
            + button("delete_it", say("runs.delete_it", lang), job.id, kind="tb-danger")
            + button("keep", say("runs.keep", lang), job.id)
            + "</div>"
        )
    if drawer.renaming == job.id:
        return (
            f'<form class="tb-foot" data-act="save_name" data-id="{escape(job.id)}"><input class="tb-input" '
            f'value="{escape(job.name)}" aria-label="{_say("new_name", lang)}" maxlength="200" autocomplete="off">'
            f'<button type="submit" class="tb-button">{_say("save_name", lang)}</button>'
            f"{button('keep', say('runs.keep', lang), job.id)}</form>"
        )
    return f'<div class="tb-foot">{_buttons(job, lang)}</div>'


def _buttons(job: Job, lang: str) -> str:
    busy = say("runs.why.on", lang) if job.active or job.state == "queued" else ""
    whole = "live.why.complete" if job.state == "finished" else "live.why.is_on"
    whole = "live.why.waits" if job.state == "queued" else whole
    no_resume = "" if job.resumable else say(whole, lang)
    no_chat = "" if job.result else say("runs.why.nothing_saved", lang)
    lead_on = (
        button("chat", say("live.chat", lang), job.id, why_not=no_chat)
        + button("evaluate", say("live.evaluate", lang), job.id, why_not=no_chat)
        + button("export", say("live.export", lang), job.id, why_not=no_chat)
        if job.task == "train"
        else ""
    )
    return (
        button("open", say("runs.open", lang), job.id)
        + button("resume", say("live.resume", lang), job.id, why_not=no_resume)
        + lead_on
        + button("rename", say("runs.rename", lang), job.id, why_not=busy)
        + button("delete", say("runs.delete", lang), job.id, why_not=busy, kind="tb-danger")
    )


def _compared(jobs: Jobs, ticked: Sequence[Job], lang: str) -> str:
    """Curves over one another and the settings that differ, or how to get there."""
    if len(ticked) < 2:
        return f'<p class="tb-hint">{_say("hint", lang)}</p>'
    lines = [
        Line(tuple(smoothed([Point(*point) for point in job.facts.curve])), f"tb-run-{place}", job.name)
        for place, job in enumerate(ticked)
    ]
    picture = chart(
        [line for line, job in zip(lines, ticked, strict=True) if job.task == "train"],
        title=f"{say('live.loss', lang)}, {say('live.smooth', lang)}",
        x_label=say("live.steps", lang),
        empty=say("live.no_points", lang),
    )
    return f'<section class="tb-compared" aria-label="{_say("compared", lang)}">{picture}{_differences(jobs, ticked, lang)}</section>'


def _differences(jobs: Jobs, ticked: Sequence[Job], lang: str) -> str:
    different = jobs.diff([job.id for job in ticked])
    different.pop("output_dir", None)
    if not different:
        return f'<p class="tb-hint">{_say("same", lang)}</p>'
    names = "".join(
        f'<th scope="col"><span class="tb-key tb-run-{place}">{escape(job.name)}</span></th>'
        for place, job in enumerate(ticked)
    )
    rows = "".join(
        f'<tr><th scope="row">{escape(_label(name, lang))}</th>'
        + "".join(f"<td>{escape(_value(value, lang))}</td>" for value in values)
        + "</tr>"
        for name, values in different.items()
    )
    return (
        f'<div class="tb-scroll" tabindex="0"><table class="tb-table"><thead><tr><th scope="col">{_say("setting", lang)}'
        f"</th>{names}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _label(name: str, lang: str) -> str:
    return say(f"options.{name}.label", lang) if name in options() else name


def _value(value: Any, lang: str) -> str:
    if isinstance(value, bool):
        return say("runs.yes" if value else "runs.no", lang)
    if isinstance(value, (tuple, list)):
        value = ", ".join(str(each) for each in value)
    if isinstance(value, float):
        value = number(value)
    return say("runs.unset", lang) if value in (None, "") else str(value)
