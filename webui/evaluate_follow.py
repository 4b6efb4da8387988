"""What one page shows of the rows of an evaluation while there are more and more of them. Without gradio."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from trainer.errors import UserError
from trainer.jobs.results import Results
from webui.evaluate_browse import of_run, show
from webui.evaluate_rows import Browse, counted_html, rows_html
from webui.held import Held
from webui.watch import View

# A page that shows the first rows of a large run looks so often how many are read by now.
BEHIND_S = 1.0


@dataclass
class Following:
    """What one page has asked of the rows, and what it shows of them. It is changed in place, in its page's turn.

    `seen` is what the page showed last, its run and its language. `behind`: some rows are not read yet, and `waits`
    says that somebody waits for them.
    """

    browse: Browse = Browse()
    drawn: tuple[Any, ...] = ()
    counted: str = ""
    laid: tuple[Any, ...] = ()
    seen: tuple[View, str] = (View(), "en")
    behind: bool = False
    waits: bool = False


class Drawn(NamedTuple):
    """The HTML of the rows, and of their numbers alone; None where it is as before."""

    rows: str | None
    counted: str | None


def follow(results: Results, held: Held[Following], view: View, lang: str) -> Drawn:
    """The rows of the run that is shown, when there are more of them.

    Rows that fill the page stay until the run has ended and all are read; before, their numbers change and nothing else.
    """
    with held.turn:
        now = held.value
        now.browse, now.seen = of_run(now.browse, view.run), (view, lang)
        return _drawn(results, now)


def catch_up(results: Results, held: Held[Following]) -> Iterator[Drawn]:
    """What changes until all rows of a large run are read, for one of those who ask."""
    with held.turn:
        now = held.value
        if now.waits:
            return
        now.waits = True
    try:
        while now.behind:
            results.wait(now.browse.run, BEHIND_S)
            with held.turn:
                drawn = _drawn(results, now)
            yield drawn
    except UserError:
        # The run is gone, and the page shows another one in a moment.
        return
    finally:
        now.waits = False


def _drawn(results: Results, now: Following) -> Drawn:
    view, lang = now.seen
    shown = show(results, now.browse)
    now.behind = shown is not None and shown.page.read < 1
    if now.browse.editing is not None:
        return Drawn(None, None)
    over = view.cursor.story.final is not None and not now.behind
    rows = len(shown.page.rows) if shown else 0
    key = (now.browse.run, lang, over, rows if not over else shown and shown.counts.done)
    html = counted_html(now.browse, shown, lang)
    counted, now.counted = None if html == now.counted else html, html
    if key == now.drawn:
        return Drawn(None, counted)
    now.drawn = key
    return Drawn(rows_html(now.browse, shown, lang), counted)
