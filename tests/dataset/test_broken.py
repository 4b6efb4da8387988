"""Broken files, entries and rows: each with its sentence, and no row lost from the count."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.dataset import tokenizers as tk
from trainer.dataset.conversation import RowProblem
from trainer.dataset.info import load_info
from trainer.dataset.load import Rows, load_rows
from trainer.dataset.render import Renderer, render_all
from trainer.dataset.rows import read_rows
from trainer.errors import UserError
from trainer.options import DataOptions

GOOD = {"instruction": "Hi", "output": "Yo"}
CHAT = {"formatting": "sharegpt"}
OPENAI = {"formatting": "openai"}


def write(
    folder: Path, content: bytes | str | Any, entry: Any = None, name: str = "rows.json"
) -> DataOptions:
    """A data folder with one dataset, `mine`. Content that is neither text nor bytes is written as JSON."""
    if not isinstance(content, (bytes, str)):
        lines = name.endswith(".jsonl")
        content = "\n".join(json.dumps(each) for each in content) if lines else json.dumps(content)
    data = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(data)
    described = entry if entry is not None else {}
    if isinstance(described, dict):
        described = {"file_name": name, **described}
    (folder / "dataset_info.json").write_text(json.dumps({"mine": described, "other": {"file_name": name}}))
    return DataOptions(dataset=("mine",), dataset_dir=str(folder))


def read(folder: Path, *given: Any, **named: Any) -> Rows:
    return load_rows(write(folder, *given, **named), 42)


def chat(*turns: tuple[str, Any], **more: Any) -> dict[str, Any]:
    return {"conversations": [{"from": role, "value": value} for role, value in turns], **more}


def messages(*said: Mapping[str, Any]) -> dict[str, Any]:
    return {"messages": list(said)}


ASK = {"role": "user", "content": "Hi"}
TELL = {"role": "assistant", "content": "Yo"}


class BadRow(NamedTuple):
    name: str
    row: Any
    entry: dict[str, Any]
    code: str
    told: str


BAD_ROWS = [
    BadRow("a number", 5, {}, "row_not_object", "the row is a number, not an object"),
    BadRow("nothing", None, {}, "row_not_object", "the row is nothing"),
    BadRow("a list", ["Hi", "Yo"], {}, "row_not_object", "the row is a list"),
    BadRow("no question", {"output": "Yo"}, {}, "row_missing", "instruction is missing"),
    BadRow("question null", {"instruction": None, "output": "Yo"}, {}, "row_missing", "instruction is missing"),
    BadRow("no answer", {"instruction": "Hi"}, {}, "row_no_answer", "there is no answer (output)"),
    BadRow("answer null", {"instruction": "Hi", "output": None}, {}, "row_no_answer", "no answer (output)"),
    BadRow("answer empty", {"instruction": "Hi", "output": ""}, {}, "row_empty_answer", "answer is empty (output)"),
    BadRow("answer blank", {"instruction": "Hi", "output": " \n"}, {}, "row_empty_answer", "empty (output)"),
    BadRow("answer a list", {"instruction": "Hi", "output": ["Yo"]}, {}, "row_type", "output is a list; it must be a text"),
    BadRow("question a number", {"instruction": 1, "output": "Yo"}, {}, "row_type", "instruction is a number"),
    BadRow("system an object", {**GOOD, "system": {}}, {}, "row_type", "system is an object; it must be a text"),
    BadRow("history a text", {**GOOD, "history": "x"}, {}, "row_type", "history is a text"),
    BadRow("history of one", {**GOOD, "history": [["x"]]}, {}, "row_type", "history[1] is a list; it must be [question, answer]"),
    BadRow("history without answer", {**GOOD, "history": [["x", None]]}, {}, "row_no_answer", "history[1]"),
    BadRow("half a character", {"instruction": "\ud83d", "output": "Yo"}, {}, "row_half_character", "at place 1"),
    BadRow("no conversations", {"x": 1}, CHAT, "row_missing", "conversations is missing"),
    BadRow("conversations a text", {"conversations": "x"}, CHAT, "row_type", "a list of messages"),
    BadRow("no message", {"conversations": []}, CHAT, "row_no_messages", "conversations holds no message"),
    BadRow("system only", chat(("system", "S")), CHAT, "row_no_messages", "holds no message"),
    BadRow("message a text", {"conversations": ["x"]}, CHAT, "row_type", "conversations[1] is a text; it must be an object"),
    BadRow("no role", {"conversations": [{"value": "x"}]}, CHAT, "row_missing", "conversations[1].from is missing"),
    BadRow("no content", {"conversations": [{"from": "human"}]}, CHAT, "row_missing", "conversations[1].value is missing"),
    BadRow("unknown role", chat(("alien", "x"), ("gpt", "y")), CHAT, "row_role", "conversations[1] comes from 'alien'; known are human, gpt, system"),
    BadRow("role null", chat((None, "x")), CHAT, "row_role", "comes from 'None'"),  # type: ignore[arg-type]
    BadRow("answer first", chat(("gpt", "y"), ("human", "x")), CHAT, "row_order", "conversations[1] comes from 'assistant', where 'user' is due"),
    BadRow("two questions", chat(("system", "S"), ("human", "x"), ("human", "x")), CHAT, "row_order", "conversations[3] comes from 'user', where 'assistant' is due"),
    BadRow("late system", chat(("human", "x"), ("gpt", "y"), ("system", "S"), ("gpt", "y")), CHAT, "row_order", "conversations[3] comes from 'system'"),
    BadRow("ends with a question", chat(("human", "x"), ("gpt", "y"), ("human", "z")), CHAT, "row_no_answer", "conversations[3]"),
    BadRow("empty answer in between", chat(("human", "x"), ("gpt", ""), ("human", "z"), ("gpt", "y")), CHAT, "row_empty_answer", "conversations[2].value"),
    BadRow("a tool's result", chat(("human", "x"), ("function_call", "{}")), CHAT, "row_not_yet", "'function_call', which is not supported yet"),
    BadRow("tool calls", messages(ASK, {"role": "assistant", "content": None, "tool_calls": [{}]}), OPENAI, "row_not_yet", "tool_calls"),
    BadRow("content null", messages(ASK, {"role": "assistant", "content": None}), OPENAI, "row_no_answer", "messages[2].content"),
    BadRow("an image", messages({"role": "user", "content": [{"type": "image_url"}]}, TELL), OPENAI, "row_not_yet", "messages[1].content[1] holds 'image_url'"),
    BadRow("a part without type", messages({"role": "user", "content": ["x"]}, TELL), OPENAI, "row_type", "a part with a type"),
    BadRow("a part without text", messages({"role": "user", "content": [{"type": "text"}]}, TELL), OPENAI, "row_type", "content[1].text is nothing"),
    BadRow("weight of two", messages(ASK, {**TELL, "weight": 2}), OPENAI, "row_type", "messages[2].weight is 2"),
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD_ROWS, ids=lambda bad: bad.name)
def test_a_bad_row_is_named_and_the_others_are_used(bad: BadRow, tmp_path: Path) -> None:
    good: Any = GOOD
    if bad.entry:
        good = messages(ASK, TELL) if bad.entry is OPENAI else chat(("human", "Hi"), ("gpt", "Yo"))
    rows = read(tmp_path, [good, bad.row, good], bad.entry)
    assert [row.number for row in rows.train] == [1, 3]
    (problem,) = rows.problems
    assert (problem.dataset, problem.number, problem.code) == ("mine", 2, bad.code)
    assert problem.text.startswith("mine, row 2: ") and bad.told in problem.text
    with pytest.raises(UserError) as error:
        read(tmp_path, [bad.row], bad.entry)
    assert error.value.code == "data_no_rows" and bad.told in error.value.text


class BadFile(NamedTuple):
    name: str
    content: Any
    code: str
    told: tuple[str, ...]
    entry: Any = None
    file: str = "rows.json"


ROW = json.dumps(GOOD)
BAD_FILES = [
    BadFile("empty", "", "data_file_empty", ("is empty",)),
    BadFile("only a mark", b"\xef\xbb\xbf", "data_file_empty", ("is empty",)),
    BadFile("only blanks", " \n\n", "data_file_empty", ("is empty",), file="rows.jsonl"),
    BadFile("an empty list", "[]", "data_file_empty", ("holds no row",)),
    BadFile("something behind the list", "[{}]，你好".encode("gb18030"), "file_json", ("in row 1: line 1, column 5: Extra data",)),
    BadFile("UTF-16 cut in half", ROW.encode("utf-16")[:-1], "file_encoding", ("UTF-16 LE: line 1, byte 74",), file="rows.jsonl"),
    BadFile("a wrong byte in line 3", f"{ROW}\n{ROW}\n".encode() + b'{"a": "\xff"}', "file_encoding", ("line 3, byte 83",), file="rows.jsonl"),
    BadFile("broken in line 3", "[\n{},\n{,}]", "file_json", ("in row 2: line 3, column 2",)),
    BadFile("cut off", f"[{ROW},", "file_cut", ("stops in the middle of row 2, at line 1, column 40",)),
    BadFile("a line that is a list", "[1, 2]", "data_no_rows", ("row 1: the row is a list",), file="rows.jsonl"),
    BadFile("a number", "17", "data_not_list", ("a list of rows or one row a line, but holds a int",)),
    BadFile("nested too deep", "[" * 100_000 + "]" * 100_000, "data_no_rows", ("row 1: not valid JSON at line 1, column 102: it is nested deeper than 100 levels",)),
    BadFile("every line broken", "{a}\n{b}\n{c}\n{d}", "data_no_rows", ("4 were read", "row 1: not valid JSON at column 2", "row 3"), file="rows.jsonl"),
    BadFile("entry a text", [GOOD], "data_entry_wrong", ("'mine'",), entry="rows.json"),
    BadFile("no file_name", [GOOD], "data_no_file_name", ("no file_name",), entry={"file_name": ""}),
    BadFile("file missing", [GOOD], "data_file_missing", ("'mine'", "none.json"), entry={"file_name": "none.json"}),
    BadFile("a name too long", [GOOD], "file_unreadable", ("cannot be read",), entry={"file_name": "x" * 5000}),
    BadFile("a folder", [GOOD], "data_not_yet", ("a folder",), entry={"file_name": "."}),
    BadFile("csv", [GOOD], "data_not_yet", (".csv files",), entry={"file_name": "rows.csv"}),
    BadFile("a hub", [GOOD], "data_not_yet", ("hf_hub_url",), entry={"hf_hub_url": "a/b"}),
    BadFile("ranking", [GOOD], "data_not_yet", ("ranking",), entry={"ranking": True}),
    BadFile("another split", [GOOD], "data_not_yet", ("split: test",), entry={"split": "test"}),
    BadFile("images", [GOOD], "data_not_yet", ("images",), entry={"columns": {"prompt": "instruction", "response": "output", "images": "images"}}),
    BadFile("kto", [GOOD], "data_not_yet", ("kto_tag",), entry={"columns": {"prompt": "instruction", "response": "output", "kto_tag": "label"}}),
    BadFile("formatting", [GOOD], "data_formatting_unknown", ("'chatml'", "alpaca, sharegpt, openai"), entry={"formatting": "chatml"}),
    BadFile("a key misspelt", [GOOD], "data_entry_key", ("'colums'",), entry={"colums": {}}),
    BadFile("columns a list", [GOOD], "data_entry_wrong", ("columns is list",), entry={"columns": []}),
    BadFile("an unknown column", [GOOD], "data_entry_wrong", ("columns is answer", "response"), entry={"columns": {"answer": "output"}}),
    BadFile("a column's name a number", [GOOD], "data_entry_wrong", ("columns.prompt is 1",), entry={"columns": {"prompt": 1}}),
    BadFile("columns without response", [GOOD], "data_entry_lacks", ("columns does not name response",), entry={"columns": {"prompt": "instruction"}}),
    BadFile("columns without prompt", [GOOD], "data_entry_lacks", ("columns does not name prompt",), entry={"columns": {"response": "output"}}),
    BadFile("tags without role_tag", [GOOD], "data_entry_lacks", ("tags does not name role_tag",), entry={"formatting": "sharegpt", "tags": {"content_tag": "x"}}),
    BadFile("num_samples of zero", [GOOD], "data_entry_wrong", ("num_samples is 0",), entry={"num_samples": 0}),
    BadFile("a column in no row", [GOOD], "data_column_nowhere", ("no row has: sys",), entry={"columns": {"prompt": "instruction", "response": "output", "system": "sys"}}),
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD_FILES, ids=lambda bad: bad.name)
def test_a_bad_file_or_entry_has_its_sentence(bad: BadFile, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        read(tmp_path, bad.content, bad.entry, bad.file)
    assert error.value.code == bad.code
    for each in bad.told:
        assert each in error.value.text
    if bad.entry is not None:
        # Other datasets of the same file are not touched by it.
        assert [info.name for info in load_info(tmp_path).values() if info.refusal is None][-1] == "other"


def test_a_dataset_that_is_not_registered_lists_those_that_are(tmp_path: Path) -> None:
    options = write(tmp_path, [GOOD])
    with pytest.raises(UserError) as error:
        load_rows(DataOptions(dataset=("mien",), dataset_dir=options.dataset_dir), 42)
    assert error.value.text == f"There is no dataset 'mien' in {str(tmp_path)!r}."
    assert error.value.hint == "Registered in dataset_info.json: mine, other."
    assert error.value.field == "dataset"


@pytest.mark.parametrize(
    ("content", "code", "told"),
    [
        (b'{"a": {}\n"b": 1}', "json_broken", "line 2, column 1"),
        (b"[]", "data_info_not_object", "must hold an object"),
        (b"\xff{}", "file_not_utf8", "byte 0"),
        (b"", "json_broken", "line 1, column 1"),
        (b"[" * 100_000, "data_too_deep", "nested too deep"),
    ],
)
def test_a_broken_dataset_info(tmp_path: Path, content: bytes, code: str, told: str) -> None:
    (tmp_path / "dataset_info.json").write_bytes(content)
    with pytest.raises(UserError) as error:
        load_info(tmp_path)
    assert (error.value.code, error.value.field) == (code, "dataset_dir")
    assert told in error.value.text and "dataset_info.json" in error.value.text


def test_a_missing_folder_and_a_folder_without_dataset_info(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no data folder"):
        load_info(tmp_path / "none")
    for name in ("x" * 5000, "~nobody-of-this-name/data"):
        with pytest.raises(UserError, match="no data folder"):
            load_info(name)
    with pytest.raises(UserError, match=r"holds no dataset_info\.json"):
        load_info(tmp_path)


def test_one_broken_line_among_good_ones(tmp_path: Path) -> None:
    rows = read(tmp_path, f"{ROW}\n\n{ROW[:-1]}\n{ROW}\n", name="rows.jsonl")
    assert [row.number for row in rows.train] == [1, 4]
    assert rows.problems[0].text.startswith("mine, row 3: not valid JSON at column 37")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["user", "human", "gpt", "assistant", "system", "Hi"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["instruction", "input", "output", "history", "system", "conversations", "messages", "from", "value", "role", "content", "type", "text", "train", "weight", "tool_calls"]),
        inner, max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip
turns = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system", "tool", 3]), "content": json_values},
    optional={"weight": json_values},
)
junk = st.one_of(
    json_values,
    st.fixed_dictionaries(
        {"instruction": json_values, "output": json_values}, optional={"history": json_values}
    ),
    st.fixed_dictionaries({"messages": st.lists(turns, max_size=5)}),
    st.just({**GOOD, **messages(ASK, TELL), **chat(("human", "Hi"), ("gpt", "Yo"))}),
)


@given(
    rows=st.lists(junk, min_size=1, max_size=12),
    formatting=st.sampled_from(["alpaca", "sharegpt", "openai"]),
    file=st.sampled_from(["rows.json", "rows.jsonl"]),
    cutoff=st.sampled_from([4, 12, 2048]),
)
@settings(
    deadline=None,
    derandomize=True,
    max_examples=250,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_rows_in_are_rows_out_and_problems(
    rows: list[Any], formatting: str, file: str, cutoff: int, tmp_path: Path
) -> None:
    if file == "rows.jsonl" and len(rows) == 1 and isinstance(rows[0], list):
        rows = [
            *rows,
            0,
        ]  # a single line with a list of objects is a list of rows, whatever the file is called
    options = write(tmp_path, rows, {"formatting": formatting}, file)
    found = list(read_rows(load_info(tmp_path)["mine"]))
    assert [each.number for each in found] == list(range(1, len(rows) + 1))
    problems = [each for each in found if isinstance(each, RowProblem)]
    assert all(each.text.startswith(f"mine, row {each.number}: ") for each in problems)
    try:
        loaded = load_rows(options, 42)
        assert (len(loaded.train), len(loaded.problems)) == (len(found) - len(problems), len(problems))
        renderer = Renderer(tk.tokenizer(tk.own("chatml")), "", DataOptions(cutoff_len=cutoff))
        rendered = render_all(renderer, loaded.train)
    except UserError as error:
        assert error.code in ("data_no_rows", "data_all_cut")
        return
    assert len(rendered.rows) + len(rendered.problems) + len(problems) == len(rows)
    assert all(row.trained > 0 and len(row.input_ids) <= cutoff for row in rendered.rows)
