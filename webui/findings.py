"""The lower part of the run panel as HTML: curves, numbers, what the model learns, notes. Pure."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape

from trainer.events import Note, Sample
from trainer.values import ROW_PROMPT, named_row
from webui.i18n import say
from webui.panel import Scene, spoken, text
from webui.plot import Line, chart
from webui.story import Story, answers_by_prompt
from webui.words import count, marked, memory

_MOST_SHOWN = 600


def body(scene: Scene, lang: str) -> str:
    """Everything below the buttons."""
    return (
        f'<section class="tb-run-body">{_loss(scene.story, lang)}'
        f'<div class="tb-pair">{_small(scene.story, lang)}</div>{_numbers(scene.story, lang)}'
        f"{_learns(scene, lang)}{notes_html(scene.story.notes, lang)}</section>"
    )


def _total(story: Story) -> float | None:
    return float(story.last.total_steps) if story.last else None


def _loss(story: Story, lang: str) -> str:
    lines = [
        Line(story.loss, "tb-raw", say("live.raw", lang)),
        Line(story.evaluation, "tb-eval", say("live.evaluation", lang)),
        *(Line(points, "tb-eval", f"{say('live.evaluation', lang)}: {name}") for name, points in story.parts),
        Line(story.smooth, "tb-smooth", say("live.smooth", lang)),
    ]
    return chart(
        lines,
        title=say("live.loss", lang),
        x_label=say("live.steps", lang),
        empty=say("live.no_points", lang),
        right=_total(story),
    )


def _small(story: Story, lang: str) -> str:
    shown = (("lr", story.lr), ("grad_norm", story.grad_norm))
    return "".join(
        chart(
            [Line(points, "tb-plain", say(f"live.{name}", lang))],
            title=say(f"live.{name}", lang),
            x_label=say("live.steps", lang),
            empty=say("live.no_points", lang),
            right=_total(story),
            small=True,
        )
        for name, points in shown
    )


def _numbers(story: Story, lang: str) -> str:
    started = story.started
    speed = (
        "–" if story.tokens_per_s is None else say("live.speed", lang, count=count(story.tokens_per_s, lang))
    )
    facts = [
        ("number.speed", speed),
        ("number.memory", "–" if story.memory_mb is None else memory(story.memory_mb)),
    ]
    device = f"{started.device} · {started.precision}" if started else "–"
    trained = rows = "–"
    if started:
        share = 100 * started.trainable / max(started.parameters, 1)
        trained = say(
            "live.of",
            lang,
            part=count(started.trainable, lang),
            whole=count(started.parameters, lang),
            share=f"{share:.3g}",
        )
        # Nobody knows how many rows a stream has.
        if started.rows:
            tokens = count(started.trained_tokens, lang)
            rows = say("live.rows", lang, rows=count(started.rows, lang), tokens=tokens)
    facts += [("number.device", device), ("number.parameters", trained), ("number.rows", rows)]
    cells = "".join(f"<div><dt>{text(key, lang)}</dt><dd>{escape(value)}</dd></div>" for key, value in facts)
    return f'<dl class="tb-numbers">{cells}</dl>'


def _learns(scene: Scene, lang: str) -> str:
    given = answers_by_prompt(scene.story.answers)
    asked = list(dict.fromkeys([*scene.config.train.learn_prompts, *given]))
    if not asked:
        return f'<p class="tb-hint">{text("learns.none", lang)}</p>'
    strips = "".join(_strip(prompt, given.get(prompt, []), scene.pictures, lang) for prompt in asked)
    return f'<div class="tb-learns"><h4>{text("learns.title", lang)}</h4>{strips}</div>'


def _strip(prompt: str, answers: list[Sample], pictures: Mapping[str, bytes], lang: str) -> str:
    cards = []
    before = ""
    for place, answer in enumerate(answers):
        said = answer.answer[:_MOST_SHOWN]
        name = text("learns.base", lang) if answer.step == 0 else text("learns.step", lang, step=answer.step)
        same = place > 0 and said == before
        shown = escape(said) if place == 0 else marked(before, said)
        side = "tb-base" if answer.step == 0 else "tb-tuned"
        cards.append(
            f'<li class="{side}{" tb-same" if same else ""}"><b>{name}</b><p dir="auto">{shown}</p></li>'
        )
        before = said
    if not cards:
        cards.append(f'<li class="tb-base"><b>{text("learns.base", lang)}</b><p>…</p></li>')
    seen = "".join(
        f'<img src="data:image/jpeg;base64,{b64encode(pictures[name]).decode()}" alt="{escape(prompt)}">'
        for name in (answers[-1].media if answers else ())
        if name in pictures
    )
    shown = f'<div class="tb-asked-about">{seen}</div>' if seen else ""
    return (
        f'<div class="tb-learn"><h5 dir="auto">{_asked(prompt, answers)}</h5><div class="tb-learn-row">{shown}'
        f'<ol class="tb-strip-cards" tabindex="0">{"".join(cards)}</ol></div></div>'
    )


def _asked(prompt: str, answers: list[Sample]) -> str:
    """The question; of a row's with the row, as the person has named it."""
    question = answers[-1].question if answers else ""
    row, own = named_row(prompt)
    if not row:
        return escape(prompt)
    return f'<span class="tb-row">{ROW_PROMPT}{row}</span> {escape(question or own)}'


def notes_html(notes: Sequence[Note], lang: str) -> str:
    """What the person should know of a run, in the page's language; nothing without a note."""
    if not notes:
        return ""
    items = []
    for note in notes:
        sentence = spoken(note.code, note.values, lang)
        level = "tb-warning" if note.level != "info" else "tb-info"
        items.append(f'<li class="{level}">{escape(f"{sentence.text} {sentence.hint}".strip())}</li>')
    return f'<div class="tb-notes"><h4>{text("notes", lang)}</h4><ul tabindex="0">{"".join(items)}</ul></div>'
