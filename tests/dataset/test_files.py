"""Whole files of every kind come back equal, in any encoding, however the pieces fall."""

from __future__ import annotations

import codecs
import csv
import datetime
import decimal
import gzip
import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainer.dataset.files import (
    Broken,
    FileFacts,
    Item,
    encoding,
    json_file,
    look_into,
    read_items,
    read_text,
)
from trainer.errors import UserError

QUICK = settings(
    deadline=None,
    derandomize=True,
    max_examples=80,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
CHINESE = "“今天天气很好，我们去公园散步吧。”——他说：人工智能正在改变世界（2024）"
ROWS = [{"instruction": f"{CHINESE} {number}", "output": "Grüße 🙂"} for number in range(3)]


def values(path: Path, **how: Any) -> list[Any]:
    return [item.value for item in read_items(path, **how)]


def in_small_pieces(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Every boundary between two pieces is met, as in a file of gigabytes."""
    monkeypatch.setattr(encoding, "CHUNK_BYTES", size)
    monkeypatch.setattr(json_file, "_LEAST", size)


plain = st.characters(exclude_categories=["Cs"], exclude_characters="\ufeff\0")
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(10**40), max_value=10**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
)
json_values = st.recursive(
    scalars,
    lambda each: st.one_of(
        st.lists(each, max_size=4), st.dictionaries(st.text(max_size=5), each, max_size=4)
    ),
    max_leaves=12,
)
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-32"]


@given(
    rows=st.lists(json_values, min_size=1, max_size=8),
    codec=st.sampled_from(ENCODINGS),
    indent=st.sampled_from([None, 2]),
    newline=st.sampled_from(["\n", "\r\n"]),
    piece=st.sampled_from([8, 23, 64, 1 << 20]),
)
@QUICK
def test_a_list_in_json_comes_back(
    rows: list[Any], codec: str, indent: int | None, newline: str, piece: int, tmp_path: Path
) -> None:
    text = json.dumps(rows, indent=indent, ensure_ascii="utf" not in codec or codec == "utf-8")
    (tmp_path / "rows.json").write_bytes(text.replace("\n", newline).encode(codec))
    with pytest.MonkeyPatch.context() as patch:
        in_small_pieces(patch, piece)
        found = list(read_items(tmp_path / "rows.json"))
    assert found == [Item(number, row) for number, row in enumerate(rows, 1)]


@given(
    rows=st.lists(st.dictionaries(st.text(max_size=5), json_values, max_size=3), min_size=1, max_size=8),
    codec=st.sampled_from(ENCODINGS),
    newline=st.sampled_from(["\n", "\r\n", "\r"]),
    piece=st.sampled_from([8, 23, 64, 1 << 20]),
    skip=st.integers(min_value=0, max_value=9),
    name=st.sampled_from(["rows.jsonl", "rows.ndjson", "rows.jsonl.gz"]),
)
@QUICK
def test_rows_in_jsonl_come_back(
    rows: list[Any], codec: str, newline: str, piece: int, skip: int, name: str, tmp_path: Path
) -> None:
    data = newline.join(json.dumps(row) for row in rows).encode(codec)
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    with pytest.MonkeyPatch.context() as patch:
        in_small_pieces(patch, piece)
        found = list(read_items(tmp_path / name, skip))
    assert found == [Item(number, row) for number, row in enumerate(rows, 1)][skip:]


@given(
    rows=st.lists(
        st.tuples(st.text(plain, max_size=12), st.text(plain, max_size=12)), min_size=1, max_size=8
    ),
    codec=st.sampled_from(ENCODINGS),
    delimiter=st.sampled_from([",", ";", "|", "\t"]),
    newline=st.sampled_from(["\n", "\r\n", "\r"]),
    piece=st.sampled_from([8, 23, 1 << 20]),
)
@QUICK
def test_cells_of_a_csv_come_back(
    rows: list[tuple[str, str]], codec: str, delimiter: str, newline: str, piece: int, tmp_path: Path
) -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator=newline, quoting=csv.QUOTE_ALL)
    writer.writerows([("question", "answer"), *rows])
    path = tmp_path / ("rows.tsv" if delimiter == "\t" else "rows.csv")
    path.write_bytes(out.getvalue().encode(codec))
    with pytest.MonkeyPatch.context() as patch:
        in_small_pieces(patch, piece)
        found = list(read_items(path))
    wanted = [{"question": asked or None, "answer": told or None} for asked, told in rows]
    assert found == [Item(number, row) for number, row in enumerate(wanted, 1)]


@given(
    lines=st.lists(
        st.text(
            st.characters(exclude_categories=["Cs"], exclude_characters="\ufeff\0\r\n"),
            min_size=1,
            max_size=20,
        ).filter(lambda text: text.strip(" \t")),
        min_size=1,
        max_size=8,
    ),
    codec=st.sampled_from(ENCODINGS),
)
@QUICK
def test_lines_of_a_text_come_back(lines: list[str], codec: str, tmp_path: Path) -> None:
    (tmp_path / "rows.txt").write_bytes("\n\n".join(lines).encode(codec))
    found = list(read_items(tmp_path / "rows.txt"))
    assert found == [Item(2 * place + 1, {"text": line}) for place, line in enumerate(lines)]


columns = st.fixed_dictionaries(
    {
        "text": st.one_of(st.none(), st.text(plain, max_size=12)),
        "count": st.integers(min_value=-(2**63), max_value=2**63 - 1),
        "picture": st.binary(max_size=8),
        "turns": st.lists(
            st.fixed_dictionaries({"from": st.text(plain, max_size=4), "value": st.text(plain)})
        ),
    }
)
SCHEMA = pa.schema(
    {
        "text": pa.string(),
        "count": pa.int64(),
        "picture": pa.binary(),
        "turns": pa.list_(pa.struct({"from": pa.string(), "value": pa.string()})),
    }
)


@given(
    rows=st.lists(columns, min_size=1, max_size=12),
    kind=st.sampled_from(["parquet", "arrow", "stream"]),
    batch=st.sampled_from([1, 5, 100]),
    skip=st.integers(min_value=0, max_value=12),
)
@QUICK
def test_rows_of_parquet_and_arrow_come_back(
    rows: list[Any], kind: str, batch: int, skip: int, tmp_path: Path
) -> None:
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    path = tmp_path / ("rows.parquet" if kind == "parquet" else "rows.arrow")
    if kind == "parquet":
        pq.write_table(table, path, row_group_size=batch)
    else:
        start = pa.ipc.new_file if kind == "arrow" else pa.ipc.new_stream
        with path.open("wb") as file, start(file, SCHEMA) as writer:
            writer.write_table(table, max_chunksize=batch)
    found = list(read_items(path, skip))
    assert found == [Item(number, row) for number, row in enumerate(rows, 1)][skip:]


def test_the_datasets_library_s_own_files_are_read(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    made = datasets.Dataset.from_list(ROWS)
    made.save_to_disk(str(tmp_path / "saved"))
    made.to_parquet(str(tmp_path / "rows.parquet"))
    # Beside the rows lie dataset_info.json and state.json, which are none.
    found = list(read_items(tmp_path / "saved"))
    assert found == [Item(n, row, "data-00000-of-00001.arrow") for n, row in enumerate(ROWS, 1)]
    assert values(tmp_path / "rows.parquet") == ROWS


def test_what_json_does_not_know_is_text_or_nothing(tmp_path: Path) -> None:
    row = {
        "day": datetime.date(2024, 1, 31),
        "at": datetime.datetime(2024, 1, 31, 10, 30),
        "price": decimal.Decimal("1.10"),
        "missing": float("nan"),
        "kind": "a",
    }
    table = pa.Table.from_pylist([row]).append_column(
        "map", pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int8()))
    )
    table = table.set_column(4, "kind", table["kind"].dictionary_encode())
    pq.write_table(table, tmp_path / "rows.parquet")
    assert values(tmp_path / "rows.parquet") == [
        {
            "day": "2024-01-31",
            "at": "2024-01-31T10:30:00",
            "price": "1.10",
            "missing": None,
            "kind": "a",
            "map": {"k": 1},
        }
    ]


def test_one_cell_that_is_no_text_costs_one_row(tmp_path: Path) -> None:
    wrong = pa.StringArray.from_buffers(
        3, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0"), pa.py_buffer(b"a\xffc")
    )
    pq.write_table(pa.table({"text": wrong}), tmp_path / "rows.parquet")
    first, second, third = read_items(tmp_path / "rows.parquet")
    assert (first.value, third.value) == ({"text": "a"}, {"text": "c"})
    assert isinstance(second.value, Broken) and second.value.code == "row_unreadable"


cell = st.text(st.sampled_from("abc ÄÖ你好🙂,;\n\"'"), max_size=8)


@given(rows=st.lists(st.tuples(cell, cell), min_size=1, max_size=6))
@settings(QUICK, max_examples=25)
def test_cells_of_an_xlsx_come_back(rows: list[tuple[str, str]], tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in [("question", "answer"), *rows]:
        book.active.append([each or None for each in row])
    book.save(tmp_path / "rows.xlsx")
    wanted = [
        Item(number, {"question": asked or None, "answer": told or None})
        for number, (asked, told) in enumerate(rows, 1)
        if asked or told
    ]
    if not wanted:
        with pytest.raises(UserError, match="is empty"):
            values(tmp_path / "rows.xlsx")
        return
    assert list(read_items(tmp_path / "rows.xlsx")) == wanted


def test_numbers_and_dates_of_an_xlsx_are_texts(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["a", "b", "c", "messages"])
    book.active.append([1, 2.5, datetime.datetime(2024, 1, 31), '[{"role": "user"}]'])
    book.active.append([])
    book.active.append([True, 3.0, datetime.datetime(2024, 1, 31, 9, 30), "plain"])
    book.create_sheet("second").append(["x"])
    book.save(tmp_path / "rows.xlsx")
    assert list(read_items(tmp_path / "rows.xlsx")) == [
        Item(1, {"a": "1", "b": "2.5", "c": "2024-01-31", "messages": [{"role": "user"}]}),
        Item(3, {"a": "TRUE", "b": "3", "c": "2024-01-31 09:30:00", "messages": "plain"}),
    ]


@pytest.mark.parametrize(
    ("codec", "name"),
    [
        ("utf-8", "UTF-8"),
        ("utf-8-sig", "UTF-8 with BOM"),
        ("utf-16", "UTF-16 LE"),
        ("utf-16-be", "UTF-16 BE"),
        ("utf-16-le", "UTF-16 LE"),
        ("gb18030", "GB18030"),
    ],
)
@pytest.mark.parametrize("file", ["rows.json", "rows.jsonl", "rows.csv", "rows.tsv", "rows.txt"])
def test_the_encoding_is_found_and_told(codec: str, name: str, file: str, tmp_path: Path) -> None:
    rows = [{"text": f"{CHINESE}{number}"} for number in range(3)]
    if file == "rows.json":
        text = json.dumps(rows, ensure_ascii=False, indent=1)
    elif file == "rows.jsonl":
        text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    else:
        text = "\n".join([*(["text"] if file != "rows.txt" else []), *(row["text"] for row in rows)])
    # Without a mark it takes ASCII to be sure of UTF-16; English about the file is as good as any.
    extra = {"note": "Some English words in front of the others. " * 4}
    if codec in ("utf-16-be", "utf-16-le"):
        head = json.dumps(extra)
        text = {"rows.json": f"[{head},\n{text[1:]}", "rows.jsonl": f"{head}\n{text}"}.get(file, "")
        if not text:
            return
        rows = [extra, *rows]
    (tmp_path / file).write_bytes(text.encode(codec))
    assert look_into(tmp_path / file).encoding == name
    assert look_into(tmp_path / file, whole=True).encoding == name
    assert values(tmp_path / file) == rows
    assert read_text(tmp_path / file) == text


def test_chinese_that_begins_after_megabytes_of_ascii(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    line = json.dumps({"text": "x" * 900}).encode() + b"\n"
    last = json.dumps({"text": CHINESE}, ensure_ascii=False)
    path.write_bytes(line * 3000 + last.encode("gb18030"))
    assert look_into(path).encoding == "UTF-8"
    assert look_into(path, whole=True).encoding == "GB18030"
    *_, end = read_items(path)
    assert end == Item(3001, {"text": CHINESE})


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        ("Ça a été déjà l'été où l'élève fût là", "latin-1"),
        ("Привет, как у вас дела сегодня?", "cp1251"),
        ("こんにちは、今日はとてもいい天気ですね。散歩に行きましょう", "euc-jp"),
        ("안녕하세요 오늘은 날씨가 아주 좋습니다 우리 같이 산책하러 갑시다 그리고 밥도 먹어요", "euc-kr"),
        ("こんにちは、今日はとてもいい天気ですね", "shift-jis"),
        ("繁體中文測試，這是一個測試檔案，請問天氣好嗎", "big5"),
    ],
)
def test_another_code_page_is_refused_and_not_read_as_chinese(text: str, codec: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(
        b'{"a": 1}\n' + json.dumps({"a": text}, ensure_ascii=False).encode(codec)
    )
    with pytest.raises(UserError) as error:
        values(tmp_path / "rows.jsonl")
    assert error.value.code == "file_encoding" and "line 2, byte " in error.value.text


@pytest.mark.parametrize("text", ["繁體中文測試，這是一個測試檔案", "联通", "好", "𠮷😀", "问题：1+1=2？"])
def test_chinese_is_known_in_few_characters_and_in_traditional_ones(text: str, tmp_path: Path) -> None:
    data = json.dumps([{"a": text}], ensure_ascii=False).encode("gb18030")
    (tmp_path / "rows.json").write_bytes(data)
    assert values(tmp_path / "rows.json") == [{"a": text}]


def test_a_wrong_byte_after_chinese_in_utf8_is_a_wrong_byte(tmp_path: Path) -> None:
    good = json.dumps({"a": CHINESE}, ensure_ascii=False).encode() + b"\n"
    (tmp_path / "rows.jsonl").write_bytes(good * 20_000 + b'{"a": "\xb5\xc4"}')
    with pytest.raises(UserError, match=f"UTF-8: line 20001, byte {len(good) * 20_000 + 7} cannot"):
        values(tmp_path / "rows.jsonl")


@pytest.mark.parametrize("name", ["one.json", "one.jsonl"])
def test_the_contents_decide_not_the_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text('{"a": 1}')
    assert list(read_items(path)) == [Item(1, {"a": 1})]
    path.write_text('\n{"a": 1}\n\n{"a": 2}\n')
    assert list(read_items(path)) == [Item(2, {"a": 1}), Item(4, {"a": 2})]
    path.write_text('[\n  {"a": 1},\n  {"a": 2}\n]')
    assert list(read_items(path)) == [Item(1, {"a": 1}), Item(2, {"a": 2})]
    path.write_text('[{"a": 1}, {"a": 2}]')
    assert list(read_items(path)) == [Item(1, {"a": 1}), Item(2, {"a": 2})]


def test_objects_over_several_lines_one_behind_the_other(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text('{\n "a": 1\n}\n{\n "a": 2\n}\n')
    assert list(read_items(tmp_path / "rows.json")) == [Item(1, {"a": 1}), Item(2, {"a": 2})]


def test_a_folder_of_one_type_is_read_in_order_and_says_the_file(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text('{"a": 2}\n{"a": 3}')
    (tmp_path / "a.json").write_text('[{"a": 1}]')
    (tmp_path / "c.jsonl").write_text("")
    for beside in (
        "README.md",
        "readme.txt",
        "LICENSE",
        ".hidden.csv",
        "_SUCCESS",
        "dataset_info.json",
        "x.png",
        "load.py",
    ):
        (tmp_path / beside).write_text("not rows")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "rows.csv").write_text("not read")
    assert list(read_items(tmp_path)) == [
        Item(1, {"a": 1}, "a.json"),
        Item(1, {"a": 2}, "b.jsonl"),
        Item(2, {"a": 3}, "b.jsonl"),
    ]
    assert [item.value["a"] for item in read_items(tmp_path, 2)] == [3]
    assert list(read_items(tmp_path, 3)) == []
    assert look_into(tmp_path) == FileFacts("json", "UTF-8", 27, ("a.json", "b.jsonl", "c.jsonl"))


def test_progress_rises_to_the_whole(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text('{"a": "' + "x" * 999 + '"}\n' + '{"a": 1}\n' * 200_000)
    told: list[tuple[int, int]] = []
    assert (
        sum(1 for _ in read_items(tmp_path, tell=lambda done, total: told.append((done, total)))) == 400_002
    )
    done = [each for each, _ in told]
    size = look_into(tmp_path).bytes
    assert done == sorted(done) and len(done) >= 4 and told[-1] == (size, size)


def test_excel_s_csv_and_a_pandas_index(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes("sep=;\r\nFrage;Antwort\r\n1,5;zwei\r\n".encode("utf-8-sig"))
    assert values(tmp_path / "rows.csv") == [{"Frage": "1,5", "Antwort": "zwei"}]
    (tmp_path / "rows.csv").write_text(',q,a\n0,NA,"x\ny"\n1,None,\n')
    assert list(read_items(tmp_path / "rows.csv")) == [
        Item(1, {"Unnamed: 0": "0", "q": "NA", "a": "x\ny"}),
        Item(2, {"Unnamed: 0": "1", "q": "None", "a": None}),
    ]


def test_lists_in_the_cells_of_a_table(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text('images;output\n["a.png"];["not a list"]\nb.png;x\n[broken;y\n')
    assert values(tmp_path / "rows.csv") == [
        {"images": ["a.png"], "output": '["not a list"]'},
        {"images": "b.png", "output": "x"},
        {"images": "[broken", "output": "y"},
    ]


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
def test_memory_does_not_grow_with_the_file(name: str, tmp_path: Path) -> None:
    row = json.dumps({"text": "x" * 1000})
    with (tmp_path / name).open("w") as file:
        file.write("[" if name == "rows.json" else "")
        for number in range(30_000):
            file.write(f"{',' if number and name == 'rows.json' else ''}{row}\n")
        file.write("]" if name == "rows.json" else "")
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_items(tmp_path / name)) == 30_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12 << 20


def test_a_link_that_leads_to_a_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real.jsonl").write_text('{"a": 1}')
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "real.jsonl")
    assert values(tmp_path / "link.jsonl") == [{"a": 1}]


def test_marks_left_by_joining_files(tmp_path: Path) -> None:
    one = codecs.BOM_UTF8 + b'{"a": 1}\n'
    (tmp_path / "rows.jsonl").write_bytes(one + one)
    assert values(tmp_path / "rows.jsonl") == [{"a": 1}, {"a": 1}]
