"""A conversation -> a row of a dataset, in the columns and words that the dataset has."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from trainer.dataset.conversation import Conversation, Media, MediaKind, Message, Text
from trainer.dataset.entry import DatasetInfo
from trainer.dataset.media_paths import MARKS
from trainer.errors import UserError

_COLUMNS: dict[MediaKind, str] = {"image": "images", "video": "videos"}
Place = Callable[[Media], Any]


class Composer:
    """Writes rows of one dataset. `columns` grows by those that a row needs and the dataset has not had."""

    def __init__(self, info: DatasetInfo, *, pictures: bool) -> None:
        """`pictures`: a column for pictures or videos may be added to a dataset that has none."""
        self._info = info
        self._pictures = pictures
        self.columns: dict[str, str] = {role: name for role, name in asdict(info.columns).items() if name}

    def compose(self, conversation: Conversation, place: Place) -> dict[str, Any]:
        """The row; `place` gives the name that stands for a medium. Raises UserError when there is no place for it."""
        row = self._chat(conversation) if self._info.formatting != "alpaca" else self._alpaca(conversation)
        for kind in _COLUMNS:
            found = [place(each) for each in conversation.media if each.kind == kind]
            if found:
                row[self._media_column(kind)] = found
        if conversation.tools:
            row[self._column("tools")] = conversation.tools
        if "kto_tag" in self.columns:
            row[self.columns["kto_tag"]] = True
        return row

    def _alpaca(self, conversation: Conversation) -> dict[str, Any]:
        messages = conversation.messages
        plain = all(each.role in ("user", "assistant") and not each.calls for each in messages)
        if not plain or conversation.tools:
            raise UserError("correct_tools", field="name", name=self._info.name)
        if "prompt" not in self.columns:
            # Its other rows would lack the column, and not be read any more.
            raise UserError("correct_texts", field="name", name=self._info.name)
        texts = [_spelt(each) for each in messages]
        row = {self._column("prompt"): texts[-2], self._column("response"): texts[-1]}
        if len(texts) > 2:
            pairs = [[texts[at], texts[at + 1]] for at in range(0, len(texts) - 2, 2)]
            row[self._column("history")] = pairs  # type: ignore[assignment]
        if conversation.system:
            row[self._column("system")] = conversation.system
        return row

    def _chat(self, conversation: Conversation) -> dict[str, Any]:
        tags = self._info.tags
        said = [self._message(each) for each in conversation.messages]
        row: dict[str, Any] = {self._column("messages"): said}
        if conversation.system and (tags.system_tag is None or "system" in self.columns):
            row[self._column("system")] = conversation.system
        elif conversation.system:
            said.insert(0, {str(tags.role_tag): tags.system_tag, str(tags.content_tag): conversation.system})
        return row

    def _message(self, message: Message) -> dict[str, Any]:
        tags, openai = self._info.tags, self._info.formatting == "openai"
        role = {"user": tags.user_tag, "assistant": tags.assistant_tag, "tool": tags.observation_tag}[
            message.role
        ]
        text = _text(message) if openai else _spelt(message)
        calls = [{"name": each.name, "arguments": each.parsed()} for each in message.calls]
        if calls and not openai:
            role, text = (
                tags.function_tag,
                (text + "\n" if text else "") + json.dumps(calls, ensure_ascii=False),
            )
        if role is None:
            raise UserError("correct_tools", field="name", name=self._info.name)
        made: dict[str, Any] = {str(tags.role_tag): role, str(tags.content_tag): text}
        if calls and openai:
            made["tool_calls"] = [{"type": "function", "function": each} for each in calls]
        if openai and message.thinking:
            made["reasoning_content"] = message.thinking
        if message.role == "assistant" and not message.train:
            made["train"] = False
        return made

    def _media_column(self, kind: MediaKind) -> str:
        if _COLUMNS[kind] not in self.columns and not self._pictures:
            raise UserError("correct_pictures", field="name", name=self._info.name)
        return self._column(_COLUMNS[kind])

    def _column(self, role: str) -> str:
        if role not in self.columns:
            used = set(self.columns.values())
            self.columns[role] = role if role not in used else f"{role}_2"
        return self.columns[role]


def _text(message: Message) -> str:
    return "".join(each.text if isinstance(each, Text) else MARKS[each.kind] for each in message.parts)


def _spelt(message: Message) -> str:
    """The text, with a thought in front as datasets spell it that have no field for it."""
    thought = f"<think>\n{message.thinking}\n</think>\n\n" if message.thinking else ""
    return thought + _text(message)


def with_answer(conversation: Conversation, answer: str) -> Conversation:
    """The conversation with another last answer."""
    before: Sequence[Message] = conversation.messages[:-1]
    return Conversation(
        (*before, Message("assistant", (Text(answer),))), conversation.system, conversation.tools
    )
