"""Everyday facts, kinds of things, opposites, calendars, translations, lists and short descriptions."""

from __future__ import annotations

import random

import words
from spin import Chat, rough, spin, turn

KIND_LIST = list(words.KINDS)


def fact(rng: random.Random, zh: bool) -> Chat:
    """A question with one true answer."""
    kind = rng.randrange(8)
    if kind <= 2:
        ask, say = rng.choice(words.FACTS_ZH if zh else words.FACTS_EN)
        lead = rng.choice(
            ["", "", "", "请问", "请问，", "我想知道，"]
            if zh
            else ["", "", "", "Tell me: ", "Please tell me: ", "One question: "]
        )
        return turn(rough(rng, lead + ask), say)
    if kind == 3:
        return _capital(rng, zh)
    if kind == 4:
        return _opposite(rng, zh)
    if kind == 5:
        return _calendar(rng, zh)
    return _kind_of(rng, zh)


def _capital(rng: random.Random, zh: bool) -> Chat:
    country_en, country_zh, city_en, city_zh = rng.choice(words.CAPITALS)
    back = rng.random() < 0.25
    if zh:
        if back:
            return turn(spin(rng, f"{city_zh}是(哪个国家|哪国)的首都？"), f"{city_zh}是{country_zh}的首都。")
        ask = spin(rng, f"(请问|){country_zh}的首都(是哪里|是什么|在哪里|是哪个城市|叫什么)(？|)")
        return turn(ask, rng.choice([f"{country_zh}的首都是{city_zh}。", f"是{city_zh}。", f"{city_zh}。"]))
    if back:
        return turn(
            spin(rng, f"(Which country has|What country has) the capital {city_en}?"),
            f"{city_en} is the capital of {country_en}.",
        )
    ask = spin(
        rng,
        "(What is the capital of <c>?|Which city is the capital of <c>?|What's the capital city of <c>?|Name the capital of <c>.|<c>: capital?)",
        c=country_en,
    )
    return turn(
        rough(rng, ask),
        rng.choice([f"The capital of {country_en} is {city_en}.", f"It is {city_en}.", f"{city_en}."]),
    )


def _opposite(rng: random.Random, zh: bool) -> Chat:
    first, second = rng.choice(words.OPPOSITES_ZH if zh else words.OPPOSITES_EN)
    if rng.random() < 0.5:
        first, second = second, first
    if zh:
        return turn(
            spin(rng, f"“{first}”的(反义词|反面)是(什么|哪个|啥)？"),
            rng.choice([f"“{first}”的反义词是“{second}”。", f"{second}。", second]),
        )
    ask = spin(
        rng,
        "(What is the opposite of <q>?|Give me the opposite of <q>.|Which word is the opposite of <q>?)",
        q=rng.choice([first, f'"{first}"']),
    )
    return turn(ask, rng.choice([f"The opposite of {first} is {second}.", f"{second.capitalize()}.", second]))


def _calendar(rng: random.Random, zh: bool) -> Chat:
    cycle = rng.choice([words.DAYS_ZH, words.MONTHS_ZH] if zh else [words.DAYS_EN, words.MONTHS_EN])
    index = rng.randrange(len(cycle))
    after = cycle[(index + 1) % len(cycle)]
    before = cycle[index - 1]
    if zh:
        if rng.random() < 0.6:
            return turn(
                spin(rng, f"{cycle[index]}(之后|后面|的下一个)是(什么|哪个)？"),
                f"{cycle[index]}之后是{after}。",
            )
        return turn(
            f"{cycle[index]}{rng.choice(['之前', '前面'])}是什么？", f"{cycle[index]}之前是{before}。"
        )
    if rng.random() < 0.6:
        return turn(
            spin(rng, f"(What|What|Which month) comes after {cycle[index]}?"),
            f"{after} comes after {cycle[index]}.",
        )
    return turn(f"What comes before {cycle[index]}?", f"{before} comes before {cycle[index]}.")


def _article(word: str) -> str:
    return ("an " if word[0] in "aeiou" else "a ") + word


def _kind_of(rng: random.Random, zh: bool) -> Chat:
    kind = rng.choice(KIND_LIST)
    item = rng.choice(words.KINDS[kind])
    if rng.random() < 0.4:
        other = kind if rng.random() < 0.5 else rng.choice(KIND_LIST)
        yes = other == kind
        if zh:
            say = f"是的，{item[1]}是一种{kind[1]}。" if yes else f"不是，{item[1]}是一种{kind[1]}。"
            return turn(f"{item[1]}是{other[1]}吗？", say)
        say = f"Yes, {item[0]} is {_article(kind[0])}." if yes else f"No, {item[0]} is {_article(kind[0])}."
        return turn(f"Is {item[0]} {_article(other[0])}?", say)
    if zh:
        return turn(
            spin(rng, f"({item[1]}是什么？|什么是{item[1]}？|{item[1]}属于什么？|{item[1]}是哪一类东西？)"),
            f"{item[1]}是一种{kind[1]}。",
        )
    return turn(
        spin(rng, "(What is <i>?|What kind of thing is <i>?|Tell me what <i> is.)", i=item[0]),
        f"{item[0].capitalize()} is {_article(kind[0])}.",
    )


def listing(rng: random.Random, zh: bool) -> Chat:
    """A list of things of one kind, the odd one out, or groups."""
    kind = rng.choice(KIND_LIST)
    count = rng.randint(2, 6)
    index = 1 if zh else 0
    items = [pair[index] for pair in rng.sample(words.KINDS[kind], count)]
    roll = rng.random()
    if roll < 0.65:
        mode = rng.randrange(3)
        if zh:
            number = rng.choice([words.NUMBERS_ZH[count].replace("二", "两"), str(count)])
            ask = spin(rng, f"(列出|说出|写出|举出|请列出|请给我|给我){number}(种|个){kind[1]}(。|的名字。|)")
            joined = (
                "、".join(items) + "。"
                if mode
                else "\n".join(f"{n}. {item}" for n, item in enumerate(items, 1))
            )
            return turn(ask, joined if mode < 2 else f"{number}种{kind[1]}：{joined}")
        number = rng.choice([words.NUMBERS_EN[count], str(count)])
        plural = kind[0] if kind[0].startswith(("piece", "part")) else kind[0] + "s"
        plural = plural.replace("piece of", "pieces of").replace("part of", "parts of")
        ask = spin(rng, f"(List|Name|Give me|Write down|Tell me|Write) {number} {plural}(.|, please.|)")
        joined = (
            ", ".join(items) + "." if mode else "\n".join(f"{n}. {item}" for n, item in enumerate(items, 1))
        )
        return turn(
            ask, joined[:1].upper() + joined[1:] if mode < 2 else f"{number.capitalize()} {plural}: {joined}"
        )
    if roll < 0.85:
        odd_kind = rng.choice([other for other in KIND_LIST if other != kind])
        odd = rng.choice(words.KINDS[odd_kind])[index]
        mixed = [*items, odd]
        rng.shuffle(mixed)
        if zh:
            return turn(f"哪个不是同类：{'、'.join(mixed)}？", f"{odd}，因为其他的都是{kind[1]}。")
        return turn(
            f"Which one does not belong: {', '.join(mixed)}?",
            f"{odd.capitalize()}, because the others belong to the kind {kind[0]}.",
        )
    joined = ("、" if zh else ", ").join(items)
    if zh:
        return turn(rng.choice([f"{joined}，一共有几个？", f"数一数：{joined}"]), f"一共有{count}个。")
    return turn(
        rng.choice([f"How many things are here: {joined}?", f"Count: {joined}"]), f"There are {count} things."
    )


def translation(rng: random.Random, zh: bool) -> Chat:
    """Words from one language to the other."""
    chat: Chat = []
    for _ in range(rng.choice([1, 1, 2, 3])):
        word_en, word_zh = rng.choice(words.DICTIONARY)
        if zh:
            ask = spin(
                rng,
                "(“<w>”用(英语|英文)怎么说？|<w>的英文是什么？|把“<w>”翻译成(英文|英语)。|翻译：<w>|“<w>”的英文单词是什么？)",
                w=word_zh,
            )
            chat += turn(ask, rng.choice([word_en, f"“{word_zh}”的英文是“{word_en}”。", f"{word_en}。"]))
        else:
            ask = spin(
                rng,
                '(How do you say "<w>" in Chinese?|What is "<w>" in Chinese?|Translate <w> into Chinese.|<w> in Chinese?|Translate: <w>)',
                w=word_en,
            )
            chat += turn(ask, rng.choice([word_zh, f'"{word_en}" in Chinese is {word_zh}.', f"{word_zh}."]))
        if rng.random() < 0.3:
            ask = spin(
                rng,
                "(“<w>”是什么意思？|<w>用中文怎么说？|把<w>翻译成中文。)"
                if zh
                else "(What does <w> mean?|What is <w> in English?|Translate <w> into English.)",
                w=word_en if zh else word_zh,
            )
            chat += turn(ask, f"“{word_en}”的意思是“{word_zh}”。" if zh else f'{word_zh} means "{word_en}".')
    return chat
