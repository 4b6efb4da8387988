"""The upper part of the run panel as HTML: what is on, how far it is, how it ended, what waits. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import NamedTuple

from trainer.config import RunConfig
from trainer.errors import Sentence, Values
from trainer.events import Failed, Finished, Stopped
from webui import evaluate_head, export_head
from webui.export_words import key_name
from webui.i18n import say, say_sentence
from webui.story import Story
from webui.words import clock, count

LIVE = ("starting", "running", "stopping")
RESUMABLE = ("stopped", "failed", "interrupted")
# Where the texts of a kind of runs stand.
AREAS = {"train": "live", "eval": "evaluate", "export": "export"}
# While steps are done, the bar says so better than a sentence.
_STEPS = "phase_training"


class Waiting(NamedTuple):
    """A run in the queue. `starts_in` is the likely time until it begins in seconds, None when nobody can know."""

    id: str
    name: str
    starts_in: float | None


@dataclass(frozen=True)
class Scene:
    """All that the panel shows of one run.

    `kind` is "train", "eval" or "export". `trouble` is a sentence, in the page's language, about what the person has just tried.
    `elsewhere` is the id, the name and the kind of a run that is on while this one is shown. `pictures` are small JPEGs of
    what it is asked about, by name.
    """

    id: str
    name: str
    state: str
    config: RunConfig
    story: Story
    queue: tuple[Waiting, ...] = ()
    trouble: tuple[str, str] = ("", "")
    elsewhere: tuple[str, str, str] = ("", "", "")
    kind: str = "train"
    pictures: Mapping[str, bytes] = field(default_factory=dict)


def empty(
    lang: str, queue: tuple[Waiting, ...] = (), trouble: tuple[str, str] = ("", ""), kind: str = "train"
) -> str:
    """The panel before there is a run of this kind."""
    area = AREAS[kind]
    return (
        f'<section class="tb-run tb-empty" data-state="none"><h3>{escape(say(f"{area}.empty.title", lang))}</h3>'
        f"<p>{escape(say(f'{area}.empty.text', lang))}</p>{_trouble(trouble)}{_queue(queue, lang)}</section>"
    )


def head(scene: Scene, lang: str, now: float, acts: int = 0) -> str:
    """State, progress, times, the sentence for this state, and the buttons. `now` in seconds since the epoch.

    `acts` makes every drawing after a press a new one, so that the pressed button is drawn again, too.
    """
    state = scene.state
    return (
        f'<section class="tb-run" data-state="{escape(state)}" data-run="{escape(scene.id)}" data-acts="{acts}">'
        f'<div class="tb-title"><span class="tb-state tb-is-{escape(state)}"><i class="tb-dot"></i>'
        f"{text(f'state.{state}', lang)}</span>"
        f'<span class="tb-name" title="{escape(scene.id)}">{escape(scene.name)}</span>{_buttons(scene, lang)}</div>'
        f"{_bar(scene, lang)}{_counts(scene, lang, now)}"
        f'<div class="tb-said" role="status">{_sentence(scene, lang)}</div>'
        f"{_trouble(scene.trouble)}{_elsewhere(scene, lang)}{_queue(scene.queue, lang)}</section>"
    )


def spoken(code: str, values: Values, lang: str) -> Sentence:
    """The sentence for a code. A log written by another version may hold a code or values that this one does not know."""
    try:
        return say_sentence(code, values, lang)
    except (KeyError, IndexError, ValueError):
        facts = ", ".join(f"{name} {value}" for name, value in values.items())
        return Sentence(f"{code} ({facts})" if facts else code)


def text(key: str, lang: str, **values: object) -> str:
    """A text of the run panel, escaped."""
    return escape(say(f"live.{key}", lang, **values))


def button(act: str, label: str, run: str, *, why_not: str = "", busy: str = "", kind: str = "") -> str:
    """A button that `live.SCRIPT` listens to; `busy` is what it says as soon as it is pressed.

    One that cannot be pressed keeps the focus and says why, to the keyboard and to screen readers, too.
    """
    off = (
        f' aria-disabled="true" data-why="{escape(why_not)}" aria-description="{escape(why_not)}"'
        if why_not
        else ""
    )
    then = f' data-busy="{escape(busy)}"' if busy else ""
    return (
        f'<button type="button" class="tb-button {kind}" data-act="{act}" data-id="{escape(run)}"{then}{off}>'
        f"{escape(label)}</button>"
    )


def _buttons(scene: Scene, lang: str) -> str:
    state = scene.state
    stop_text = say("live.stopping" if state == "stopping" else "live.stop", lang)
    why_no_stop = "" if state in ("starting", "running") else say(_why_no_stop(state), lang)
    why_no_resume = "" if state in RESUMABLE else say(_why_no_resume(state), lang)
    return (
        '<span class="tb-buttons">'
        + button("stop", stop_text, scene.id, why_not=why_no_stop, busy=say("live.stopping", lang))
        + button(
            "resume",
            say("live.resume", lang),
            scene.id,
            why_not=why_no_resume,
            busy=say("live.resuming", lang),
        )
        + "</span>"
    )


def _why_no_stop(state: str) -> str:
    return "live.why.stopping" if state == "stopping" else "live.why.not_on"


def _why_no_resume(state: str) -> str:
    return {"finished": "live.why.complete", "queued": "live.why.waits"}.get(state, "live.why.is_on")


def _progress(scene: Scene) -> tuple[int, int]:
    """Steps done and steps in all; 0 in all while nobody knows."""
    story, ending = scene.story, scene.story.final
    if scene.kind == "eval":
        return evaluate_head.progress(story)
    if scene.kind == "export":
        return export_head.progress(story)
    total = story.last.total_steps if story.last else story.started.total_steps if story.started else 0
    done = story.last.step if story.last else story.started.resumed_from if story.started else 0
    if isinstance(ending, (Finished, Stopped)):
        done = ending.step
    return done, max(total, done)


def _bar(scene: Scene, lang: str) -> str:
    done, total = _progress(scene)
    waits = scene.state == "starting" or (scene.state == "running" and not total)
    share = 100.0 if scene.state == "finished" else 100.0 * done / total if total else 0.0
    return (
        f'<div class="tb-bar{" tb-unknown" if waits else ""}" role="progressbar" aria-label="{_progress_label(scene, lang)}" '
        f'aria-valuemin="0" aria-valuemax="{total}" aria-valuenow="{done}"><div style="width:{share:.1f}%"></div></div>'
    )


def _progress_label(scene: Scene, lang: str) -> str:
    return escape(say(f"{AREAS[scene.kind]}.progress", lang))


def _counts(scene: Scene, lang: str, now: float) -> str:
    story = scene.story
    done, total = _progress(scene)
    if scene.kind != "train":
        counts = evaluate_head.counts if scene.kind == "eval" else export_head.counts
        facts = counts(story, scene.state in LIVE, lang, now)
        return f'<div class="tb-counts">{"".join(f"<span>{escape(fact)}</span>" for fact in facts)}</div>'
    facts = [text("step", lang, step=count(done, lang), total=count(total, lang) if total else "–")]
    if story.last:
        facts.append(text("epoch", lang, epoch=f"{story.last.epoch:.2f}".rstrip("0").rstrip(".")))
    facts.append(text("elapsed", lang, time=clock(_elapsed(scene, now))))
    if scene.state in LIVE and story.last:
        facts.append(text("left", lang, time=clock(max(0.0, story.last.eta_s - _since_last(story, now)))))
    return f'<div class="tb-counts">{"".join(f"<span>{fact}</span>" for fact in facts)}</div>'


def _elapsed(scene: Scene, now: float) -> float:
    """Seconds of training: as the ending says, or as the last step says plus what has passed since."""
    story = scene.story
    if isinstance(story.final, (Finished, Stopped)):
        return story.final.seconds
    if story.last:
        return story.last.elapsed_s + (_since_last(story, now) if scene.state in LIVE else 0.0)
    return max(0.0, now - story.started.at) if story.started and scene.state in LIVE else 0.0


def _since_last(story: Story, now: float) -> float:
    """Seconds of training since the last step; between a stop and its resume there are none."""
    last, started = story.last, story.started
    if last is None:
        return 0.0
    resumed = started is not None and 0 < started.resumed_from >= last.step
    return max(0.0, now - (started.at if started and resumed else last.at))


def _sentence(scene: Scene, lang: str) -> str:
    """What there is to say about the state, with the buttons that lead on."""
    state, ending = scene.state, scene.story.final
    if told := _said(scene, lang):
        place = _place(ending.path, lang) if scene.kind == "export" and isinstance(ending, Finished) else ""
        return f"<p>{escape(told)}{place}</p>"
    if state == "finished" and isinstance(ending, Finished):
        return _finished(scene, ending, lang)
    if state == "stopped" and isinstance(ending, Stopped):
        key = "said.stopped" if ending.path else "said.stopped_empty"
        said = text(key, lang, step=count(ending.step, lang), time=clock(ending.seconds), path=ending.path)
        return f"<p>{said}</p>{_lead_on(scene, lang) if ending.path else ''}"
    if state == "failed" and isinstance(ending, Failed):
        sentence = spoken(ending.code, ending.values, lang)
        return f'<div class="tb-problem"><b>{escape(sentence.text)}</b><p>{escape(sentence.hint)}</p></div>'
    if state == "interrupted":
        saved = scene.story.saved
        key = "said.interrupted" if saved else "said.interrupted_early"
        return f"<p>{text(key, lang, step=count(saved.step if saved else 0, lang))}</p>"
    phase = scene.story.phase
    going = phase and phase.code != _STEPS and not scene.story.predicted
    if phase and (state == "starting" or (state == "running" and going)):
        return f"<p>{escape(spoken(phase.code, _named(phase.values, lang), lang).text)}</p>"
    if state in ("queued", "starting", "stopping"):
        return f"<p>{text(f'said.{state}', lang)}</p>"
    return ""


def _named(values: Values, lang: str) -> Values:
    """The values of a phase with the name of a format as it stands on the page."""
    key = values.get("format")
    return {**values, "format": key_name(key, lang)} if isinstance(key, str) else values


def _said(scene: Scene, lang: str) -> str:
    """What is said of an evaluation or an export otherwise than of a training."""
    if scene.kind == "eval":
        return evaluate_head.said(scene.story, scene.state, scene.config, lang)
    return export_head.said(scene.story, scene.state, scene.config, lang) if scene.kind == "export" else ""


def method_name(config: RunConfig, lang: str) -> str:
    """`LoRA r8`, or full fine-tuning."""
    values = {
        "lora": {"rank": config.lora.lora_rank},
        "freeze": {"layers": abs(config.method.freeze_trainable_layers)},
    }
    method = config.method.finetuning_type
    return say(f"live.method.{method}", lang, **values.get(method, {}))


def _finished(scene: Scene, ending: Finished, lang: str) -> str:
    config = scene.config
    said = say(
        "live.said.finished",
        lang,
        method=method_name(config, lang),
        model=config.model.model_name_or_path,
        data=", ".join(config.data.dataset),
        steps=count(ending.step, lang),
        time=clock(ending.seconds),
    )
    losses = []
    if ending.loss is not None:
        losses.append(say("live.said.loss", lang, loss=f"{ending.loss:.3f}"))
    if ending.eval_loss is not None:
        losses.append(say("live.said.eval_loss", lang, loss=f"{ending.eval_loss:.3f}"))
    return f"<p>{escape(' '.join([said, *losses]))}{_place(ending.path, lang)}</p>{_lead_on(scene, lang)}"


def _place(path: str, lang: str) -> str:
    """A line of its own with where the result lies."""
    return f'<br>{text("said.lies_in", lang)} <code class="tb-path">{escape(path)}</code>'


def _lead_on(scene: Scene, lang: str) -> str:
    leads = (
        button(act, say(f"live.{act}", lang), scene.id, kind="tb-primary")
        for act in ("chat", "evaluate", "export")
    )
    return f'<p class="tb-lead">{"".join(leads)}</p>'


def _trouble(trouble: tuple[str, str]) -> str:
    sentence, hint = trouble
    if not sentence:
        return ""
    return f'<div class="tb-problem" role="alert"><b>{escape(sentence)}</b><p>{escape(hint)}</p></div>'


def _elsewhere(scene: Scene, lang: str) -> str:
    run, name, kind = scene.elsewhere
    if not run:
        return ""
    show = button("show" if kind == scene.kind else "go", say("live.show", lang), run)
    return f'<div class="tb-elsewhere"><span>{text("elsewhere", lang, name=name)}</span>{show}</div>'


def _queue(queue: tuple[Waiting, ...], lang: str) -> str:
    if not queue:
        return ""
    rows = "".join(_queued(place, waiting, lang) for place, waiting in enumerate(queue, 1))
    return f'<div class="tb-queue"><b>{text("queue", lang)}</b><ol>{rows}</ol></div>'


def _queued(place: int, waiting: Waiting, lang: str) -> str:
    if waiting.starts_in is None:
        when = text("starts_after", lang)
    else:
        when = text("starts_in", lang, time=clock(waiting.starts_in))
    up = say("live.why.is_next", lang) if place == 1 else ""
    return (
        f'<li><span class="tb-name" title="{escape(waiting.id)}">{escape(waiting.name)}</span>'
        f"<span>{when}</span>"
        + button("move_up", say("live.move_up", lang), waiting.id, why_not=up)
        + button("cancel", say("live.cancel", lang), waiting.id)
        + "</li>"
    )
