"""Drawings of shapes, with what is on them: the pictures from which Sprout-VL learns to see."""

from __future__ import annotations

import colorsys
import math
import random
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFilter

Point = tuple[float, float]
RGB = tuple[int, int, int]

# English and Chinese name -> hue, lightness and saturation in which the colour is still called so, from least to most.
COLOURS: dict[str, tuple[str, tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "red": ("红色", (-0.02, 0.02), (0.40, 0.54), (0.75, 1.0)),
    "orange": ("橙色", (0.07, 0.11), (0.47, 0.56), (0.85, 1.0)),
    "yellow": ("黄色", (0.145, 0.17), (0.45, 0.62), (0.8, 1.0)),
    "green": ("绿色", (0.28, 0.42), (0.22, 0.5), (0.55, 1.0)),
    "blue": ("蓝色", (0.58, 0.68), (0.35, 0.56), (0.65, 1.0)),
    "purple": ("紫色", (0.74, 0.84), (0.24, 0.5), (0.5, 1.0)),
    "pink": ("粉色", (0.88, 0.97), (0.72, 0.86), (0.7, 1.0)),
    "brown": ("棕色", (0.05, 0.085), (0.2, 0.34), (0.45, 0.8)),
    "black": ("黑色", (0.0, 1.0), (0.0, 0.09), (0.0, 0.3)),
    "white": ("白色", (0.0, 1.0), (0.95, 1.0), (0.0, 0.3)),
    "gray": ("灰色", (0.0, 1.0), (0.42, 0.64), (0.0, 0.05)),
}
# The colours as everybody's drawing program has them.
PLAIN: dict[str, tuple[RGB, ...]] = {
    "red": ((255, 0, 0), (220, 20, 60)), "orange": ((255, 165, 0), (255, 140, 0)), "yellow": ((255, 255, 0), (255, 215, 0)),
    "green": ((0, 128, 0), (0, 255, 0), (34, 139, 34)), "blue": ((0, 0, 255), (30, 144, 255), (65, 105, 225)),
    "purple": ((128, 0, 128), (148, 0, 211)), "pink": ((255, 192, 203), (255, 105, 180)), "brown": ((139, 69, 19), (165, 42, 42)),
    "black": ((0, 0, 0),), "white": ((255, 255, 255),), "gray": ((128, 128, 128),),
}  # fmt: skip
# English -> plural, Chinese, Chinese measure word.
SHAPES: dict[str, tuple[str, str]] = {
    "circle": ("circles", "圆形"), "square": ("squares", "正方形"), "triangle": ("triangles", "三角形"),
    "rectangle": ("rectangles", "长方形"), "star": ("stars", "五角星"), "heart": ("hearts", "心形"),
    "diamond": ("diamonds", "菱形"), "oval": ("ovals", "椭圆形"), "cross": ("crosses", "十字形"),
    "pentagon": ("pentagons", "五边形"), "hexagon": ("hexagons", "六边形"),
}  # fmt: skip
SHAPE_WEIGHTS = (5, 5, 5, 3, 4, 3, 3, 3, 2, 1.5, 1.5)
# Backgrounds are light, as paper is, or any colour that the things are not.
PAPER = ("white", "white", "white", "gray", "yellow", "blue", "green", "pink", "black")


@dataclass(frozen=True)
class Thing:
    """One shape: its centre as shares of the picture, and its radius as a share of the shorter side."""

    shape: str
    colour: str
    x: float
    y: float
    size: float


class Marks:
    """Where on a picture which thing of which colour is: images of class numbers (0: nothing) and the middles of things.

    Eyes are taught with these first: from answers alone they learn colours in a minute, but shapes very late.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.what = Image.new("L", size, 0)
        self.colour = Image.new("L", size, 0)
        self.middles: list[Point] = []

    def add(self, what: int, colour: str, area: list[Point] | Image.Image) -> None:
        """A thing of class `what` (0: only its colour) on a polygon, or where a mask is white."""
        for image, value in ((self.what, what), (self.colour, 1 + list(COLOURS).index(colour))):
            if value and isinstance(area, Image.Image):
                image.paste(value, (0, 0, *image.size), area)
            elif value and not isinstance(area, Image.Image):
                ImageDraw.Draw(image).polygon(area, fill=value)


@dataclass(frozen=True)
class Drawing:
    """A picture and what is on it."""

    picture: Image.Image
    background: str
    things: tuple[Thing, ...]
    marks: Marks


def shade(rng: random.Random, colour: str) -> RGB:
    """A colour that goes by this name."""
    if rng.random() < 0.45:
        return rng.choice(PLAIN[colour])
    _, hue, light, full = COLOURS[colour]
    red, green, blue = colorsys.hls_to_rgb(rng.uniform(*hue) % 1, rng.uniform(*light), rng.uniform(*full))
    return round(red * 255), round(green * 255), round(blue * 255)


def outline(shape: str, x: float, y: float, r: float, turn: float, stretch: float = 1.6) -> list[Point]:
    """The corners of a shape around (x, y), turned by `turn` radians."""
    points: list[Point]
    if shape in ("circle", "oval"):
        wide = stretch if shape == "oval" else 1.0
        points = [
            (r * math.cos(t * math.tau / 48), r / wide * math.sin(t * math.tau / 48)) for t in range(48)
        ]
    elif shape in ("square", "rectangle"):
        tall = r * 0.82 / (stretch if shape == "rectangle" else 1.0)
        wide = r * 0.82 * (1.15 if shape == "rectangle" else 1.0)
        points = [(-wide, -tall), (wide, -tall), (wide, tall), (-wide, tall)]
    elif shape == "diamond":
        points = [(0, -r), (0.68 * r, 0), (0, r), (-0.68 * r, 0)]
    elif shape == "star":
        points = [_polar(r if k % 2 == 0 else 0.42 * r, -math.pi / 2 + k * math.pi / 5) for k in range(10)]
    elif shape == "heart":
        steps = [k * math.tau / 40 for k in range(40)]
        points = [(r * math.sin(t) ** 3, -r / 16 * (13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t))) for t in steps]  # fmt: skip
    elif shape == "cross":
        a = 0.3 * r
        points = [(-a, -r), (a, -r), (a, -a), (r, -a), (r, a), (a, a), (a, r), (-a, r), (-a, a), (-r, a), (-r, -a), (-a, -a)]  # fmt: skip
    else:
        corners = {"triangle": 3, "pentagon": 5, "hexagon": 6}[shape]
        points = [_polar(r, -math.pi / 2 + k * math.tau / corners) for k in range(corners)]
    cos, sin = math.cos(turn), math.sin(turn)
    return [(x + px * cos - py * sin, y + px * sin + py * cos) for px, py in points]


def _polar(radius: float, angle: float) -> Point:
    return radius * math.cos(angle), radius * math.sin(angle)


def turn_of(rng: random.Random, shape: str) -> float:
    """A turn after which the shape is still called the same: a turned square would be a diamond."""
    if shape in ("square", "diamond", "cross"):
        return rng.gauss(0, 0.06)
    if shape in ("rectangle", "oval"):
        return rng.choice([0.0, 0.0, math.pi / 2, rng.uniform(-0.4, 0.4)])
    if shape == "triangle":
        return rng.choice([0.0, 0.0, math.pi, rng.uniform(-0.5, 0.5)])
    return rng.gauss(0, 0.2)


def canvas(rng: random.Random, size: tuple[int, int], background: str) -> Image.Image:
    """Paper of a colour, sometimes a little uneven."""
    base = shade(rng, background)
    picture = Image.new("RGB", size, base)
    if rng.random() < 0.2:
        other = tuple(max(0, min(255, each + rng.randint(-12, 12))) for each in base)
        fade = Image.linear_gradient("L").resize(size)
        picture.paste(Image.new("RGB", size, other), (0, 0), fade)
    return picture


def finish(rng: random.Random, picture: Image.Image) -> Image.Image:
    """The small faults that pictures have: blur."""
    return picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.2))) if rng.random() < 0.2 else picture


def put(rng: random.Random, picture: Image.Image, thing: Thing, fill: RGB, marks: Marks) -> None:
    """Draws one thing, sometimes with an edge of a darker shade or only as a thick line."""
    width, height = picture.size
    r = thing.size * min(width, height)
    points = outline(
        thing.shape, thing.x * width, thing.y * height, r, turn_of(rng, thing.shape), rng.uniform(1.5, 2.1)
    )
    marks.add(1 + list(SHAPES).index(thing.shape), thing.colour, points)
    marks.middles.append((thing.x, thing.y))
    pen = ImageDraw.Draw(picture)
    roll = rng.random()
    if roll < 0.06 and r > 22:
        pen.line([*points, points[0], points[1]], fill=fill, width=max(4, round(r / 5)), joint="curve")
    elif roll < 0.25 and thing.colour not in ("black", "white"):
        edge = tuple(each // 2 for each in fill) if rng.random() < 0.5 else (0, 0, 0)
        pen.polygon(points, fill=fill, outline=edge, width=max(1, round(r / 16)))
    else:
        pen.polygon(points, fill=fill)


def paper_for(rng: random.Random, colours: set[str]) -> str:
    """A background on which things of these colours can be seen."""
    while True:
        paper = rng.choice(PAPER) if rng.random() < 0.7 else rng.choice(list(COLOURS))
        near = {"white": {"yellow", "pink"}, "pink": {"red"}, "orange": {"yellow", "red", "brown"}, "black": {"brown"},
                "gray": set(), "brown": {"black", "orange", "red"}, "red": {"pink", "orange", "brown"},
                "yellow": {"orange", "white"}}.get(paper, set())  # fmt: skip
        soft = near - {"yellow", "pink"} if paper == "white" else near
        if paper not in colours and not (soft & colours):
            return paper


def place(rng: random.Random, count: int, size: tuple[float, float]) -> list[tuple[float, float, float]]:
    """`count` places (x, y, radius) that do not touch each other."""
    while True:
        spots: list[tuple[float, float, float]] = []
        for _ in range(60 * count):
            r = rng.uniform(*size)
            x, y = rng.uniform(r + 0.02, 0.98 - r), rng.uniform(r + 0.02, 0.98 - r)
            if all(math.hypot(x - ox, y - oy) > (r + o) * 1.12 for ox, oy, o in spots):
                spots.append((x, y, r))
            if len(spots) == count:
                return spots
        size = (size[0] * 0.85, size[1] * 0.85)


SIZES = {1: (0.14, 0.44), 2: (0.12, 0.25), 3: (0.1, 0.23), 4: (0.09, 0.2), 5: (0.085, 0.17), 6: (0.08, 0.15)}


def shape_of(rng: random.Random) -> str:
    """A shape, the common ones more often."""
    return rng.choices(list(SHAPES), SHAPE_WEIGHTS)[0]


def draw(rng: random.Random, size: tuple[int, int], kinds: list[tuple[str, str]]) -> Drawing:
    """A drawing with one thing for each (shape, colour)."""
    background = paper_for(rng, {colour for _, colour in kinds})
    picture = canvas(rng, size, background)
    # Radii are shares of the shorter side, places are shares of either.
    things = [Thing(*kind, *spot) for kind, spot in zip(kinds, _spots(rng, len(kinds)), strict=True)]
    marks = Marks(size)
    alike = rng.random() < 0.6
    shades = {colour: shade(rng, colour) for _, colour in kinds}
    for thing in things:
        put(rng, picture, thing, shades[thing.colour] if alike else shade(rng, thing.colour), marks)
    return Drawing(finish(rng, picture), background, tuple(things), marks)


def _spots(rng: random.Random, count: int) -> list[tuple[float, float, float]]:
    roll = rng.random()
    if count > 1 and roll < 0.2:
        return _in_a_row(rng, count)
    if count > 1 and roll < 0.5:
        return _in_a_grid(rng, count)
    return place(rng, count, SIZES[min(count, 6)])


def _in_a_row(rng: random.Random, count: int) -> list[tuple[float, float, float]]:
    r = min(0.42 / count, rng.uniform(0.08, 0.2))
    level = rng.uniform(r + 0.05, 0.95 - r)
    along = [(k + 0.5) / count for k in range(count)]
    spots = [(a, level, r) for a in along]
    return spots if rng.random() < 0.7 else [(y, x, s) for x, y, s in spots]


def _in_a_grid(rng: random.Random, count: int) -> list[tuple[float, float, float]]:
    """In cells of a grid, some of which may stay empty, each a little off its middle."""
    across = rng.choice([math.ceil(math.sqrt(count)), math.ceil(math.sqrt(count)), 3])
    down = math.ceil(count / across)
    cell = 1 / max(across, down)
    places = rng.sample([(i, j) for i in range(across) for j in range(down)], count)
    found = []
    for i, j in places:
        x, y = (i + 0.5) / across, (j + 0.5) / down
        off = rng.uniform(-0.06, 0.06) * cell, rng.uniform(-0.06, 0.06) * cell
        found.append((x + off[0], y + off[1], cell * rng.uniform(0.25, 0.41)))
    return found
