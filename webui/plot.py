"""Curves as HTML: points -> smoothed, thinned frames -> inline SVG with axes, a key and values under the pointer.

Pure: no state, no file, no clock. The SVG stretches with its column while strokes and text keep their size, because the
text stands in HTML beside it. Colours come from the style sheet, so that light and dark need no second drawing.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

MOST_POINTS = 300
MOST_STRIPS = 60
_UNITS = 1000


class Point(NamedTuple):
    x: float
    y: float


@dataclass(frozen=True)
class Line:
    """`style` is the CSS class that gives the colour; a line that does not `speak` has no place in key and pointer text."""

    points: tuple[Point, ...]
    style: str
    label: str
    speaks: bool = True


class Frame(NamedTuple):
    """The part of the plane that a chart shows."""

    left: float
    right: float
    low: float
    high: float


def next_smooth(before: float | None, value: float, count: int) -> float:
    """The running mean after the `count`-th value (the first is 1), from the mean `before` it.

    The window grows from 5 to 50 values with the length of the curve, so that short runs move and long ones are calm.
    A constant stays itself, and the mean never leaves the range of the values.
    """
    if before is None or not math.isfinite(before):
        return value
    if not math.isfinite(value):
        return before
    window = min(count, max(5.0, min(50.0, count / 8)))
    return before + (value - before) / window


def smoothed(points: Sequence[Point]) -> list[Point]:
    """The points with each y replaced by the running mean up to it."""
    found: list[Point] = []
    mean: float | None = None
    for count, point in enumerate(points, 1):
        mean = next_smooth(mean, point.y, count)
        found.append(Point(point.x, mean))
    return found


def thin(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """At most `most` of the points: the first, the last, and of each stretch between them the lowest and the highest.

    Spikes therefore survive. Fewer points than `most` come back as they are. `most` is at least 4.
    """
    if len(points) <= most:
        return list(points)
    inner = points[1:-1]
    stretches = (most - 2) // 2
    kept = [points[0]]
    for index in range(stretches):
        stretch = inner[index * len(inner) // stretches : (index + 1) * len(inner) // stretches]
        lowest = min(range(len(stretch)), key=lambda i: _order(stretch[i].y))
        highest = max(range(len(stretch)), key=lambda i: _order(stretch[i].y))
        kept.extend(stretch[i] for i in sorted({lowest, highest}))
    return [*kept, points[-1]]


def _order(y: float) -> float:
    """NaN compares with nothing; a point that is none counts as the highest, so that it is kept and leaves its gap."""
    return math.inf if math.isnan(y) else y


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) from `low` to `high`, at least one and at most `most`."""
    if not high > low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    for factor in (1.0, 2.0, 5.0, 10.0, 20.0):
        apart = factor * power
        first, last = math.ceil(low / apart - 1e-9), math.floor(high / apart + 1e-9)
        if last - first + 1 <= most:
            break
    found = [apart * index for index in range(first, last + 1)]
    return found or [low]


def number(value: float) -> str:
    """A value as short as it can be read: 120, 1.53, 0.0042, 2e-5."""
    if not math.isfinite(value):
        return "–"
    size = abs(value)
    if size == 0:
        return "0"
    if size >= 1e6 or size < 1e-3:
        text = f"{value:.3g}"
        if "e" not in text:
            return text if size >= 1e-3 else _scientific(value)
        return _scientific(value)
    if float(value).is_integer():
        return str(int(value))
    return f"{value:.4g}" if size < 1000 else f"{value:.0f}"


def _scientific(value: float) -> str:
    mantissa, exponent = f"{value:.2e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent)}"


def frame_of(lines: Iterable[Line], right: float | None = None) -> Frame | None:
    """The frame that holds all finite points, with a little room above and below; None when there is no point.

    `right` stretches the frame to a known end, so that the curve grows into free room instead of moving.
    """
    points = [point for line in lines for point in line.points if math.isfinite(point.y)]
    if not points:
        return None
    xs, ys = [p.x for p in points], [p.y for p in points]
    low, high = min(ys), max(ys)
    room = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    floor = 0.0 if low >= 0 and low - room < 0 else low - room
    left, end = min(xs), max([*xs, right or 0])
    return Frame(left if end > left else left - 1, end if end > left else left + 1, floor, high + room)


def chart(
    lines: Sequence[Line],
    *,
    title: str,
    x_label: str,
    empty: str,
    right: float | None = None,
    small: bool = False,
) -> str:
    """A figure with the lines. `title` says what is measured and in which unit, `x_label` what lies below it.

    Without a finite point the figure keeps its size and says `empty`.
    """
    drawn = [
        Line(tuple(thin(line.points)), line.style, line.label, line.speaks) for line in lines if line.points
    ]
    frame = frame_of(drawn, right)
    size = " tb-small" if small else ""
    head = f"<figcaption><b>{escape(title)}</b>{_key(drawn)}</figcaption>"
    if frame is None:
        return f'<figure class="tb-chart{size}">{head}<div class="tb-plot tb-none">{escape(empty)}</div></figure>'
    y_ticks = ticks(frame.low, frame.high, 3 if small else 5)
    x_ticks = ticks(frame.left, frame.right, 4 if small else 7)
    return (
        f'<figure class="tb-chart{size}">{head}<div class="tb-plot">'
        f"{_svg(drawn, frame, y_ticks, _summary(title, x_label, drawn))}"
        f"{_y_texts(y_ticks, frame)}{_x_texts(x_ticks, frame, x_label)}{_strips(drawn, frame, x_label)}"
        "</div></figure>"
    )


def spark(points: Sequence[Point], title: str, style: str = "tb-smooth") -> str:
    """A small curve without axes, for a list."""
    line = Line(tuple(thin(points, 60)), style, "")
    frame = frame_of([line])
    if frame is None:
        return '<span class="tb-spark"></span>'
    return f'<span class="tb-spark">{_svg([line], frame, [], title)}</span>'


def _svg(lines: Sequence[Line], frame: Frame, y_ticks: Sequence[float], summary: str) -> str:
    grid = "".join(f'<path class="tb-grid" d="M0 {_down(y, frame):.0f}H{_UNITS}"/>' for y in y_ticks)
    paths = "".join(f'<path class="tb-line {line.style}" d="{_path(line.points, frame)}"/>' for line in lines)
    return (
        f'<svg viewBox="0 0 {_UNITS} {_UNITS}" preserveAspectRatio="none" role="img">'
        f"<title>{escape(summary)}</title>{grid}{paths}</svg>"
    )


def _path(points: Sequence[Point], frame: Frame) -> str:
    """Moves and lines; a value that is no number leaves a gap; a single point is a dot (round ends draw it)."""
    parts: list[str] = []
    pen_up = True
    for index, point in enumerate(points):
        if not math.isfinite(point.y):
            pen_up = True
            continue
        x, y = _across(point.x, frame), _down(point.y, frame)
        alone = pen_up and (index + 1 == len(points) or not math.isfinite(points[index + 1].y))
        parts.append(f"{'M' if pen_up else 'L'}{x:.1f} {y:.1f}{'h0' if alone else ''}")
        pen_up = False
    return "".join(parts)


def _across(x: float, frame: Frame) -> float:
    return (x - frame.left) / (frame.right - frame.left) * _UNITS


def _down(y: float, frame: Frame) -> float:
    return (frame.high - y) / (frame.high - frame.low) * _UNITS


def _key(lines: Sequence[Line]) -> str:
    spoken = [line for line in lines if line.speaks and line.label]
    if len(spoken) < 2:
        return ""
    return "".join(f'<span class="tb-key {line.style}">{escape(line.label)}</span>' for line in spoken)


def _summary(title: str, x_label: str, lines: Sequence[Line]) -> str:
    """What a screen reader says in place of the picture: where each line begins and ends."""
    parts = []
    for line in lines:
        finite = [point for point in line.points if math.isfinite(point.y)]
        if finite and line.speaks:
            first, last = finite[0], finite[-1]
            parts.append(
                f"{line.label or title}: {number(first.y)} ({x_label} {number(first.x)})"
                f" → {number(last.y)} ({x_label} {number(last.x)})"
            )
    return f"{title}. {'; '.join(parts)}"


def _y_texts(values: Sequence[float], frame: Frame) -> str:
    return "".join(
        f'<span class="tb-y" style="top:{_down(value, frame) / 10:.1f}%" aria-hidden="true">{number(_tidy(value))}</span>'
        for value in values
    )


def _x_texts(values: Sequence[float], frame: Frame, label: str) -> str:
    texts = "".join(
        f'<span class="tb-x" style="left:{_across(value, frame) / 10:.1f}%" aria-hidden="true">{number(_tidy(value))}</span>'
        for value in values
    )
    return f'{texts}<span class="tb-x-label" aria-hidden="true">{escape(label)}</span>'


def _tidy(value: float) -> float:
    """A tick without the dust of floating point: 0.30000000000000004 is 0.3."""
    return float(f"{value:.10g}")


def _strips(lines: Sequence[Line], frame: Frame, x_label: str) -> str:
    """Upright strips over the picture; the one under the pointer shows the values of the points nearest to it."""
    speaking = [
        (line, points)
        for line in lines
        if line.speaks and (points := [p for p in line.points if math.isfinite(p.y)])
    ]
    xs = sorted({point.x for _, points in speaking for point in points})
    if len(xs) > MOST_STRIPS:
        xs = [xs[index * (len(xs) - 1) // (MOST_STRIPS - 1)] for index in range(MOST_STRIPS)]
    return "".join(_strip(index, xs, speaking, frame, x_label) for index in range(len(xs)))


def _strip(
    index: int, xs: Sequence[float], lines: Sequence[tuple[Line, list[Point]]], frame: Frame, x_label: str
) -> str:
    x = xs[index]
    left = frame.left if index == 0 else (xs[index - 1] + x) / 2
    right = frame.right if index + 1 == len(xs) else (x + xs[index + 1]) / 2
    values = [(line.label, nearest(points, x)) for line, points in lines]
    text = f"{x_label} {number(x)}\n" + "\n".join(
        f"{label} {number(point.y)}{'' if point.x == x else f' ({number(point.x)})'}".strip()
        for label, point in values
    )
    at = _across(left, frame) / 10
    width = (_across(right, frame) - _across(left, frame)) / 10
    inside = (
        (_across(x, frame) - _across(left, frame))
        / max(_across(right, frame) - _across(left, frame), 1e-9)
        * 100
    )
    side = " tb-end" if at > 55 else ""
    return (
        f'<i class="tb-strip{side}" style="left:{at:.2f}%;width:{width:.2f}%;--x:{inside:.0f}%;'
        f'--y:{_down(values[-1][1].y, frame) / 10:.1f}%" data-tip="{escape(text)}"></i>'
    )


def nearest(points: Sequence[Point], x: float) -> Point:
    """The point whose x lies nearest; `points` are in the order of x and not empty."""
    after = bisect_left(points, x, key=lambda point: point.x)
    around = points[max(0, after - 1) : after + 1]
    return min(around, key=lambda point: abs(point.x - x))
