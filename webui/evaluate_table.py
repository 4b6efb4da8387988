"""What an evaluation says of each label or of each field of its answers, as a table. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from webui.i18n import say
from webui.words import count

# A larger table of labels would not fit beside anything; each label's own scores are shown then.
MOST_LABELS = 12


def table_html(table: Mapping[str, Any] | None, lang: str) -> str:
    """A confusion table for a few labels; else precision, recall and F1 of each label or field. Empty without one."""
    if not isinstance(table, Mapping):
        return ""
    labels, rows = table.get("labels"), table.get("rows")
    if table.get("type") == "confusion" and isinstance(labels, list) and isinstance(rows, list):
        if len(labels) <= MOST_LABELS:
            return _confusion(labels, rows, lang)
        each = table.get("each")
        return _each(each if isinstance(each, list) else (), "label", lang)
    return _each(rows if isinstance(rows, list) else (), "field", lang)


def _say(key: str, lang: str) -> str:
    return escape(say(f"evaluate.table.{key}", lang))


def _confusion(labels: Sequence[str], rows: Sequence[Sequence[int]], lang: str) -> str:
    """A line for each label of the data, a column for each answer; the last one holds all other answers."""
    heads = "".join(f'<th scope="col">{escape(str(each))}</th>' for each in labels)
    other = f'<th scope="col"><i>{_say("other", lang)}</i></th>'
    body = "".join(
        f'<tr><th scope="row">{escape(str(label))}</th>{_cells(place, line, lang)}</tr>'
        for place, (label, line) in enumerate(zip(labels, rows, strict=False))
    )
    corner = f"{_say('reference', lang)} ↓ · {_say('answered', lang)} →"
    return _framed(_say("labels", lang), f'<th scope="col">{corner}</th>{heads}{other}', body)


def _cells(place: int, line: Sequence[int], lang: str) -> str:
    total = sum(line) or 1
    return "".join(
        f'<td class="{"tb-right-label" if column == place else "tb-wrong-label"}"'
        + (
            f' data-share style="--share:{value / total:.2f}">{count(value, lang)}</td>'
            if value
            else ">·</td>"
        )
        for column, value in enumerate(line)
    )


def _each(rows: Sequence[Mapping[str, Any]], key: str, lang: str) -> str:
    if not rows:
        return ""
    columns = ("precision", "recall", "f1")
    heads = "".join(
        f'<th scope="col">{text}</th>'
        for text in (
            _say(key, lang), escape(say("evaluate.report.rows", lang)),
            *(escape(say(f"evaluate.score.{name}", lang)) for name in columns),
        )
    )  # fmt: skip
    body = "".join(
        f'<tr><th scope="row">{escape(str(row.get(key, "")))}</th><td>{count(row.get("rows", 0), lang)}</td>'
        + "".join(f"<td>{float(row.get(name, 0)):.1f}</td>" for name in columns)
        + "</tr>"
        for row in rows
    )
    return _framed(_say("labels" if key == "label" else "fields", lang), heads, body)


def _framed(title: str, heads: str, body: str) -> str:
    return (
        f'<div class="tb-matrix"><h4>{title}</h4><div class="tb-scroll" tabindex="0"><table class="tb-table">'
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div></div>"
    )
