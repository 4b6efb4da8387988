"""What a run would see of all rows, as HTML: sentences, lengths as bars with the cutoff, and reasons to hold Start. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from trainer.dataset.gate import Hold
from trainer.dataset.ingest.task import Progress
from trainer.dataset.report import Fact, facts
from trainer.dataset.statistics import Histogram, Totals
from trainer.errors import Values
from webui.i18n import say, say_sentence
from webui.words import count

_WIDTH, _HEIGHT = 240, 48


def counts(totals: Totals, progress: Progress | None, lang: str) -> str:
    """The counts; with `progress` (of the count over all rows) the page asks again by itself."""
    asks = "" if progress is None else ' data-counting=""'
    told = "".join(_fact(each, totals, lang) for each in facts(totals))
    return (
        f'<section class="counts" aria-label="{_say("counts", lang)}"{asks}>{_going_on(progress, lang)}'
        f"<ul>{told}</ul>{_histogram(totals.histogram, lang)}</section>"
    )


def _say(key: str, lang: str, **values: object) -> str:
    return escape(say(f"train.shown.{key}", lang, **values))


def _going_on(progress: Progress | None, lang: str) -> str:
    if progress is None:
        return ""
    share = progress.bytes_done / progress.bytes_total if progress.bytes_total else 0.0
    told = _say("counting", lang, rows=count(progress.rows, lang), percent=round(100 * min(share, 1)))
    return f'<p class="going"><progress max="1" value="{min(share, 1):.3f}"></progress> {told}</p>'


def _fact(fact: Fact, totals: Totals, lang: str) -> str:
    values: Values = {
        name: count(value, lang) if isinstance(value, int) else value for name, value in fact.values.items()
    }
    if fact.code == "seen_scripts":
        values = {"scripts": _scripts(totals, lang)}
    text, hint = say_sentence(fact.code, values, lang)
    kind = ' class="warns"' if fact.warns else ""
    return f"<li{kind}>{escape(text)}{f' <i>{escape(hint)}</i>' if hint else ''}</li>"


def _scripts(totals: Totals, lang: str) -> str:
    letters = sum(totals.scripts.values())
    most = sorted(totals.scripts.items(), key=lambda each: -each[1])
    return ", ".join(
        f"{say(f'train.script.{name}', lang)} {max(1, round(100 * rows / letters))} %" for name, rows in most
    )


def _histogram(found: Histogram, lang: str) -> str:
    """Bars over lengths in tokens. What lies right of the cutoff is drawn in the colour of a warning."""
    if not found.bins:
        return ""
    highest = max(each.rows for each in found.bins)
    last = found.bins[-1].end
    scale = _WIDTH / last
    bars = "".join(
        f'<rect x="{each.start * scale:.2f}" y="{_HEIGHT - tall:.2f}" width="{(each.end - each.start) * scale * 0.9:.2f}" '
        f'height="{tall:.2f}"{" class=beyond" if each.start >= found.cutoff else ""}><title>'
        f"{_say('bin', lang, start=count(each.start, lang), end=count(each.end - 1, lang), rows=count(each.rows, lang))}"
        "</title></rect>"
        for each in found.bins
        if (tall := _HEIGHT * (0.04 + 0.96 * each.rows / highest) if each.rows else 0.0)
    )
    inside = found.cutoff < last
    line = (
        f'<line x1="{found.cutoff * scale:.2f}" x2="{found.cutoff * scale:.2f}" y1="0" y2="{_HEIGHT}"/>'
        if inside
        else ""
    )
    cutoff = _say("cutoff" if inside else "cutoff_beyond", lang, cutoff=count(found.cutoff, lang))
    return (
        f"<figure><figcaption>{_say('lengths', lang)}<span>{cutoff}</span></figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{_say("lengths", lang)}">'
        f'{bars}{line}</svg><div class="axis"><span>0</span><span>{count(last, lang)}</span></div></figure>'
    )


def held(found: Sequence[Hold], lang: str) -> str:
    """Why Start is held back, how each reason is mended, and the button of a person who starts all the same."""
    if not found:
        return ""
    items = "".join(_hold(each, lang) for each in found)
    insist = ""
    if all(each.insist for each in found):
        insist = f'<button type="button" class="tb-button" data-do="insist">{escape(say("train.held.insist", lang))}</button>'
    title = escape(say("train.held.title", lang))
    return f'<div class="tb-problem held" role="alert"><b>{title}</b><ul>{items}</ul>{insist}</div>'


def _hold(hold: Hold, lang: str) -> str:
    text, hint = say_sentence(hold.code, hold.values, lang)
    go = f'<button type="button" data-go="{hold.field}">{escape(say(f"options.{hold.field}.label", lang))}</button> ' if hold.field else ""  # fmt: skip
    example = ""
    if hold.example is not None:
        values: Values = hold.example.shown
        example = f'<p class="example">{escape(say("train.held.example", lang))} {escape(say_sentence(hold.example.code, values, lang).text)}</p>'
    return f'<li data-field="{hold.field}">{go}<span class="said">{escape(text)} <i>{escape(hint)}</i></span>{example}</li>'
