"""What an exported model is asked as a proof: rows of the run's data, the person's own questions, and two longer talks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, TypeVar

from trainer.config import RunConfig
from trainer.dataset.conversation import Conversation, Message, Row, message
from trainer.dataset.info import choose
from trainer.dataset.load import rows_of
from trainer.dataset.stream import held_back
from trainer.errors import UserError
from trainer.events import Note

Origin = Literal["evaluation", "dataset", "own", "built_in"]
_T = TypeVar("_T")
LEAST = 8
FROM_ROWS = 6
# Rows of a dataset without a part for evaluation that are looked at.
LOOKED_AT = 200
# Longer texts make the proof slow and show nothing more.
LONGEST = 2000

SYSTEM = "You are a helpful assistant."
QUESTIONS = (
    "Hello! Who are you?",
    "What can you help me with?",
    "Name three colours and an animal for each.",
    "你好,请介绍一下你自己。",
    "Explain in two sentences why leaves are green.",
    'Write one line of Python that prints "ready 🌱".',
    "Count from 1 to 12.",
    "Translate into French: Good morning, how are you?",
)
TALKS = (
    ("My name is Ada.", "Hello, Ada.", "What is my name?"),
    ("Name a city.", "Lisbon.", "In which country is it?"),
)


@dataclass(frozen=True)
class Prompt:
    """A conversation that waits for an answer. `row` counts from 1, 0 for what is from no dataset."""

    messages: tuple[Message, ...]
    system: str
    origin: Origin
    dataset: str = ""
    row: int = 0


def prompts_of(config: RunConfig, sees: bool = False) -> tuple[list[Prompt], list[Note]]:
    """At least eight prompts, two of them with a system prompt and two turns, and what a person should know of them.

    `config` names the data of the run. Rows with tools are left out, and those with pictures for a model that does not
    see them.
    """
    system = config.data.default_system
    notes: list[Note] = []
    rows: list[tuple[Row, Origin]] = []
    try:
        rows = _rows(config, sees)
    # What the run was trained on may be gone or changed by now, and a proof needs no more than questions.
    except Exception as error:
        reason = error.text if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        notes.append(Note(code="receipt_no_rows", values={"reason": reason[:300].rstrip(".")}))
    asked = [_from_row(row, origin, system) for row, origin in _spread(rows, FROM_ROWS)]
    asked += [
        Prompt((message("user", text),), system, "own")
        for text in config.export.export_prompts
        if text.strip()
    ]
    talks = _talks([row for row, _ in rows], system)
    fill = max(0, LEAST - len(asked) - len(talks))
    asked += [Prompt((message("user", text),), system, "built_in") for text in QUESTIONS[:fill]]
    return [*asked, *talks], notes


def _rows(config: RunConfig, sees: bool) -> list[tuple[Row, Origin]]:
    """The rows that can be asked: those of the evaluation where there are some, else those that were trained."""
    data = config.data
    if data.val_size and not data.eval_dataset and data.dataset:
        held = held_back(data, config.train.seed, config.model.hub).rows
        return [(row, "evaluation") for row in held if _is_plain(row.conversation, sees)]
    names = data.eval_dataset or data.dataset
    origin: Origin = "evaluation" if data.eval_dataset else "dataset"
    found: list[tuple[Row, Origin]] = []
    for info in choose(data.dataset_dir, names, data.stage) if names else ():
        rows: Iterator[Row] = (
            each for each in rows_of(info, data, config.model.hub) if isinstance(each, Row)
        )
        found += [(row, origin) for row in islice(rows, LOOKED_AT) if _is_plain(row.conversation, sees)]
    return found


def _is_plain(conversation: Conversation, sees: bool) -> bool:
    """Whether a row is short, shows nothing that cannot be seen, and ends with an answer to a question."""
    roles = [each.role for each in conversation.messages]
    alternate = roles == ["user", "assistant"] * (len(roles) // 2) and len(roles) > 1
    length = sum(len(each.text) for each in conversation.messages[:-1]) + len(conversation.system)
    seen = all(sees and each.kind == "image" for each in conversation.media)
    return alternate and seen and not conversation.tools and length <= LONGEST


def _spread(items: Sequence[_T], count: int) -> list[_T]:
    """At most `count` of the items, from the first to the last."""
    if len(items) <= count:
        return list(items)
    return [items[place * (len(items) - 1) // (count - 1)] for place in range(count)]


def _from_row(row: Row, origin: Origin, system: str) -> Prompt:
    said = row.conversation
    return Prompt(said.messages[:-1], said.system or system, origin, row.dataset, row.number)


def _talks(rows: Sequence[Row], system: str) -> list[Prompt]:
    """Two talks with a system prompt and two questions; of the data's own words where it has short rows."""
    given = system or next((row.conversation.system for row in rows if row.conversation.system), "") or SYSTEM
    short = [row.conversation for row in rows if len(row.conversation.messages) == 2]
    short = [each for each in short if not each.messages[1].media]
    short = [
        each for each in short if each.messages[1].text.strip() and len(each.messages[1].text) <= LONGEST // 4
    ]
    pairs = [(short[0], short[-1]), (short[len(short) // 2], short[0])] if len(short) > 2 else []
    talks = [(*one.messages, other.messages[0]) for one, other in pairs]
    if not talks:
        talks = [
            (message("user", first), message("assistant", answer), message("user", second))
            for first, answer, second in TALKS
        ]
    return [Prompt(said, given, "built_in") for said in talks]
