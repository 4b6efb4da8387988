"""How large a picture is shown to a model, before the model's own processor has its say."""

from __future__ import annotations

import math
from typing import NamedTuple

from trainer.dataset import video
from trainer.dataset.pictures import Facts
from trainer.options import DataOptions


class Shape(NamedTuple):
    """All that decides how many tokens a picture or video takes: pixels of a frame, and which frames of how many."""

    width: int
    height: int
    indices: tuple[int, ...] = ()
    total: int = 1
    fps: float = 1.0


class Grid(NamedTuple):
    """What a model cuts pictures into: squares of `side` pixels (0: it says none), groups of `frames` frames."""

    side: int
    frames: int


def picture_shape(facts: Facts, data: DataOptions, grid: Grid) -> Shape:
    """The size of a picture under image_min_pixels and image_max_pixels. Raises ValueError where no grid fits it."""
    return Shape(*fit(facts.width, facts.height, data.image_min_pixels, data.image_max_pixels, grid.side))


def video_shape(facts: Facts, data: DataOptions, grid: Grid, listed: bool) -> Shape:
    """Size and choice of a video's frames; `listed` says that the frames came as pictures. Raises ValueError."""
    width, height = fit(facts.width, facts.height, data.video_min_pixels, data.video_max_pixels, grid.side)
    chosen = video.sample(facts, data.video_fps, data.video_maxlen, grid.frames, listed)
    return Shape(width, height, chosen.indices, chosen.total, chosen.fps)


def fit(width: int, height: int, least: int, most: int, side: int = 0) -> tuple[int, int]:
    """Width and height with an area from `least` to `most` and the same proportions; a size inside stays as it is.

    For models that cut pictures into squares of `side` pixels the size is made of whole squares, as qwen-vl-utils does
    it: the picture is resized once, and the processor has nothing left to do. Raises ValueError for one that is more
    than 200 times longer than wide. Without squares the rule is that of LLaMA-Factory's files.
    """
    least = min(least, most)
    if least <= width * height <= most:
        return width, height
    if side:
        from qwen_vl_utils.vision_process import smart_resize

        high, wide = smart_resize(height, width, side, least, max(most, side * side))
        # Below one square qwen-vl-utils leaves nothing of the shorter side.
        return max(side, wide), max(side, high)
    scale = math.sqrt((most if width * height > most else least) / (width * height))
    return max(1, int(width * scale)), max(1, int(height * scale))
