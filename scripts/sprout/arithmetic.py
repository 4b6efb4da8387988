"""Small sums in symbols and words, comparisons, counting and sorting."""

from __future__ import annotations

import random

import words
from spin import Chat, Marked, rough, spin, turn

ASK_EN = [
    "What is <e>?",
    "What's <e>?",
    "How much is <e>?",
    "<e>?",
    "<e> = ?",
    "<e>=",
    "(Compute|Calculate|Work out|Solve|Add up|Find) <e>.",
    "<e>",
    "(Tell me|Can you tell me|Do you know) what <e> is(.|?)",
    "(Please c|C)alculate <e>(.|)",
    "What does <e> (make|equal|give)?",
    "<e> is how much?",
    "(I need|Give me) the (result|answer) of <e>.",
    "<e> equals what?",
    "(Answer|Maths|Math|Quick sum|Sum): <e>",
    "What do you get for <e>?",
]
ASK_ZH = (
    "<e>等于(多少|几)？ <e>是(多少|几)？ <e>=？ <e>= (计算|算一下|请计算|算算|求)<e>(。|) <e> (请问|)<e>(得|等于)(多少|几)(？|呢？) "
    "(告诉我|你知道)<e>(等于几|是多少)(吗？|。) (帮我算|帮我算一下|请算出)<e>(。|的结果。) <e>的(结果|答案|得数)是(多少|什么|几)？ <e>(？|?)"
).split()
SAY_EN = [
    "<r>",
    "<r>",
    "<r>.",
    "<e> = <r>",
    "<e> = <r>.",
    "<e> is <r>.",
    "The answer is <r>.",
    "It is <r>.",
    "The result is <r>.",
    "That makes <r>.",
]
SAY_ZH = [
    "<r>",
    "<r>",
    "<r>。",
    "<e> = <r>",
    "<e>=<r>",
    "<e>等于<r>。",
    "答案是<r>。",
    "结果是<r>。",
    "等于<r>。",
    "得数是<r>。",
]
SIGNS = {
    "+": (["+", "plus", "and", "added to"], ["+", "加", "加上"]),
    "-": (["-", "minus", "less"], ["-", "减", "减去"]),
    "*": (["*", "x", "×", "times", "multiplied by"], ["*", "×", "乘", "乘以"]),
}


def problem(rng: random.Random) -> tuple[str, int, int, int]:
    """A sign, its two numbers and the result; most numbers are small."""
    sign = rng.choices("+-*", [5, 4, 3])[0]
    if sign == "*":
        first, second = rng.randint(0, 10), rng.randint(0, 10)
        return sign, first, second, first * second
    top = rng.choices([10, 20, 50, 99], [5, 6, 1, 0.5])[0]
    first, second = rng.randint(0, top), rng.randint(0, top)
    if sign == "-":
        first, second = max(first, second), min(first, second)
    return sign, first, second, first + second if sign == "+" else first - second


def _expression(rng: random.Random, zh: bool, sign: str, first: int, second: int) -> str:
    word = rng.choice(SIGNS[sign][1 if zh else 0]) if rng.random() < 0.6 else SIGNS[sign][0][0]
    if zh:
        tight = rng.choice(["", " "]) if word in "+-*×" else rng.choice(["", "", "", " "])
        numbers = [str(first), str(second)]
        if max(first, second) <= 20 and word not in "+-*×" and rng.random() < 0.2:
            numbers = [words.NUMBERS_ZH[first], words.NUMBERS_ZH[second]]
        return f"{numbers[0]}{tight}{word}{tight}{numbers[1]}"
    if max(first, second) <= 20 and len(word) > 1 and rng.random() < 0.3:
        return f"{words.NUMBERS_EN[first]} {word} {words.NUMBERS_EN[second]}"
    space = " " if len(word) > 1 or rng.random() < 0.65 else ""
    return f"{first}{space}{word}{space}{second}"


def sum_chat(rng: random.Random, zh: bool) -> Chat:
    """One to four sums in a row."""
    chat: Chat = []
    for _ in range(rng.choice([1, 1, 2, 3, 4, 6])):
        sign, first, second, result = problem(rng)
        text = _expression(rng, zh, sign, first, second)
        ask = spin(rng, rng.choice(ASK_ZH if zh else ASK_EN), e=text)
        plain = f"{first} {sign.replace('*', rng.choice(['×', '*', 'x']))} {second}"
        say = (
            rng.choice(SAY_ZH if zh else SAY_EN)
            .replace("<e>", rng.choice([plain, text]))
            .replace("<r>", str(result))
        )
        chat += turn(rough(rng, ask) if rng.random() < 0.3 else ask, say)
    return chat


def story_chat(rng: random.Random, zh: bool) -> Chat:
    """A sum told as a little story."""
    sign, first, second, result = problem(rng)
    if sign == "*" or min(first, second) == 0:
        first, second, sign = rng.randint(1, 10), rng.randint(1, 10), "+"
        result = first + second
    if zh:
        things = rng.choice(["个苹果", "本书", "支铅笔", "颗糖", "朵花", "个球", "枚硬币", "张票"])
        who = rng.choice(["小明", "小红", "小华", "妈妈", "老师", "他", "她", "我"])
        change = "又(得到了|买了|拿来了|收到)<b>" if sign == "+" else "(吃掉了|送出了|丢了|用掉了)<b>"
        ask = spin(
            rng,
            f"{who}有{first}{things}，{change}，(现在|一共|)(有|还有)(多少|几)<t>？",
            b=f"{second}{things}",
            t=things,
        )
        return turn(
            ask,
            rng.choice(
                [
                    f"{who}有{result}{things}。",
                    f"{first} {sign} {second} = {result}，所以有{result}{things}。",
                    f"{result}{things}。",
                ]
            ),
        )
    things = rng.choice(["apples", "books", "pencils", "sweets", "flowers", "balls", "coins", "tickets"])
    who = rng.choice(["Tom", "Anna", "Peter", "Mary", "He", "She", "Leo", "Nina"])
    change = "(gets|buys|finds|receives) <b> more" if sign == "+" else "(gives away|loses|uses|sells) <b>"
    ask = spin(
        rng,
        f"{who} has {first} {things} and {change}. How many {things} (are there|does that make|are left|are there) (now|)?",
        b=str(second),
    )
    return turn(
        ask.replace(" ?", "?"),
        rng.choice(
            [
                f"{result} {things}.",
                f"{first} {sign} {second} = {result}, so {result} {things}.",
                f"There are {result} {things}.",
            ]
        ),
    )


STYLES = [
    "<a> <s> <b> = <r>",
    "<a> <s> <b> = <r>",
    "<a><s><b>=<r>",
    "<a><s><b> = <r>",
    "<a> <s> <b> is <r>",
    "<a><s><b>等于<r>",
    "<a><s><b>是<r>",
]
WORDS = [
    ("+", "-", "*"),
    ("+", "-", "×"),
    ("+", "-", "x"),
    ("plus", "minus", "times"),
    ("加", "减", "乘"),
    ("加", "减", "乘以"),
]


def table(rng: random.Random, _zh: bool) -> Marked:
    """Lines of sums of which only the results count in the loss: they teach most per token."""
    pieces: Marked = []
    style, signs = rng.choice(STYLES), rng.choice(WORDS)
    joint = rng.choice(["\n", "\n", ", ", "; "])
    steps = _row_of(rng) if rng.random() < 0.3 else [problem(rng) for _ in range(rng.randint(14, 30))]
    for sign, first, second, result in steps:
        name = signs["+-*".index(sign)]
        name = f" {name} " if name.isascii() and name.isalpha() and " <s> " not in style else name
        text = style.replace("<a>", str(first)).replace("<s>", name).replace("<b>", str(second))
        pieces += [(text.removesuffix("<r>"), False), (str(result), True), (joint, False)]
    return pieces


def _row_of(rng: random.Random) -> list[tuple[str, int, int, int]]:
    """A table in order: one number and its neighbours, so that results grow or fall in step."""
    sign, fixed = rng.choice("+-*"), rng.randint(0, 20)
    if sign == "*":
        return [("*", fixed % 11, second, fixed % 11 * second) for second in range(11)]
    if sign == "+":
        return [("+", fixed, second, fixed + second) for second in range(21)]
    return [("-", fixed, second, fixed - second) for second in range(fixed + 1)]


def compare_chat(rng: random.Random, zh: bool) -> Chat:
    """Which number is larger, what comes next, sorting, counting."""
    kind = rng.randrange(6)
    numbers = rng.sample(range(rng.choice([10, 20, 100])), rng.randint(3, 6))
    first, second = numbers[:2]
    listed = (rng.choice(["、", "，", ", "]) if zh else rng.choice([", ", ", ", " "])).join(map(str, numbers))
    if kind == 0:
        large = rng.random() < 0.5
        best = max(first, second) if large else min(first, second)
        if zh:
            return turn(
                spin(rng, f"{first}(和|与){second}(哪个|谁){'(大|更大)' if large else '(小|更小)'}？"),
                f"{best}{'更大' if large else '更小'}。",
            )
        word = rng.choice(["larger", "bigger", "greater"]) if large else rng.choice(["smaller", "less"])
        return turn(
            f"Which is {word}, {first} or {second}?", spin(rng, f"({best} is {word}.|{best}.|{best})")
        )
    if kind == 1:
        after = rng.random() < 0.6
        result = first + 1 if after else max(first - 1, 0)
        first = result - 1 if after else result + 1
        if zh:
            return turn(
                f"{first}{'后面' if after else '前面'}的数是{rng.choice(['几', '多少'])}？",
                f"{first}{'后面' if after else '前面'}的数是{result}。",
            )
        return turn(
            f"What number comes {'after' if after else 'before'} {first}?",
            f"{result} comes {'after' if after else 'before'} {first}.",
        )
    if kind <= 3:
        down = rng.random() < 0.3
        joined = ("、" if zh else ", ").join(map(str, sorted(numbers, reverse=down)))
        if zh:
            way = "从大到小" if down else "从小到大"
            return turn(spin(rng, f"(把|请把|将){listed}(按|){way}(排序|排列|排一下)。"), joined)
        way = (
            rng.choice([" in descending order", " from large to small"])
            if down
            else rng.choice(["", " in ascending order", " from small to large"])
        )
        return turn(
            spin(rng, f"(Sort|Order|Please sort) (these numbers|the numbers)<w>: {listed}", w=way), joined
        )
    if kind == 4:
        large = rng.random() < 0.5
        best = max(numbers) if large else min(numbers)
        if zh:
            return turn(
                f"{listed}中最{'大' if large else '小'}的{rng.choice(['数是几', '是哪个', '数是多少'])}？",
                f"最{'大' if large else '小'}的是{best}。",
            )
        word = rng.choice(["largest", "biggest"]) if large else "smallest"
        return turn(f"What is the {word} of {listed}?", f"The {word} is {best}.")
    start = rng.randint(0, 12)
    stop = start + rng.randint(2, 9)
    counted = ("、" if zh else ", ").join(map(str, range(start, stop + 1)))
    return turn(
        spin(rng, f"(请|)从{start}数到{stop}。" if zh else f"(Please c|C)ount from {start} to {stop}."),
        counted,
    )
