"""How far an export is and how it ended, for the head of the run panel. Pure."""

from __future__ import annotations

from trainer.config import RunConfig
from trainer.events import Finished, Stopped
from webui.export_words import names, size
from webui.i18n import say
from webui.story import Story
from webui.words import clock


def progress(story: Story) -> tuple[int, int]:
    """Bytes written and bytes in all; 0 in all while nobody knows how long it will be, as while the model is asked."""
    told = story.written
    if told is None or (story.final is None and is_told_later(story)):
        return 0, 0
    return told.done_bytes, max(told.total_bytes, told.done_bytes)


def counts(story: Story, live: bool, lang: str, now: float) -> list[str]:
    """Bytes and times, each with its unit. `now` in seconds since the epoch."""
    told, ending = story.written, story.final
    facts = []
    if told:
        facts.append(say("export.bytes_done", lang, done=size(told.done_bytes), total=size(told.total_bytes)))
    if isinstance(ending, (Finished, Stopped)):
        facts.append(say("live.elapsed", lang, time=clock(ending.seconds)))
    elif live and story.started:
        facts.append(say("live.elapsed", lang, time=clock(max(0.0, now - story.started.at))))
    if live and told and not is_told_later(story):
        facts.append(say("live.left", lang, time=clock(max(0.0, told.eta_s - (now - told.at)))))
    return facts


def said(story: Story, state: str, config: RunConfig, lang: str) -> str:
    """What is said of an export otherwise than of a training; empty where it is the same."""
    ending, told = story.final, story.written
    if state == "finished" and isinstance(ending, Finished):
        formats = names(config.export.export_format, lang)
        return _say("finished", lang, formats=formats, time=clock(ending.seconds))
    if state == "running" and told and told.tensor and not is_told_later(story):
        return _say("writing", lang, format=names((told.format,), lang), tensor=told.tensor)
    if state == "starting" and story.phase:
        return ""
    return _say(state, lang) if state in ("stopped", "stopping", "interrupted", "starting") else ""


def is_told_later(story: Story) -> bool:
    """Whether something else has begun since the last bytes were written."""
    return bool(story.phase and story.written and story.phase.at > story.written.at)


def _say(key: str, lang: str, **values: object) -> str:
    return say(f"export.said.{key}", lang, **values)
