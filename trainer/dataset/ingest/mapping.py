"""Which column means what: proposed by `shape`, changed by a person, written to dataset_info.json."""

from __future__ import annotations

from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from trainer.errors import UserError

Formatting = Literal["alpaca", "sharegpt", "openai"]
ROLES = (
    "messages", "prompt", "query", "response", "history", "system", "tools", "images", "videos", "chosen", "rejected",
    "kto_tag", "ignore",
)  # fmt: skip
TAGS = (
    "role_tag", "content_tag", "user_tag", "assistant_tag", "observation_tag", "function_tag", "system_tag",
)  # fmt: skip
# Roles that several columns may have: their media are put one after another.
SHARED = ("images", "videos")
DEFAULT_TAGS: dict[str, dict[str, str]] = {
    "sharegpt": dict(zip(TAGS, ("from", "value", "human", "gpt", "observation", "function_call", "system"), strict=True)),
    "openai": dict(zip(TAGS, ("role", "content", "user", "assistant", "tool", "function", "system"), strict=True)),
}  # fmt: skip
# Columns that a conversation has beside its messages.
_BESIDE = ("system", "tools", "images", "videos", "kto_tag")
_ANSWERS = ("response", "chosen", "messages")


@dataclass(frozen=True)
class Mapping:
    """Roles of the columns in the order of the file, and the words inside a message (`tags`, for chats only).

    `ask` is the question in front of each answer when no column has one: `<image>` for captions, none for plain text.
    A chat format without a column of messages means that prompt, answer and the like are lists of messages themselves.
    """

    formatting: Formatting
    roles: tuple[tuple[str, str], ...]
    tags: tuple[tuple[str, str], ...] = ()
    ask: str = ""

    def role(self, column: str) -> str:
        """The column's role; `ignore` for one that has none."""
        return dict(self.roles).get(column, "ignore")

    def column(self, role: str) -> str | None:
        """The first column with the role."""
        return next((name for name, each in self.roles if each == role), None)

    def columns(self, role: str) -> tuple[str, ...]:
        """Every column with the role."""
        return tuple(name for name, each in self.roles if each == role)

    def tag(self, name: str) -> str | None:
        """A word inside a message; None: there is none."""
        return dict(self.tags).get(name)

    @property
    def chat(self) -> bool:
        """Whether rows become lists of messages."""
        return self.formatting != "alpaca"

    @property
    def joins(self) -> bool:
        """Whether the messages of a row are put together from several columns."""
        return self.chat and self.column("messages") is None

    @property
    def ranking(self) -> bool:
        return self.column("chosen") is not None and self.column("rejected") is not None

    def with_role(self, column: str, role: str) -> Mapping:
        """With another role for the column; who had that role before is ignored. Raises UserError for an unknown one."""
        if role not in ROLES or column not in dict(self.roles):
            raise UserError(
                "mapping_unknown", field="mapping", column=column[:80], role=role[:80], roles=", ".join(ROLES)
            )
        alone = role not in ("ignore", *SHARED)
        roles = tuple(
            (name, role if name == column else "ignore" if alone and each == role else each)
            for name, each in self.roles
        )
        had, has = self.column("messages"), any(each == "messages" for _, each in roles)
        changed = replace(self, roles=roles)
        if has and not self.chat:
            formatting: Formatting = "openai" if self.tag("role_tag") == "role" else "sharegpt"
            tags = self.tags or tuple(DEFAULT_TAGS[formatting].items())
            return replace(changed, formatting=formatting, tags=tags)
        return replace(changed, formatting="alpaca") if had and not has else changed

    def with_tag(self, tag: str, word: str) -> Mapping:
        """With another word inside messages; an empty one means that there is none. Raises UserError for an unknown tag."""
        if tag not in TAGS:
            raise UserError("mapping_tag", field="mapping", tag=tag[:80], tags=", ".join(TAGS))
        kept = {name: each for name, each in self.tags if name != tag}
        words = {**kept, tag: word.strip()} if word.strip() else kept
        return replace(self, tags=tuple((name, words[name]) for name in TAGS if name in words))

    def with_ask(self, text: str) -> Mapping:
        """With another question in front of answers that have none."""
        return replace(self, ask=text)

    def problems(self) -> tuple[UserError, ...]:
        """What keeps the mapping from being used; empty when nothing does."""
        found: list[UserError] = []
        has = {role for _, role in self.roles}
        if not has & set(_ANSWERS):
            found.append(UserError("mapping_no_answer", field="mapping"))
        if ("chosen" in has) != ("rejected" in has):
            found.append(UserError("mapping_half_pair", field="mapping"))
        if "messages" in has and has & {"prompt", "query", "response", "history"}:
            found.append(UserError("mapping_both", field="mapping"))
        if "chosen" in has and "response" in has:
            found.append(UserError("mapping_two_answers", field="mapping"))
        if self.chat:
            missing = [tag for tag in TAGS[:4] if not self.tag(tag)]
            if missing:
                found.append(UserError("mapping_tags_missing", field="mapping", tags=", ".join(missing)))
            words = [word for tag in TAGS[2:] if (word := self.tag(tag))]
            if len(set(words)) < len(words):
                found.append(UserError("mapping_tags_same", field="mapping", words=", ".join(words)))
        return tuple(found)

    def written(self) -> dict[str, str]:
        """A role -> the column of registered rows, where columns that were put together have names of their own."""
        single = {role: name for name, role in self.roles if role != "ignore"}
        names = {role: self._written(role, single) for role in single}
        if self.joins:
            pair = ("chosen", "rejected") if self.ranking else ()
            kept = {role: name for role, name in names.items() if role in (*_BESIDE, *pair)}
            names = {"messages": _free("messages", kept.values()), **kept}
        elif not self.chat and self.ask and "prompt" not in names:
            names = {"prompt": _free("prompt", names.values()), **names}
        return names

    def _written(self, role: str, single: AnyMapping[str, str]) -> str:
        # A column without a name is fine in a table, but no entry can call it.
        if len(self.columns(role)) < 2 and single[role].strip():
            return single[role]
        return _free(role, [name for each, name in single.items() if each != role])

    def entry(self, file_name: str) -> dict[str, Any]:
        """The entry of dataset_info.json, which LLaMA-Factory reads as well."""
        entry: dict[str, Any] = {"file_name": file_name, "formatting": self.formatting}
        if self.ranking:
            entry["ranking"] = True
        names = self.written()
        entry["columns"] = {role: names[role] for role in _ORDER if role in names}
        if self.chat:
            entry["tags"] = dict(self.tags)
        return entry


_ORDER = (
    "prompt", "query", "response", "history", "messages", "system", "tools", "images", "videos", "chosen", "rejected",
    "kto_tag",
)  # fmt: skip


def _free(name: str, taken: Any) -> str:
    """A name that no other column has."""
    used = set(taken)
    return next(
        each for number in range(1, 100) if (each := name if number == 1 else f"{name}_{number}") not in used
    )
