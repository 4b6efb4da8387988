"""What each column is, beside rows that are read so, as HTML. Without gradio."""

from __future__ import annotations

import base64
from html import escape

from trainer.dataset.conversation import Media
from trainer.dataset.ingest.mapping import ROLES, TAGS
from trainer.dataset.ingest.plan import Plan
from trainer.dataset.ingest.samples import Sample, Turn
from trainer.dataset.ingest.shape import Shape
from trainer.dataset.ingest.unpack import Staged
from trainer.dataset.media import thumbnail
from webui.data_defects import reason
from webui.data_shelf import size
from webui.data_state import Drawer
from webui.i18n import say, say_error, say_sentence
from webui.panel import button
from webui.words import count

# A longer text is shown in part, and of many pictures the first.
MOST_SHOWN = 700
MOST_PICTURES = 6
SIDE = 120
MOST_COLUMNS = 200
MOST_CHOICES = 200


def columns_html(staged: Staged, drawer: Drawer, lang: str) -> str:
    """The file in hand, what shape it has, its columns with their roles, and the first rows as they will be read."""
    assert drawer.plan is not None and drawer.shape is not None
    plan, shape = drawer.plan, drawer.shape
    return (
        f'{_file(staged, drawer, lang)}{_choices(staged, plan, lang)}<p class="tb-shape">{_shape(shape, lang)}</p>'
        f'<div class="tb-halves"><section aria-label="{_say("columns", lang)}"><h3 class="tb-head">{_say("columns", lang)}</h3>'
        f"{_table(shape, plan, lang)}{_more(plan, lang)}</section>"
        f'<section class="tb-samples" aria-label="{_say("samples", lang)}"><h3 class="tb-head">{_say("samples", lang)}</h3>'
        f"{_samples(drawer.samples, lang)}</section></div>{_foot(plan, lang)}"
    )


def _say(key: str, lang: str, **values: object) -> str:
    return escape(say(f"data.{key}", lang, **values))


def _file(staged: Staged, drawer: Drawer, lang: str) -> str:
    facts = [staged.source, size(staged.bytes)]
    if staged.media:
        facts.append(say("data.media", lang, count=count(staged.media, lang)))
    notes = "".join(
        f"<li>{escape(' '.join(say_sentence(note.code, note.values, lang)).strip())}</li>"
        for note in staged.notes
    )
    replaced = f"<p>{_say('replacing', lang, name=drawer.replacing)}</p>" if drawer.replacing else ""
    return (
        f'<div class="tb-file"><b>{escape(" · ".join(facts))}</b>{button("discard", say("data.discard", lang), "")}</div>'
        f"{replaced}{f'<ul class=tb-notes>{notes}</ul>' if notes else ''}"
    )


def _choices(staged: Staged, plan: Plan, lang: str) -> str:
    """Which of the tables of an archive becomes the dataset."""
    if len(staged.choices) < 2:
        return ""
    here = next((place for place, each in enumerate(staged.choices) if each.tables == plan.tables), 0)
    options = "".join(
        f'<option value="{place}"{" selected" if place == here else ""}>{escape(_choice(each.tables, each.kind, lang))}</option>'
        for place, each in enumerate(staged.choices[:MOST_CHOICES])
    )
    label = _say("which_table", lang, count=len(staged.tables))
    return f'<label class="tb-which">{label}<select class="tb-select" data-change="choose" value="{here}">{options}</select></label>'


def _choice(tables: tuple[str, ...], kind: str, lang: str) -> str:
    return tables[0] if len(tables) == 1 else say("data.all_tables", lang, count=len(tables), kind=kind)


def _shape(shape: Shape, lang: str) -> str:
    return f"<b>{_say(f'kind.{shape.kind}', lang)}</b> {_say(f'kind_help.{shape.kind}', lang)}"


def _table(shape: Shape, plan: Plan, lang: str) -> str:
    if not plan.mapping.roles:
        return f'<p class="tb-hint">{_say("no_columns", lang)}</p>'
    proposed = {column.name: column for column in shape.columns}
    rows = ""
    for name, role in plan.mapping.roles[:MOST_COLUMNS]:
        column = proposed.get(name)
        why = ""
        if column is not None:
            own = column.role == role
            said = say_sentence(column.reason.code, column.reason.values, lang).text
            why = said[:1].upper() + said[1:] if own else say("data.chosen", lang)
            if own and shape.kind == "unknown" and column.reason.code == "column_unused":
                why = ""
        example = column.example if column else ""
        rows += (
            f'<tr><th scope="row"><b>{escape(name)}</b><span dir="auto">{escape(example)}</span></th>'
            f"<td>{_roles(name, role, lang)}<small>{escape(why)}</small></td></tr>"
        )
    return (
        f'<table class="tb-table tb-roles"><thead class="tb-unseen"><tr><th scope="col">{_say("column", lang)}</th>'
        f'<th scope="col">{_say("role_of", lang)}</th></tr></thead><tbody>{rows}</tbody></table>'
    )


def _roles(name: str, role: str, lang: str) -> str:
    options = "".join(
        f'<option value="{each}"{" selected" if each == role else ""}>{_say(f"role.{each}", lang)}</option>'
        for each in ("ignore", *(each for each in ROLES if each != "ignore"))
    )
    return (
        f'<select class="tb-select" data-change="role" data-id="{escape(name)}" value="{role}" '
        f'aria-label="{_say("role_for", lang, name=name)}">{options}</select>'
    )


def _more(plan: Plan, lang: str) -> str:
    """The words inside messages, and the question for answers that have none."""
    mapping = plan.mapping
    if mapping.chat:
        fields = "".join(
            f'<label>{_say(f"tag.{tag}", lang)}<input class="tb-input" data-change="tag" data-id="{tag}" '
            f'value="{escape(mapping.tag(tag) or "")}" maxlength="200" autocomplete="off"></label>'
            for tag in TAGS
        )
        return (
            f'<details class="tb-tags"><summary>{_say("tags", lang)}</summary><div>{fields}</div></details>'
        )
    if not mapping.roles or mapping.column("prompt") or mapping.column("query"):
        return ""
    return (
        f'<label class="tb-ask">{_say("ask", lang)}<input class="tb-input" data-change="ask" value="{escape(mapping.ask)}" '
        f'maxlength="10000" autocomplete="off"><small>{_say("ask_help", lang)}</small></label>'
    )


def _samples(samples: tuple[Sample, ...], lang: str) -> str:
    return (
        "".join(_sample(sample, lang) for sample in samples)
        or f'<p class="tb-hint">{_say("no_samples", lang)}</p>'
    )


def _sample(sample: Sample, lang: str) -> str:
    place = _say("row", lang, number=count(sample.number, lang)) + (
        f" · {escape(sample.file)}" if sample.file else ""
    )
    wrong = ""
    if sample.problem is not None:
        hint = say_sentence(sample.problem.code, sample.problem.shown, lang).hint
        wrong = f'<p class="tb-problem">{escape(f"{reason(sample.problem, lang)} {hint}".strip())}</p>'
    turns = "".join(
        _turn(turn, lang) for turn in sample.turns if turn.text or turn.thinking or turn.calls or turn.media
    )
    if sample.rejected:
        turns += f'<div class="tb-turn tb-rejected"><b>{_say("speaker.rejected", lang)}</b><p dir="auto">{_text(sample.rejected)}</p></div>'
    return f'<article class="tb-sample"><h4>{place}</h4>{_pictures(sample.media)}{turns}{wrong}</article>'


def _turn(turn: Turn, lang: str) -> str:
    thought = f'<p class="tb-thought" dir="auto">{_text(turn.thinking)}</p>' if turn.thinking else ""
    names = f"<small>{escape(', '.join(turn.media[:MOST_PICTURES]))}</small>" if turn.media else ""
    calls = "".join(f"<code>{_text(call)}</code>" for call in turn.calls)
    return (
        f'<div class="tb-turn tb-{turn.role}"><b>{_say(f"speaker.{turn.role}", lang)}</b>{thought}'
        f'<p dir="auto">{_text(turn.text)}</p>{calls}{names}</div>'
    )


def _text(text: str) -> str:
    return escape(text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 1] + "…")


def _pictures(media: tuple[Media, ...]) -> str:
    """Small pictures inside the page itself; one that cannot be opened is told by the row's problem."""
    shown = []
    for each in media[:MOST_PICTURES]:
        try:
            encoded = base64.b64encode(thumbnail(each, SIDE)).decode("ascii")
        except Exception:
            continue
        name = escape(each.name)
        shown.append(f'<img src="data:image/jpeg;base64,{encoded}" alt="{name}" title="{name}">')
    return f'<div class="tb-thumbs">{"".join(shown)}</div>' if shown else ""


def _foot(plan: Plan, lang: str) -> str:
    problems = plan.mapping.problems() if plan.mapping.roles else ()
    if not plan.mapping.roles:
        return f'<div class="tb-closing"><div class="tb-acts">{button("discard", say("data.discard", lang), "")}</div></div>'
    why = " ".join(say_error(problems[0], lang)) if problems else ""
    wrong = "".join(
        f'<div class="tb-problem" role="alert"><b>{escape(text)}</b><p>{escape(hint)}</p></div>'
        for text, hint in (say_error(each, lang) for each in problems)
    )
    return (
        f'<div class="tb-closing">{wrong}<div class="tb-acts">'
        + button(
            "check",
            say("data.check", lang),
            "",
            why_not=why,
            busy=say("data.begins", lang),
            kind="tb-primary",
        )
        + f"<span>{_say('check_help', lang)}</span></div></div>"
    )
