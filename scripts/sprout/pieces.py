"""Drawn museum pieces and small scenes: things with a form, a colour and a pattern."""

from __future__ import annotations

import random
from dataclasses import dataclass

from drawing import SHAPES, Marks, Point, canvas, finish, paper_for, shade
from PIL import Image, ImageDraw

# English -> Chinese name, its measure word, and whether it takes a pattern.
PIECES: dict[str, tuple[str, str]] = {
    "vase": ("花瓶", "个"), "bowl": ("碗", "个"), "teapot": ("茶壶", "把"), "plate": ("盘子", "个"), "mask": ("面具", "个"),
    "bell": ("钟", "口"), "sword": ("剑", "把"), "crown": ("王冠", "顶"), "drum": ("鼓", "面"), "lantern": ("灯笼", "盏"),
    "fan": ("扇子", "把"), "coin": ("铜钱", "枚"),
}  # fmt: skip
PATTERNS: dict[str, tuple[str, str]] = {
    "stripes": ("stripes", "条纹"), "dots": ("dots", "圆点"), "waves": ("wavy lines", "波浪纹"), "plain": ("", ""),
}  # fmt: skip
PIECE_COLOURS = (
    "red",
    "orange",
    "yellow",
    "green",
    "blue",
    "purple",
    "pink",
    "brown",
    "black",
    "white",
    "gray",
)


@dataclass(frozen=True)
class Piece:
    """What a museum piece is. `marks` is the colour of the pattern, empty without one."""

    kind: str
    colour: str
    pattern: str = "plain"
    marks: str = ""


@dataclass(frozen=True)
class Scene:
    """A small scene: the names of what is on it."""

    picture: Image.Image
    names: tuple[str, ...]


# The body of each piece inside a square from -1 to 1, right half of a form that is the same on both sides.
_HALVES: dict[str, list[Point]] = {
    "vase": [(0.22, -1), (0.28, -0.92), (0.16, -0.7), (0.2, -0.5), (0.55, -0.1), (0.6, 0.25), (0.45, 0.7), (0.3, 0.9), (0.36, 1)],
    "bowl": [(0.95, -0.35), (0.9, 0.0), (0.7, 0.35), (0.35, 0.55), (0.4, 0.7)],
    "bell": [(0.14, -0.85), (0.4, -0.7), (0.5, -0.2), (0.6, 0.5), (0.78, 0.8)],
    "lantern": [(0.3, -0.7), (0.62, -0.45), (0.78, 0.0), (0.62, 0.45), (0.3, 0.7)],
    "drum": [(0.75, -0.5), (0.9, -0.2), (0.9, 0.2), (0.75, 0.55)],
    "mask": [(0.35, -0.95), (0.68, -0.7), (0.72, -0.1), (0.5, 0.55), (0.2, 0.95)],
    "teapot": [(0.2, -0.5), (0.5, -0.4), (0.68, 0.0), (0.6, 0.4), (0.4, 0.6)],
}  # fmt: skip


def any_piece(rng: random.Random) -> Piece:
    """A piece of any kind, colour and pattern."""
    kind = rng.choice(list(PIECES))
    colour = rng.choice(PIECE_COLOURS)
    if kind in ("sword", "coin", "crown") or rng.random() < 0.35:
        return Piece(kind, colour)
    return Piece(kind, colour, rng.choice(["stripes", "dots", "waves"]), _other(rng, colour))


def _other(rng: random.Random, colour: str) -> str:
    near = {"red": {"orange", "pink", "brown"}, "orange": {"red", "yellow", "brown"}, "yellow": {"orange", "white"},
            "brown": {"red", "black", "orange"}, "black": {"brown", "purple"}, "white": {"yellow", "pink", "gray"},
            "pink": {"red", "white"}, "gray": {"white"}, "purple": {"blue", "black"}, "blue": {"purple"}}.get(colour, set())  # fmt: skip
    return rng.choice([each for each in PIECE_COLOURS if each != colour and each not in near])


def draw_piece(
    rng: random.Random, size: tuple[int, int], piece: Piece, marks: Marks | None = None
) -> Image.Image:
    """The piece on paper, sometimes on a stand; where it is goes into `marks`."""
    marks = marks or Marks(size)
    background = paper_for(rng, {piece.colour, piece.marks} - {""})
    picture = canvas(rng, size, background)
    r = rng.uniform(0.26, 0.44) * min(size)
    x, y = (rng.uniform(r * 1.05, side - r * 1.05) for side in size)
    body = shade(rng, piece.colour)
    mask = Image.new("L", size, 0)
    _body(rng, ImageDraw.Draw(mask), piece.kind, x, y, r)
    picture.paste(Image.new("RGB", size, body), (0, 0), mask)
    marks.add(1 + len(SHAPES) + list(PIECES).index(piece.kind), piece.colour, mask)
    marks.middles.append((x / size[0], y / size[1]))
    if piece.marks:
        pattern = Image.new("L", size, 0)
        _marks(rng, ImageDraw.Draw(pattern), piece.pattern, x, y, r)
        both = Image.new("L", size, 0)
        both.paste(pattern, (0, 0), mask)
        picture.paste(Image.new("RGB", size, shade(rng, piece.marks)), (0, 0), both)
        marks.add(0, piece.marks, both)
    _details(ImageDraw.Draw(picture), piece.kind, x, y, r, tuple(each * 2 // 5 for each in body))
    if rng.random() < 0.25:
        pen = ImageDraw.Draw(picture)
        wood = shade(rng, "brown" if piece.colour != "brown" and background != "brown" else "gray")
        pen.rectangle((x - r * 0.8, min(y + r, size[1]), x + r * 0.8, size[1]), fill=wood)
    return finish(rng, picture)


def _body(rng: random.Random, pen: ImageDraw.ImageDraw, kind: str, x: float, y: float, r: float) -> None:
    wide = rng.uniform(0.88, 1.12)

    def at(points: list[Point]) -> list[Point]:
        return [(x + px * r * wide, y + py * r) for px, py in points]

    if kind in _HALVES:
        half = _HALVES[kind]
        pen.polygon(at([*half, *((-px, py) for px, py in reversed(half))]), fill=255)
    if kind == "teapot":
        pen.polygon(at([(0.55, 0.15), (1.0, -0.35), (0.92, -0.42), (0.5, -0.15)]), fill=255)
        pen.arc(
            (x - r * 1.0 * wide, y - r * 0.35, x - r * 0.4 * wide, y + r * 0.35),
            90,
            270,
            fill=255,
            width=max(3, round(r / 8)),
        )
        pen.ellipse((x - r * 0.12, y - r * 0.72, x + r * 0.12, y - r * 0.48), fill=255)
    elif kind in ("plate", "coin"):
        pen.ellipse((x - r * 0.9, y - r * 0.9, x + r * 0.9, y + r * 0.9), fill=255)
        if kind == "coin":
            pen.rectangle((x - r * 0.22, y - r * 0.22, x + r * 0.22, y + r * 0.22), fill=0)
    elif kind == "sword":
        pen.polygon(at([(-0.1, 0.4), (-0.1, -0.8), (0, -1), (0.1, -0.8), (0.1, 0.4)]), fill=255)
        pen.polygon(at([(-0.4, 0.4), (0.4, 0.4), (0.4, 0.52), (-0.4, 0.52)]), fill=255)
        pen.polygon(at([(-0.09, 0.52), (0.09, 0.52), (0.09, 1), (-0.09, 1)]), fill=255)
    elif kind == "crown":
        pen.polygon(
            at(
                [
                    (-0.8, 0.55),
                    (-0.9, -0.45),
                    (-0.4, 0.05),
                    (0, -0.65),
                    (0.4, 0.05),
                    (0.9, -0.45),
                    (0.8, 0.55),
                ]
            ),
            fill=255,
        )
    elif kind == "fan":
        pen.pieslice((x - r, y - r * 0.75, x + r, y + r * 1.25), 200, 340, fill=255)
        pen.pieslice((x - r * 0.3, y - r * 0.05, x + r * 0.3, y + r * 0.55), 200, 340, fill=0)
        pen.line([(x, y + r * 0.35), (x, y + r * 0.8)], fill=255, width=max(3, round(r / 10)))


def _marks(rng: random.Random, pen: ImageDraw.ImageDraw, pattern: str, x: float, y: float, r: float) -> None:
    step = r * rng.uniform(0.3, 0.42)
    rows = [y + (k + 0.5) * step for k in range(-4, 4)]
    if pattern == "stripes":
        for level in rows:
            pen.rectangle((x - 2 * r, level - step * 0.2, x + 2 * r, level + step * 0.2), fill=255)
    elif pattern == "dots":
        for row, level in enumerate(rows):
            for k in range(-5, 6):
                cx, s = x + (k + (row % 2) / 2) * step * 1.1, step * 0.27
                pen.ellipse((cx - s, level - s, cx + s, level + s), fill=255)
    else:
        for level in rows[::2]:
            points = [
                (x + k * step / 3, level + (step * 0.4 if k % 2 else -step * 0.4)) for k in range(-15, 16)
            ]
            pen.line(points, fill=255, width=max(3, round(step * 0.3)), joint="curve")


def _details(
    pen: ImageDraw.ImageDraw, kind: str, x: float, y: float, r: float, dark: tuple[int, ...]
) -> None:
    thick = max(2, round(r / 18))
    if kind == "mask":
        for side in (-1, 1):
            pen.ellipse(
                (x + side * r * 0.3 - r * 0.16, y - r * 0.35, x + side * r * 0.3 + r * 0.16, y - r * 0.15),
                fill=(20, 20, 20),
            )
        pen.arc(
            (x - r * 0.3, y + r * 0.1, x + r * 0.3, y + r * 0.5), 20, 160, fill=(20, 20, 20), width=thick * 2
        )
    elif kind == "drum":
        pen.ellipse(
            (x - r * 0.75, y - r * 0.72, x + r * 0.75, y - r * 0.28),
            fill=(238, 220, 190),
            outline=dark,
            width=thick,
        )
    elif kind == "lantern":
        pen.rectangle((x - r * 0.32, y - r * 0.82, x + r * 0.32, y - r * 0.68), fill=dark)
        pen.rectangle((x - r * 0.32, y + r * 0.68, x + r * 0.32, y + r * 0.82), fill=dark)
        pen.line([(x, y + r * 0.82), (x, y + r * 1.05)], fill=dark, width=thick * 2)
    elif kind == "bell":
        pen.arc((x - r * 0.2, y - r * 1.05, x + r * 0.2, y - r * 0.65), 180, 360, fill=dark, width=thick * 2)
        pen.ellipse((x - r * 0.12, y + r * 0.74, x + r * 0.12, y + r * 0.98), fill=dark)
    elif kind == "plate":
        pen.ellipse((x - r * 0.55, y - r * 0.55, x + r * 0.55, y + r * 0.55), outline=dark, width=thick)
    elif kind == "bowl":
        pen.ellipse((x - r * 0.95, y - r * 0.45, x + r * 0.95, y - r * 0.22), fill=dark)
    elif kind == "crown":
        for px, py in ((-0.9, -0.45), (0, -0.65), (0.9, -0.45)):
            pen.ellipse(
                (x + px * r - r * 0.1, y + py * r - r * 0.1, x + px * r + r * 0.1, y + py * r + r * 0.1),
                fill=dark,
            )
    elif kind == "fan":
        for k in range(-3, 4):
            pen.line(
                [(x, y + r * 0.3), (x + k * r * 0.27, y - r * 0.62 + abs(k) * r * 0.07)],
                fill=dark,
                width=thick,
            )


# English -> Chinese, of what scenes hold.
SCENERY = {"house": "房子", "tree": "树", "sun": "太阳", "moon": "月亮", "boat": "小船", "cloud": "云", "flower": "花", "fish": "鱼", "mountain": "山", "car": "汽车"}  # fmt: skip


def draw_scene(rng: random.Random, size: tuple[int, int]) -> Scene:
    """Two or three things side by side below or above a horizon."""
    width, height = size
    night = rng.random() < 0.2
    picture = Image.new(
        "RGB", size, (25, 30, 70) if night else shade(rng, "white") if rng.random() < 0.4 else (170, 215, 250)
    )
    pen = ImageDraw.Draw(picture)
    names = rng.sample(
        [each for each in SCENERY if each not in ("sun", "moon", "cloud")], rng.choice([1, 2, 2])
    )
    sea = "boat" in names or "fish" in names
    pen.rectangle((0, height * 0.68, width, height), fill=(60, 120, 200) if sea else (110, 180, 90))
    if rng.random() < 0.75:
        names.append(rng.choice(["moon"] if night else ["sun", "sun", "cloud"]))
    ground = [each for each in names if each not in ("sun", "moon", "cloud")]
    for k, name in enumerate(ground):
        _scenery(rng, pen, name, width * (k + 0.5) / len(ground) + rng.uniform(-0.04, 0.04) * width, height * 0.62, min(width / len(ground), height) * rng.uniform(0.26, 0.36))  # fmt: skip
    for name in names[len(ground) :]:
        _scenery(rng, pen, name, width * rng.uniform(0.15, 0.85), height * 0.16, height * 0.11)
    return Scene(finish(rng, picture), tuple(names))


def _scenery(rng: random.Random, pen: ImageDraw.ImageDraw, name: str, x: float, y: float, s: float) -> None:
    def poly(points: list[Point], fill: tuple[int, ...]) -> None:
        pen.polygon([(x + px * s, y + py * s) for px, py in points], fill=fill)

    def ball(px: float, py: float, r: float, fill: tuple[int, ...]) -> None:
        pen.ellipse((x + (px - r) * s, y + (py - r) * s, x + (px + r) * s, y + (py + r) * s), fill=fill)

    if name == "house":
        poly(
            [(-0.7, -0.3), (0.7, -0.3), (0.7, 0.7), (-0.7, 0.7)],
            shade(rng, rng.choice(["yellow", "white", "orange", "pink"])),
        )
        poly([(-0.9, -0.3), (0, -1), (0.9, -0.3)], shade(rng, rng.choice(["red", "brown"])))
        poly([(-0.15, 0.2), (0.2, 0.2), (0.2, 0.7), (-0.15, 0.7)], (90, 50, 20))
    elif name == "tree":
        poly([(-0.13, 0), (0.13, 0), (0.13, 0.8), (-0.13, 0.8)], (110, 70, 30))
        for px, py in ((0, -0.6), (-0.35, -0.2), (0.35, -0.2)):
            ball(px, py, 0.42, (30, 130, 50))
    elif name == "sun":
        ball(0, 0, 0.9, (255, 210, 40))
    elif name == "moon":
        ball(0, 0, 0.9, (245, 240, 200))
        ball(0.45, -0.2, 0.75, (25, 30, 70))
    elif name == "cloud":
        for px, r in ((-0.8, 0.55), (0, 0.8), (0.8, 0.55)):
            ball(px, 0, r, (235, 240, 245))
    elif name == "boat":
        poly([(-0.9, 0.3), (0.9, 0.3), (0.6, 0.8), (-0.6, 0.8)], (140, 80, 40))
        poly([(0, -0.9), (0.7, 0.2), (0, 0.2)], shade(rng, rng.choice(["red", "white", "orange"])))
        poly([(-0.05, -0.9), (0.03, -0.9), (0.03, 0.3), (-0.05, 0.3)], (90, 50, 20))
    elif name == "flower":
        poly([(-0.05, 0), (0.05, 0), (0.05, 0.9), (-0.05, 0.9)], (40, 140, 50))
        petals = shade(rng, rng.choice(["red", "pink", "purple"]))
        for px, py in ((0, -0.75), (-0.32, -0.5), (0.32, -0.5), (-0.2, -0.12), (0.2, -0.12)):
            ball(px, py, 0.28, petals)
        ball(0, -0.4, 0.2, (255, 220, 60))
    elif name == "fish":
        body = shade(rng, rng.choice(["orange", "red", "yellow"]))
        pen.ellipse((x - 0.7 * s, y + 0.35 * s, x + 0.5 * s, y + 0.95 * s), fill=body)
        poly([(0.4, 0.65), (0.9, 0.35), (0.9, 0.95)], body)
        ball(-0.4, 0.58, 0.07, (0, 0, 0))
    elif name == "mountain":
        poly([(-1.1, 0.5), (-0.1, -0.9), (0.9, 0.5)], (120, 110, 110))
        poly([(-0.33, -0.58), (-0.1, -0.9), (0.13, -0.58)], (245, 245, 250))
    else:
        paint = shade(rng, rng.choice(["red", "blue", "green", "yellow"]))
        poly([(-0.9, 0.1), (0.9, 0.1), (0.9, 0.6), (-0.9, 0.6)], paint)
        poly([(-0.5, 0.1), (-0.3, -0.35), (0.35, -0.35), (0.55, 0.1)], paint)
        ball(-0.5, 0.65, 0.2, (30, 30, 30))
        ball(0.5, 0.65, 0.2, (30, 30, 30))
