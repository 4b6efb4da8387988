"""Several evaluations laid over one another: a bar for each with its interval, and their scores by length. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from trainer.jobs.results import Overlay, Series
from webui.evaluate_cards import number, score_name
from webui.i18n import say
from webui.plot import Line, Point, chart
from webui.words import count

# Beyond the score itself and its interval there is a little room, so that no whisker ends at the frame.
_ROOM = 1.06


def overlay_html(overlay: Overlay, lang: str) -> str:
    """Bars and curves of all series over the rows that they share."""
    score = score_name(overlay.score, lang)
    styles = _styles(overlay.series)
    top = min(100.0, max((each.high for each in overlay.series), default=0.0) * _ROOM) or 100.0
    bars = "".join(
        _bar(each, style, overlay.score, top, lang)
        for each, style in zip(overlay.series, styles, strict=True)
    )
    lines = [
        Line(_points(each), "tb-line-base" if style == "tb-of-base" else style, _name(each, lang))
        for each, style in zip(overlay.series, styles, strict=True)
    ]
    curves = chart(
        lines,
        title=say("evaluate.by_length", lang, score=score),
        x_label=say("evaluate.tokens", lang),
        empty=say("evaluate.no_points", lang),
    )
    said = say("evaluate.overlay.rows", lang, score=score, rows=count(overlay.rows, lang))
    return (
        f'<section class="tb-overlay"><figure class="tb-bars"><figcaption>{escape(said)}</figcaption>'
        f"<ol>{bars}</ol></figure>{curves}</section>"
    )


def _styles(series: Sequence[Series]) -> list[str]:
    """The base in its own colour, the others in those of runs."""
    found: list[str] = []
    place = 0
    for each in series:
        if each.side == "base":
            found.append("tb-of-base")
        else:
            found.append(f"tb-run-{place % 6}")
            place += 1
    return found


def _name(series: Series, lang: str) -> str:
    return say("chat.side.base", lang) if series.side == "base" else series.name


def _bar(series: Series, style: str, score: str, top: float, lang: str) -> str:
    mean = series.means.get(score, 0.0)
    low, high = (max(0.0, min(100.0, 100 * value / top)) for value in (series.low, series.high))
    interval = say("evaluate.overlay.interval", lang, low=number(series.low), high=number(series.high))
    name = escape(_name(series, lang))
    return (
        f'<li class="{style}"><span class="tb-bar-name" title="{escape(series.run)}">{name}</span>'
        f'<span class="tb-bar-room" title="{escape(interval)}"><i style="width:{100 * mean / top:.1f}%"></i>'
        f'<u style="left:{low:.1f}%;width:{max(0.0, high - low):.1f}%"></u></span>'
        f"<b>{number(mean)}</b><small>{escape(interval)}</small></li>"
    )


def _points(series: Series) -> tuple[Point, ...]:
    found = ((each, each.means.get(series.side)) for each in series.bins)
    return tuple(Point((each.low + each.high) / 2, mean) for each, mean in found if mean is not None)
