"""Sentences with people, places and works; their fields as JSON objects of many shapes."""

from __future__ import annotations

import json
import random

import names
import words
from spin import Chat, spin, turn

Triple = tuple[str, str, str]

WORK_ENDS = "之歌 传 记 往事 的秘密 的故事 物语 奇缘 风云 之夜 日记 岁月".split()
ORGS = "科技公司 集团 出版社 银行 医院 报社 乐团 电视台 汽车公司 食品厂 基金会 学校 足球队 研究院".split()
JOBS = "作家 演员 歌手 画家 导演 医生 教授 工程师 诗人 记者 律师 运动员 科学家 作曲家 企业家".split()


def work_zh(rng: random.Random) -> str:
    """The title of an invented work."""
    stem = names.hanzi(rng, 2) if rng.random() < 0.5 else rng.choice(names.NICE) + rng.choice(names.NICE)
    return stem + rng.choice(WORK_ENDS) if rng.random() < 0.5 else stem + names.hanzi(rng, rng.choice([1, 2]))


def org_zh(rng: random.Random) -> str:
    """An invented organisation."""
    return rng.choice(["", names.town_zh(rng)]) + names.hanzi(rng, 2) + rng.choice(ORGS)


def school_zh(rng: random.Random) -> str:
    """A school that may exist."""
    return names.town_zh(rng) + rng.choice(
        "大学 师范大学 理工大学 医学院 音乐学院 美术学院 中学 电影学院".split()
    )


def _fill(rng: random.Random, slot: str) -> str:
    makers = {
        "p": names.person_zh,
        "q": names.person_zh,
        "t": names.town_zh,
        "w": work_zh,
        "o": org_zh,
        "s": school_zh,
    }
    if slot == "j":
        return rng.choice(JOBS)
    if slot == "c":
        return rng.choice(words.CAPITALS)[1]
    if slot == "y":
        return f"{rng.randint(1850, 2024)}年"
    if slot == "n":
        return str(rng.randint(1, 99))
    return makers[slot](rng)


# relation, its subject and object slots, sentences
RELATIONS_ZH: list[tuple[str, str, str, list[str]]] = [
    (
        "出生地",
        "p",
        "t",
        [
            "<p>(出生于|生于|出生在)<t>。",
            "<p>是<t>人。",
            "<p>的出生地是<t>。",
            "<t>是<p>的故乡。",
            "<p>来自<t>。",
        ],
    ),
    (
        "毕业院校",
        "p",
        "s",
        ["<p>毕业于<s>。", "<p>从<s>毕业。", "<p>的(母校|毕业院校)是<s>。", "<p>在<s>读(完|了)大学。"],
    ),
    (
        "职业",
        "p",
        "j",
        ["<p>是(一名|一位|著名|)<j>。", "<p>的职业是<j>。", "(著名|青年|)<j><p>(来了|获奖了)。"],
    ),
    (
        "作者",
        "w",
        "p",
        [
            "《<w>》的作者是<p>。",
            "《<w>》是<p>(写|创作|著)的(小说|书|诗集|作品)。",
            "<p>(写了|创作了|著有)《<w>》。",
        ],
    ),
    (
        "导演",
        "w",
        "p",
        [
            "电影《<w>》(由|是)<p>(执导|导演的)。",
            "《<w>》的导演是<p>。",
            "<p>(执导了|导演了|拍摄了)(电影|)《<w>》。",
        ],
    ),
    ("主演", "w", "p", ["《<w>》由<p>主演。", "<p>主演了《<w>》。", "<p>在《<w>》中(担任|饰演)主角。"]),
    (
        "歌手",
        "w",
        "p",
        ["歌曲《<w>》由<p>演唱。", "<p>(唱了|演唱了|发行了)歌曲《<w>》。", "《<w>》的演唱者是<p>。"],
    ),
    (
        "创始人",
        "o",
        "p",
        ["<o>的创始人是<p>。", "<p>(创办|创立|创建|成立)了<o>。", "<o>(由|是由)<p>创办(|的)。"],
    ),
    (
        "工作单位",
        "p",
        "o",
        ["<p>在<o>(工作|上班|任职)。", "<p>(就职于|任职于)<o>。", "<p>是<o>的(员工|职员|经理)。"],
    ),
    ("总部地点", "o", "t", ["<o>的总部(在|位于|设在)<t>。", "<o>总部位于<t>。", "<t>是<o>的总部所在地。"]),
    ("丈夫", "p", "q", ["<p>的丈夫是<q>。", "<q>是<p>的丈夫。"]),
    ("父亲", "p", "q", ["<p>的父亲是<q>。", "<q>是<p>的(父亲|爸爸)。"]),
    ("母亲", "p", "q", ["<p>的母亲是<q>。", "<q>是<p>的(母亲|妈妈)。"]),
    ("老师", "p", "q", ["<p>的老师是<q>。", "<q>是<p>的老师。"]),
    ("国籍", "p", "c", ["<p>是<c>人。", "<p>的国籍是<c>。"]),
    ("出生年份", "p", "y", ["<p>(出生于|生于)<y>。", "<y>，<p>出生了。"]),
    ("成立时间", "o", "y", ["<o>成立于<y>。", "<y>，<o>成立了。"]),
    ("出版社", "w", "o", ["《<w>》由<o>出版。", "<o>出版了《<w>》。"]),
    ("居住地", "p", "t", ["<p>住在<t>。", "<p>(定居|居住)在<t>。"]),
    ("年龄", "p", "n", ["<p>今年<n>岁。", "<p><n>岁了。"]),
]


def sentence_zh(rng: random.Random, allowed: int = len(RELATIONS_ZH)) -> tuple[str, list[Triple]]:
    """A Chinese sentence with one fact, sometimes two, and its facts."""
    facts: list[Triple] = []
    parts: list[str] = []
    for index in range(rng.choice([1, 1, 1, 2])):
        relation, subject, target, patterns = rng.choice(RELATIONS_ZH[:allowed])
        slots = {subject: _fill(rng, subject), target: _fill(rng, target)}
        if (
            index == 1
            and facts[0][0] in parts[0][: len(facts[0][0]) + 1]
            and subject == "p"
            and len(facts[0][0]) <= 3
        ):
            slots["p"] = facts[0][0]
        parts.append(spin(rng, rng.choice(patterns), **slots))
        facts.append((slots[subject], relation, slots[target]))
    return "，".join(part.rstrip("。") for part in parts) + "。", facts


def dump(value: object, rng: random.Random) -> str:
    """JSON as people write it: compact, spaced or indented."""
    roll = rng.random()
    if roll < 0.15:
        return json.dumps(value, ensure_ascii=False, indent=2)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":") if roll < 0.3 else None)


SHAPE_ASK = {
    "spo_list": [
        "抽取句子中的关系，按[主体, 关系, 客体]的形式输出。",
        "提取三元组列表。",
        "Give the facts as [head, relation, tail].",
    ],
    "head": [
        "用JSON输出关系，键为head、relation、tail。",
        "抽取实体关系（head/relation/tail）。",
        "Extract relations as JSON with head, relation and tail.",
    ],
    "zh_keys": ["抽取关系，用“主体”“关系”“客体”作为键。", "以JSON输出主体、关系、客体。"],
    "dict": ["把句子里的信息整理成JSON。", "提取信息，输出JSON。", "Turn the sentence into JSON."],
    "lines": ["逐行列出关系：主体-关系-客体。", "列出句子中的事实。"],
    "names": [
        "列出句子里的人名、地名和作品。",
        "找出句中的实体，输出JSON列表。",
        "List the entities as JSON.",
    ],
    "one": ["<s>的<r>是谁或什么？", "句子中<s>的<r>是什么？"],
}


def relation_chat(rng: random.Random, zh: bool) -> Chat:
    """A Chinese sentence in, its facts out, in a random shape (never subject/predicate/object)."""
    text, facts = sentence_zh(rng)
    shape = rng.choice(list(SHAPE_ASK))
    subject, relation, target = rng.choice(facts)
    ask = rng.choice(SHAPE_ASK[shape]).replace("<s>", subject).replace("<r>", relation)
    if shape == "spo_list":
        out = dump([list(fact) for fact in facts], rng)
    elif shape == "head":
        out = dump([{"head": a, "relation": b, "tail": c} for a, b, c in facts], rng)
    elif shape == "zh_keys":
        out = dump([{"主体": a, "关系": b, "客体": c} for a, b, c in facts], rng)
    elif shape == "dict":
        out = dump({f"{a}的{b}" if len(facts) > 1 else b: c for a, b, c in facts}, rng)
    elif shape == "lines":
        out = "\n".join(f"{a}-{b}-{c}" for a, b, c in facts)
    elif shape == "names":
        out = dump(list(dict.fromkeys(item for a, _, c in facts for item in (a, c))), rng)
    else:
        out = rng.choice([target, f"{subject}的{relation}是{target}。"])
    user = rng.choice([f"{ask}\n{text}", f"{ask}{text}", f"{text}\n{ask}", f"{ask}\n句子：{text}"])
    return turn(user, out)


FIELDS_EN = {
    "name": ["<v>", "named <v>", "called <v>"],
    "age": ["<v> years old", "aged <v>"],
    "city": ["lives in <v>", "from <v>"],
    "job": ["works as a <v>", "is a <v>"],
    "likes": ["likes <v>", "loves <v>"],
    "has": ["has a <v>", "owns a <v>"],
}
FIELDS_ZH = {
    "姓名": "<v>",
    "年龄": "今年<v>岁",
    "城市": "住在<v>",
    "职业": "是一名<v>",
    "爱好": "喜欢<v>",
    "宠物": "养了一只<v>",
}


def _person(rng: random.Random, zh: bool) -> dict[str, object]:
    index = 1 if zh else 0
    values: list[object] = [
        names.person_zh(rng) if zh else names.first_en(rng),
        rng.randint(5, 90),
        names.town_zh(rng) if zh else names.town_en(rng),
        rng.choice(words.KINDS["profession", "职业"])[index],
        rng.choice(words.KINDS["sport", "运动"])[index],
        rng.choice(words.KINDS["animal", "动物"])[index],
    ]
    return dict(zip(FIELDS_ZH if zh else FIELDS_EN, values, strict=True))


def person_chat(rng: random.Random, zh: bool) -> Chat:
    """A sentence about a person, its fields as JSON, as a list or one by one."""
    person = _person(rng, zh)
    first, *others = person
    keys = [first, *rng.sample(others, rng.randint(1, 4))]
    if zh:
        text = (
            str(person[first])
            + "，".join(FIELDS_ZH[key].replace("<v>", str(person[key])) for key in keys[1:])
            + "。"
        )
    else:
        parts = [rng.choice(FIELDS_EN[key]).replace("<v>", str(person[key])) for key in keys[1:]]
        text = (
            f"{person[first]} "
            + ", ".join(
                f"is {part}" if part[0] in "0123456789a" or part.startswith("from") else part
                for part in parts
            )
            + "."
        )
    shown = {key: person[key] for key in keys}
    kind = rng.randrange(5)
    listed = (rng.choice(["、", "，"]) if zh else ", ").join(keys)
    if kind == 0:
        key = rng.choice(keys)
        ask = f"{text}\n{person[first]}的{key}是什么？" if zh else f"{text}\nWhat is the {key}?"
        return turn(ask, str(person[key]))
    if kind == 1:
        ask = f"把下面的信息写成“键：值”的形式。\n{text}" if zh else f"List the fields, one per line.\n{text}"
        return turn(ask, "\n".join(f"{key}{'：' if zh else ': '}{value}" for key, value in shown.items()))
    if kind == 2:
        pairs = (rng.choice(["，", "；"]) if zh else "; ").join(
            f"{key}{'：' if zh else ' = '}{value}" for key, value in shown.items()
        )
        return turn(
            spin(
                rng,
                "(用JSON表示|写成JSON|转成 JSON|把这些字段写成JSON)："
                if zh
                else "(Write as|Turn into|Make) JSON: ",
            )
            + pairs,
            dump(shown, rng),
        )
    if kind == 3:
        pairs = dump(shown, rng)
        key = rng.choice(keys)
        return turn(f"{pairs}\n{key}{'的值是什么？' if zh else ' is what?'}", str(person[key]))
    ask = spin(
        rng,
        "(提取|抽取|找出)(字段|信息)：<k>，(用|以)JSON(输出|格式回答)。"
        if zh
        else "Extract <k> as JSON(.|:)",
        k=listed,
    )
    return turn(rng.choice([f"{ask}\n{text}", f"{text}\n{ask}"]), dump(shown, rng))


def plain_sentences(rng: random.Random, _zh: bool) -> str:
    """Plain text: sentences, each followed by its facts."""
    lines = []
    for _ in range(rng.randint(2, 5)):
        text, facts = sentence_zh(rng)
        lines.append(text + rng.choice(["", "（" + "；".join(f"{a}，{b}，{c}" for a, b, c in facts) + "）"]))
    return "\n".join(lines)
