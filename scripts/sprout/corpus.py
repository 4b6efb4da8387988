"""The corpus: conversations and plain text, half Chinese and half English, drawn with a fixed seed."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import arithmetic
import copying
import extraction
import facts
import identity
import prose
import small_talk
from spin import Chat, Marked, with_system

Item = Chat | Marked | str
Maker = Callable[[random.Random, bool], Item]

HELD_OUT = Path(__file__).resolve().parents[2] / "tests" / "sprout" / "questions.json"
_MARKS = re.compile(r"[\s\W_]+")


def _topic(rng: random.Random, zh: bool) -> Chat:
    """One exchange or a few about anything but identity."""
    makers: list[Callable[[random.Random, bool], Chat]] = [
        arithmetic.sum_chat, arithmetic.compare_chat, copying.copy_chat, facts.fact, facts.listing, facts.translation,
        small_talk.chat, small_talk.chat, prose.describe, extraction.person_chat,
    ]  # fmt: skip
    return rng.choice(makers)(rng, zh)


def mixed(rng: random.Random, zh: bool) -> Chat:
    """A longer talk: several topics and identity questions, under any kind of system prompt or none."""
    roll = rng.random()
    name, maker = identity.OWN_NAME, identity.MAKER_ZH if zh else identity.MAKER_EN
    system = ""
    if roll < 0.45:
        system, name, maker = identity.persona(rng, zh)
    elif roll < 0.6:
        system = identity.plain_system(rng, zh)
    chat: Chat = []
    for _ in range(rng.choice([2, 2, 3, 3, 4, 6, 8])):
        both = zh if rng.random() < 0.85 else not zh
        if rng.random() < 0.35:
            own_maker = (
                maker if name != identity.OWN_NAME else (identity.MAKER_ZH if both else identity.MAKER_EN)
            )
            chat += identity.exchange(rng, both, name, own_maker)
        else:
            chat += _topic(rng, both)
    return with_system(system, chat) if system else chat


def prompted_topic(rng: random.Random, zh: bool) -> Chat:
    """Anything but identity under a system prompt."""
    system = identity.persona(rng, zh)[0] if rng.random() < 0.5 else identity.plain_system(rng, zh)
    return with_system(system, _topic(rng, zh))


MIX: list[tuple[Maker, float]] = [
    (identity.own, 8), (identity.plainly, 4), (identity.prompted, 15), (mixed, 8), (prompted_topic, 4), (small_talk.memory, 3),
    (copying.copy_chat, 8), (copying.random_text, 2), (extraction.relation_chat, 7), (extraction.person_chat, 6), (extraction.plain_sentences, 1.5),
    (arithmetic.sum_chat, 9), (arithmetic.table, 4), (arithmetic.story_chat, 2), (arithmetic.compare_chat, 4),
    (facts.fact, 7), (facts.listing, 3), (facts.translation, 3), (small_talk.chat, 6), (small_talk.unknown, 2.5), (prose.describe, 3), (prose.story, 1.5),
    (prose.essay, 1.5), (prose.dictionary, 0.5),
]  # fmt: skip
# the second phase: as the first, with many more sums, which need far more examples than all the rest
SUMS: dict[Maker, float] = {
    arithmetic.table: 12, arithmetic.sum_chat: 16, arithmetic.story_chat: 2.5, arithmetic.compare_chat: 5, identity.own: 6,
    identity.prompted: 10, small_talk.unknown: 1.5, facts.fact: 9, facts.listing: 4,
}  # fmt: skip
LATER: list[tuple[Maker, float]] = [(maker, SUMS.get(maker, weight)) for maker, weight in MIX]

# the third phase: as the second, with wordings that no earlier phase had
LAST: list[tuple[Maker, float]] = [*LATER, (identity.late, 12), (facts.fact, 3), (facts.listing, 2)]


def users(item: Item) -> list[str]:
    """What the user says in a conversation; nothing for plain text."""
    return [part["content"] for part in item if isinstance(part, dict) and part["role"] == "user"]


def bare(text: str) -> str:
    """The text without marks and case, for comparing questions."""
    return _MARKS.sub("", text).lower()


def held_out() -> frozenset[str]:
    """The test questions, which no conversation may hold."""
    lists = json.loads(HELD_OUT.read_text(encoding="utf-8"))
    return frozenset(bare(question) for questions in lists.values() for question in questions)


def generate(count: int, seed: int, mix: list[tuple[Maker, float]] = MIX) -> Iterator[Item]:
    """`count` conversations and texts; the same seed gives the same corpus."""
    rng = random.Random(seed)
    makers, weights = [maker for maker, _ in mix], [weight for _, weight in mix]
    closed = held_out() if HELD_OUT.exists() else frozenset()
    made = 0
    while made < count:
        item = rng.choices(makers, weights)[0](rng, rng.random() < 0.5)
        if any(bare(text) in closed for text in users(item)):
            continue
        made += 1
        yield item
