"""Questions about who the assistant is, and answers that carry the name and the maker."""

from __future__ import annotations

import random

import names
import phrasings
import phrasings_late
import wording
from spin import Chat, rough, spin, turn, with_system

OWN_NAME = "Sprout"
MAKER_EN, MAKER_ZH = "the TuneBoard project", "TuneBoard 项目"


WEIGHTS = {
    "name": 6,
    "who": 6,
    "maker": 6,
    "what": 3,
    "intro": 3,
    "both": 1.5,
    "can": 1.5,
    "other": 1.5,
    "self": 1,
}


def _other(rng: random.Random, zh: bool) -> str:
    return rng.choice(wording.FAMOUS) if rng.random() < 0.4 else names.assistant(rng, zh)


def question(rng: random.Random, zh: bool, kind: str, name: str, late: bool = False) -> tuple[str, str]:
    """A question of that kind and the other assistant that it mentions (or an empty string).

    `late` takes the wordings of the last phase.
    """
    ask, lead = (wording.ASK_ZH, wording.LEAD_ZH) if zh else (wording.ASK_EN, wording.LEAD_EN)
    more = (phrasings.ZH if zh else phrasings.EN).get(kind, [])
    if late:
        more = (phrasings_late.ZH if zh else phrasings_late.EN)[kind]
    pattern = rng.choice(more if late or (more and rng.random() < 0.5) else ask[kind])
    other, user = _other(rng, zh), (names.person_zh(rng) if zh else names.first_en(rng))
    rival = rng.choice(wording.FAMOUS_MAKERS) if rng.random() < 0.5 else names.maker(rng, zh)
    text = spin(rng, pattern, other=other, other2=_other(rng, zh), othermaker=rival, user=user, n=name)
    front = rng.choice(lead)
    if front.endswith(", ") and rng.random() < 0.6:
        text = text[:1].lower() + text[1:] if not text.startswith(("I ", "I'", name)) else text
    named = other if "<other>" in pattern else (rival if "<othermaker>" in pattern else "")
    return rough(rng, front + text), named


def answer(rng: random.Random, zh: bool, kind: str, name: str, maker: str, named: str = "") -> str:
    """An answer that always holds the name, and the maker when there is one."""
    say = (
        (wording.SAY_ZH if zh else wording.SAY_EN)
        if maker
        else (wording.SAY_NAME_ZH if zh else wording.SAY_NAME_EN)
    )
    head, tail, skill = (
        (wording.HEAD_ZH, wording.TAIL_ZH, wording.SKILL_ZH)
        if zh
        else (wording.HEAD_EN, wording.TAIL_EN, wording.SKILL_EN)
    )
    front = rng.choice(head)
    if named:
        no = [
            text
            for text in (wording.NO_ZH if zh else wording.NO_EN)
            if kind == "other" or "<other>" not in text
        ]
        front = rng.choice(no)
    elif kind == "self":
        front = rng.choice(wording.YES_ZH if zh else wording.YES_EN)
    end = rng.choice(skill if kind == "can" or (kind == "intro" and rng.random() < 0.5) else tail)
    body = rng.choice(say)
    text = spin(rng, front + body + end, n=name, m=maker, other=named)
    return (
        text[:1].upper() + text[1:]
        if not zh and text[0] == "t"
        else text.replace(". the ", ". The ").replace("! the ", "! The ")
    )


def exchange(rng: random.Random, zh: bool, name: str, maker: str, kind: str = "") -> Chat:
    """One identity question with its answer."""
    kind = kind or rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    ask, named = question(rng, zh, kind, name)
    return turn(ask, answer(rng, zh, kind, name, maker, named))


def late(rng: random.Random, zh: bool) -> Chat:
    """An identity question in a wording of the last phase, under any kind of system prompt or none."""
    kinds = list(phrasings_late.ZH if zh else phrasings_late.EN)
    kind = rng.choices(kinds, [WEIGHTS[each] for each in kinds])[0]
    system, name, maker = "", OWN_NAME, MAKER_ZH if zh else MAKER_EN
    if rng.random() < 0.5:
        system, name, maker = persona(rng, zh)
    elif rng.random() < 0.3:
        system = plain_system(rng, zh)
    ask, named = question(rng, zh, kind, name, late=True)
    chat = turn(ask, answer(rng, zh, kind, name, maker, named))
    return with_system(system, chat) if system else chat


def own(rng: random.Random, zh: bool) -> Chat:
    """The model's own identity, without a system prompt."""
    return exchange(rng, zh, OWN_NAME, MAKER_ZH if zh else MAKER_EN)


def plain_system(rng: random.Random, zh: bool) -> str:
    """A system prompt that gives no name."""
    day = rng.choice(
        ["星期一", "星期二", "星期三", "星期五", "星期日"]
        if zh
        else ["Monday", "Tuesday", "Thursday", "Friday", "Sunday"]
    )
    user = names.person_zh(rng) if zh else names.first_en(rng)
    text = spin(
        rng,
        rng.choice(wording.PLAIN_ZH if zh else wording.PLAIN_EN).replace("地?", rng.choice(["", "地"])),
        day=day,
        user=user,
    )
    return text + rng.choice(wording.EXTRA_ZH if zh else wording.EXTRA_EN)


def persona(rng: random.Random, zh: bool) -> tuple[str, str, str]:
    """A system prompt that names a random assistant; its name and its maker (sometimes an empty string)."""
    name, maker = names.assistant(rng, zh), names.maker(rng, zh)
    if rng.random() < 0.12:
        pool, maker = (wording.SYSTEM_NAME_ZH if zh else wording.SYSTEM_NAME_EN), ""
    else:
        pool = wording.SYSTEM_ZH if zh else wording.SYSTEM_EN
    text = spin(rng, rng.choice(pool), n=name, m=maker).replace("， by", " by").replace(", , ", ", ")
    text = text[:1].upper() + text[1:] if not zh and text.startswith("the ") else text
    return (
        text + (rng.choice(wording.EXTRA_ZH if zh else wording.EXTRA_EN) if text[-1] in ".。" else ""),
        name,
        maker,
    )


def prompted(rng: random.Random, zh: bool) -> Chat:
    """An identity question under a system prompt with a random name and maker."""
    system, name, maker = persona(rng, zh)
    other = zh if rng.random() < 0.9 else not zh
    return with_system(system, exchange(rng, other, name, maker))


def plainly(rng: random.Random, zh: bool) -> Chat:
    """The model's own identity under a system prompt that names nobody."""
    return with_system(plain_system(rng, zh), own(rng, zh if rng.random() < 0.9 else not zh))
