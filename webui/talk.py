"""A conversation with one or two sides, as a page remembers it, and how it looks. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any

from trainer.chat.request import Chunk, Turn
from webui.i18n import say
from webui.panel import button, spoken
from webui.pictures import Picture, pictures_html
from webui.words import count

_FENCE = re.compile(r"```[^\n]*\n(.*?)(?:\n```|\Z)", re.DOTALL)
_SIDES = {"base": "tb-base", "tuned": "tb-tuned"}


@dataclass(frozen=True)
class Talk:
    """`said` holds for each side one chunk per answer; `questions` are common to all sides, the last one perhaps open.

    `shown` are the pictures that came with each question.
    """

    questions: tuple[str, ...] = ()
    said: Mapping[str, tuple[Chunk, ...]] = field(default_factory=dict)
    shown: tuple[tuple[Picture, ...], ...] = ()

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """Those of all questions."""
        return tuple(each for pictures in self.shown for each in pictures)

    def asked(self, question: str, sides: Sequence[str], pictures: tuple[Picture, ...] = ()) -> Talk:
        """With a question that nobody has answered yet. Other sides than before begin a new conversation."""
        if self.questions and set(sides) != set(self.said):
            return Talk((question,), {side: (Chunk(side),) for side in sides}, (pictures,))
        said = {side: (*self.said.get(side, ()), Chunk(side)) for side in sides}
        return Talk((*self.questions, question), said, (*self.shown, pictures))

    def heard(self, chunk: Chunk) -> Talk:
        """With more of the last answer of a side."""
        before = self.said.get(chunk.side, ())
        return replace(self, said={**self.said, chunk.side: (*before[:-1], chunk)})

    def without_last(self) -> Talk:
        """Without the last question and its answers."""
        said = {side: answers[:-1] for side, answers in self.said.items()}
        return Talk(self.questions[:-1], said, self.shown[:-1])

    def histories(self) -> dict[str, tuple[Turn, ...]]:
        """The complete turns of each side."""
        return {
            side: tuple(
                Turn(question, chunk.text, tuple(each.media for each in pictures))
                for question, pictures, chunk in zip(self.questions, self.shown, answers, strict=False)
                if chunk.done
            )
            for side, answers in self.said.items()
        }

    def jsonl(self) -> str:
        """One JSON object a line with `prompt`, `answer`, `base` where two sides answered, and `media`: names of files."""
        lines = []
        for place, question in enumerate(self.questions):
            texts = {side: answers[place].text for side, answers in self.said.items() if place < len(answers)}
            row: dict[str, Any] = {"prompt": question, "answer": texts.get("tuned", texts.get("base", ""))}
            if len(texts) > 1:
                row["base"] = texts["base"]
            if self.shown[place]:
                row["media"] = [each.name for each in self.shown[place]]
            lines.append(json.dumps(row, ensure_ascii=False))
        return "\n".join(lines)


def talk_html(talk: Talk, sides: Mapping[str, str], lang: str, *, busy: bool = False, acts: int = 0) -> str:
    """The columns of all sides with the buttons below. `sides` maps a side to the name of its model.

    Without a question it says what to do: load something, or write.
    """
    shown = dict(sides) or dict.fromkeys(talk.said, "")
    if not shown:
        return (
            f'<section class="tb-chat tb-empty" data-acts="{acts}"><h3>{_say("empty.title", lang)}</h3>'
            f"<p>{_say('empty.text', lang)}</p></section>"
        )
    columns = "".join(_column(talk, side, name, lang, busy) for side, name in shown.items())
    return (
        f'<section class="tb-chat" data-acts="{acts}" data-busy="{"yes" if busy else "no"}">'
        f'<div class="tb-columns tb-{len(shown)}">{columns}</div>{_tools(talk, lang, busy)}</section>'
    )


def _say(key: str, lang: str, **values: object) -> str:
    return escape(say(f"chat.{key}", lang, **values))


def _column(talk: Talk, side: str, name: str, lang: str, busy: bool) -> str:
    answers = talk.said.get(side, ())
    turns = "".join(
        _turn(question, talk.shown[place], answers[place], lang, busy and place + 1 == len(talk.questions))
        for place, question in enumerate(talk.questions)
        if place < len(answers)
    )
    inner = turns or f'<p class="tb-hint">{_say("begin", lang)}</p>'
    label = _say(f"side.{side}", lang)
    return (
        f'<section class="tb-column {_SIDES[side]}" aria-label="{label}"><h4><i class="tb-dot"></i>{label}'
        f'<span class="tb-name" title="{escape(name)}">{escape(name)}</span></h4>'
        f'<div class="tb-talk" role="log" tabindex="0">{inner}</div></section>'
    )


def _turn(question: str, pictures: Sequence[Picture], chunk: Chunk, lang: str, open_: bool) -> str:
    facts = []
    if chunk.tokens:
        facts.append(_say("tokens", lang, count=count(chunk.tokens, lang), speed=f"{chunk.tokens_per_s:.1f}"))
    if chunk.ending in ("length", "stopped"):
        facts.append(_say(f"ending.{chunk.ending}", lang))
    if chunk.left_out:
        facts.append(escape(spoken("chat_note_left_out", {"count": chunk.left_out}, lang).text))
    asked = f'<div class="tb-question" dir="auto">{escape(question)}</div>' if question.strip() else ""
    cursor = '<span class="tb-cursor"></span>' if open_ and not chunk.done else ""
    return (
        f"{pictures_html(pictures, lang)}{asked}"
        f'<div class="tb-answer" dir="auto">{answer_html(chunk.text)}{cursor}</div>'
        f'<div class="tb-facts">{" · ".join(facts)}</div>'
    )


def answer_html(text: str) -> str:
    """An answer as it was given, its code blocks set apart."""
    parts: list[str] = []
    end = 0
    for found in _FENCE.finditer(text):
        parts.append(escape(text[end : found.start()].rstrip("\n")))
        parts.append(f"<pre><code>{escape(found.group(1))}</code></pre>")
        end = found.end()
    parts.append(escape(text[end:].lstrip("\n") if parts else text))
    return "".join(parts)


def _tools(talk: Talk, lang: str, busy: bool) -> str:
    nothing = "" if talk.questions else say("chat.why.nothing", lang)
    idle = "" if busy else say("chat.why.idle", lang)
    wait = say("chat.why.busy", lang) if busy else nothing
    copied = escape(talk.jsonl()) if talk.questions and not busy else ""
    copy = button("copy", say("chat.copy", lang), "", why_not=wait, busy=say("chat.copied", lang))
    return (
        '<div class="tb-tools">'
        + button("stop", say("chat.stop", lang), "", why_not=idle, busy=say("chat.stopping", lang))
        + button("retry", say("chat.retry", lang), "", why_not=wait)
        + button("clear", say("chat.clear", lang), "", why_not=wait)
        + copy.replace("<button ", f'<button data-copy="{copied}" ', 1)
        + "</div>"
    )
