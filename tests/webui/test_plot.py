"""Curves: thinned without losing what matters, smoothed without leaving the data, drawn inside their frame."""

from __future__ import annotations

import itertools
import math
import random
import re
from xml.etree import ElementTree

import pytest

from webui.plot import Line, Point, chart, frame_of, nearest, number, smoothed, spark, thin, ticks


def _points(count: int, seed: int = 0) -> list[Point]:
    dice = random.Random(seed)
    return [Point(float(step), 3 / (1 + step / 40) + dice.gauss(0, 0.2)) for step in range(1, count + 1)]


@pytest.mark.parametrize("count", [0, 1, 2, 299, 300, 301, 1000, 54321])
@pytest.mark.parametrize("most", [4, 60, 300])
def test_thinning_keeps_ends_and_extremes_in_order(count: int, most: int) -> None:
    points = _points(count, seed=count)
    kept = thin(points, most)
    assert len(kept) <= max(most, 0) and set(kept) <= set(points)
    assert kept == sorted(kept, key=lambda point: point.x)
    if count <= most:
        assert kept == points
    else:
        assert kept[0] == points[0] and kept[-1] == points[-1]
        assert min(points, key=lambda p: p.y) in kept and max(points, key=lambda p: p.y) in kept


def test_a_value_that_is_no_number_survives_thinning_as_a_gap() -> None:
    points = [Point(float(x), math.nan if x == 500 else 1.0 + x % 3) for x in range(1000)]
    kept = thin(points, 60)
    assert any(math.isnan(point.y) for point in kept)
    drawn = chart([Line(tuple(kept), "tb-raw", "raw")], title="Loss", x_label="step", empty="nothing")
    assert "nan" not in drawn.lower() and drawn.count("M") >= 2


@pytest.mark.parametrize("seed", range(5))
def test_smoothing_stays_within_the_values_and_calms_them(seed: int) -> None:
    points = _points(400, seed)
    calm = smoothed(points)
    ys = [point.y for point in points]
    assert [point.x for point in calm] == [point.x for point in points]
    assert all(min(ys) <= point.y <= max(ys) for point in calm)

    def roughness(line: list[Point]) -> float:
        return sum(abs(a.y - b.y) for a, b in itertools.pairwise(line))

    assert roughness(calm) < roughness(points) / 3
    assert smoothed([Point(1, 2.0), Point(2, 2.0), Point(3, 2.0)])[-1].y == 2.0


def test_one_bad_value_does_not_spoil_the_smooth_line() -> None:
    calm = smoothed([Point(1, 2.0), Point(2, math.nan), Point(3, math.inf), Point(4, 2.0)])
    assert calm[-1].y == 2.0


@pytest.mark.parametrize(
    "low,high", [(0, 1), (0.31, 0.33), (-5, 7), (1e-5, 2e-3), (1, 120), (0, 54321), (2, 2)]
)
@pytest.mark.parametrize("most", [3, 5, 7])
def test_ticks_are_round_and_inside(low: float, high: float, most: int) -> None:
    found = ticks(low, high, most)
    slack = (high - low) * 1e-6
    assert 1 <= len(found) <= most
    assert all(low - slack <= value <= high + slack for value in found)
    steps = {round(b - a, 12) for a, b in itertools.pairwise(found)}
    assert all(f"{step:e}"[0] in "125" for step in steps)


@pytest.mark.parametrize(
    "value,text",
    [(0, "0"), (120, "120"), (1.5, "1.5"), (0.0042, "0.0042"), (2e-5, "2e-5"), (3.25e-6, "3.25e-6"),
     (1234.5, "1234"), (5e7, "5e7"), (-0.25, "-0.25"), (math.nan, "–")],
)  # fmt: skip
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text


def test_a_frame_has_room_and_keeps_a_known_end() -> None:
    line = Line((Point(1, 0.5), Point(10, 2.5)), "tb-raw", "raw")
    frame = frame_of([line], right=120)
    assert frame is not None and frame.right == 120 and frame.left == 1
    assert frame.low < 0.5 and frame.high > 2.5
    assert frame_of([Line((Point(1, math.nan),), "tb-raw", "raw")]) is None
    alone = frame_of([Line((Point(3, 1.0),), "tb-raw", "raw")])
    assert alone is not None and alone.left < alone.right and alone.low < alone.high


def test_a_long_run_is_drawn_small_and_inside_the_picture() -> None:
    points = tuple(_points(20_000))
    html = chart(
        [Line(points, "tb-raw", "<raw>"), Line(tuple(smoothed(points)), "tb-smooth", "smooth")],
        title="Loss & more", x_label="step", empty="",
    )  # fmt: skip
    assert len(html) < 60_000
    tree = ElementTree.fromstring(html)
    svg = next(tree.iter("svg"))
    assert "Loss & more" in (svg.findtext("title") or "")
    for path in svg.iter("path"):
        if "tb-line" in (path.get("class") or ""):
            numbers = [float(each) for each in re.findall(r"-?\d+\.?\d*", path.get("d") or "")]
            assert len(numbers) <= 2 * 300 and all(-0.1 <= each <= 1000.1 for each in numbers)
    tips = [each.get("data-tip") or "" for each in tree.iter("i")]
    assert 1 < len(tips) <= 60 and all("<raw>" in tip and "smooth" in tip for tip in tips)


def test_an_empty_chart_says_why() -> None:
    assert "the first step" in chart([], title="Loss", x_label="step", empty="the first step")
    assert spark([], "none").startswith("<span")


def test_the_nearest_point_is_found() -> None:
    points = [Point(1, 0), Point(5, 1), Point(9, 2)]
    assert [nearest(points, x).x for x in (0, 2, 4, 7.5, 100)] == [1, 1, 5, 9, 9]
