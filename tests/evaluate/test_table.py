"""The table of an evaluation's rows: order, filters, search, pages; while it grows, and after a crash."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evaluate.lines import line, write
from trainer.errors import UserError
from trainer.evaluate.finder import Finder
from trainer.evaluate.lengths import by_length
from trainer.evaluate.overlay import Candidate, lay_over
from trainer.evaluate.shown import Bin, Wish
from trainer.evaluate.table import Table

ROWS = [
    line(2, 10.0, 60.0, question="Wie heißt du?", ending={"tuned": "length", "base": "end"}),
    line(0, 50.0, 50.0, predict="the same", base="the same"),
    line(
        3, None, None, base="asked", label=None, scores={"tuned": {}, "base": {}}, dataset="other", number=1
    ),
    line(1, 80.0, 20.0, label="春天来了", system="Be brief."),
]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(write(tmp_path / "rows.jsonl", ROWS))


def rows(table: Table, **wish: Any) -> list[int]:
    return [each.row for each in table.page(Wish(**wish)).rows]


def test_rows_come_in_the_order_of_the_dataset_and_say_all(table: Table) -> None:
    assert rows(table) == [0, 1, 2, 3]
    second = table.page(Wish()).rows[1]
    assert (second.dataset, second.number, second.label, second.system) == (
        "demo",
        2,
        "春天来了",
        "Be brief.",
    )
    assert (
        second.difference == 60.0
        and second.scores["tuned"]["rouge-l"] == 80.0
        and second.cut
        == {
            "base": False,
            "tuned": False,
        }
    )
    assert table.row(3).difference is None and table.row(3).label is None
    with pytest.raises(UserError) as wrong:
        table.row(10**30)
    assert wrong.value.code == "results_no_row"


def test_worse_and_better_first_end_with_rows_that_have_no_score(table: Table) -> None:
    assert rows(table, order="worse") == [2, 0, 1, 3]
    assert rows(table, order="better") == [1, 0, 2, 3]
    assert rows(table, order="worse", score="bleu-4") == [0, 1, 2, 3]


def test_filters(table: Table) -> None:
    assert rows(table, only="changed") == [1, 2, 3]
    assert (rows(table, only="better"), rows(table, only="equal"), rows(table, only="worse")) == (
        [1],
        [0],
        [2],
    )
    assert rows(table, only="cut") == [2] and rows(table, only="unlabelled") == [3]
    assert rows(table, dataset="other") == [3] and rows(table, dataset="nobody's") == []
    counts = table.counts()
    assert (counts.done, counts.changed, counts.better, counts.equal, counts.worse) == (4, 3, 1, 1, 1)
    assert (counts.cut, counts.unlabelled, counts.compared, counts.main) == (1, 1, True, "rouge-l")
    assert counts.datasets == ("demo", "other") and counts.scores == ("rouge-l", "bleu-4")
    assert table.means()["tuned"]["rouge-l"] == pytest.approx(140 / 3)


def test_search_finds_all_words_in_any_text_whatever_their_case(table: Table) -> None:
    assert rows(table, search="HEISST") == [2] and rows(table, search="春天") == [1]
    assert rows(table, search="brief tuned") == [1] and rows(table, search="label brief question") == []
    assert rows(table, search="  ") == [0, 1, 2, 3]
    # Nothing is found across two texts or two rows.
    assert rows(table, search="sameq") == []


def test_pages_stay_within_what_there_is(table: Table) -> None:
    page = table.page(Wish(), 2, 3)
    assert [each.row for each in page.rows] == [3] and (page.number, page.pages, page.found, page.done) == (
        2,
        2,
        4,
        4,
    )
    assert table.page(Wish(), 99, 3).number == 2 and table.page(Wish(), -5, 3).number == 1
    empty = table.page(Wish(search="nowhere"), 7, 3)
    assert (empty.rows, empty.number, empty.pages, empty.found, empty.done) == ((), 1, 1, 0, 4)


def test_wishes_of_a_page_are_not_believed() -> None:
    given = {"order": "drop table", "only": ["x"], "search": "a\ud800b", "score": None, "dataset": 3}
    assert Wish.of(given) == Wish(search="a?b")
    assert Wish.of({"order": "worse", "only": "cut", "score": "bleu-4"}) == Wish(
        "worse", "cut", score="bleu-4"
    )


def test_a_table_grows_and_begins_anew_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    table = Table(path)
    assert table.page(Wish()).done == 0 and table.counts().main == "" and table.means() == {}
    write(path, [line(4)])
    assert rows(table) == [4]
    half = json.dumps(line(1))
    with path.open("a") as file:
        file.write(half[:40])
    assert rows(table) == [4]
    with path.open("a") as file:
        file.write(half[40:] + "\n")
    assert rows(table) == [1, 4]
    path.unlink()
    write(path, [line(7)])
    assert rows(table) == [7]


def test_broken_lines_are_passed_over_and_the_later_of_two_counts(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", [line(0, question="old words")])
    with path.open("a") as file:
        file.write('{"row": 1, "pre{"row": 1}\n[]\n{"row": "x"}\n\n' + "[" * 100_000 + "\n")
    write(path, [line(0, 1.0, question="new words"), line(1, math.nan)])
    table = Table(path)
    assert rows(table) == [0, 1] and table.row(0).question == "new words"
    assert rows(table, search="old") == [] and rows(table, search="new") == [0]
    assert table.row(1).scores["tuned"]["rouge-l"] is None and table.means()["tuned"]["rouge-l"] == 1.0


def test_one_side_is_ordered_by_its_own_score(tmp_path: Path) -> None:
    table = Table(
        write(
            tmp_path / "rows.jsonl",
            [line(n, score, compared=False) for n, score in enumerate((50.0, 10.0, 90.0))],
        )
    )
    assert rows(table, order="worse") == [1, 0, 2] and rows(table, order="better") == [2, 0, 1]
    assert rows(table, only="changed") == [] and table.counts().compared is False
    assert table.row(0).base is None and "base" not in table.row(0).scores


def measured(row: int, tuned: float | None, base: float | None) -> dict[str, Any]:
    """A row that nobody has answered."""
    none = dict.fromkeys(("rouge-l", "bleu-4"))
    return line(
        row, predict=None, base=None, ending={}, tokens={}, loss={"base": base, "tuned": tuned},
        scores={"tuned": none, "base": none},
    )  # fmt: skip


def test_rows_that_are_only_measured_are_compared_by_their_loss(tmp_path: Path) -> None:
    given = [measured(0, 1.0, 2.0), measured(1, 3.0, 1.0), measured(2, 1.5, 1.5), measured(3, None, None)]
    table = Table(write(tmp_path / "rows.jsonl", given))
    counts = table.counts("rouge-l")
    assert (counts.main, counts.scores, counts.compared, counts.changed) == ("loss", ("loss",), True, 0)
    assert (counts.better, counts.equal, counts.worse) == (1, 1, 1), "less is better"
    assert rows(table, order="worse") == [1, 2, 0, 3] and rows(table, order="better") == [0, 2, 1, 3]
    first = table.page(Wish()).rows[0]
    assert first.difference == 1.0 and not first.answered and first.base is None
    alone = Table(
        write(
            tmp_path / "alone.jsonl",
            [{**measured(n, 1.0 + n, None), "loss": {"tuned": 1.0 + n}} for n in range(2)],
        )
    )
    assert rows(alone, order="worse") == [1, 0] and not alone.counts().compared


WORDS = st.text("aBß中 ", max_size=6)


@given(st.lists(st.tuples(WORDS, WORDS), max_size=6), WORDS)
def test_the_finder_finds_what_a_plain_search_finds(texts: list[tuple[str, str]], search: str) -> None:
    finder = Finder()
    for each in texts:
        finder.add(*each)
    words = search.casefold().split()
    expected = [
        place
        for place, each in enumerate(texts)
        if all(any(word in text.casefold() for text in each) for word in words)
    ]
    assert finder.find(search) == expected


def test_lengths_are_grouped_and_rows_of_one_length_stay_together(tmp_path: Path) -> None:
    lengths = [1] * 5 + [2, 3, 4, 50]
    given = [line(n, 10.0 * n, 0.0, label_tokens=length) for n, length in enumerate(lengths)]
    columns = Table(write(tmp_path / "rows.jsonl", given)).columns()
    found = by_length(columns, "rouge-l", 3)
    assert [(each.low, each.high, each.rows) for each in found] == [(1, 1, 5), (2, 3, 2), (4, 50, 2)]
    assert found[0].means == {"base": 0.0, "tuned": 20.0} and found[2].means["tuned"] == 75.0
    assert by_length(columns, "rouge-l", 1) == (Bin(1, 50, 9, {"base": 0.0, "tuned": 40.0}),)


def candidate(path: Path, given: list[dict[str, Any]], name: str, step: int | None = None) -> Candidate:
    return Candidate(name, step, "Sprout", Table(write(path / name / "rows.jsonl", given)).columns())


def test_runs_are_compared_over_the_rows_that_all_have(tmp_path: Path) -> None:
    first = candidate(tmp_path, [line(n, 10.0 * n, 5.0) for n in range(6)], "checkpoint-40", 40)
    # The same rows in another order and under other numbers of the run; one asks something else by now.
    others = [{**line(n, 20.0 * n, compared=False), "row": 9 - n} for n in (4, 2, 3, 5)]
    second = candidate(tmp_path, [*others[:3], {**others[3], "question": "changed"}], "checkpoint-80", 80)
    found = lay_over({"a": first, "b": second})
    assert found.rows == 3 and found.left_out == {"a": 3, "b": 1} and found.score == "rouge-l"
    assert [(each.run, each.side, each.name, each.step) for each in found.series] == [
        ("a", "base", "Sprout", None),
        ("a", "tuned", "checkpoint-40", 40),
        ("b", "tuned", "checkpoint-80", 80),
    ]
    assert [each.means["rouge-l"] for each in found.series] == pytest.approx([5.0, 30.0, 60.0])
    assert found.series[1].low < 30.0 < found.series[1].high and (
        found.series[0].low,
        found.series[0].high,
    ) == (5.0, 5.0)
    assert sum(each.rows for each in found.series[2].bins) == 3
    assert found.series[2].bins[0].means == {"tuned": 40.0}


def test_runs_that_cannot_be_compared_say_why(tmp_path: Path) -> None:
    first = candidate(tmp_path, [line(0)], "one")
    other = candidate(tmp_path, [line(0, dataset="other")], "two")
    for runs, code in (
        ({}, "overlay_none"),
        ({"a": first, "b": other}, "overlay_nothing_common"),
        ({str(n): first for n in range(13)}, "overlay_many"),
    ):
        with pytest.raises(UserError) as wrong:
            lay_over(runs)
        assert (wrong.value.code, wrong.value.field) == (code, "runs")
