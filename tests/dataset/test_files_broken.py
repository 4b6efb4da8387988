"""Broken files: each with its sentence and the place, and no row lost without a word."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import zipfile
from pathlib import Path
from typing import NamedTuple

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainer.dataset.conversation import RowProblem
from trainer.dataset.files import Broken, Item, lines, look_into, read_items, read_text
from trainer.errors import UserError

ROW = b'{"q": "Hi", "a": "Yo"}'


def zipped(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "/"), data)
    return out.getvalue()


def parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"a": ["x" * 100] * 100}), out)
    return out.getvalue()


def arrow(stream: bool = False) -> bytes:
    out = io.BytesIO()
    table = pa.table({"a": ["x" * 100] * 100})
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


def xlsx(*rows: tuple[object, ...]) -> bytes:
    out = io.BytesIO()
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(out)
    return out.getvalue()


class Case(NamedTuple):
    """A file that is refused as a whole: where the sentence must point."""

    name: str
    file: str
    data: bytes
    code: str
    told: str
    rows_before: int = 0


REFUSED = [
    Case("empty", "x.csv", b"", "data_file_empty", "is empty"),
    Case("only a mark", "x.txt", b"\xef\xbb\xbf", "data_file_empty", "is empty"),
    Case("only line ends", "x.csv", b"\r\n\r\n", "data_file_empty", "is empty"),
    Case("only a header", "x.csv", b"q,a\n", "data_file_empty", "is empty"),
    Case("an empty parquet", "x.parquet", b"", "data_file_empty", "is empty"),
    Case("an empty xlsx", "x.xlsx", xlsx(), "data_file_empty", "is empty"),
    Case("an empty list", "x.json", b" [ ] ", "data_file_empty", "is empty"),
    Case("a zip", "x.json", zipped(a=b"1"), "file_other_kind", "no json file: it holds a zip archive"),
    Case("a Word document", "x.jsonl", zipped(word__document_xml=b"1"), "file_other_kind", "a Word document"),
    Case("an Excel table as csv", "x.csv", xlsx(("q",)), "file_other_kind", "no csv file: it holds an Excel table"),
    Case("a zip as xlsx", "x.xlsx", zipped(a=b"1"), "file_other_kind", "no xlsx file: it holds a zip archive"),
    Case("an old Excel table", "x.xlsx", b"\xd0\xcf\x11\xe0" + b"\0" * 99, "file_other_kind", "an old Office document"),
    Case("a PDF", "x.txt", b"%PDF-1.7\n", "file_other_kind", "a PDF document"),
    Case("a web page", "x.json", b"\n<!DOCTYPE html><html>", "file_other_kind", "a web page"),
    Case("an XML table", "x.csv", b"\xef\xbb\xbf<?xml version", "file_other_kind", "a web page or XML"),
    Case("a pointer of Git LFS", "x.parquet", b"version https://git-lfs.github.com/spec/v1\n", "file_other_kind", "only a pointer of Git LFS"),
    Case("a picture", "x.jsonl", b"\x89PNG\r\n\x1a\n", "file_other_kind", "a picture"),
    Case("parquet as jsonl", "x.jsonl", parquet(), "file_other_kind", "a parquet table"),
    Case("json as parquet", "x.parquet", ROW, "file_other_kind", "no parquet file"),
    Case("json as xlsx", "x.xlsx", ROW, "file_other_kind", "no xlsx file"),
    Case("an unknown ending", "x.docx", ROW, "file_kind", "no kind of file that is known"),
    Case("no ending and no JSON", "x", b"q,a\n1,2", "file_kind", "no kind of file that is known"),
    Case("a packed parquet", "x.parquet.gz", gzip.compress(parquet()), "file_kind", "no kind of file that is known"),
    Case("parquet cut off", "x.parquet", parquet()[:-20], "file_damaged", "cannot be read as parquet"),
    Case("parquet of eight bytes", "x.parquet", b"PAR1PAR1", "file_damaged", "cannot be read as parquet"),
    Case("arrow cut off", "x.arrow", arrow()[:-30], "file_damaged", "cannot be read as arrow"),
    Case("an arrow stream cut off", "x.arrow", arrow(stream=True)[:-900], "file_damaged", "cannot be read as arrow"),
    Case("no arrow at all", "x.arrow", b"\x00" * 64, "file_damaged", "cannot be read as arrow"),
    Case("xlsx cut off", "x.xlsx", xlsx(("q",), ("x",))[:-50], "file_other_kind", "a damaged zip archive"),
    Case("xlsx without its sheets", "x.xlsx", zipped(xl__workbook_xml=b"<a/>"), "file_damaged", "cannot be read as xlsx"),
    Case("xlsx that is a bomb", "x.xlsx", zipped(xl__a=b"\0" * (65 << 20)), "file_bomb", "unpacks to 65 MB"),
    Case("gzip cut off", "x.jsonl.gz", gzip.compress(ROW * 99)[:-12], "file_damaged", "cannot be read as gzip"),
    Case("gzip with a wrong sum", "x.jsonl.gz", gzip.compress(ROW)[:-8] + b"\0" * 8, "file_damaged", "cannot be read as gzip", 0),
    Case("a list cut in a row", "x.json", b'[{"a": 1},\n{"a": "b', "file_json", "in row 2: line 2, column 7: Unterminated string", 1),
    Case("a list cut behind a row", "x.json", b'[{"a": 1}', "file_cut", "in the middle of row 1, at line 1, column 10", 1),
    Case("a list cut behind a comma", "x.json", b'[{"a": 1},\n', "file_cut", "in the middle of row 2, at line 2, column 1", 1),
    Case("a comma too many", "x.json", b'[{"a": 1},\n]', "file_json", "in row 1: line 2, column 1: Illegal trailing comma", 1),
    Case("a comma missing", "x.json", b'[\n{"a": 1}\n{"a": 2}]', "file_json", "in row 1: line 3, column 1: Expecting ',' delimiter", 1),
    Case("a line end inside a text", "x.json", b'[{"a": 1}, {"a": "b\nc"}]', "file_json", "in row 2: line 1, column 20: Invalid control character", 1),
    Case("single quotes", "x.json", b"[{'a': 1}]", "file_json", "in row 1: line 1, column 3: Expecting property name"),
    Case("something behind the list", "x.json", b"[1]\n[2]", "file_json", "in row 1: line 2, column 1: Extra data", 1),
    Case("a text", "x.json", b'"Hi"', "data_not_list", "but holds a text"),
    Case("no JSON", "x.json", b"Hello", "file_json", "line 1, column 1: Expecting value"),
    Case("a wrong byte", "x.csv", b"q,a\nx,\xff\n", "file_encoding", "UTF-8, GB18030: line 2, byte 6"),
    Case("a wrong byte behind Chinese", "x.txt", "你好\n".encode() + b"\xff", "file_encoding", "line 2, byte 7"),
    Case("UTF-16 of odd length", "x.jsonl", ROW.decode().encode("utf-16") + b"x", "file_encoding", "UTF-16 LE: line 1, byte 46"),
    Case("a header without names", "x.csv", b",,\n1,2,3", "file_no_header", "no names of columns"),
    Case("a column twice", "x.csv", b"q,a,q\n1,2,3", "file_column_twice", "several columns of the same name: q"),
    Case("a column twice in Excel", "x.xlsx", xlsx(("q", "q"), (1, 2)), "file_column_twice", "the same name: q"),
    Case("a quote in the header", "x.csv", b'"q"x,a\n1,2', "file_header_broken", "names the columns, cannot be read"),
    Case("a quote that stays open", "x.csv", b'q,a\n1,2\n3,"4\n5,6\n', "file_quote_open", "the row 2 begins in line 3 with a quotation mark", 1),
]  # fmt: skip


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_a_broken_file_has_its_sentence(case: Case, tmp_path: Path) -> None:
    path = tmp_path / case.file
    path.write_bytes(case.data)
    before: list[Item] = []
    with pytest.raises(UserError) as error:
        for item in read_items(path):
            before.append(item)
    assert (error.value.code, len(before)) == (case.code, case.rows_before)
    assert case.told in error.value.text and str(path) in error.value.text
    assert error.value.field == "dataset"


class Rowed(NamedTuple):
    """A file of which one row is broken; `wanted` are the numbers of the others."""

    name: str
    file: str
    data: bytes
    number: int
    told: str
    wanted: list[int]


BROKEN_ROWS = [
    Rowed("a brace missing", "x.jsonl", b"%b\n{1\n%b" % (ROW, ROW), 2, "not valid JSON at column 2: Expecting property name", [1, 3]),
    Rowed("a line cut off", "x.jsonl", b"%b\n%b" % (ROW, ROW[:12]), 2, "at column 13: Expecting property name", [1]),
    Rowed("two values in a line", "x.jsonl", b"%b %b\n%b" % (ROW, ROW, ROW), 1, "at column 24: Extra data", [2]),
    Rowed("a comma behind each line", "x.jsonl", b"%b\n%b,\n" % (ROW, ROW), 2, "at column 23: Extra data", [1]),
    Rowed("NaN", "x.jsonl", b'%b\n{"a": "NaN", "b": NaN}' % ROW, 2, "at column 19: NaN is no JSON", [1]),
    Rowed("minus infinity", "x.json", b'[%b,\n {"a": -Infinity}, %b]' % (ROW, ROW), 2, "at line 2, column 8: -Infinity is no JSON", [1, 3]),
    Rowed("nested too deep", "x.jsonl", b"%b\n%b" % (ROW, b"[" * 9000 + b"]" * 9000), 2, "at column 101: it is nested deeper than 100", [1]),
    Rowed("nested too deep in a list", "x.json", b"[%b,%b,%b]" % (ROW, b'{"a":' * 9000 + b"1" + b"}" * 9000, ROW), 2, "nested deeper than 100 levels", [1, 3]),
    Rowed("nested a bit too deep", "x.json", b"[%b,%b]" % (ROW, b"[" * 101 + b"]" * 101), 2, "nested deeper than 100 levels", [1]),
    Rowed("a number of 5,000 digits", "x.jsonl", b'%b\n{"a": %b}' % (ROW, b"1" * 5000), 2, "at column 7: the number has 5000 digits", [1]),
    Rowed("such a number in a list", "x.json", b'[%b, {"a": %b}, %b]' % (ROW, b"1" * 5000, ROW), 2, "the number has 5000 digits", [1, 3]),
    Rowed("NULs in a line", "x.jsonl", b"%b\n\0\0\0\n%b" % (ROW, ROW), 2, "at column 1: Expecting value", [1, 3]),
    Rowed("a control character", "x.jsonl", b'%b\n{"a": "\x01"}' % ROW, 2, "at column 8: Invalid control character", [1]),
    Rowed("cells too few", "x.csv", b"q,a\n1,2\n3\n4,5\n", 2, "cells in the row: 1; columns in the header: 2", [1, 3]),
    Rowed("cells too many", "x.tsv", b"q\ta\n1\t2\t3\n4\t5\n", 1, "cells in the row: 3; columns in the header: 2", [2]),
    Rowed("text behind a quote", "x.csv", b'q,a\n1,2\n"3\n"x,4\n5,6\n', 2, "the quotation marks in line 3–4 are wrong", [1, 3]),
    Rowed("a NUL in a cell", "x.csv", b"q,a\n1,2\0\n3,4\n", 1, "a holds a NUL character", [2]),
    Rowed("a NUL in a text", "x.txt", b"one\nt\0o\nthree", 2, "text holds a NUL character", [1, 3]),
    Rowed("an error in a cell", "x.xlsx", xlsx(("q", "a"), ("x", "y"), ("x", "#N/A"), ("z", "z")), 2, "the cell a shows the error #N/A", [1, 3]),
    Rowed("cells too many in Excel", "x.xlsx", xlsx(("q", "a"), ("x", "y", "z"), ("x", "y")), 1, "cells in the row: 3", [2]),
]  # fmt: skip


def sentence(item: Item) -> str:
    assert isinstance(item.value, Broken)
    return RowProblem("mine", item.number, item.value.code, item.value.values, item.file).text


@pytest.mark.parametrize("case", BROKEN_ROWS, ids=lambda case: case.name)
def test_a_broken_row_is_reported_and_the_others_are_read(case: Rowed, tmp_path: Path) -> None:
    (tmp_path / case.file).write_bytes(case.data)
    items = list(read_items(tmp_path / case.file))
    (broken,) = [item for item in items if isinstance(item.value, Broken)]
    assert broken.number == case.number
    assert sentence(broken).startswith(f"mine, row {case.number}: ") and case.told in sentence(broken)
    assert [item.number for item in items if item is not broken] == case.wanted


def test_one_syntax_error_in_line_4812_costs_that_row(tmp_path: Path) -> None:
    rows = [{"instruction": f"Question {number}", "output": "Yo"} for number in range(1, 10_001)]
    texts = [json.dumps(row) for row in rows]
    texts[4811] = texts[4811].replace('", "output"', '", output"')
    (tmp_path / "rows.jsonl").write_text("\n".join(texts) + "\n")
    items = list(read_items(tmp_path / "rows.jsonl"))
    assert [item.number for item in items] == list(range(1, 10_001))
    assert [item.value for item in items if item.number != 4812] == rows[:4811] + rows[4812:]
    assert sentence(items[4811]) == (
        "mine, row 4812: not valid JSON at column 34: Expecting property name enclosed in double quotes."
    )


def test_a_line_longer_than_memory_should_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_ROW", 3 << 20)
    long = json.dumps({"a": "x" * (5 << 20)}).encode()
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join([ROW, long, ROW]))
    first, second, third = read_items(tmp_path / "rows.jsonl")
    assert (first.number, third.number, first.value) == (1, 3, third.value)
    assert "longer than 3 million characters" in sentence(second)


def test_things_that_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to("nowhere.json")
    (tmp_path / "loop.json").symlink_to("loop.json")
    os.mkfifo(tmp_path / "pipe.json")
    told = {
        "none.json": ("file_missing", "There is no file"),
        "link.json": ("file_link", "is a link to 'nowhere.json', which is not there"),
        "loop.json": ("file_unreadable", "cannot be read"),
        "pipe.json": ("file_special", "is a pipe, not a file"),
        "none/../../x": ("file_missing", "There is no file"),
        "con": ("file_missing", "There is no file"),
        "🙂.jsonl": ("file_missing", "🙂.jsonl"),
        "x" * 300: ("file_unreadable", "cannot be read: File name too long"),
        "x" * 5000: ("file_unreadable", "cannot be read"),
        "a\0b.json": ("file_unreadable", "the name holds a NUL"),
        "\udcff.json": ("file_missing", "\\udcff.json"),
    }
    for name, (code, text) in told.items():
        for read in (lambda path: list(read_items(path)), look_into, read_text):
            with pytest.raises(UserError) as error:
                read(tmp_path / name)
            assert error.value.code == code and text in error.value.text
            assert len(error.value.text) < 800
    with pytest.raises(UserError, match="is a device, not a file"):
        list(read_items(Path("/dev/null")))


@pytest.mark.parametrize(
    "name", ["con", "a b.jsonl", "🙂.jsonl", "-rf.jsonl", "x" * 240 + ".jsonl", "UPPER.JSONL"]
)
def test_odd_names_are_names(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(ROW)
    assert [item.value for item in read_items(tmp_path / name)] == [{"q": "Hi", "a": "Yo"}]


def test_folders_that_cannot_be_read_as_one_table(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no data file.*\n.*\.parquet"):
        list(read_items(tmp_path))
    (tmp_path / "a.json").write_bytes(b"[1]")
    (tmp_path / "b.csv").write_bytes(b"a\n1")
    (tmp_path / "c.csv").write_bytes(b"a\n1")
    with pytest.raises(UserError) as error:
        list(read_items(tmp_path))
    assert error.value.code == "file_folder_mixed" and "but holds 2 csv, 1 json" in error.value.text
    (tmp_path / "a.json").rename(tmp_path / "a.xls")
    with pytest.raises(UserError, match=r"holds 1 \.xls, 2 csv: a\.xls"):
        list(read_items(tmp_path))
    (tmp_path / "a.xls").unlink()
    (tmp_path / "a.csv").symlink_to("nowhere")
    with pytest.raises(UserError, match="a link to 'nowhere'"):
        list(read_items(tmp_path))


def test_the_option_that_named_the_file_is_told(tmp_path: Path) -> None:
    for read in (read_text, look_into):
        with pytest.raises(UserError) as error:
            read(tmp_path / "none.json", field="dataset_dir")
        assert error.value.field == "dataset_dir"


SAMPLES = {
    "x.jsonl": b"\n".join(
        [ROW, b'{"q": [1, {"b": null}], "a": "\\u4f60 \xe4\xbd\xa0"}', b"", ROW, b"[1, 2]", ROW]
    ),
    "x.json": b'[{"q": "Hi"},\n {"q": [1.5e3, {"b": null}], "a": "\\ud83d\\ude00 \xe4\xbd\xa0"}, true]',
    "x.csv": 'q,a\n1,"two\nlines"\n"say ""hi""",你好\n,\n'.encode(),
    "x.txt": "one\r\ntwo\n\n你好\n".encode(),
    "y.jsonl": '{"q": "你好世界"}\n{"q": "Hi"}\n'.encode("gb18030"),
    "z.jsonl": '{"q": "你好"}\n{"q": "Hi"}\n'.encode("utf-16"),
    "x.jsonl.gz": gzip.compress(b"\n".join([ROW] * 20), mtime=0),
    "x.xlsx": xlsx(("q", "a"), ("Hi", 1), ("Yo", 2.5)),
}
changes = st.lists(
    st.tuples(
        st.sampled_from(["set", "insert", "delete", "cut"]),
        st.floats(min_value=0, max_value=1, exclude_max=True),
        st.one_of(st.sampled_from(b'"{}[],:\\\n\r\0 ;\xff\xc4\xef'), st.integers(0, 255)),
    ),
    min_size=1,
    max_size=4,
)


def changed(data: bytes, how: list[tuple[str, float, int]]) -> bytes:
    made = bytearray(data)
    for what, share, byte in how:
        place = int(share * len(made))
        if what == "insert":
            made.insert(place, byte)
        elif what == "cut":
            del made[place:]
        elif made:
            made[place : place + 1] = bytes([byte]) if what == "set" else b""
    return bytes(made)


FUZZ = settings(
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@given(name=st.sampled_from(sorted(SAMPLES)), how=changes)
@settings(FUZZ, max_examples=600)
def test_a_damaged_file_is_read_or_has_a_sentence(
    name: str, how: list[tuple[str, float, int]], tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(changed(SAMPLES[name], how))
    with contextlib.suppress(UserError):
        look_into(tmp_path / name, whole=True)
    with contextlib.suppress(UserError):
        for item in read_items(tmp_path / name):
            if isinstance(item.value, Broken):
                assert sentence(item).startswith(f"mine, row {item.number}: ")


@given(how=changes)
@settings(FUZZ, max_examples=400)
def test_no_line_of_a_damaged_jsonl_is_lost(how: list[tuple[str, float, int]], tmp_path: Path) -> None:
    data = changed(b"\n".join([ROW] * 3 + [b""] + [ROW] * 3), how)
    (tmp_path / "x.jsonl").write_bytes(data)
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
        found = [item.number for item in read_items(tmp_path / "x.jsonl")]
    except (UnicodeDecodeError, UserError):
        return
    written = text.split("\n")
    assert found == [number for number, line in enumerate(written, 1) if line.strip(" \t\ufeff")]
