"""Who speaks in a list of messages, and under which keys it says so. Values decide, not how many there are of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trainer.dataset.ingest.mapping import DEFAULT_TAGS, TAGS, Formatting
from trainer.dataset.ingest.words import ROLE_KEYS, TEXT_KEYS, speaker

_ROLES = ("user", "assistant", "observation", "function", "system")
_MOST_KNOWN = 0.8


@dataclass(frozen=True)
class Chat:
    """The format of messages, and the words in them."""

    formatting: Formatting
    tags: tuple[tuple[str, str], ...]
    confidence: float

    def tag(self, name: str) -> str:
        return dict(self.tags).get(name, "")


def find_tags(values: Sequence[Any]) -> Chat | None:
    """The words inside messages, from columns of messages (lists of them, or single ones). None: they are no messages."""
    lists = [
        [each for each in value if isinstance(each, dict)] if isinstance(value, list) else [value]
        for value in values
    ]
    turns = [turn for said in lists for turn in said if isinstance(turn, dict)]
    role_key = _role_key(turns)
    content_key = _content_key(turns, role_key) if role_key else None
    if role_key is None or content_key is None:
        return None
    words = Counter(word for turn in turns if isinstance(word := turn.get(role_key), str))
    chosen, known = _speakers(words), True
    if "user" not in chosen or "assistant" not in chosen:
        chosen, known = {**_by_turns(lists, role_key, words), **chosen}, False
    formatting: Formatting = "openai" if role_key == "role" and content_key == "content" else "sharegpt"
    tags = {**DEFAULT_TAGS[formatting], "role_tag": role_key, "content_tag": content_key}
    tags |= {f"{role}_tag": word for role, word in chosen.items()}
    for role in _ROLES:
        # A default word that the data use for somebody else would give two roles one word.
        if role not in chosen and tags[f"{role}_tag"] in chosen.values():
            del tags[f"{role}_tag"]
    return Chat(formatting, tuple((name, tags[name]) for name in TAGS if name in tags), 1.0 if known else 0.6)


def _role_key(turns: Sequence[dict[str, Any]]) -> str | None:
    """The key whose values are words for speakers; else the one that is called like it and has few different values."""
    keys = dict.fromkeys(key for turn in turns for key in turn)
    shares = {key: _share(turns, key) for key in keys}
    best = max(shares, key=lambda key: (shares[key], key in ROLE_KEYS), default=None)
    if best is not None and shares[best] >= _MOST_KNOWN:
        return best
    for key in ROLE_KEYS:
        words = [turn.get(key) for turn in turns if isinstance(turn.get(key), str)]
        if words and len(set(words)) <= max(5, len(words) // 10):
            return key
    return None


def _share(turns: Sequence[dict[str, Any]], key: str) -> float:
    values = [turn[key] for turn in turns if key in turn]
    return sum(speaker(value) is not None for value in values) / len(turns) if values else 0.0


def _content_key(turns: Sequence[dict[str, Any]], role_key: str) -> str | None:
    keys = dict.fromkeys(key for turn in turns for key in turn if key != role_key)
    named = next((key for key in TEXT_KEYS if key in keys), None)
    if named:
        return named
    texts = {key: sum(len(turn[key]) for turn in turns if isinstance(turn.get(key), str)) for key in keys}
    return max(texts, key=lambda key: texts[key]) if any(texts.values()) else None


def _speakers(words: Counter[str]) -> dict[str, str]:
    """For each known speaker the word that is used most."""
    found: dict[str, str] = {}
    for word, _ in words.most_common():
        role = speaker(word)
        if role and role not in found:
            found[role] = word
    return found


def _by_turns(lists: Sequence[Sequence[Any]], role_key: str, words: Counter[str]) -> dict[str, str]:
    """For words that nobody knows: who begins asks, who replies answers."""
    unknown = [word for word in words if speaker(word) is None]
    firsts = Counter(
        next(
            (turn.get(role_key) for turn in said if isinstance(turn, dict) and turn.get(role_key) in unknown),
            None,
        )
        for said in lists
    )
    firsts.pop(None, None)
    found: dict[str, str] = {}
    if firsts:
        found["user"] = str(firsts.most_common(1)[0][0])
    rest = [word for word, _ in words.most_common() if word in unknown and word != found.get("user")]
    if rest:
        found["assistant"] = rest[0]
    return found
