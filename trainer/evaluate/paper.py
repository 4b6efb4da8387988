"""An evaluation as one HTML file that needs nothing else: to be sent to somebody, or kept.

No script, nothing from outside, every text escaped; the words are the caller's, in the language of the page.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from trainer.evaluate.shown import SIDES, Bin, Piece, Side, TableRow
from trainer.evaluate.words import marks

MOST_ROWS = 1_000
# A longer text is shown in part: the whole one is in the exported rows.
MOST_SHOWN = 6_000
REPORT_WORDS = (
    "base", "tuned", "difference", "score", "prompt", "system", "reference", "scores", "row", "rows", "rows_shown", "lengths",
    "legend", "picture_gone",
)  # fmt: skip
Thumbnails = Callable[[TableRow], Sequence[bytes | None]]
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclass(frozen=True)
class ReportText:
    """All that a report says, as plain text. `words` has every key of REPORT_WORDS; `scores` the shown names.

    `sentence` is the verdict (may be empty), `facts` label and value of lines under the title; `number` writes one.
    """

    lang: str
    words: Mapping[str, str]
    title: str
    sentence: str = ""
    notes: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = ()
    scores: Mapping[str, str] | None = None
    number: Callable[[float], str] = "{:.1f}".format

    def word(self, key: str, **values: object) -> str:
        """The word, escaped."""
        return escape(self.words[key].format(**values) if values else self.words[key])


@dataclass(frozen=True)
class Findings:
    """What a report shows: means of each side, scores by length, rows in order, and of how many they are the first."""

    means: Mapping[Side, Mapping[str, float]]
    bins: Sequence[Bin]
    rows: Iterable[TableRow]
    shown: int
    found: int
    main: str = ""


def paper(findings: Findings, text: ReportText, thumbnails: Thumbnails) -> Iterable[str]:
    """The file in pieces, so that a thousand rows with pictures need not be held at once."""
    yield (
        f'<!doctype html>\n<html lang="{escape(text.lang)}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(text.title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(text.title)}</h1>\n"
    )
    if text.facts:
        lines = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in text.facts)
        yield f"<dl>{lines}</dl>\n"
    if text.sentence:
        yield f'<p class="verdict">{escape(text.sentence)}</p>\n'
    yield from (f'<p class="note">{escape(note)}</p>\n' for note in text.notes)
    yield _cards(findings, text)
    yield _chart(findings, text)
    counted = text.word("rows_shown", shown=findings.shown, found=findings.found)
    yield f'<h2>{text.word("rows")}</h2>\n<p class="legend">{counted} <mark>{text.word("legend")}</mark></p>\n'
    for row in findings.rows:
        yield _row(row, text, thumbnails(row))
    yield "</main>\n</body>\n</html>\n"


def _cards(findings: Findings, text: ReportText) -> str:
    sides = [side for side in SIDES if findings.means.get(side)]
    names = dict.fromkeys(name for side in sides for name in findings.means[side])
    if not names:
        return ""
    compared = len(sides) > 1
    head = "".join(f'<th scope="col" class="{side}">{text.word(side)}</th>' for side in sides)
    head += f'<th scope="col">{text.word("difference")}</th>' if compared else ""
    lines = []
    for name in names:
        found = [findings.means[side].get(name) for side in sides]
        cells = "".join(f"<td>{_number(value, text)}</td>" for value in found)
        if compared:
            base, tuned = found
            known = base is not None and tuned is not None
            cells += f"<td>{_signed(tuned - base, text) if known else ''}</td>"  # type: ignore[operator]
        main = ' class="main"' if name == findings.main else ""
        lines.append(f'<tr{main}><th scope="row">{escape(_score(name, text))}</th>{cells}</tr>')
    return (
        f'<h2>{text.word("scores")}</h2>\n<table class="scores"><thead><tr><th scope="col">{text.word("score")}</th>{head}</tr>'
        f"</thead><tbody>{''.join(lines)}</tbody></table>\n"
    )


def _chart(findings: Findings, text: ReportText) -> str:
    """Bars of both sides for each length; the numbers stand over them, so that nothing is said by colour alone."""
    bins = [each for each in findings.bins if any(mean is not None for mean in each.means.values())]
    if len(bins) < 2:
        return ""
    wide, tall, foot = 84, 150, 40
    drawn = []
    for place, each in enumerate(bins):
        left = place * wide
        sides = [(side, mean) for side, mean in each.means.items() if mean is not None]
        thick = 64 / max(1, len(sides))
        for number, (side, mean) in enumerate(sides):
            high = tall * min(100.0, max(0.0, mean)) / 100
            x = left + 10 + number * thick
            drawn.append(
                f'<rect class="{side}" x="{x:.1f}" y="{20 + tall - high:.1f}" width="{thick - 4:.1f}" height="{high:.1f}"/>'
                f'<text x="{x + thick / 2 - 2:.1f}" y="{15 + tall - high:.1f}">{_number(mean, text)}</text>'
            )
        name = f"{each.low}" if each.low == each.high else f"{each.low}–{each.high}"
        drawn.append(f'<text x="{left + wide / 2}" y="{tall + 36}">{name}</text>')
        drawn.append(f'<text class="few" x="{left + wide / 2}" y="{tall + 52}">n = {each.rows}</text>')
    keys = "".join(f'<span class="{side}">■ {text.word(side)}</span> ' for side in bins[0].means)
    size = f"0 0 {wide * len(bins)} {tall + foot + 20}"
    title = text.word("lengths")
    return (
        f'<h2>{title}: {escape(_score(findings.main, text))}</h2>\n<p class="legend">{keys}</p>\n'
        f'<svg viewBox="{size}" width="{wide * len(bins)}" role="img" aria-label="{title}">{"".join(drawn)}</svg>\n'
    )


def _row(row: TableRow, text: ReportText, pictures: Sequence[bytes | None]) -> str:
    shown = marks(row)
    sides: list[tuple[Side, str | None, tuple[Piece, ...]]] = [
        ("base", row.base, shown.base),
        ("tuned", row.tuned, shown.tuned),
    ]
    parts = [f"<article><h3>{text.word('row', number=row.number, dataset=row.dataset)}</h3>"]
    parts += [_picture(each, text) for each in pictures]
    if row.system:
        parts.append(_field(text.word("system"), escape(_shortened(row.system))))
    parts.append(_field(text.word("prompt"), escape(_shortened(row.question))))
    if row.label is not None:
        parts.append(_field(text.word("reference"), _pieces(shown.label)))
    for side, answer, pieces in sides:
        if answer is not None or side in row.scores:
            parts.append(_field(f"{text.word(side)}{_scores(row, side, text)}", _pieces(pieces), side))
    return "".join(parts) + "</article>\n"


def _field(name: str, body: str, kind: str = "") -> str:
    return f'<div class="field {kind}"><b>{name}</b><div class="said" dir="auto">{body}</div></div>'


def _scores(row: TableRow, side: Side, text: ReportText) -> str:
    found = row.scores.get(side, {})
    known = [
        f"{escape(_score(name, text))} {_number(value, text)}"
        for name, value in found.items()
        if value is not None
    ]
    return f" <small>{' · '.join(known)}</small>" if known else ""


def _pieces(pieces: Sequence[Piece]) -> str:
    room, parts = MOST_SHOWN, []
    for piece in pieces:
        shown = escape(piece.text[:room])
        parts.append(shown if piece.same else f"<mark>{shown}</mark>")
        room -= len(piece.text)
        if room < 0:
            parts.append("…")
            break
    return "".join(parts)


def _picture(data: bytes | None, text: ReportText) -> str:
    if data is None:
        return f'<p class="note">{text.word("picture_gone")}</p>'
    return f'<img alt="" src="data:image/jpeg;base64,{b64encode(data).decode()}">'


def _shortened(text: str) -> str:
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


def _score(name: str, text: ReportText) -> str:
    return (text.scores or {}).get(name, name)


def _number(value: float | None, text: ReportText) -> str:
    return "–" if value is None else escape(text.number(value))


def _signed(value: float, text: ReportText) -> str:
    sign = "+" if value > 0 else "−" if value < 0 else "±"
    return sign + escape(text.number(abs(value)))


_STYLE = """
:root{color-scheme:light dark;--ink:#0f172a;--soft:#526075;--line:#cbd5e1;--paper:#fff;--base:#64748b;--tuned:#0f766e;--mark:#fde68a}
@media(prefers-color-scheme:dark){:root{--ink:#e2e8f0;--soft:#a3b1c6;--line:#334155;--paper:#0f172a;--base:#94a3b8;--tuned:#2dd4bf;--mark:#6b5200}}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:960px;margin:0 auto;padding:24px 16px}
h1{font-size:24px}h2{font-size:18px;margin:28px 0 8px}h3{font-size:14px;margin:0 0 8px;color:var(--soft)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 16px;margin:0}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
.verdict{font-size:18px;font-weight:600}.note,.legend,small{color:var(--soft)}
table{border-collapse:collapse}th,td{padding:4px 14px 4px 0;text-align:start;border-bottom:1px solid var(--line)}
td{font-variant-numeric:tabular-nums}.main{font-weight:700}
th.base,span.base,.field.base>b{color:var(--base)}th.tuned,span.tuned,.field.tuned>b{color:var(--tuned)}
svg{max-width:100%;height:auto}rect.base{fill:var(--base)}rect.tuned{fill:var(--tuned)}
text{fill:var(--ink);font-size:11px;text-anchor:middle}text.few{fill:var(--soft)}
article{border:1px solid var(--line);border-radius:8px;padding:12px 14px;margin:0 0 12px;break-inside:avoid}
article img{max-width:160px;border-radius:4px;margin:0 8px 8px 0}
.field{margin:0 0 8px}.field small{font-weight:400}.said{white-space:pre-wrap;overflow-wrap:anywhere}
mark{background:var(--mark);color:inherit;border-radius:3px;padding:0 1px}
"""
