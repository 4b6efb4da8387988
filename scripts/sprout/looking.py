"""Talks about drawings, in English and Chinese: what Sprout-VL learns to say of what it sees.

A talk is its pictures (or the frames of a clip) and a chat whose first question holds a `<image>` or `<video>` mark
for each of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import drawing
import pieces
from drawing import COLOURS, SHAPES, Drawing, Marks, Thing
from identity import persona, plain_system
from PIL import Image
from spin import Chat, rough, spin, turn, with_system

Size = tuple[int, int]
Asked = tuple[str, str]


@dataclass(frozen=True)
class Talk:
    """`pictures` in the order of the marks; those of a `clip` are the frames of one video.

    `marks` say where on each picture what is, empty where nobody knows.
    """

    pictures: tuple[Image.Image, ...]
    chat: Chat
    clip: bool = False
    marks: tuple[Marks, ...] = ()


def an(word: str) -> str:
    """The word with its article."""
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def zh_colour(name: str) -> str:
    return COLOURS[name][0]


def zh_shape(name: str) -> str:
    return SHAPES[name][1]


def thing(each: Thing, zh: bool) -> str:
    """`a red circle`, `一个红色的圆形`."""
    return (
        f"一个{zh_colour(each.colour)}的{zh_shape(each.shape)}" if zh else an(f"{each.colour} {each.shape}")
    )


def several(count: int, colour: str, shape: str, zh: bool) -> str:
    """`3 red circles`, `3个红色的圆形`."""
    if zh:
        return f"{count if count > 1 else '一'}个{zh_colour(colour)}的{zh_shape(shape)}"
    return f"{count} {colour} {SHAPES[shape][0]}" if count > 1 else an(f"{colour} {shape}")


def groups(scene: Drawing, zh: bool) -> list[str]:
    """What is on a drawing, equal things counted together, in the order from left to right."""
    seen: dict[tuple[str, str], int] = {}
    for each in sorted(scene.things, key=lambda each: each.x):
        seen[each.shape, each.colour] = seen.get((each.shape, each.colour), 0) + 1
    return [several(count, colour, shape, zh) for (shape, colour), count in seen.items()]


def listed(names: list[str], zh: bool) -> str:
    """Names as one phrase."""
    if len(names) == 1:
        return names[0]
    return ("、".join(names[:-1]) + "和" + names[-1]) if zh else (", ".join(names[:-1]) + " and " + names[-1])


WHERE = {(0, 0): ("top left", "左上角"), (1, 0): ("top", "上方"), (2, 0): ("top right", "右上角"), (0, 1): ("left", "左边"), (1, 1): ("middle", "中间"),
         (2, 1): ("right", "右边"), (0, 2): ("bottom left", "左下角"), (1, 2): ("bottom", "下方"), (2, 2): ("bottom right", "右下角")}  # fmt: skip


def where(each: Thing, zh: bool) -> str:
    """In which ninth of the picture a thing is."""
    return WHERE[min(2, int(each.x * 3)), min(2, int(each.y * 3))][zh]


def describe(rng: random.Random, scene: Drawing, zh: bool) -> Asked:
    """The whole drawing in a sentence."""
    what, paper = listed(groups(scene, zh), zh), scene.background
    if zh:
        asked = spin(
            rng,
            "(请|)(描述一下|描述|说说|讲讲)(这张|这幅)(图片|图|画)。|(这张|这幅|)(图|图片|画)(里|上|中)(有什么|画了什么|画的是什么|有些什么)？|你(看到了|看见|能看到)什么？|这是什么？|图中有什么？|看图说话。|描述图片".replace(
                "?", ""
            ),
        )
        return _one(rng, asked), f"{zh_colour(paper)}的背景上有{what}。"
    asked = spin(
        rng,
        "(Please |)(describe|describe) (the|this) (picture|image|drawing).|What (do you see|can you see|is) (in|on) (the|this) (picture|image|drawing)?|What is this?|What do you see?|What does (the|this) (picture|image) show?|Tell me (what you see|about this picture).|What is shown here?|What's in (the|this) (picture|image)?",
    )
    return _one(rng, asked), f"{what[0].upper()}{what[1:]} on {an(paper)} background."


def _one(rng: random.Random, asked: str) -> str:
    """A choice at the top level of a grammar, roughened as hurried people type."""
    return rough(rng, rng.choice(asked.split("|")))


def _pick(rng: random.Random, zh: bool, english: str, chinese: str, **slots: str) -> str:
    text = rng.choice((chinese if zh else english).split("/"))
    return rough(rng, spin(rng, text, **slots))


def ask_one(rng: random.Random, scene: Drawing, zh: bool) -> Asked:
    """A question about a drawing with one thing."""
    each = scene.things[0]
    kind = rng.choice(["shape", "colour", "both", "where", "paper", "count", "is", "whole"])
    if kind == "shape":
        asked = _pick(rng, zh, "What shape is (this|it|shown|in the picture)?/Which shape (is this|do you see|is it)?/(Name|Tell me) the shape./What is the shape (of the object|)?/What (figure|form) is (this|it)?",
                      "这是什么形状？/(图中|图里|图上|)(的|)(形状|图形)是什么？/(这|图里)是(什么|哪种)图形？/(它|这个东西)是什么形状(的|)？/说出(这个|)形状。")  # fmt: skip
        return asked, f"这是{zh_shape(each.shape)}。" if zh else f"It is {an(each.shape)}."
    if kind == "colour":
        asked = _pick(rng, zh, "What (color|colour) is (it|this|the <s>|the shape|the object)?/Which (color|colour) (is it|is the <s>|does the <s> have)?/(Name|Tell me) the (color|colour) (of the <s>|of the shape|)./What is the (color|colour) of the (<s>|shape)?",
                      "(它|这个<s>|<s>|这个图形|这个形状)是什么颜色(的|)？/(什么|哪种)颜色？/(图中|图里)的<s>是什么颜色(的|)？/说出(它|<s>)的颜色。", s=zh_shape(each.shape) if zh else each.shape)  # fmt: skip
        return asked, f"它是{zh_colour(each.colour)}的。" if zh else f"It is {each.colour}."
    if kind == "both":
        asked = _pick(rng, zh, "What (color|colour) and shape (is it|do you see|is this)?/(Name|Give|Tell me) (the |)(color|colour) and shape./What is (this|it)?/What (object|thing) is (this|shown)?",
                      "这是什么颜色的什么形状？/(说出|告诉我)(它的|)颜色和形状。/(它|这)是什么？/(图中|图里)是什么(东西|)？")  # fmt: skip
        return asked, f"这是{thing(each, True)}。" if zh else f"It is {thing(each, False)}."
    if kind == "where":
        asked = _pick(rng, zh, "Where is (it|the <s>|the shape)?/In which (part|place) of the picture is (it|the <s>)?",
                      "(它|<s>|这个图形)在(哪里|哪儿|什么位置|图的哪里)？", s=zh_shape(each.shape) if zh else each.shape)  # fmt: skip
        spot = where(each, zh)
        return asked, f"它在{spot}。" if zh else f"It is {'in' if spot == 'middle' else 'at'} the {spot}."
    if kind == "count":
        return ask_count(rng, scene, zh)
    if kind == "is":
        return ask_is(rng, scene, zh)
    if kind == "whole":
        return ask_whole(rng, scene, zh)
    return ask_paper(rng, scene, zh)


def ask_paper(rng: random.Random, scene: Drawing, zh: bool) -> Asked:
    """What colour is the background?"""
    asked = _pick(rng, zh, "What (color|colour) is the background?/Which (color|colour) does the background have?", "背景是什么颜色(的|)？/(背景|底色)(是|)(什么|哪种)颜色？")  # fmt: skip
    return (
        asked,
        f"背景是{zh_colour(scene.background)}的。" if zh else f"The background is {scene.background}.",
    )


def ask_count(rng: random.Random, scene: Drawing, zh: bool) -> Asked:
    """How many shapes, or how many of one shape or colour."""
    each = rng.choice(scene.things)
    roll = rng.random()
    if roll < 0.45 or len({one.shape for one in scene.things}) == 1:
        count = len(scene.things)
        same = len({one.shape for one in scene.things}) == 1
        word = (
            (zh_shape(each.shape) if zh else SHAPES[each.shape][0])
            if same and rng.random() < 0.6
            else ("图形" if zh else "shapes")
        )
        asked = _pick(rng, zh, "How many <s> (are there|do you see|are in the picture|can you see|)?/Count the <s>./What is the number of <s>?",
                      "(图中|图里|图上|)(一共|)有(几|多少)个<s>？/数一数(有几个<s>|<s>|)。/<s>有(几|多少)个？", s=word)  # fmt: skip
    else:
        count = sum(one.shape == each.shape for one in scene.things)
        word = zh_shape(each.shape) if zh else SHAPES[each.shape][0]
        asked = _pick(rng, zh, "How many <s> (are there|do you see|are in the picture|can you see|)?/Count the <s>.",
                      "(图中|图里|图上|)有(几|多少)个<s>？/<s>有(几|多少)个？", s=word)  # fmt: skip
    if zh:
        return asked, f"有{count}个{word}。"
    single = {"shapes": "shape"}.get(word, each.shape)
    return asked, f"There is 1 {single}." if count == 1 else f"There are {count} {word}."


def ask_whole(rng: random.Random, scene: Drawing, zh: bool) -> Asked:
    """Number, shape and colour in one question, or how many of one colour and shape."""
    each = rng.choice(scene.things)
    names = groups(scene, zh)
    if rng.random() < 0.5 and len(names) == 1:
        asked = _pick(rng, zh, "How many shapes are there, (what|which) shape (are they|) and what (color|colour)( are they|)?/(Name|Give|Tell me) (the |)(number, shape and color|color, shape and number|count, color and shape)( of the shapes|)./(What (color|colour) and shape are they|What are they), and how many( are there|)?/What shapes, colors and how many?",
                      "有几个图形，是什么形状(，|、)什么颜色(的|)？/(说出|告诉我)(图形的|)(数量、形状和颜色|颜色、形状和数量)。/(图中|图里)是什么形状，什么颜色，(有|一共)几个？/几个什么颜色的什么形状？")  # fmt: skip
        if zh:
            return asked, f"有{names[0]}。"
        return asked, f"There {'is' if len(scene.things) == 1 else 'are'} {names[0]}."
    count = sum((one.shape, one.colour) == (each.shape, each.colour) for one in scene.things)
    plural, zh_name = (
        f"{each.colour} {SHAPES[each.shape][0]}",
        f"{zh_colour(each.colour)}的{zh_shape(each.shape)}",
    )
    asked = _pick(rng, zh, "How many <s> (are there|do you see|are in the picture|can you see|)?/Count the <s>.",
                  "(图中|图里|图上|)有(几|多少)个<s>？/<s>有(几|多少)个？", s=zh_name if zh else plural)  # fmt: skip
    if zh:
        return asked, f"有{count}个{zh_name}。"
    return asked, f"There is 1 {each.colour} {each.shape}." if count == 1 else f"There are {count} {plural}."


def ask_is(rng: random.Random, scene: Drawing, zh: bool) -> Asked:
    """Is there ...? with yes and no equally often."""
    each = rng.choice(scene.things)
    shapes, colours = {one.shape for one in scene.things}, {one.colour for one in scene.things}
    yes = rng.random() < 0.5
    if rng.random() < 0.5:
        shape = each.shape if yes else rng.choice([one for one in SHAPES if one not in shapes])
        name, zh_name = an(shape), zh_shape(shape)
    else:
        colour = (
            each.colour
            if yes
            else rng.choice([one for one in COLOURS if one not in colours | {scene.background}])
        )
        shape = each.shape
        name, zh_name = an(f"{colour} {shape}"), f"{zh_colour(colour)}的{zh_shape(shape)}"
    asked = _pick(rng, zh, "Is there <s> (in the picture|)?/Do you see <s>?/Can you see <s>?", "(图中|图里|)有<s>吗？/(图中|图里|)有没有<s>？", s=zh_name if zh else name)  # fmt: skip
    if zh:
        return asked, f"有，图中有{zh_name}。" if yes else f"没有，图中没有{zh_name}。"
    return asked, f"Yes, there is {name}." if yes else f"No, there is no {name.split(' ', 1)[1]}."


def ask_many(rng: random.Random, scene: Drawing, zh: bool) -> Asked:
    """A question about a drawing with several things."""
    each = rng.choice(scene.things)
    only = [one for one in scene.things if sum(o.shape == one.shape for o in scene.things) == 1]
    kind = rng.choice(["count", "count", "whole", "is", "paper", "colour", "where", "shape", "beside"])
    if kind == "whole":
        return ask_whole(rng, scene, zh)
    if kind in ("colour", "where", "beside") and only:
        each = rng.choice(only)
        name = zh_shape(each.shape) if zh else each.shape
        if kind == "colour":
            asked = _pick(rng, zh, "What (color|colour) is the <s>?/Which (color|colour) does the <s> have?", "<s>是什么颜色(的|)？/(图中|图里)的<s>是什么颜色(的|)？", s=name)  # fmt: skip
            return asked, f"{name}是{zh_colour(each.colour)}的。" if zh else f"The {name} is {each.colour}."
        if kind == "where":
            spot = where(each, zh)
            asked = _pick(rng, zh, "Where is the <s>?", "<s>在(哪里|哪儿|什么位置)？", s=name)
            return (
                asked,
                f"{name}在{spot}。"
                if zh
                else f"The {name} is {'in' if spot == 'middle' else 'at'} the {spot}.",
            )
        others = [one for one in only if one is not each and abs(one.x - each.x) > 0.2]
        if others:
            other = rng.choice(others)
            second = zh_shape(other.shape) if zh else other.shape
            left = each.x < other.x
            asked = _pick(
                rng, zh, "Is the <s> left or right of the <o>?", "<s>在<o>的左边还是右边？", s=name, o=second
            )
            if zh:
                return asked, f"{name}在{second}的{'左' if left else '右'}边。"
            return asked, f"The {name} is {'left' if left else 'right'} of the {second}."
    alike = [one for one in scene.things if sum(o.colour == one.colour for o in scene.things) == 1]
    if kind == "shape" and alike:
        each = rng.choice(alike)
        name = zh_colour(each.colour) if zh else each.colour
        asked = _pick(rng, zh, "What shape is the <s> (one|thing|shape)?/Which shape is <s>?", "<s>的(图形|东西|)是什么(形状|)？/什么形状是<s>的？", s=name)  # fmt: skip
        return (
            asked,
            f"{name}的是{zh_shape(each.shape)}。" if zh else f"The {each.colour} one is {an(each.shape)}.",
        )
    return rng.choice([ask_count, ask_is, ask_paper])(rng, scene, zh)


def ask_all(rng: random.Random, scene: Drawing, zh: bool) -> Asked:
    """Colour, shape or number of several equal things, in the plural or as if they were one."""
    each = scene.things[0]
    plural = zh_shape(each.shape) if zh else SHAPES[each.shape][0]
    kind = rng.choice(["colour", "shape", "count"])
    if kind == "colour":
        asked = _pick(rng, zh, "What (color|colour) are (they|the shapes|the <s>|these shapes)?/What (color|colour) is (it|this)?/Which (color|colour) do (they|the <s>|the shapes) have?/(Name|Tell me) the (color|colour)( of the shapes|)./What is the (color|colour) of the (shapes|<s>)?",
                      "(它们|这些<s>|<s>|这些图形|图形)(都|)是什么颜色(的|)？/它是什么颜色(的|)？/(什么|哪种)颜色？/(图中|图里)的(<s>|图形)是什么颜色(的|)？", s=plural)  # fmt: skip
        return asked, f"它们是{zh_colour(each.colour)}的。" if zh else f"They are {each.colour}."
    if kind == "shape":
        asked = _pick(rng, zh, "What (shape|shapes) (are they|are these|do you see|are in the picture)?/What shape is (it|this|shown)?/(Name|Tell me) the shape./Which shape (are they|do they have)?/What are (they|these)?",
                      "(它们|这些)(都|)是什么(形状|图形)(的|)？/这是什么形状？/(图中|图里|图上)(的|)(形状|图形)是什么？/(图中|图里)(有|是)什么(形状|图形)？")  # fmt: skip
        return asked, f"它们是{plural}。" if zh else f"They are {plural}."
    return ask_count(rng, scene, zh)


Ask = Callable[[random.Random, Drawing, bool], Asked]


def talk(rng: random.Random, zh: bool, scene: Drawing, ask: Ask, most: int) -> Chat:
    """The description or a question first, then more questions about the same drawing."""
    asked = [describe(rng, scene, zh)] if rng.random() < 0.6 else []
    while len(asked) < most:
        one = ask(rng, scene, zh)
        if one[0] not in {each for each, _ in asked}:
            asked.append(one)
    if rng.random() < 0.5:
        rng.shuffle(asked)
    return marked(rng, [message for question, answer in asked for message in turn(question, answer)])


def marked(rng: random.Random, chat: Chat, mark: str = "<image>", count: int = 1) -> Chat:
    """The chat with its marks in front of the first question, or behind it."""
    first = next(message for message in chat if message["role"] == "user")
    marks = mark * count
    join = rng.choice(["", "", "\n", " "])
    first["content"] = (
        f"{marks}{join}{first['content']}" if rng.random() < 0.8 else f"{first['content']}{join}{marks}"
    )
    return chat


def one_thing(rng: random.Random, zh: bool, size: Size) -> Talk:
    """One shape."""
    scene = drawing.draw(rng, size, [(drawing.shape_of(rng), rng.choice(list(COLOURS)))])
    return Talk((scene.picture,), talk(rng, zh, scene, ask_one, rng.randint(3, 5)), marks=(scene.marks,))


def same_things(rng: random.Random, zh: bool, size: Size) -> Talk:
    """Two to six equal shapes."""
    kind = (drawing.shape_of(rng), rng.choice(list(COLOURS)))
    scene = drawing.draw(rng, size, [kind] * rng.choice([2, 3, 3, 4, 4, 5, 5, 6]))
    ask = rng.choice([ask_count, ask_all, ask_many])
    return Talk(
        (scene.picture,), talk(rng, zh, scene, ask, 3 if ask is ask_many else 2), marks=(scene.marks,)
    )


def other_things(rng: random.Random, zh: bool, size: Size) -> Talk:
    """Two to five shapes, some alike."""
    kinds = [(drawing.shape_of(rng), rng.choice(list(COLOURS))) for _ in range(rng.choice([2, 2, 2, 3]))]
    kinds += [rng.choice(kinds) for _ in range(rng.choice([0, 0, 1, 1, 2]))]
    scene = drawing.draw(rng, size, kinds)
    return Talk((scene.picture,), talk(rng, zh, scene, ask_many, rng.randint(3, 5)), marks=(scene.marks,))


def piece_name(piece: pieces.Piece, zh: bool) -> str:
    """`a blue vase with white dots`, `一个带白色圆点的蓝色花瓶`."""
    kind, measure = pieces.PIECES[piece.kind]
    pattern = pieces.PATTERNS[piece.pattern]
    if zh:
        marks = f"带{zh_colour(piece.marks)}{pattern[1]}的" if piece.marks else ""
        return f"一{measure}{marks}{zh_colour(piece.colour)}{kind}"
    return an(f"{piece.colour} {piece.kind}") + (f" with {piece.marks} {pattern[0]}" if piece.marks else "")


def museum(rng: random.Random, zh: bool, size: Size) -> Talk:
    """A museum piece, plainly described."""
    piece = pieces.any_piece(rng)
    kind = pieces.PIECES[piece.kind][0] if zh else piece.kind
    name = piece_name(piece, zh)
    asked: list[Asked] = [(
        _pick(rng, zh, "What is this?/What do you see?/Describe (the|this) (picture|image|object|piece)./What is (shown|in the picture|on display)?/(Please |)(introduce|describe) this (piece|exhibit|object)./What (object|thing|exhibit) is this?/Tell me about this (piece|exhibit|object|picture)./Guide, what is this?",
              "这是什么？/你(看到|看见)(了|)什么？/(请|)(描述一下|介绍一下|介绍|讲解一下|说说|讲讲)这(张图|幅图|件文物|件展品|个物品|件藏品)。/图(中|里|上)(是|有)什么？/这是(什么|哪件)(东西|文物|展品|藏品)？/讲解员，这是什么？/给我们讲讲这件(展品|文物)(吧|)。"),
        f"这是{name}。" if zh else f"This is {name}.",
    )]  # fmt: skip
    pattern = pieces.PATTERNS[piece.pattern][zh]
    more: list[Asked] = [
        (_pick(rng, zh, "What (color|colour) is (it|the <s>)?", "(它|<s>)是什么颜色(的|)？", s=kind), f"{kind}是{zh_colour(piece.colour)}的。" if zh else f"The {kind} is {piece.colour}."),
        (_pick(rng, zh, "(What|Which) kind of (thing|object|piece) is (it|this)?/Is it a vase or something else?", "(它|这)是(哪|什么)(种|类)(东西|器物|展品)？", s=kind), f"它是{kind}。" if zh else f"It is {an(kind)}."),
        (_pick(rng, zh, "(What|Which) pattern does it have?/Does it have a pattern?", "(上面|它上面|它)有什么(花纹|图案)？", s=kind),
         (f"上面有{zh_colour(piece.marks)}{pattern}。" if piece.marks else "它没有花纹。") if zh else (f"It has {piece.marks} {pattern}." if piece.marks else "It has no pattern.")),
    ]  # fmt: skip
    asked += rng.sample(more, rng.randint(1, 3))
    if rng.random() < 0.3:
        rng.shuffle(asked)
    chat = [message for question, answer in asked for message in turn(question, answer)]
    marks = Marks(size)
    return Talk((pieces.draw_piece(rng, size, piece, marks),), marked(rng, chat), marks=(marks,))


def scenery(rng: random.Random, zh: bool, size: Size) -> Talk:
    """A small scene."""
    scene = pieces.draw_scene(rng, size)
    names = [pieces.SCENERY[name] if zh else an(name) for name in scene.names]
    asked = _pick(rng, zh, "What (do you see|is in the picture|can you see)?/Describe (the|this) picture./What does the picture show?", "(图中|图里|画里)有什么？/(请|)(描述一下|描述|说说)这(张|幅)(图|画)。/你看到了什么？")  # fmt: skip
    chat = turn(
        asked, f"图中有{listed(names, True)}。" if zh else f"The picture shows {listed(names, False)}."
    )
    for _ in range(rng.randint(1, 2)):
        yes = rng.random() < 0.5
        name = (
            rng.choice(scene.names)
            if yes
            else rng.choice([each for each in pieces.SCENERY if each not in scene.names])
        )
        word = pieces.SCENERY[name] if zh else an(name)
        asked = _pick(
            rng,
            zh,
            "Is there <s>?/Do you see <s> (in the picture|)?",
            "(图中|图里|)有<s>吗？/有没有<s>？",
            s=word,
        )
        if zh:
            chat += turn(asked, f"有，图中有{word}。" if yes else f"没有，图中没有{word}。")
        else:
            chat += turn(asked, f"Yes, there is {word}." if yes else f"No, there is no {name}.")
    return Talk((scene.picture,), marked(rng, chat))


def two_pictures(rng: random.Random, zh: bool, size: Size) -> Talk:
    """Two pictures with one thing each: which is which."""
    scenes = [drawing.draw(rng, size, [(drawing.shape_of(rng), rng.choice(list(COLOURS)))]) for _ in range(2)]
    first, second = (scene.things[0] for scene in scenes)
    asked = _pick(rng, zh, "What (is|do you see) in the (two pictures|pictures|two images)?/Describe (both|the two) pictures.", "(这|)两张图(里|中|)(分别|)(有|是)什么？/(描述|说说)这两张图。")  # fmt: skip
    told = f"第一张图是{thing(first, True)}，第二张图是{thing(second, True)}。" if zh else f"The first picture shows {thing(first, False)}, the second {thing(second, False)}."  # fmt: skip
    chat = turn(asked, told)
    which = rng.randint(0, 1)
    each = (first, second)[which]
    asked = _pick(rng, zh, f"What is in the {('first', 'second')[which]} (picture|image)?", f"第{'一二'[which]}张(图|图片)(里|中|)是什么？")  # fmt: skip
    told = f"第{'一二'[which]}张图是{thing(each, True)}。" if zh else f"The {('first', 'second')[which]} picture shows {thing(each, False)}."  # fmt: skip
    pair = turn(asked, told)
    chat = chat + pair if rng.random() < 0.5 else pair + chat
    return Talk(
        tuple(scene.picture for scene in scenes),
        marked(rng, chat, count=2),
        marks=tuple(scene.marks for scene in scenes),
    )


MOVES = {
    "right": ("moves to the right", "向右移动"), "left": ("moves to the left", "向左移动"), "up": ("moves up", "向上移动"), "down": ("moves down", "向下移动"),
    "grow": ("grows", "变大"), "shrink": ("shrinks", "变小"), "still": ("stays where it is", "没有动"), "turns": ("turns <c>", "变成了<c>"),
}  # fmt: skip


def clip(rng: random.Random, zh: bool, size: Size, frames: int) -> Talk:
    """A short clip in which one thing does something."""
    shape, colour = drawing.shape_of(rng), rng.choice(list(COLOURS))
    move = rng.choice(list(MOVES))
    paper = drawing.paper_for(rng, {colour})
    after = colour
    while move == "turns" and after in (colour, paper):
        after = rng.choice(["red", "yellow", "green", "blue", "black", "purple"])
    fills = drawing.shade(rng, colour), drawing.shade(rng, after)
    ground = drawing.shade(rng, paper)
    tilt = drawing.turn_of(rng, shape)
    r = rng.uniform(0.13, 0.22)
    fixed = rng.uniform(0.3, 0.7)
    reach = rng.uniform(0.3, 0.5)
    pictures = []
    for k in range(frames):
        t = k / max(1, frames - 1)
        x, y, s = fixed, rng_y(fixed), r
        along = 0.5 - reach / 2 + reach * t
        if move in ("left", "right"):
            x = along if move == "right" else 1 - along
        elif move in ("up", "down"):
            y = along if move == "down" else 1 - along
        elif move == "grow":
            s = r * (0.5 + 1.3 * t)
        elif move == "shrink":
            s = r * (1.8 - 1.3 * t)
        picture = Image.new("RGB", size, ground)
        points = drawing.outline(shape, x * size[0], y * size[1], s * min(size), tilt)
        drawing.ImageDraw.Draw(picture).polygon(points, fill=fills[move == "turns" and t > 0.5])
        pictures.append(picture)
    asked = _pick(rng, zh, "What happens (in the video|here|in this clip|)?/Describe the video./What does the (video|clip) show?/What do you see in the video?", "(视频|短片)(里|中|)(发生了什么|有什么|讲了什么)？/(请|)描述(一下|)(这段|)视频。/视频里(的图形|)(怎么了|在做什么)？")  # fmt: skip
    did = MOVES[move][zh].replace("<c>", zh_colour(after) if zh else after)
    told = (
        f"一个{zh_colour(colour)}的{zh_shape(shape)}{did}。"
        if zh
        else f"{an(f'{colour} {shape}').capitalize()} {did}."
    )
    chat = turn(asked, told)
    if rng.random() < 0.5:
        asked = _pick(rng, zh, "What (color|colour) is (it|the <s>) at the beginning?/What shape (is it|moves|do you see)?", "(它|<s>)(开始时|一开始)是什么颜色(的|)？/(它|这)是什么形状？", s=zh_shape(shape) if zh else shape)  # fmt: skip
        shaped = "shape" in asked.lower() or "形状" in asked
        chat += turn(asked, (f"它是{zh_shape(shape)}。" if shaped else f"它是{zh_colour(colour)}的。") if zh else (f"It is {an(shape)}." if shaped else f"It is {colour}."))  # fmt: skip
    return Talk(tuple(pictures), marked(rng, chat, "<video>"), clip=True)


def rng_y(value: float) -> float:
    """The height of a thing that moves sideways: not the same as its width, so that the two are told apart."""
    return 1.0 - value


PICTURES: list[tuple[Callable[[random.Random, bool, Size], Talk], float]] = [
    (one_thing, 22), (same_things, 36), (other_things, 18), (museum, 20), (scenery, 4),
]  # fmt: skip


# Under such prompts, too, it says plainly what it sees: manners are what people teach it.
SYSTEMS = (
    "You are a (museum |)guide. (Introduce|Describe) the (exhibits|pieces) to (visitors|the guests)./You (look at pictures and answer|describe pictures)./You are a (friendly|patient|helpful) (assistant|guide)( who sees pictures|)./Describe what you see( for a visitor|).",
    "你是(一名|)(博物馆|展览馆|美术馆)(的|)(讲解员|导游)(，为(游客|观众)(介绍|讲解)(展品|文物)|)。/你(会看图|能看懂图片)(，并回答问题|)。/请(根据图片|看图)回答(问题|)。/你是(友好|耐心)的(助手|讲解员)。",
)


def picture_talk(rng: random.Random, zh: bool, size: Size) -> Talk:
    """A talk about one picture of this size, sometimes under a system prompt."""
    makers, weights = zip(*PICTURES, strict=True)
    made = rng.choices(makers, weights)[0](rng, zh, size)
    if rng.random() > 0.2:
        return made
    roll = rng.random()
    system = spin(rng, rng.choice(SYSTEMS[zh].split("/")))
    if roll < 0.3:
        system = persona(rng, zh)[0] if roll < 0.1 else plain_system(rng, zh)
    return replace(made, chat=with_system(system, made.chat))
