"""How far an evaluation is and how it ended, for the head of the run panel. Pure."""

from __future__ import annotations

from trainer.config import RunConfig
from trainer.events import Finished, Stopped
from webui.i18n import say
from webui.story import Story
from webui.words import clock, count


def progress(story: Story) -> tuple[int, int]:
    """Rows answered and rows in all; 0 in all while nobody knows."""
    told, ending = story.predicted, story.final
    done = told.done if told else 0
    total = told.total if told else story.started.rows if story.started else 0
    if isinstance(ending, (Finished, Stopped)):
        done = ending.step
    return done, max(total, done)


def counts(story: Story, live: bool, lang: str, now: float) -> list[str]:
    """Rows, speed and times, each with its unit. `now` in seconds since the epoch."""
    told, ending = story.predicted, story.final
    done, total = progress(story)
    facts = [_say("rows_done", lang, done=count(done, lang), total=count(total, lang) if total else "–")]
    if told and told.rows_per_s:
        facts.append(_say("speed", lang, speed=f"{told.rows_per_s:.1f}"))
    if isinstance(ending, (Finished, Stopped)):
        passed = ending.seconds
    elif told:
        passed = told.elapsed_s + (max(0.0, now - told.at) if live else 0.0)
    else:
        passed = max(0.0, now - story.started.at) if story.started and live else 0.0
    facts.append(say("live.elapsed", lang, time=clock(story.earlier_s + passed)))
    if live and told and told.eta_s is not None:
        facts.append(say("live.left", lang, time=clock(max(0.0, told.eta_s - (now - told.at)))))
    return facts


def said(story: Story, state: str, config: RunConfig, lang: str) -> str:
    """What is said of an evaluation otherwise than of a training; empty where it is the same."""
    done, total = progress(story)
    ending = story.final
    rows = {"done": count(done, lang), "total": count(total, lang)}
    if state == "finished" and isinstance(ending, Finished):
        data = ", ".join(datasets(config))
        time = clock(story.earlier_s + ending.seconds)
        return _say("said.finished", lang, rows=rows["done"], data=data, time=time)
    if state == "stopped":
        return _say("said.stopped", lang, **rows) if done else _say("said.stopped_empty", lang)
    if state == "interrupted":
        return _say("said.interrupted", lang, done=rows["done"])
    return _say("said.stopping", lang) if state == "stopping" else ""


def datasets(config: RunConfig) -> tuple[str, ...]:
    """Where the rows of an evaluation come from."""
    return config.data.eval_dataset or config.data.dataset


def _say(key: str, lang: str, **values: object) -> str:
    return say(f"evaluate.{key}", lang, **values)
