"""A few rows as conversations, for the eye of the person who maps the columns."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any

from trainer.dataset.conversation import Conversation, Media, Row, RowProblem
from trainer.dataset.ingest.archive import Limits
from trainer.dataset.ingest.plan import Plan
from trainer.dataset.ingest.reading import Bench, Found
from trainer.dataset.ingest.unpack import Staged


@dataclass(frozen=True)
class Turn:
    """What one side says; `media` are the names of its pictures and videos, `calls` the tools that an answer calls."""

    role: str
    text: str
    media: tuple[str, ...] = ()
    thinking: str = ""
    calls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sample:
    """A row as training would read it, or why it is none. `rejected` is the worse answer of a pair."""

    number: int
    file: str
    turns: tuple[Turn, ...] = ()
    rejected: str = ""
    problem: RowProblem | None = None
    media: tuple[Media, ...] = ()


def samples(staged: Staged, plan: Plan, limits: Limits, count: int = 3) -> tuple[Sample, ...]:
    """The first `count` rows under a plan. Raises UserError for a mapping or a file that cannot be used."""
    bench = Bench(staged, plan, limits, whole=False)
    return tuple(_sample(bench, bench.find(table, item)) for table, item in islice(bench.items(), count))


def _sample(bench: Bench, found: Found) -> Sample:
    if not isinstance(found.read, Row):
        return Sample(found.number, found.file, problem=found.read)
    conversation = found.read.conversation
    column = bench.canonical.names.get("rejected")
    worse = found.raw.get(column) if found.raw and column else None
    content = bench.field.tag("content_tag")
    return Sample(
        found.number, found.file, _turns(conversation), _text(worse, content), media=conversation.media
    )


def _turns(conversation: Conversation) -> tuple[Turn, ...]:
    system = (Turn("system", conversation.system),) if conversation.system else ()
    return system + tuple(
        Turn(
            message.role,
            message.text,
            tuple(each.name for each in message.media),
            message.thinking,
            tuple(f"{call.name}({call.arguments})" for call in message.calls),
        )
        for message in conversation.messages
    )


def _text(value: Any, content: str) -> str:
    if isinstance(value, dict):
        value = value.get(content)
    if isinstance(value, list):
        return "\n".join(_text(each, content) for each in value)
    return value if isinstance(value, str) else ""
