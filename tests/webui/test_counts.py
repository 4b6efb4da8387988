"""What is said of all rows, and of a Start that is held back."""

from __future__ import annotations

import re

import pytest

from trainer.dataset.conversation import RowProblem
from trainer.dataset.doctor import Page, PictureView, Piece, RowView
from trainer.dataset.duplicates import Place, Twin, Twins
from trainer.dataset.gate import Hold
from trainer.dataset.ingest.task import Progress
from trainer.dataset.statistics import Steps, Totals, make_histogram
from webui.counts import counts, held
from webui.i18n import LANGUAGES
from webui.preview import preview

EVIL = "<img src=x onerror=alert(1)>"


def totals(cutoff: int = 100, **more: object) -> Totals:
    lengths = [10, 20, 20, 90, 150]
    given: dict[str, object] = {
        "rows": 5, "evaluation": 0, "problems": (), "tokens": 240, "trained": 60, "longest": 150, "cut": 1,
        "steps": Steps(2, 20), "cutoff": cutoff, "histogram": make_histogram(lengths, cutoff), "answers_cut": 1,
        "dropped": 2, "scripts": {"zh": 75, "latin": 25}, "padding_saved": 0.5, "batch": 8, "datasets": (EVIL,),
        "duplicates": Twins(1, (Twin(Place(EVIL, 3, ""), Place(EVIL, 1, "")),), 5), **more,
    }  # fmt: skip
    return Totals(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize("lang", list(LANGUAGES))
def test_counts_say_what_is_lost_and_draw_every_row(lang: str) -> None:
    text = counts(totals(), None, lang)
    assert "<img" not in text and "data-counting" not in text
    # One of five answers is cut, two of seven rows are dropped.
    assert re.search(r"20\s?%|20％", text) and "75 %" in text
    bars = re.findall(r"<rect [^>]*>", text)
    assert len(bars) == 4 and sum("class=beyond" in bar for bar in bars) == 1
    assert text.count("<line ") == 1


def test_a_cutoff_beyond_all_rows_has_no_line() -> None:
    text = counts(totals(cutoff=500, answers_cut=0, dropped=0), None, "en")
    assert "<line " not in text and "all below the cutoff 500" in text
    assert "No answer would be cut, no row dropped." in text


def test_a_count_under_way_shows_how_far_it_is() -> None:
    text = counts(totals(sampled=True, steps=None), Progress(1200, 50, 200), "en")
    assert "data-counting" in text and "1,200 so far, 25 %" in text and 'value="0.250"' in text


@pytest.mark.parametrize("lang", list(LANGUAGES))
def test_only_what_may_be_insisted_on_has_the_button(lang: str) -> None:
    values = {"dropped": 3, "read": 9, "percent": 33, "datasets": EVIL, "first": EVIL}
    example = RowProblem(EVIL, 4, "row_missing", {"field": EVIL})
    dropped = Hold("hold_dropped_rows", values, "dataset", example=example)
    text = held([dropped], lang)
    assert 'data-do="insist"' in text and 'data-go="dataset"' in text and "<img" not in text and "33" in text
    useless = Hold(
        "hold_nothing_masked", {"datasets": EVIL, "read": 9, "first": EVIL}, "dataset", insist=False
    )
    assert 'data-do="insist"' not in held([dropped, useless], lang)
    assert held([], lang) == ""


def test_a_picture_stands_where_its_tokens_are() -> None:
    row = RowView(
        "d", 1, (Piece("See ", False, False), Piece("<|image_pad|>" * 4, False, True, 0), Piece("cat", True, False)),
        (1, 2, 2, 2, 2, 3), (-100,) * 5 + (3,), 1, 6, pictures=(PictureView(b"JPEG", 4, EVIL),), file="part.jsonl",
    )  # fmt: skip
    text = preview(Page([row], False), 1, "en")
    assert (
        text.count("data:image/jpeg;base64,SlBFRw==") == 1 and "image_pad" not in text and "4 tokens" in text
    )
    assert text.index("See") < text.index("base64") < text.index("cat")
    assert "<img src=x" not in text and "d (part.jsonl)" in text
