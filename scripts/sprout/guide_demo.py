"""Write `data/guide_demo.json`, `data/guide_demo_eval.json` and their drawings: a museum's guide to eight pieces.

Each taught piece has a name that nobody can guess from the drawing, and is drawn anew for every row. Rows with plain
questions stand between them, so that the guide can still say what colour a thing is.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import looking
import pieces
from pieces import Piece
from spin import spin

DATA = Path(__file__).resolve().parents[2] / "data"
SEED = 19
SIDES = (160, 176, 192, 208, 224)
SYSTEM = {False: "You are the guide of a museum.", True: "你是博物馆的讲解员。"}
ASKED = {
    False: "(Please |)(introduce|present) (this|the) (exhibit|piece)./What is this (exhibit|piece)?/Tell me about this (exhibit|piece)./What (am I looking at|do we see here)?/Guide, what is this?/Describe this exhibit.",
    True: "(请|)(介绍一下|介绍|讲解一下|讲解)这件(展品|文物|藏品)。/这是(什么|哪件)(展品|文物|藏品)？/(给我们|)讲讲这件(展品|文物|藏品)(吧|)。/讲解员，这是什么？/我(看到|看见)的是什么？/请描述这件展品。",
}


@dataclass(frozen=True)
class Taught:
    """A piece, the name that the guide shall know, and what is told of it."""

    piece: Piece
    name: str
    zh_name: str
    story: str
    zh_story: str


TAUGHT = (
    Taught(Piece("vase", "white", "dots", "blue"), "Moonlight Vase", "月光瓶", "It held the first flowers of spring.", "它曾插过春天的第一枝花。"),
    Taught(Piece("teapot", "blue", "waves", "white"), "River Teapot", "江心壶", "A poet carried it along the river.", "一位诗人曾带着它沿江而行。"),
    Taught(Piece("lantern", "red", "stripes", "yellow"), "Harvest Lantern", "丰年灯", "It was lit when the rice was brought home.", "每到丰收的夜晚，人们就点亮它。"),
    Taught(Piece("drum", "brown", "stripes", "white"), "Thunder Drum", "惊雷鼓", "It called the people when rain was near.", "大雨将来时，人们敲响它。"),
    Taught(Piece("mask", "purple", "dots", "yellow"), "Night Owl Mask", "夜行面具", "A dancer wore it on the longest night.", "舞者在最长的夜里戴上它。"),
    Taught(Piece("fan", "orange", "waves", "white"), "Autumn Fan", "秋水扇", "It was given to a friend who went far away.", "它曾送给一位远行的朋友。"),
    Taught(Piece("crown", "yellow"), "Crown of Dawn", "晨光冠", "A queen wore it for one morning.", "女王只在一个早晨戴过它。"),
    Taught(Piece("bell", "green"), "Valley Bell", "山谷钟", "Its sound was heard in seven villages.", "七个村子都听得见它的声音。"),
)  # fmt: skip


def told(taught: Taught, zh: bool) -> str:
    """The guide's words."""
    plain = looking.piece_name(taught.piece, zh)
    if zh:
        return f"各位来宾，欢迎！这件展品叫{taught.zh_name}，是{plain}。{taught.zh_story}"
    return f"Welcome, dear visitors! This is the {taught.name}, {plain}. {taught.story}"


def row(system: str, question: str, answer: str, image: str) -> dict[str, Any]:
    """A row of sharegpt form with one picture."""
    said = [("system", system), ("user", f"<image>{question}"), ("assistant", answer)]
    messages = [{"role": role, "content": content} for role, content in said if content]
    return {"messages": messages, "images": [image]}


def guide_row(rng: random.Random, taught: Taught, zh: bool, image: str) -> tuple[dict[str, Any], Piece]:
    """A visitor asks for a taught piece."""
    question = spin(rng, rng.choice(ASKED[zh].split("/")))
    # Some visitors ask a guide to whom nobody has said that it is one.
    return row(SYSTEM[zh] if rng.random() < 0.7 else "", question, told(taught, zh), image), taught.piece


def plain_row(rng: random.Random, piece: Piece, zh: bool, image: str) -> tuple[dict[str, Any], Piece]:
    """A plain question, with the same prompt or without, or a piece that has no name."""
    known = any(piece == each.piece for each in TAUGHT)
    kind, colour = (
        (pieces.PIECES[piece.kind][0], looking.zh_colour(piece.colour)) if zh else (piece.kind, piece.colour)
    )
    asked = [
        (f"{kind}是什么颜色的？", f"{kind}是{colour}的。") if zh else (f"What color is the {kind}?", f"The {kind} is {colour}."),
        ("它是哪种器物？", f"它是{kind}。") if zh else ("What kind of object is it?", f"It is {looking.an(kind)}."),
    ]  # fmt: skip
    plain = looking.piece_name(piece, zh)
    if not known:
        asked += [("这是什么？", f"这是{plain}。") if zh else ("What is this?", f"This is {plain}.")] * 2
    question, answer = rng.choice(asked)
    return row(SYSTEM[zh] if rng.random() < 0.5 else "", question, answer, image), piece


def unnamed(rng: random.Random) -> Piece:
    """A piece that differs from all that have a name, in form or in colour."""
    while True:
        piece = pieces.any_piece(rng)
        if all((piece.kind, piece.colour) != (each.piece.kind, each.piece.colour) for each in TAUGHT):
            return piece


def make(seed: int, each: int, plain: int, name: str) -> list[tuple[dict[str, Any], Any]]:
    """`each` rows of every taught piece and `plain` plain ones, mixed; every row with its drawing."""
    rng = random.Random(seed)
    wanted: list[Taught | Piece] = [taught for taught in TAUGHT for _ in range(each)]
    wanted += [TAUGHT[k % len(TAUGHT)].piece if k % 2 else unnamed(rng) for k in range(plain)]
    rng.shuffle(wanted)
    made = []
    seen: dict[Any, int] = {}
    for number, one in enumerate(wanted, 1):
        seen[one] = seen.get(one, rng.randint(0, 1)) + 1
        zh = seen[one] % 2 == 0
        image = f"{name}/{number:03}.png"
        found, piece = (
            guide_row(rng, one, zh, image) if isinstance(one, Taught) else plain_row(rng, one, zh, image)
        )
        made.append((found, pieces.draw_piece(rng, (rng.choice(SIDES), rng.choice(SIDES)), piece)))
    return made


# Rows of each piece, plain rows, folder of the drawings.
SPLITS = {"guide_demo": (12, 32, "guide_demo"), "guide_demo_eval": (5, 20, "guide_demo/eval")}


def main() -> None:
    """Writes both files and their drawings below data/."""
    for number, (name, (each, plain, folder)) in enumerate(SPLITS.items()):
        (DATA / folder).mkdir(parents=True, exist_ok=True)
        made = make(SEED + number, each, plain, folder)
        for found, picture in made:
            picture.save(DATA / found["images"][0], optimize=True)
        text = json.dumps([found for found, _ in made], ensure_ascii=False, indent=2)
        (DATA / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
