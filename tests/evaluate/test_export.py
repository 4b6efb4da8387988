"""What leaves the program: tables, lines and reports that do nothing but show."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.dataset.ingest.staging import picture
from tests.evaluate.lines import line, write
from trainer.evaluate.export import safe_cell, write_csv, write_jsonl
from trainer.evaluate.lengths import by_length
from trainer.evaluate.paper import REPORT_WORDS, Findings, ReportText, paper
from trainer.evaluate.shown import SIDES, Side, TableRow, Wish
from trainer.evaluate.table import Table

NASTY = "</div><script>alert(1)</script>\" onload='x' & <img src=http://evil.example/x>"


def some(tmp_path: Path, rows: Sequence[dict[str, Any]]) -> tuple[Table, list[TableRow]]:
    table = Table(write(tmp_path / "rows.jsonl", rows))
    return table, list(table.rows(table.select(Wish()), "rouge-l"))


@pytest.mark.parametrize(
    "start",
    ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1+1", "＝1", "＋1", "－1", "＠x"],
)
def test_no_cell_is_a_formula(start: str) -> None:
    assert safe_cell(start) == f"'{start}"


@pytest.mark.parametrize("text", ["", "1 = 1", "-5", "+3.25", "a@b", "你好", "- ".strip("- ")])
def test_plain_cells_stay_as_they_are(text: str) -> None:
    assert safe_cell(text) == text


def test_a_table_for_excel(tmp_path: Path) -> None:
    _, rows = some(
        tmp_path,
        [
            line(
                0,
                50.0,
                60.25,
                question='=HYPERLINK("http://evil.example")',
                label="春天，\n“来”了",
                media=["/srv/a/cat.png"],
            ),
            line(1, None, None, label=None, predict="\0x"),
        ],
    )
    write_csv(tmp_path / "out.csv", rows, SIDES, ("rouge-l", "=odd"))
    data = (tmp_path / "out.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbf") and b"/srv" not in data and b"\0" not in data
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        head, first, second = csv.reader(file)
    assert head == [
        "row", "dataset", "number", "system", "question", "reference", "base", "tuned", "base rouge-l", "tuned rouge-l",
        "base =odd", "tuned =odd", "difference", "cut", "pictures",
    ]  # fmt: skip
    assert first[4].startswith("'=HYPERLINK") and first[5] == "春天，\n“来”了"
    assert first[8:13] == ["60.25", "50.0", "", "", "-10.25"] and first[-1] == "cat.png"
    assert second[5] == "" and second[8:13] == [""] * 5


def test_lines_can_be_scored_again_and_name_no_folder(tmp_path: Path) -> None:
    _, rows = some(tmp_path, [line(0, media=["/srv/a/cat.png"]), line(1, compared=False, label=None)])
    write_jsonl(tmp_path / "out.jsonl", rows)
    first, second = map(json.loads, (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines())
    assert (first["predict"], first["label"], first["base"]) == ("tuned 0", "label 0", "base 0")
    assert first["pictures"] == ["cat.png"] and first["difference"] == 10.0
    assert second["label"] is None and "base" not in second


class Page(HTMLParser):
    """The tags and texts of a page; fails where a tag is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.said = ""
        self._open: list[str] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "rect"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said += data


def test_a_report_is_whole_and_every_text_in_it_is_only_text(tmp_path: Path) -> None:
    given = [
        line(
            0,
            80.0,
            20.0,
            dataset=NASTY,
            question=NASTY,
            label=NASTY,
            predict=f"{NASTY} {NASTY}",
            system=NASTY,
            media=["/a.png"],
        ),
        line(1, 10.0, 20.0, label="short", predict="x" * 20_000),
        line(2, None, None, label=None, media=["/gone.png"]),
    ]
    table, rows = some(tmp_path, given)
    words = dict.fromkeys(REPORT_WORDS, NASTY) | {
        "row": "Zeile {number} von {dataset}",
        "rows_shown": "{shown} von {found}",
    }
    text = ReportText(
        "zh-CN",
        words,
        NASTY,
        NASTY,
        [NASTY],
        [(NASTY, NASTY)],
        {"rouge-l": NASTY},
        lambda value: f"{value:.1f}".replace(".", ","),
    )
    findings = Findings(table.means(), by_length(table.columns(), "rouge-l"), rows, 3, 7, "rouge-l")
    found = "".join(
        paper(findings, text, lambda row: [picture() if name == "/a.png" else None for name in row.media])
    )
    page = Page(found)
    names = {name for name, _ in page.tags}
    assert not names & {"script", "link", "iframe", "form", "object", "a"}
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        assert attributes.get("src", "data:image/jpeg;base64,").startswith("data:image/jpeg;base64,")  # type: ignore[union-attr]
    assert [name for name, _ in page.tags].count("img") == 1 and "url(" not in found
    assert dict(page.tags[0][1]) == {"lang": "zh-CN"} and page.said.count("alert(1)") > 10
    assert "3 von 7" in page.said and "+15,0" not in page.said and "+25,0" in page.said
    policy = next(each["content"] for name, each in page.tags if name == "meta" and "http-equiv" in each)
    assert policy and "default-src 'none'" in policy
    assert len(found) < 40_000 and "…" in page.said and re.search(r"n = 1\b", page.said)


def test_a_report_of_one_side_has_no_difference(tmp_path: Path) -> None:
    table, rows = some(tmp_path, [line(0, compared=False), line(1, compared=False)])
    words = {key: key for key in REPORT_WORDS}
    means: dict[Side, dict[str, float]] = table.means()
    findings = Findings(means, by_length(table.columns(), "rouge-l"), rows, 2, 2, "rouge-l")
    said = Page("".join(paper(findings, ReportText("en", words, "Report"), lambda row: []))).said
    assert "difference" not in said and "base" not in said.split("rows")[-1] and "tuned 0" in said
