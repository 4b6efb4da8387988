"""What a press on the rows of an evaluation does, and what has then to be shown. Without gradio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from trainer.errors import UserError
from trainer.jobs.results import Results, TableRow, Wish
from webui.evaluate_rows import Browse, Shown

PAGE = 20
# Pictures of a row beyond these are not drawn in the table.
MOST_PICTURES = 4


def of_run(browse: Browse, run: str) -> Browse:
    """The rows of this run; those of another one are seen from the beginning."""
    return browse if browse.run == run else Browse(run, acts=browse.acts + 1)


def act(results: Results, browse: Browse, press: Mapping[str, Any]) -> Browse:
    """The state after a press. A page can send anything: what is unknown changes nothing."""
    what, value = str(press.get("act", "")), str(press.get("id", ""))
    if what == "correct" and browse.editing != _number(value):
        # A second press of the same button: what the first one has led to stays.
        return replace(browse, acts=browse.acts + 1)
    browse = replace(browse, acts=browse.acts + 1, told=None, trouble=None)
    if what in ("order", "only", "dataset"):
        return _wished(browse, **{what: value})
    if what == "search":
        return _wished(browse, search=value)
    if what == "against":
        return replace(browse, against="base" if value == "base" else "label")
    if what == "turn":
        return replace(browse, number=_number(value) or 1, editing=None)
    if what == "leave":
        return replace(browse, editing=None)
    if what == "correct":
        # What was written stays in the form when it cannot be taken.
        browse = replace(browse, draft=(str(press.get("answer", "")), str(press.get("name", "")).strip()))
    try:
        return _with_row(results, browse, what, _number(value))
    except UserError as error:
        return replace(browse, trouble=error)


def _wished(browse: Browse, **more: str) -> Browse:
    wish = Wish.of({**asdict(browse.wish), **more})
    return replace(browse, wish=wish, number=1, editing=None)


def _with_row(results: Results, browse: Browse, what: str, row: int | None) -> Browse:
    if row is None:
        return browse
    if what == "edit":
        found = results.row(browse.run, row)
        name = browse.draft[1] or next(iter(results.own_datasets()), "") or results.propose_dataset()
        return replace(browse, editing=row, draft=(_first_draft(found), name))
    if what == "correct":
        told = results.correct(browse.run, row, *browse.draft)
        return replace(browse, editing=None, told=told)
    return browse


def _first_draft(row: TableRow) -> str:
    """What the person begins with: the reference where there is one, else the answer to be mended."""
    return row.label if row.label is not None else row.tuned


def _number(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def show(results: Results, browse: Browse) -> Shown | None:
    """The page of rows that is wished for; None for a run that is gone."""
    if not browse.run:
        return None
    try:
        page = results.page(browse.run, browse.wish, browse.number, PAGE)
        return Shown(
            page,
            results.counts(browse.run),
            tuple(results.marks(row, "base" if browse.against == "base" else "label") for row in page.rows),
            tuple(_pictures(results, browse.run, row) for row in page.rows),
            results.own_datasets() if browse.editing is not None else (),
        )
    except UserError:
        return None


def _pictures(results: Results, run: str, row: TableRow) -> tuple[bytes | None, ...]:
    return tuple(results.picture(run, row.row, place) for place in range(min(row.pictures, MOST_PICTURES)))
