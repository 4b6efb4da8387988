"""Drawings by another hand than the one Sprout-VL was taught with, and what a vision model says of pictures."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image, ImageDraw
from transformers import AutoModelForImageTextToText, AutoProcessor

from tests.sprout.asking import ROOT

SPROUT_VL = ROOT / "models" / "sprout-vl"
# Names as an answer has them, with the value a person would type into a drawing program.
COLOURS = {
    "red": ("红", "#e6231e"), "orange": ("橙", "#ff8c00"), "yellow": ("黄", "#ffd91a"), "green": ("绿", "#1f9d3a"),
    "blue": ("蓝", "#1e50dc"), "purple": ("紫", "#7d2aa8"), "pink": ("粉", "#ff7bbd"), "black": ("黑", "#000000"),
}  # fmt: skip
SHAPES = {
    "circle": "圆形", "square": "正方形", "triangle": "三角形", "rectangle": "长方形", "star": "五角星", "diamond": "菱形",
    "heart": "心形",
}  # fmt: skip
WORDS = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five"}


class Drawn(NamedTuple):
    """A drawing with `count` equal shapes."""

    picture: Image.Image
    shape: str
    colour: str
    count: int


def drawings(count: int, seed: int) -> list[Drawn]:
    """Equal shapes on light paper, one to five of them, in pictures of many sizes."""
    rng = random.Random(seed)
    return [
        draw(rng, list(SHAPES)[k % len(SHAPES)], list(COLOURS)[k % len(COLOURS)], k % 5 + 1)
        for k in range(count)
    ]


def draw(rng: random.Random, shape: str, colour: str, count: int) -> Drawn:
    """Shapes in the cells of a grid, each a little off its middle."""
    wide, high = rng.choice([(224, 224), (300, 300), (320, 240), (256, 256), (240, 320)])
    picture = Image.new("RGB", (wide, high), rng.choice(["#ffffff", "#ffffff", "#f2f2f2", "#eaf4ff"]))
    across = math.ceil(math.sqrt(count))
    down = math.ceil(count / across)
    cells = rng.sample([(i, j) for i in range(across) for j in range(down)], count)
    pen = ImageDraw.Draw(picture)
    for i, j in cells:
        cell = min(wide / across, high / down)
        r = cell * rng.uniform(0.28, 0.4)
        x = wide * (i + 0.5) / across + rng.uniform(-0.05, 0.05) * cell
        y = high * (j + 0.5) / down + rng.uniform(-0.05, 0.05) * cell
        _put(pen, shape, x, y, r, COLOURS[colour][1])
    return Drawn(picture, shape, colour, count)


def _put(pen: ImageDraw.ImageDraw, shape: str, x: float, y: float, r: float, fill: str) -> None:
    if shape == "circle":
        pen.ellipse((x - r, y - r, x + r, y + r), fill=fill)
    elif shape == "square":
        pen.rectangle((x - 0.8 * r, y - 0.8 * r, x + 0.8 * r, y + 0.8 * r), fill=fill)
    elif shape == "rectangle":
        pen.rectangle((x - r, y - 0.55 * r, x + r, y + 0.55 * r), fill=fill)
    elif shape == "diamond":
        pen.polygon([(x, y - r), (x + 0.7 * r, y), (x, y + r), (x - 0.7 * r, y)], fill=fill)
    elif shape == "triangle":
        pen.polygon([(x, y - r), (x + 0.9 * r, y + 0.7 * r), (x - 0.9 * r, y + 0.7 * r)], fill=fill)
    elif shape == "star":
        turns = [math.tau * k / 10 - math.tau / 4 for k in range(10)]
        far = [r if k % 2 == 0 else 0.4 * r for k in range(10)]
        pen.polygon(
            [(x + f * math.cos(t), y + f * math.sin(t)) for t, f in zip(turns, far, strict=True)], fill=fill
        )
    else:
        pen.ellipse((x - r, y - 0.8 * r, x, y + 0.2 * r), fill=fill)
        pen.ellipse((x, y - 0.8 * r, x + r, y + 0.2 * r), fill=fill)
        pen.polygon([(x - 0.93 * r, y - 0.08 * r), (x + 0.93 * r, y - 0.08 * r), (x, y + r)], fill=fill)


class Asked(NamedTuple):
    """A question about a picture, or about none."""

    picture: Image.Image | None
    question: str
    system: str = ""


def load_eyes(folder: Path, adapter: Path | None = None) -> tuple[Any, Any]:
    """A processor and a model in fp32, with the adapter merged in when there is one."""
    processor = AutoProcessor.from_pretrained(SPROUT_VL)
    processor.tokenizer.padding_side = "left"
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    if adapter is not None:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    return processor, model.eval()


@torch.inference_mode()
def says(loaded: tuple[Any, Any], asked: Sequence[Asked], new_tokens: int = 48) -> list[str]:
    """The greedy answer to each question."""
    processor, model = loaded
    found: list[str] = []
    for start in range(0, len(asked), 25):
        group = asked[start : start + 25]
        texts = [
            processor.apply_chat_template(_messages(each), tokenize=False, add_generation_prompt=True)
            for each in group
        ]
        pictures = [each.picture for each in group if each.picture is not None]
        batch = processor(text=texts, images=pictures or None, padding=True, return_tensors="pt")
        out = model.generate(**batch, max_new_tokens=new_tokens, do_sample=False)
        found += processor.batch_decode(out[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
    return found


def _messages(each: Asked) -> list[dict[str, Any]]:
    system = [{"role": "system", "content": each.system}] if each.system else []
    shown = [{"type": "image"}] if each.picture is not None else []
    return [*system, {"role": "user", "content": [*shown, {"type": "text", "text": each.question}]}]


def right(drawn: Drawn, colour: str, shape: str, count: str) -> tuple[bool, bool, bool]:
    """Whether the answers to the three questions name the colour, the shape and the count, and no other."""
    return (
        _only(colour, drawn.colour, {name: (name, zh) for name, (zh, _) in COLOURS.items()}),
        _only(shape, drawn.shape, {name: (name, zh) for name, zh in SHAPES.items()}),
        _only(count, str(drawn.count), {str(n): (str(n), word) for n, word in WORDS.items()}),
    )


def _only(answer: str, wanted: str, names: dict[str, tuple[str, str]]) -> bool:
    said = {name for name, words in names.items() if any(word in answer.lower() for word in words)}
    return said == {wanted}
