"""What a table is, from the names of its columns and from their values."""

from __future__ import annotations

from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass, replace
from typing import Any

from trainer.dataset.ingest.chat_shape import Chat, find_tags
from trainer.dataset.ingest.mapping import Mapping
from trainer.dataset.ingest.reason import Reason
from trainer.dataset.ingest.values import Kind, Values, values_of
from trainer.dataset.ingest.words import mentions, plain, rank

KINDS = (
    "alpaca", "sharegpt", "openai", "prompt_completion", "question_answer", "preference", "kto", "text", "image_text",
    "unknown",
)  # fmt: skip
# The question of a caption, and of a text that answers none.
CAPTION_ASK, TEXT_ASK = "<image>", ""


@dataclass(frozen=True)
class Column:
    """A column with the role that is proposed for it, why, and the beginning of a value."""

    name: str
    role: str
    reason: Reason
    example: str = ""


@dataclass(frozen=True)
class Shape:
    """What was recognised. `confidence` goes from 0 (a guess) to 1; `repairs` are proposed because rows need them."""

    kind: str
    confidence: float
    mapping: Mapping
    columns: tuple[Column, ...]
    repairs: tuple[str, ...] = ()
    rows_seen: int = 0


class _Draft:
    """Roles given to columns one after another; the first who takes a column keeps it."""

    def __init__(self, columns: AnyMapping[str, Values]) -> None:
        self.columns = columns
        self.roles: dict[str, tuple[str, Reason]] = {}

    def free(self, *kinds: Kind) -> list[str]:
        return [
            name for name, values in self.columns.items() if name not in self.roles and values.kind in kinds
        ]

    def named(self, role: str, *kinds: Kind, words: str = "") -> str | None:
        """The free column of these kinds whose name means the role most surely."""
        ranked = [
            (place, name) for name in self.free(*kinds) if (place := rank(words or role, name)) is not None
        ]
        return min(ranked, key=lambda each: each[0])[1] if ranked else None

    def give(self, column: str | None, role: str, code: str, **values: str) -> bool:
        if column is None:
            return False
        self.roles[column] = (role, Reason(code, {"column": column, **values}))
        return True

    def take(self, role: str, *kinds: Kind, words: str = "") -> bool:
        """Gives the role to the column whose name means it."""
        return self.give(self.named(role, *kinds, words=words), role, "column_named")

    def has(self, role: str) -> bool:
        return any(each == role for each, _ in self.roles.values())

    def finish(self, kind: str, confidence: float, chat: Chat | None = None, ask: str = "") -> Shape:
        columns = tuple(self._column(name, values) for name, values in self.columns.items())
        roles = tuple((column.name, column.role) for column in columns)
        mapping = Mapping(chat.formatting if chat else "alpaca", roles, chat.tags if chat else (), ask)
        return Shape(kind, confidence, mapping, columns)

    def _column(self, name: str, values: Values) -> Column:
        role, reason = self.roles.get(name, ("ignore", None))
        if reason is None:
            reason = Reason("column_empty" if values.kind == "empty" else "column_unused", {"column": name})
        return Column(name, role, reason, values.example)


def recognise(rows: list[AnyMapping[str, Any]]) -> Shape:
    """The shape of a table from its first rows. Of kind `unknown` when no column can be an answer."""
    names = dict.fromkeys(str(name) for row in rows for name in row)
    columns = {name: values_of([row.get(name) for row in rows]) for name in names}
    draft = _Draft(columns)
    _give_media(draft)
    shape = (
        _pairs(draft)
        or _conversation(draft)
        or _conversational_columns(draft)
        or _answers(draft)
        or _texts(draft)
    )
    return replace(shape or draft.finish("unknown", 0.0), rows_seen=len(rows))


def _give_media(draft: _Draft) -> None:
    for role, kind in (("images", "images"), ("videos", "videos")):
        for name in draft.free(kind):  # type: ignore[arg-type]
            draft.give(name, role, f"column_{kind}")
    # Lists of media that are empty in the first rows, or names without an ending, are known by the column's name.
    for role in ("images", "videos"):
        if not draft.has(role):
            for name in draft.free("list", "empty"):
                if plain(name) in ("image", "images", "videos", "video") and rank(role, name) is not None:
                    draft.give(name, role, "column_named")


def _common(draft: _Draft) -> None:
    """Columns that any conversation may have beside it."""
    draft.take("system", "text", "empty")
    draft.take("tools", "tools", "text", "empty")


def _pairs(draft: _Draft) -> Shape | None:
    """Two answers to one question, of which the first is the better."""
    kinds: tuple[Kind, ...] = ("messages", "message", "text")
    chosen, rejected = draft.named("chosen", *kinds), draft.named("rejected", *kinds)
    if chosen is None or rejected is None:
        return None
    draft.give(chosen, "chosen", "column_named")
    draft.give(rejected, "rejected", "column_named")
    kind = draft.columns[chosen].kind
    if kind == "text":
        _ = draft.take("prompt", "text") and draft.take("query", "text", "empty")
        draft.take("history", "pairs", "list")
        _common(draft)
        return draft.finish("preference", 0.95 if draft.has("prompt") else 0.8, ask=TEXT_ASK)
    before = draft.named("messages", "messages") or draft.named("prompt", "messages", "text")
    chat = find_tags([*draft.columns[chosen].items, *(draft.columns[before].items if before else [])])
    if chat is None:
        del draft.roles[chosen], draft.roles[rejected]
        return None
    if before:
        # Pairs after a conversation are messages themselves; pairs that hold it are lists (TRL's two shapes).
        single = kind == "message" and draft.columns[before].kind == "messages"
        draft.give(before, "messages" if single else "prompt", "column_named")
    _common(draft)
    return draft.finish("preference", 0.95, chat)


def _conversation(draft: _Draft) -> Shape | None:
    """A column of messages."""
    found = draft.free("messages")
    by_name = draft.named("messages", "messages")
    if by_name is None and (
        len(found) != 1 or draft.named("prompt", "messages") or draft.named("response", "messages")
    ):
        return None
    column = by_name or found[0]
    chat = find_tags(draft.columns[column].items)
    if chat is None:
        return None
    draft.give(
        column,
        "messages",
        "column_messages",
        role_tag=chat.tag("role_tag"),
        content_tag=chat.tag("content_tag"),
    )
    flag = draft.take("kto_tag", "flag")
    _common(draft)
    confidence = chat.confidence if by_name else chat.confidence * 0.9
    return draft.finish("kto" if flag else chat.formatting, confidence, chat)


def _conversational_columns(draft: _Draft) -> Shape | None:
    """Questions and answers that are lists of messages in columns of their own, as TRL has them."""
    prompt, answer = draft.named("prompt", "messages"), draft.named("response", "messages", "message")
    if prompt is None or answer is None:
        return None
    chat = find_tags([*draft.columns[prompt].items, *draft.columns[answer].items])
    if chat is None:
        return None
    draft.give(prompt, "prompt", "column_named")
    draft.give(answer, "response", "column_named")
    flag = draft.take("kto_tag", "flag")
    _common(draft)
    return draft.finish("kto" if flag else "prompt_completion", chat.confidence, chat)


def _answers(draft: _Draft) -> Shape | None:
    """A question and an answer, or a picture and what is said of it."""
    pictures = draft.has("images") or draft.has("videos")
    answer = draft.named("response", "text", "number", "texts") or (
        draft.named("response", "text", "texts", words="caption") if pictures else None
    )
    if answer is None:
        return None
    draft.give(answer, "response", "column_named")
    _question(draft)
    # Columns that are empty in the first rows may be filled further on.
    draft.take("system", "text", "empty")
    draft.take("history", "pairs", "list", "empty")
    draft.take("tools", "tools", "empty")
    flag = draft.take("kto_tag", "flag")
    if pictures:
        return draft.finish("image_text", 0.95, ask=CAPTION_ASK)
    if not draft.has("prompt"):
        if _ask_from_values(draft):
            return draft.finish("question_answer", 0.5)
        if draft.columns[answer].kind == "number":
            del draft.roles[answer]
            return None
        return draft.finish("text", 0.5, ask=TEXT_ASK)
    kind = "kto" if flag else _kind_by_names(draft)
    return draft.finish(kind, 0.95 if kind != "question_answer" else 0.9)


def _question(draft: _Draft) -> None:
    if draft.take("prompt", "text", "texts"):
        draft.take("query", "text", "empty")
    elif only := draft.named("query", "text"):
        draft.give(only, "prompt", "column_named")


def _kind_by_names(draft: _Draft) -> str:
    names = {role: plain(name) for name, (role, _) in draft.roles.items()}
    if (names["prompt"], names["response"]) == ("instruction", "output"):
        return "alpaca"
    return "prompt_completion" if names["response"] == "completion" else "question_answer"


def _ask_from_values(draft: _Draft) -> bool:
    """One text column is left: it is what the answer answers."""
    left = [name for name in draft.free("text") if not draft.columns[name].is_id]
    return draft.give(left[0], "prompt", "column_beside") if len(left) == 1 else False


def _texts(draft: _Draft) -> Shape | None:
    """No column says answer: plain text, or two columns of texts of which the second may answer the first."""
    left = [name for name in draft.free("text", "texts") if not draft.columns[name].is_id]
    pictures = draft.has("images") or draft.has("videos")
    if not left:
        return None
    text = draft.named("text", "text", "texts")
    if pictures:
        draft.give(
            text or max(left, key=lambda name: draft.columns[name].length), "response", "column_beside_media"
        )
        _question(draft)
        return draft.finish("image_text", 0.6, ask=CAPTION_ASK)
    label = draft.named("label", "text")
    if text and label and len(left) == 2:
        draft.give(text, "prompt", "column_beside")
        draft.give(label, "response", "column_named")
        return draft.finish("question_answer", 0.5)
    if len(left) == 1 or (text and not draft.named("prompt", "text")):
        draft.give(text or left[0], "response", "column_named_text" if text else "column_only_text")
        return draft.finish("text", 0.9 if text else 0.6, ask=TEXT_ASK)
    asked = draft.named("prompt", "text") or left[0]
    rest = [name for name in left if name != asked]
    if rank("prompt", asked) is not None:
        answer = text if text in rest else max(rest, key=lambda name: draft.columns[name].length)
        draft.give(asked, "prompt", "column_named")
        draft.give(answer, "response", "column_longest")
        return draft.finish("question_answer", 0.5)
    if len(left) == 2:
        draft.give(left[0], "prompt", "column_first_text")
        draft.give(left[1], "response", "column_second_text")
        return draft.finish("question_answer", 0.3)
    return _mentioned(draft, left)


def _mentioned(draft: _Draft, left: list[str]) -> Shape | None:
    """Of many texts the one whose name has a word for a question in it, and the one that has one for an answer."""
    answers = [name for name in left if mentions("response", name)]
    asked = [name for name in left if mentions("prompt", name) and name not in answers]
    if len(answers) != 1 or len(asked) != 1:
        return None
    draft.give(asked[0], "prompt", "column_named")
    draft.give(answers[0], "response", "column_named")
    return draft.finish("question_answer", 0.4)
