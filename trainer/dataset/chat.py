"""Rows that are lists of messages: sharegpt and openai."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from trainer.dataset.conversation import Message, Role, Text
from trainer.dataset.entry import DatasetInfo
from trainer.dataset.fields import Bad, Texts, unpacked, wrong
from trainer.dataset.media_paths import Gallery
from trainer.dataset.turns import Turn, TurnReader

_NO_ANSWER = ("row_no_answer", "row_empty_answer")
# Whose turn it is after whom; several tools may answer one after another.
_DUE = {"": ("user",), "user": ("assistant",), "tool": ("assistant", "tool"), "assistant": ("user", "tool")}


class Said(NamedTuple):
    """The messages of a row, and the system prompt among them; None where no message gives one."""

    messages: list[Message]
    system: str | None


class ChatReader:
    """Reads the conversations of one dataset; an `awaited` last answer may be missing."""

    def __init__(self, info: DatasetInfo, texts: Texts, awaited: bool = False) -> None:
        self._awaited = awaited
        self._info = info
        self._turns = TurnReader(info, texts)

    def read(self, row: Mapping[str, Any], gallery: Gallery) -> Said:
        """Raises Bad when a message is not as it should be, or questions and answers do not take turns."""
        column, listed = self._listed(row)
        turns = []
        for at, each in enumerate(listed, 1):
            try:
                turns.append(self._turns.read(each, f"{column}[{at}]", gallery))
            except Bad as bad:
                if not (self._awaited and at == len(listed) and bad.code in _NO_ANSWER):
                    raise
        system = None
        if turns and turns[0].side == "system":
            system = "".join(part.text for part in turns.pop(0).parts if isinstance(part, Text))
        if self._info.ranking and turns:
            turns.append(self._chosen(row, gallery))
        return Said(self._in_order(turns, column), system)

    def _listed(self, row: Mapping[str, Any]) -> tuple[str, list[Any]]:
        column = cast(str, self._info.columns.messages)
        if not self._info.explicit and row.get(column) is None and row.get("conversations") is not None:
            # LLaMA-Factory's name for the column where an entry gives none, whatever the formatting.
            column = "conversations"
        listed = unpacked(row.get(column))
        if listed is None:
            raise Bad("row_missing", field=column)
        if not isinstance(listed, list):
            raise wrong(column, listed, "a list of messages")
        return column, listed

    def _chosen(self, row: Mapping[str, Any], gallery: Gallery) -> Turn:
        """The better answer of a pair; the other one has to be an answer, too."""
        columns = self._info.columns
        self._answer(row, cast(str, columns.rejected), gallery.aside())
        return self._answer(row, cast(str, columns.chosen), gallery)

    def _answer(self, row: Mapping[str, Any], column: str, gallery: Gallery) -> Turn:
        value = unpacked(row.get(column))
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if value is None:
            raise Bad("row_missing", field=column)
        if isinstance(value, str):
            return self._turns.answer(value, column, gallery)
        turn = self._turns.read(value, column, gallery)
        if turn.side not in ("assistant", "call"):
            raise Bad("row_order", field=column, role=turn.word, expected=self._turns.word("assistant"))
        return turn

    def _in_order(self, turns: Sequence[Turn], column: str) -> list[Message]:
        """Question, answer, question, answer …; anything else is the person's to mend, not ours to guess."""
        if not turns:
            raise Bad("row_no_messages", field=column)
        messages: list[Message] = []
        for turn in turns:
            role = cast(Role, "assistant" if turn.side == "call" else turn.side)
            due = _DUE[messages[-1].role if messages else ""]
            if role not in due:
                raise Bad("row_order", field=turn.field, role=turn.word, expected=self._turns.word(due[0]))
            messages.append(Message(role, turn.parts, turn.train, turn.thinking, turn.calls))
        if messages[-1].role != "assistant" and self._awaited:
            messages.append(Message("assistant", ()))
        if messages[-1].role != "assistant":
            raise Bad("row_no_answer", field=turns[-1].field)
        return messages
