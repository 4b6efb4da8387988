"""What a row means, whatever file and format it came from: the types that reader, renderer and checks share."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

from trainer.errors import Values, tell

Role = Literal["user", "assistant", "tool"]
MediaKind = Literal["image", "video"]


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of a message that is text."""

    text: str


@dataclass(frozen=True, slots=True)
class Media:
    """A picture or a video at its place in a message: a file, the bytes of one, or a video's frames as pictures."""

    kind: MediaKind
    path: Path | None = None
    data: bytes | None = None
    frames: tuple[Media, ...] = ()

    @property
    def name(self) -> str:
        """How a sentence calls it."""
        return self.path.name if self.path else f"{self.kind} in the row"


Part = Text | Media


@dataclass(frozen=True, slots=True)
class Call:
    """A tool that an answer calls; `arguments` is a JSON text (of an object, as a rule)."""

    name: str
    arguments: str

    def parsed(self) -> Any:
        """The arguments as chat templates take them: the object, or the text when it is no JSON."""
        try:
            return json.loads(self.arguments)
        except ValueError:
            return self.arguments


@dataclass(frozen=True, slots=True)
class Message:
    """What one side says. `train`: whether an answer is learned; it says nothing of a question.

    `thinking` is what an answer thinks before it speaks, where the row keeps that apart (`reasoning_content`); a
    thought that stands in the text as <think>…</think> stays there.
    """

    role: Role
    parts: tuple[Part, ...]
    train: bool = True
    thinking: str = ""
    calls: tuple[Call, ...] = ()

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def media(self) -> tuple[Media, ...]:
        return tuple(part for part in self.parts if isinstance(part, Media))


@dataclass(frozen=True)
class Conversation:
    """Questions (or tools' results) and answers, the first a question, the last an answer. An empty `system` means none.

    `tools` is a JSON list of the functions that the model may call, as text; empty means none.
    """

    messages: tuple[Message, ...]
    system: str = ""
    tools: str = ""

    @property
    def media(self) -> tuple[Media, ...]:
        """Pictures and videos in the order of the text."""
        return tuple(each for message in self.messages for each in message.media)

    @cached_property
    def functions(self) -> list[Any]:
        """The tools as chat templates take them."""
        return json.loads(self.tools) if self.tools else []


class Row(NamedTuple):
    """A usable row. `number` counts from 1: its place in a list or table, or its line in a file of lines.

    `file` is the file's name where the dataset is a folder of several.
    """

    dataset: str
    number: int
    conversation: Conversation
    file: str = ""


@dataclass(frozen=True)
class RowProblem:
    """A row that cannot be used, and why: a sentence's code and its values (`field` among them where there is one)."""

    dataset: str
    number: int
    code: str
    values: Values
    file: str = ""

    @property
    def shown(self) -> Values:
        """The values of the sentence, which names dataset, file and row."""
        place = f"{self.dataset} ({self.file})" if self.file else self.dataset
        return {"dataset": place, "number": self.number, **self.values}

    @property
    def text(self) -> str:
        """The English sentence."""
        return tell(self.code, self.shown).text

    @property
    def hint(self) -> str:
        """What can be done, where the sentence does not say it already."""
        return tell(self.code, self.shown).hint


def message(role: Role, text: str, train: bool = True) -> Message:
    """A message that is only text."""
    return Message(role, (Text(text),), train)
