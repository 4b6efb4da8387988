"""What one page watches: which run it shows, how far it has read it, and what has to be drawn anew."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from trainer.errors import UserError
from trainer.events import EventLog, Stopped
from trainer.jobs.job import Job
from trainer.jobs.jobs import Jobs
from trainer.paths import safe_path
from webui import findings, panel
from webui.i18n import say, say_error
from webui.panel import Scene, Waiting
from webui.story import Cursor, follow

Body = Callable[[Scene, str], str]
_TAIL_BYTES = 32 * 1024
_TAIL_LINES = 200
_MOST_PICTURES = 12
_PICTURE_BYTES = 128 * 1024


@dataclass(frozen=True)
class View:
    """The memory of one page, small and never changed in place.

    `kind` is the kind of runs that the page looks out for. `run` is the id of the run that is shown, `awaits` that of a waiting run to which the page goes over when it begins.
    `ticking` says whether the page's timer is on; `acts` counts what the person has pressed.
    """

    kind: str = "train"
    run: str = ""
    awaits: str = ""
    cursor: Cursor = Cursor()
    trouble: UserError | None = None
    acts: int = 0
    log_open: bool = False
    ticking: bool = False
    drawn: tuple[Any, ...] = (None, None, None)


class Look(NamedTuple):
    """The view after a look, and the HTML that changed (None: it has not)."""

    view: View
    head: str | None
    body: str | None
    log: str | None


def show(jobs: Jobs, view: View, run: str) -> View:
    """The view of another run. One that waits behind a run of its kind is awaited while that one is shown."""
    job = jobs.get(run)
    on = jobs.current() if job.state == "queued" else None
    if on and on.id != run and on.task == job.task:
        kept = view.cursor if view.run == on.id else Cursor()
        return replace(view, run=on.id, awaits=run, cursor=kept, trouble=None)
    return replace(view, run=run, awaits="", cursor=Cursor(), trouble=None)


def act(jobs: Jobs, view: View, what: str, run: str) -> View:
    """Does what a button of the panel says with a run; a refusal is remembered in the view."""
    view = replace(view, acts=view.acts + 1, trouble=None)
    try:
        if what == "stop":
            jobs.stop(run)
        elif what == "resume":
            jobs.resume(run)
            return show(jobs, view, run)
        elif what == "cancel":
            jobs.cancel(run)
        elif what == "move_up":
            jobs.move_up(run)
        elif what == "show":
            return show(jobs, view, run)
    except UserError as error:
        return replace(view, trouble=error)
    return view


def look(jobs: Jobs, view: View, lang: str, now: float, body: Body = findings.body) -> Look:
    """What the page shows now. `now` in seconds since the epoch; `body` draws what stands below the head."""
    view, job = _chosen(jobs, view)
    queue = tuple(Waiting(each.id, each.name, each.likely_start_s) for each in jobs.queue())
    trouble = _trouble(view.trouble, job, lang)
    if job is None:
        drawn: tuple[Any, ...] = (("", lang, queue, trouble, view.acts), "", "")
        view = replace(view, ticking=bool(queue))
        return _changed(view, drawn, lambda: panel.empty(lang, queue, trouble, view.kind), str, str)
    # The state was read before the log: whatever it says has its event in what is read now.
    view = replace(view, cursor=follow(view.cursor, EventLog(job.folder.events)))
    on = None if job.active else jobs.current()
    elsewhere = (on.id, on.name, on.task) if on and on.id != job.id else ("", "", "")
    story = view.cursor.story
    seen = pictures(job.folder.path, {name for answer in story.answers for name in answer.media})
    scene = Scene(job.id, job.name, job.state, job.config, story, queue, trouble, elsewhere, job.task, seen)
    second = int(now) if job.active else 0
    drawn = (
        (job.id, job.state, lang, view.cursor.offset, queue, trouble, elsewhere, view.acts, second),
        (job.id, lang, view.cursor.offset),
        (job.id, lang, _size(job.folder.log)) if view.log_open else "",
    )
    view = replace(view, ticking=job.active or bool(queue) or bool(on))
    return _changed(
        view,
        drawn,
        lambda: panel.head(scene, lang, now, view.acts),
        lambda: body(scene, lang),
        lambda: log_html(job.folder.log, lang) if view.log_open else "",
    )


def _changed(view: View, drawn: tuple[Any, ...], *draw: Any) -> Look:
    head, body, log = (
        make() if new != old else None for make, new, old in zip(draw, drawn, view.drawn, strict=True)
    )
    return Look(replace(view, drawn=drawn), head, body, log)


def _chosen(jobs: Jobs, view: View) -> tuple[View, Job | None]:
    """The run to show: the awaited one once it has begun, the one shown so far, else the one that is on or the newest."""
    if view.awaits:
        awaited = _find(jobs, view.awaits)
        if awaited is None or awaited.state != "queued":
            if awaited is not None and awaited.active:
                view = replace(view, run=awaited.id, cursor=Cursor())
            view = replace(view, awaits="")
    job = _find(jobs, view.run) if view.run else None
    if job is None:
        job = _newest(jobs, view.kind)
        view = replace(view, run=job.id if job else "", cursor=Cursor())
    return view, job


def _newest(jobs: Jobs, kind: str) -> Job | None:
    on = jobs.current()
    if on and on.task == kind:
        return on
    found = [job for job in jobs.list() if job.task == kind]
    # A run that was taken out of the queue before it began has nothing to show.
    begun = (
        job for job in found if not (isinstance(job.facts.ending, Stopped) and not job.facts.total_steps)
    )
    return next(begun, found[0] if found else None)


def _find(jobs: Jobs, run: str) -> Job | None:
    try:
        return jobs.get(run)
    except UserError:
        return None


def _trouble(error: UserError | None, job: Job | None, lang: str) -> tuple[str, str]:
    if error is not None:
        sentence = say_error(error, lang)
        return sentence.text, sentence.hint
    return (job.problem, "") if job else ("", "")


def pictures(folder: Path, names: Iterable[str]) -> dict[str, bytes]:
    """The small pictures of these names in a run's folder, without what is missing or no small picture.

    The names stand in a log, which somebody else may have written.
    """
    found = {}
    for name in sorted(names)[:_MOST_PICTURES]:
        with suppress(OSError, UserError):
            path = safe_path(folder, str(name))
            if path.suffix == ".jpg" and path.stat().st_size <= _PICTURE_BYTES:
                found[name] = path.read_bytes()
    return found


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def log_html(path: Path, lang: str) -> str:
    """The last lines of a log file."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, _size(path) - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        text = ""
    lines = text.splitlines()[-_TAIL_LINES:]
    shown = "\n".join(lines) or say("live.log_empty", lang)
    return f'<pre class="tb-log" tabindex="0">{escape(shown)}</pre>'
