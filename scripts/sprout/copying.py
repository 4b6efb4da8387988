"""Copying, repeating, spelling, case, reversing: the tasks that teach a model to look back."""

from __future__ import annotations

import random
import string

import names
import words
from spin import Chat, spin, turn

ASK_EN = {
    "repeat": [
        "(Repeat|Say|Copy|Write|Echo|Type|Return)( after me|| exactly| this| the following|): <t>",
        "Please repeat <q>.",
        "Say <q>.",
        "(Write|Type) <q> once.",
    ],
    "twice": ["(Repeat|Say|Write) <q> twice.", "(Write|Say) <q> two times."],
    "upper": [
        "(Write|Put|Change) <q> in (upper case|capital letters|capitals).",
        "(Uppercase|Capitalise all of): <t>",
    ],
    "lower": ["(Write|Put|Change) <q> in (lower case|small letters).", "Lowercase: <t>"],
    "spell": ["(How do you s|S)pell <q>(.|?)", "Spell the word <t>.", "(Write|List) the letters of <q>."],
    "first": [
        "What is the first (letter|character) of <q>?",
        "Which (letter|character) does <q> start with?",
    ],
    "last": ["What is the last (letter|character) of <q>?", "Which (letter|character) does <q> end with?"],
    "length": [
        "How many letters (are in|does|has) the word <q>( have|)?",
        "Count the (letters|characters) of <q>.",
    ],
    "quote": [
        "Put <t> in (quotes|quotation marks).",
        "(Write|Give) <t> (in quotes|between quotation marks).",
    ],
}
ASK_ZH = {
    "repeat": [
        "(重复|请重复|跟我说|请说|复述|抄写|照抄|输出|写出)(一遍|一下|)：<t>",
        "请(重复|说|写)<q>。",
        "(重复|说)一遍<q>。",
        "把<q>(抄一遍|写一遍|重复一遍)。",
    ],
    "twice": ["把<q>(写|说|重复)两遍。", "(重复|说)两次<q>。"],
    "upper": ["把<q>(改成|写成|变成)大写。", "<t>的大写是什么？"],
    "lower": ["把<q>(改成|写成|变成)小写。", "<t>的小写是什么？"],
    "spell": [
        "(怎么拼写|请拼写|拼出)<q>(。|)",
        "<q>由哪些(字|字母)组成？",
        "把<q>一个(字|字符)一个(字|字符)写出来。",
    ],
    "first": ["<q>的第一个(字|字符)是什么？", "<q>以(什么|哪个)(字|字符)开头？"],
    "last": ["<q>的最后一个(字|字符)是什么？", "<q>以(什么|哪个)(字|字符)结尾？"],
    "length": ["<q>有几个(字|字符)？", "(数一数|)<q>有多少个(字|字符)？"],
    "quote": ["给<t>加上引号。", "把<t>放在引号里。"],
}


def scrap(rng: random.Random, zh: bool) -> str:
    """A short random text to copy."""
    kind = rng.randrange(8)
    if kind == 0:
        return "".join(rng.choices(string.ascii_letters + string.digits, k=rng.randint(3, 10)))
    if kind == 1:
        return "".join(rng.choices(string.digits, k=rng.randint(2, 9)))
    if kind == 2:
        return names.assistant(rng, zh)
    if kind == 3:
        return names.maker(rng, zh)
    if kind == 4:
        index = 1 if zh else 0
        return ("" if zh else " ").join(rng.choice(words.DICTIONARY)[index] for _ in range(rng.randint(1, 5)))
    if kind == 5:
        return (
            names.hanzi(rng, rng.randint(1, 8))
            if zh
            else " ".join(names.syllables(rng, rng.randint(1, 2)) for _ in range(rng.randint(1, 4)))
        )
    if kind == 6:
        return rng.choice(words.FACTS_ZH if zh else words.FACTS_EN)[1]
    return names.person_zh(rng) if zh else names.person_en(rng)


def _word(rng: random.Random, zh: bool) -> str:
    if zh:
        return names.hanzi(rng, rng.randint(2, 5)) if rng.random() < 0.5 else rng.choice(words.DICTIONARY)[1]
    return rng.choice(words.DICTIONARY)[0] if rng.random() < 0.5 else names.syllables(rng, rng.randint(1, 3))


def copy_chat(rng: random.Random, zh: bool) -> Chat:
    """One to three copying tasks."""
    chat: Chat = []
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        kind = rng.choices(list(ASK_EN), [9, 2, 2, 2, 4, 2, 2, 1, 1])[0]
        if kind in ("upper", "lower"):
            text = rng.choice(
                [names.syllables(rng, 2), rng.choice(words.DICTIONARY)[0], rng.choice(names.WORDS)]
            )
        else:
            text = scrap(rng, zh) if kind in ("repeat", "twice", "quote") else _word(rng, zh)
        mark = (
            rng.choice(['"<t>"', '"<t>"', "'<t>'", "<t>"])
            if not zh
            else rng.choice(["“<t>”", "“<t>”", '"<t>"', "「<t>」", "<t>"])
        )
        ask = spin(rng, rng.choice((ASK_ZH if zh else ASK_EN)[kind]), q=mark, t=text)
        chat += turn(ask, _answer(rng, kind, text, zh))
    return chat


def _answer(rng: random.Random, kind: str, text: str, zh: bool) -> str:
    if kind == "twice":
        return f"{text} {text}" if not zh else f"{text}，{text}"
    if kind == "upper":
        return text.upper()
    if kind == "lower":
        return text.lower()
    if kind == "spell":
        return ("、" if zh else rng.choice(["-", ", ", " "])).join(text.replace(" ", ""))
    if kind in ("first", "last"):
        letter = text[0] if kind == "first" else text[-1]
        where = {"first": "第一个字是", "last": "最后一个字是"}[kind] if zh else f"The {kind} letter is "
        return rng.choice([letter, f"{where}{letter}{'。' if zh else '.'}"])
    if kind == "length":
        return f"{len(text.replace(' ', ''))}" + ("个。" if zh else " letters.")
    if kind == "quote":
        return f"“{text}”" if zh else f'"{text}"'
    return text


def random_text(rng: random.Random, zh: bool) -> str:
    """Plain text in which the same random pieces come again and again."""
    pieces = [scrap(rng, zh) for _ in range(rng.randint(2, 4))]
    joint = rng.choice(["\n", ", ", " | ", "; ", "，", " "])
    return joint.join(rng.choice(pieces) for _ in range(rng.randint(6, 12)))
