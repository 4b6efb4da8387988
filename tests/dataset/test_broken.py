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
from trainer.dataset.files import Item
from trainer.dataset.info import load_info, parse_entry
from trainer.dataset.load import Rows, load_rows
from trainer.dataset.render import Renderer, render_all
from trainer.dataset.rows import Reading, RowReader, read_rows
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
KTO = {"columns": {"prompt": "instruction", "response": "output", "kto_tag": "kto"}}
PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACw="


GOODS: dict[tuple[str, bool], Any] = {
    ("alpaca", False): {**GOOD, "kto": True},
    ("sharegpt", False): chat(("human", "Hi"), ("gpt", "Yo")),
    ("openai", False): messages(ASK, TELL),
    ("alpaca", True): {"instruction": "Hi", "chosen": "Yo", "rejected": "No"},
    ("sharegpt", True): chat(
        ("human", "Hi"), chosen={"from": "gpt", "value": "Yo"}, rejected={"from": "gpt", "value": "No"}
    ),
}


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
    BadRow("unknown role", chat(("alien", "x"), ("gpt", "y")), CHAT, "row_role", "conversations[1] comes from 'alien'; known are human, gpt, system, observation, function_call"),
    BadRow("role null", chat((None, "x")), CHAT, "row_role", "comes from 'None'"),  # type: ignore[arg-type]
    BadRow("answer first", chat(("gpt", "y"), ("human", "x")), CHAT, "row_order", "conversations[1] comes from 'gpt', where 'human' is due"),
    BadRow("two questions", chat(("system", "S"), ("human", "x"), ("human", "x")), CHAT, "row_order", "conversations[3] comes from 'human', where 'gpt' is due"),
    BadRow("late system", chat(("human", "x"), ("gpt", "y"), ("system", "S"), ("gpt", "y")), CHAT, "row_order", "conversations[3] comes from 'system'"),
    BadRow("ends with a question", chat(("human", "x"), ("gpt", "y"), ("human", "z")), CHAT, "row_no_answer", "conversations[3]"),
    BadRow("empty answer in between", chat(("human", "x"), ("gpt", ""), ("human", "z"), ("gpt", "y")), CHAT, "row_empty_answer", "conversations[2].value"),
    BadRow("calls that are no JSON", chat(("human", "x"), ("function_call", "call f")), CHAT, "row_calls", "conversations[2].value must hold the call of a tool as JSON"),
    BadRow("a call without a name", chat(("human", "x"), ("function_call", "{}")), CHAT, "row_type", "conversations[2].value[1].name is nothing"),
    BadRow("no call in a list", chat(("human", "x"), ("function_call", "[]")), CHAT, "row_type", "conversations[2].value is a list"),
    BadRow("calls null", chat(("human", "x"), ("function_call", None)), CHAT, "row_no_answer", "conversations[2].value"),
    BadRow("arguments that are no JSON", messages({"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{a"}}]}), OPENAI, "row_json", "messages[2].tool_calls[1].arguments is not valid JSON"),
    BadRow("a tool without a name", {**chat(("human", "x"), ("gpt", "y")), "tools": [{"name": ""}]}, CHAT, "row_missing", "tools[1].name is missing"),
    BadRow("a result first", chat(("observation", "x"), ("gpt", "y")), CHAT, "row_order", "conversations[1] comes from 'observation', where 'human' is due"),
    BadRow("ends with a result", chat(("human", "x"), ("gpt", "y"), ("observation", "z")), CHAT, "row_no_answer", "conversations[3]"),
    BadRow("two answers", chat(("human", "x"), ("gpt", "y"), ("gpt", "y")), CHAT, "row_order", "conversations[3] comes from 'gpt', where 'human' is due"),
    BadRow("a question after a result", chat(("human", "x"), ("gpt", "y"), ("observation", "z"), ("human", "x"), ("gpt", "y")), CHAT, "row_order", "conversations[4] comes from 'human', where 'gpt' is due"),
    BadRow("tools that are no JSON", chat(("human", "x"), ("gpt", "y"), tools="[{]"), CHAT, "row_json", "tools is not valid JSON"),
    BadRow("tools a number", chat(("human", "x"), ("gpt", "y"), tools=5), CHAT, "row_type", "tools[1] is a number; it must be a function with a name"),
    BadRow("a tool without a name", chat(("human", "x"), ("gpt", "y"), tools=[{"type": "function", "function": {}}]), CHAT, "row_type", "tools[1].name is nothing"),
    BadRow("half a character in a tool", chat(("human", "x"), ("gpt", "y"), tools=[{"name": "\ud83d"}]), CHAT, "row_half_character", "tools holds half a character"),
    BadRow("a system that is an object", chat(("human", "x"), ("gpt", "y"), system={}), CHAT, "row_type", "system is an object"),
    BadRow("an empty tool call", messages(ASK, {"role": "assistant", "content": None, "tool_calls": [{}]}), OPENAI, "row_type", "messages[2].tool_calls[1].name is nothing"),
    BadRow("tool calls that are words", messages(ASK, {"role": "assistant", "content": None, "tool_calls": "f()"}), OPENAI, "row_json", "messages[2].tool_calls is not valid JSON"),
    BadRow("a thought that is a list", messages(ASK, {**TELL, "reasoning_content": ["x"]}), OPENAI, "row_type", "messages[2].reasoning_content is a list"),
    BadRow("a thought alone", messages(ASK, {"role": "assistant", "content": "", "reasoning_content": "x"}), OPENAI, "row_empty_answer", "messages[2].content"),
    BadRow("no content and no call", messages(ASK, {"role": "assistant"}), OPENAI, "row_missing", "messages[2].content is missing"),
    BadRow("a sound", messages({"role": "user", "content": [{"type": "input_audio"}]}, TELL), OPENAI, "row_part", "messages[1].content[1] holds 'input_audio'; read are text, image"),
    BadRow("a picture in the system prompt", messages({"role": "system", "content": [{"type": "image"}]}, ASK, TELL), OPENAI, "row_part", "messages[1].content[1] holds 'image'; read are text"),
    BadRow("an image of nowhere", messages({"role": "user", "content": [{"type": "image_url"}]}, TELL), OPENAI, "row_media_count", "marks <image> in the texts: 1; in images: 0"),
    BadRow("an image of the web", messages({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.org/a.png"}}]}, TELL), OPENAI, "row_media_address", "'https://x.org/a.png'; nothing is fetched from the web"),
    BadRow("fewer images than marks", {"instruction": "<image><image>", "output": "y", "images": [PIXEL]}, {}, "row_media_count", "marks <image> in the texts: 2; in images: 1"),
    BadRow("more images than marks", {"instruction": "<image>", "output": "y", "images": [PIXEL, PIXEL]}, {}, "row_media_count", "marks <image> in the texts: 1; in images: 2"),
    BadRow("marks and no video", {"instruction": "<video>", "output": "y", "videos": []}, {}, "row_media_count", "marks <video> in the texts: 1; in videos: 0"),
    BadRow("an image null", {"instruction": "<image>", "output": "y", "images": [None]}, {}, "row_type", "images[1] is nothing; it must be a path"),
    BadRow("an image a number", {"instruction": "<image>", "output": "y", "images": 3}, {}, "row_type", "images is a number"),
    BadRow("an image that is not there", {"instruction": "<image>", "output": "y", "images": "../none.png"}, {}, "row_media_missing", "images names '../none.png', which is not there"),
    BadRow("an image that is a folder", {"instruction": "<image>", "output": "y", "images": ["."]}, {}, "row_media_folder", "images[1] names '.', which is no file"),
    BadRow("a name with NUL", {"instruction": "<image>", "output": "y", "images": ["a\0.png"]}, {}, "row_media_name", "images[1] names"),
    BadRow("a name of half a character", {"instruction": "<image>", "output": "y", "images": ["\ud83d.png"]}, {}, "row_media_name", "images[1] names '?.png'"),
    BadRow("a name too long", {"instruction": "<image>", "output": "y", "images": ["x" * 300]}, {}, "row_media_name", "it is too long"),
    BadRow("an empty name", {"instruction": "<image>", "output": "y", "images": [""]}, {}, "row_media_name", "it is no name of a file"),
    BadRow("a broken data address", {"instruction": "<image>", "output": "y", "images": ["data:image/png;base64,?"]}, {}, "row_media_data", "images[1] cannot be read: its base64 is broken"),
    BadRow("an empty data address", {"instruction": "<image>", "output": "y", "images": ["data:image/png;base64,"]}, {}, "row_media_data", "it is empty"),
    BadRow("a file address", {"instruction": "<image>", "output": "y", "images": ["file:///etc/hosts"]}, {}, "row_media_address", "images[1] is an address"),
    BadRow("a video without frames", {"instruction": "<video>", "output": "y", "videos": [[]]}, {}, "row_video_frameless", "videos[1]"),
    BadRow("no better answer", {"instruction": "Hi", "rejected": "No"}, {"ranking": True}, "row_no_answer", "there is no answer (chosen)"),
    BadRow("no worse answer", {"instruction": "Hi", "chosen": "Yo"}, {"ranking": True}, "row_missing", "rejected is missing"),
    BadRow("a worse answer that is none", {"instruction": "Hi", "chosen": "Yo", "rejected": 3}, {"ranking": True}, "row_type", "rejected is a number"),
    BadRow("a better answer that asks", chat(("human", "x"), chosen={"from": "human", "value": "x"}, rejected={"from": "gpt", "value": "x"}), {**CHAT, "ranking": True}, "row_order", "chosen comes from 'human', where 'gpt' is due"),
    BadRow("a worse answer that is empty", chat(("human", "x"), chosen={"from": "gpt", "value": "x"}, rejected={"from": "gpt", "value": ""}), {**CHAT, "ranking": True}, "row_empty_answer", "rejected.value"),
    BadRow("a pair after an answer", chat(("human", "x"), ("gpt", "y"), chosen={"from": "gpt", "value": "x"}, rejected={"from": "gpt", "value": "x"}), {**CHAT, "ranking": True}, "row_order", "chosen comes from 'gpt', where 'human' is due"),
    BadRow("an answer that nobody wants", {**GOOD, "kto": False}, KTO, "row_undesired", "kto marks the answer as one that is not wanted"),
    BadRow("no word on the answer", {**GOOD, "kto": None}, KTO, "row_missing", "kto is missing"),
    BadRow("a word that is no tag", {**GOOD, "kto": "maybe"}, KTO, "row_type", "kto is a text; it must be true or false"),
    BadRow("content null", messages(ASK, {"role": "assistant", "content": None}), OPENAI, "row_no_answer", "messages[2].content"),
    BadRow("a part without type", messages({"role": "user", "content": ["x"]}, TELL), OPENAI, "row_type", "a part with a type"),
    BadRow("a part without text", messages({"role": "user", "content": [{"type": "text"}]}, TELL), OPENAI, "row_type", "content[1].text is nothing"),
    BadRow("weight of two", messages(ASK, {**TELL, "weight": 2}), OPENAI, "row_type", "messages[2].weight is 2"),
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD_ROWS, ids=lambda bad: bad.name)
def test_a_bad_row_is_named_and_the_others_are_used(bad: BadRow, tmp_path: Path) -> None:
    good = GOODS[bad.entry.get("formatting", "alpaca"), bad.entry.get("ranking", False)]
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
    BadFile("a number", "17", "data_not_list", ("a list of rows or one row a line, but holds a number",)),
    BadFile("nested too deep", "[" * 100_000 + "]" * 100_000, "data_no_rows", ("row 1: not valid JSON at line 1, column 102: it is nested deeper than 100 levels",)),
    BadFile("every line broken", "{a}\n{b}\n{c}\n{d}", "data_no_rows", ("4 were read", "row 1: not valid JSON at column 2", "row 3"), file="rows.jsonl"),
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD_FILES, ids=lambda bad: bad.name)
def test_a_bad_file_or_entry_has_its_sentence(bad: BadFile, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        read(tmp_path, bad.content, None, bad.file)
    assert error.value.code == bad.code
    for each in bad.told:
        assert each in error.value.text


def test_a_dataset_that_is_not_registered_lists_those_that_are(tmp_path: Path) -> None:
    options = write(tmp_path, [GOOD])
    with pytest.raises(UserError) as error:
        load_rows(DataOptions(dataset=("mien",), dataset_dir=options.dataset_dir), 42)
    assert error.value.text == f"There is no dataset 'mien' in {str(tmp_path)!r}."
    assert error.value.hint == "Registered in dataset_info.json: mine, other."
    assert error.value.field == "dataset"


def test_one_broken_line_among_good_ones(tmp_path: Path) -> None:
    rows = read(tmp_path, f"{ROW}\n\n{ROW[:-1]}\n{ROW}\n", name="rows.jsonl")
    assert [row.number for row in rows.train] == [1, 4]
    assert rows.problems[0].text.startswith("mine, row 3: not valid JSON at column 37")


WORDS = [
    "user", "human", "gpt", "assistant", "system", "tool", "function", "function_call", "observation", "developer", "Hi",
    "<image>", "<video> and <image>", "<think>Hm</think>Yo", '{"name": "f", "arguments": {"x": 1}}', '[{"name": "f"}]',
    "Well. [1] {}", "[]", PIXEL, "data:,", "http://x.org/a.png", "none.png", "", "\0", "\ud83d", "text", "image", "image_url",
]  # fmt: skip
FIELDS = [
    "instruction", "input", "output", "history", "system", "conversations", "messages", "from", "value", "role", "content",
    "type", "text", "train", "weight", "tool_calls", "function", "name", "arguments", "tools", "images", "videos", "chosen",
    "rejected", "kto", "image", "image_url", "url", "path", "bytes", "thinking", "reasoning_content",
]  # fmt: skip
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5),
    max_leaves=12,
)  # fmt: skip
words = st.sampled_from(WORDS) | json_values
turns = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system", "tool", "function", 3]), "content": words},
    optional={"weight": json_values, "tool_calls": words, "thinking": words},
)
said = st.fixed_dictionaries(
    {"from": st.sampled_from(["human", "gpt", "observation", "function_call", "system"]), "value": words}
)
more = {
    "tools": words,
    "images": words | st.lists(words, max_size=3),
    "videos": words,
    "system": words,
    "kto": words,
}
pair = {"chosen": words | turns | said, "rejected": words | turns | said}
junk = st.one_of(
    json_values,
    st.fixed_dictionaries(
        {"instruction": words, "output": words}, optional={"history": json_values, **more, **pair}
    ),
    st.fixed_dictionaries({"messages": st.lists(turns, max_size=5)}, optional={**more, **pair}),
    st.fixed_dictionaries({"conversations": st.lists(said, max_size=5)}, optional={**more, **pair}),
    st.just({**GOOD, **messages(ASK, TELL), **chat(("human", "Hi"), ("gpt", "Yo")), "kto": True}),
)


@given(
    rows=st.lists(junk, min_size=1, max_size=12),
    formatting=st.sampled_from(["alpaca", "sharegpt", "openai"]),
    ranking=st.booleans(),
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
    rows: list[Any], formatting: str, ranking: bool, file: str, cutoff: int, tmp_path: Path
) -> None:
    if file == "rows.jsonl" and len(rows) == 1 and isinstance(rows[0], list):
        rows = [
            *rows,
            0,
        ]  # a single line with a list of objects is a list of rows, whatever the file is called
    options = write(tmp_path, rows, {"formatting": formatting, "ranking": ranking}, file)
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


# What tables can hold besides: bytes, and numbers that JSON has no word for.
cells = st.recursive(
    json_values | st.binary(max_size=4) | st.just(float("nan")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=8,
)


@given(
    row=junk | st.dictionaries(st.sampled_from(FIELDS), cells, max_size=8),
    entry=st.fixed_dictionaries(
        {"formatting": st.sampled_from(["alpaca", "sharegpt", "openai"]), "ranking": st.booleans()},
        optional={"columns": st.fixed_dictionaries(
            {"prompt": st.just("instruction"), "response": st.just("output"), "messages": st.just("messages"), "chosen": st.just("chosen"), "rejected": st.just("rejected")},
            optional={each: st.just(each) for each in ("history", "system", "tools", "images", "videos")} | {"kto_tag": st.just("kto")},
        )},
    ),
)  # fmt: skip
@settings(
    deadline=None,
    derandomize=True,
    max_examples=400,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_row_is_usable_or_has_its_sentence(row: Any, entry: dict[str, Any], tmp_path: Path) -> None:
    info = parse_entry(tmp_path, "mine", {"file_name": "rows.json", **entry})
    found = RowReader(info, Reading({"name": "Lumo"}, dataset_dir=str(tmp_path))).read(Item(7, row))
    if isinstance(found, RowProblem):
        found.text.encode()
        assert found.text.startswith("mine, row 7: ")
        return
    conversation = found.conversation
    conversation.system.encode()
    assert isinstance(conversation.functions, list)
    assert conversation.messages[0].role == "user" and conversation.messages[-1].role == "assistant"
    for message in conversation.messages:
        assert message.text.strip() or message.media or message.calls or message.role != "assistant"
        assert all(each.path or each.data or each.frames for each in message.media)
        f"{message.text}{message.thinking}{message.calls}".encode()
