"""What an evaluation has shown, as HTML: the verdict, a card for each side, all scores, the chart by length. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

from trainer.errors import Values
from trainer.events import Note
from trainer.jobs.results import LOSS, Bin
from webui.evaluate_table import table_html
from webui.findings import notes_html
from webui.i18n import say
from webui.panel import button, spoken
from webui.plot import Line, Point, chart
from webui.words import count

Side = Literal["base", "tuned"]
SIDES: tuple[Side, ...] = ("base", "tuned")
# Names of scores that are the same in every language; the others are texts of the page.
NAMES = {
    "rouge-1": "ROUGE-1", "rouge-2": "ROUGE-2", "rouge-l": "ROUGE-L", "bleu-4": "BLEU-4", "rouge1": "rouge-score 1",
    "rouge2": "rouge-score 2", "rougeL": "rouge-score L", "sacrebleu": "sacreBLEU", "chrf": "chrF",
}  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """Base against tuned on one score; `low` and `high` bound the mean difference with 95 %. `code`: its sentence."""

    score: str
    better: int
    equal: int
    worse: int
    difference: float
    low: float
    high: float
    shown: bool
    code: str

    @property
    def rows(self) -> int:
        return self.better + self.equal + self.worse


@dataclass(frozen=True)
class Judged:
    """What is known of an evaluation now. `sides` holds the means of each side, `main` the name of the score that decides.

    `over` says that the last row is answered. `losses` and `perplexities` are by side. `table` is what the report says of
    labels or of fields. `forgot` is the verdict over the guard set, `guard` the run that found it. `judge` is the
    verdict of the judge.
    """

    done: int
    total: int
    over: bool
    main: str
    sides: Mapping[str, Mapping[str, float | None]]
    verdict: Verdict | None = None
    losses: Mapping[str, float | None] | None = None
    perplexities: Mapping[str, float | None] | None = None
    table: Mapping[str, Any] | None = None
    notes: tuple[Note, ...] = ()
    bins: tuple[Bin, ...] = ()
    forgot: Verdict | None = None
    guard: str = ""
    judge: Verdict | None = None


def score_name(name: str, lang: str) -> str:
    """What a score is called on the page; one that the page does not know keeps its own name."""
    if name in NAMES:
        return NAMES[name]
    if name == LOSS:
        return say("evaluate.loss", lang)
    try:
        return say(f"evaluate.score.{name}", lang)
    except KeyError:
        return name


def number(value: float | None, score: str = "") -> str:
    """A score with one decimal, or a dash; a loss has three."""
    return "–" if value is None else f"{value:.{_digits(score)}f}"


def signed(value: float, score: str = "") -> str:
    """A difference with its sign; a true minus is as wide as a plus."""
    return f"{value:+.{_digits(score)}f}".replace("-", "−")


def _digits(score: str) -> int:
    return 3 if score == LOSS else 1


def sentence(verdict: Verdict, lang: str) -> str:
    """The one sentence that answers whether it is better, in the page's language, and what would tell more."""
    values: Values = {
        "better": verdict.better, "equal": verdict.equal, "worse": verdict.worse, "rows": verdict.rows,
        "score": score_name(verdict.score, lang), "difference": verdict.difference, "low": verdict.low,
        "high": verdict.high,
    }  # fmt: skip
    said = spoken(verdict.code, values, lang)
    return f"{said.text} {said.hint}".strip()


def outcome(verdict: Verdict) -> str:
    if not verdict.shown:
        return "open"
    return "better" if verdict.difference > 0 else "worse"


def cards_html(judged: Judged, lang: str) -> str:
    """Everything below the head of the panel."""
    if not any(judged.sides.values()) and not judged.notes:
        return f'<section class="tb-judged tb-waits"><p class="tb-hint">{_say("waits", lang)}</p></section>'
    return (
        f'<section class="tb-judged" data-over="{"yes" if judged.over else "no"}">{_verdict(judged, lang)}{_judge(judged, lang)}'
        f'<div class="tb-cards">{"".join(_card(judged, side, lang) for side in SIDES if side in judged.sides)}'
        f"{_difference(judged, lang)}</div>{_forgot(judged, lang)}{lengths_html(judged, lang)}{_scores(judged, lang)}"
        f"{table_html(judged.table, lang)}{notes_html(judged.notes, lang)}</section>"
    )


def _say(key: str, lang: str, **values: object) -> str:
    return escape(say(f"evaluate.{key}", lang, **values))


def _verdict(judged: Judged, lang: str) -> str:
    """The answer in large type, with the rows behind it; before the end only what there is so far."""
    if judged.verdict is None:
        one = "tuned" in judged.sides and "base" not in judged.sides
        key = "alone" if one else "undecided"
        return f'<p class="tb-verdict tb-undecided" role="status">{_say(key if judged.over else "so_far", lang)}</p>'
    kind = outcome(judged.verdict)
    return (
        f'<p class="tb-verdict tb-{kind}" role="status"><b>{_say(f"short.{kind}", lang)}</b> '
        f"<span>{escape(sentence(judged.verdict, lang))}</span></p>"
    )


def _judge(judged: Judged, lang: str) -> str:
    said = sentence(judged.judge, lang) if judged.judge else ""
    return f'<p class="tb-hint tb-judge">{escape(said)}</p>' if said else ""


def _card(judged: Judged, side: Side, lang: str) -> str:
    mean = judged.sides[side].get(judged.main)
    rows = _say("over_rows" if judged.over else "rows_so_far", lang, rows=count(judged.done, lang))
    alone = side == "tuned" and "base" not in judged.sides
    title = _say("score_alone", lang) if alone else escape(say(f"chat.side.{side}", lang))
    return (
        f'<div class="tb-score tb-of-{side}" data-side="{side}"><h4><i class="tb-dot"></i>{title}</h4>'
        f"<b>{number(mean, judged.main)}</b><span>{escape(score_name(judged.main, lang))} · {rows}</span></div>"
    )


def _difference(judged: Judged, lang: str) -> str:
    if "base" not in judged.sides:
        return ""
    verdict = judged.verdict
    if verdict is None:
        tuned, base = (judged.sides.get(side, {}).get(judged.main) for side in ("tuned", "base"))
        known = tuned is not None and base is not None
        value = signed(tuned - base, judged.main) if tuned is not None and base is not None else "–"
        under = _say("interval_later", lang) if known and not judged.over else ""
        bar = _share(0, 0, 0, lang)
    else:
        value = signed(verdict.difference)
        under = _say("interval", lang, low=signed(verdict.low), high=signed(verdict.high))
        bar = _share(verdict.better, verdict.equal, verdict.worse, lang)
    return (
        f'<div class="tb-score tb-of-both" data-side="difference"><h4>{_say("difference", lang)}</h4><b>{value}</b>'
        f"<span>{under}</span>{bar}</div>"
    )


def _share(better: int, equal: int, worse: int, lang: str) -> str:
    """Rows won, equal and lost as one bar, in the colours of the sides."""
    total = better + equal + worse
    if not total:
        return '<div class="tb-share" aria-hidden="true"></div>'
    parts = (("worse", worse), ("equal", equal), ("better", better))
    bars = "".join(
        f'<i class="tb-{name}" style="flex-grow:{rows}" title="{_say(f"share.{name}", lang, rows=count(rows, lang))}"></i>'
        for name, rows in parts
        if rows
    )
    label = "; ".join(say(f"evaluate.share.{name}", lang, rows=count(rows, lang)) for name, rows in parts)
    return f'<div class="tb-share" role="img" aria-label="{escape(label)}">{bars}</div>'


def _forgot(judged: Judged, lang: str) -> str:
    if judged.forgot is None:
        return ""
    kind = outcome(judged.forgot)
    show = button("show", say("evaluate.show_guard", lang), judged.guard) if judged.guard else ""
    return (
        f'<div class="tb-forgot tb-{kind}"><h4>{_say("forgot.title", lang)}</h4>'
        f"<p><b>{_say(f'forgot.{kind}', lang)}</b> {escape(sentence(judged.forgot, lang))}</p>{show}</div>"
    )


def lengths_html(judged: Judged, lang: str) -> str:
    """The chart of the mean score by the length of the reference."""
    lines = [
        Line(_points(judged.bins, side), f"tb-line-{side}", say(f"chat.side.{side}", lang)) for side in SIDES
    ]
    return chart(
        [line for line in lines if line.points],
        title=say("evaluate.by_length", lang, score=score_name(judged.main, lang)),
        x_label=say("evaluate.tokens", lang),
        empty=say("evaluate.no_points", lang),
    )


def _points(bins: Sequence[Bin], side: str) -> tuple[Point, ...]:
    found = ((each, each.means.get(side)) for each in bins)  # type: ignore[call-overload]
    return tuple(Point((each.low + each.high) / 2, mean) for each, mean in found if mean is not None)


def _scores(judged: Judged, lang: str) -> str:
    """Every score of both sides, folded away: the cards say the one that counts."""
    sides = [side for side in SIDES if side in judged.sides]
    names = list(dict.fromkeys(name for side in sides for name in judged.sides[side]))
    rows = [
        (score_name(name, lang), [judged.sides[side].get(name) for side in sides], 1)
        for name in names
        if name != LOSS
    ]
    for key, values in (("loss", judged.losses), ("perplexity", judged.perplexities)):
        if values and any(value is not None for value in values.values()):
            rows.append((say(f"evaluate.{key}", lang), [values.get(side) for side in sides], 3))
    if not rows:
        return ""
    heads = "".join(
        f'<th scope="col" class="tb-of-{side}">{escape(say(f"chat.side.{side}", lang))}</th>'
        for side in sides
    )
    both = len(sides) == 2
    more = f'<th scope="col">{_say("difference", lang)}</th>' if both else ""
    body = "".join(_score_row(name, values, digits, both) for name, values, digits in rows)
    return (
        f'<details class="tb-all-scores"{"" if judged.over else " data-live"}><summary>{_say("all_scores", lang)}</summary>'
        f'<div class="tb-scroll" tabindex="0"><table class="tb-table"><thead><tr><th scope="col">{_say("score_column", lang)}</th>'
        f"{heads}{more}</tr></thead><tbody>{body}</tbody></table></div></details>"
    )


def _score_row(name: str, values: Sequence[float | None], digits: int, both: bool) -> str:
    cells = "".join(f"<td>{'–' if value is None else f'{value:.{digits}f}'}</td>" for value in values)
    if both:
        base, tuned = values
        known = base is not None and tuned is not None
        difference = f"{(tuned or 0) - (base or 0):+.{digits}f}".replace("-", "−") if known else "–"
        cells += f"<td>{difference}</td>"
    return f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>'
