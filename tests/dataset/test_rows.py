"""Rows of every shape become the same conversations: tools, calls, thoughts, pairs, tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trainer.dataset.conversation import Call, Conversation, Media, Message, Row, RowProblem, Text
from trainer.dataset.files import Item
from trainer.dataset.info import parse_entry
from trainer.dataset.rows import Reading, RowReader, read_rows

SHAREGPT = {"formatting": "sharegpt"}
OPENAI = {"formatting": "openai"}
WEATHER = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
WRAPPED = {"type": "function", "function": WEATHER}


def one(row: Any, entry: dict[str, Any] | None = None, reading: Reading | None = None) -> Conversation:
    info = parse_entry(Path("/nowhere"), "mine", {"file_name": "rows.json", **(entry or {})})
    assert info.refusal is None
    found = RowReader(info, reading or Reading()).read(Item(1, row))
    assert isinstance(found, Row), found.text
    return found.conversation


def user(text: str) -> Message:
    return Message("user", (Text(text),))


def answer(text: str, **more: Any) -> Message:
    return Message("assistant", (Text(text),) if text else (), **more)


def result(text: str) -> Message:
    return Message("tool", (Text(text),))


def talk(*turns: tuple[str, Any], **more: Any) -> dict[str, Any]:
    return {"conversations": [{"from": who, "value": what} for who, what in turns], **more}


def messages(*said: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"messages": list(said), **more}


PARIS, ROME = (Call("weather", json.dumps({"city": city})) for city in ("Paris", "Rome"))
CALLED = Conversation(
    (
        user("Paris or Rome?"),
        answer("", calls=(PARIS, ROME), thinking="Both."),
        result("rain"),
        result("sun"),
        answer("Rome."),
    ),
    "Be brief.",
    json.dumps([WRAPPED]),
)


def function(city: str) -> dict[str, Any]:
    return {"name": "weather", "arguments": {"city": city}}


def as_text(city: str) -> dict[str, Any]:
    call = {"name": "weather", "arguments": json.dumps({"city": city})}
    return {"id": "call_1", "type": "function", "function": call}


@pytest.mark.parametrize("tools", [[WEATHER], [WRAPPED], WEATHER, WRAPPED, [json.dumps(WEATHER)]])
@pytest.mark.parametrize("spelt", [False, True])
def test_tools_and_calls_are_the_same_in_every_shape(tools: Any, spelt: bool) -> None:
    tools = json.dumps(tools) if spelt else tools
    both = [function("Paris"), function("Rome")]
    sharegpt = talk(
        ("system", "Be brief."), ("human", "Paris or Rome?"),
        ("function_call", "<think>\nBoth.\n</think>\n\n" + json.dumps(both, indent=1)),
        ("observation", "rain"), ("observation", "sun"), ("gpt", "Rome."), tools=tools,
    )  # fmt: skip
    ask, end = {"role": "user", "content": "Paris or Rome?"}, {"role": "assistant", "content": "Rome."}
    results = [{"role": "tool", "content": each, "tool_call_id": "1"} for each in ("rain", "sun")]
    system = {"role": "developer", "content": "Be brief."}
    assert one(sharegpt, SHAREGPT) == CALLED
    for calls in (
        [as_text("Paris"), as_text("Rome")],
        both,
        json.dumps(both),
        [as_text("Paris"), function("Rome")],
    ):
        for said in ({"content": None}, {"content": ""}, {}):
            for thought in ({"reasoning_content": "Both."}, {"thinking": "Both.", "reasoning_content": None}):
                called = {"role": "assistant", "tool_calls": calls, **said, **thought}
                assert one(messages(system, ask, called, *results, end, tools=tools), OPENAI) == CALLED


def test_older_files_name_the_function_that_gave_a_result() -> None:
    row = messages(
        {"role": "user", "content": "Paris?"},
        {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": '{"city": "Paris"}'}},
        {"role": "function", "name": "weather", "content": "rain"},
        {"role": "assistant", "content": "Rain."},
    )  # fmt: skip
    assert one(row, OPENAI).messages == (
        user("Paris?"),
        answer("", calls=(PARIS,)),
        result("rain"),
        answer("Rain."),
    )
    # LLaMA-Factory's function_tag, on the other hand, marks an answer that calls.
    row["messages"][1:3] = [
        {"role": "function", "content": json.dumps(function("Paris"))},
        {"role": "tool", "content": "rain"},
    ]
    assert one(row, OPENAI).messages == (
        user("Paris?"),
        answer("", calls=(PARIS,)),
        result("rain"),
        answer("Rain."),
    )


def test_words_before_a_call_and_calls_without_arguments() -> None:
    found = one(talk(("human", "?"), ("function_call", 'Look [here]: {"name": "f"}')), SHAREGPT)
    assert found.messages[1] == Message("assistant", (Text("Look [here]:"),), calls=(Call("f", "{}"),))
    found = one(talk(("human", "?"), ("function_call", {"name": "f", "arguments": "no JSON"})), SHAREGPT)
    assert found.messages[1] == answer("", calls=(Call("f", "no JSON"),))
    said = {"role": "assistant", "content": "Look.", "tool_calls": [{"name": "f", "arguments": None}]}
    found = one(messages({"role": "user", "content": "?"}, said), OPENAI)
    assert found.messages[1] == answer("Look.", calls=(Call("f", "{}"),))


def test_thoughts_are_kept_apart_where_the_row_keeps_them_apart() -> None:
    for said in (
        {"content": "Yo", "reasoning": "Hm {{name}}"},
        {"content": [{"type": "thinking", "thinking": "Hm {{name}}"}, {"type": "text", "text": "Yo"}]},
    ):
        row = messages({"role": "user", "content": "Hi"}, {"role": "assistant", **said})
        found = one(row, OPENAI, Reading({"name": "Lumo"}))
        assert found.messages[1] == answer("Yo", thinking="Hm Lumo")
    found = one({"instruction": "Hi", "output": "<think>Hm</think>Yo"})
    assert found.messages[1] == answer("<think>Hm</think>Yo")


def test_a_pair_teaches_its_better_answer() -> None:
    wanted = (user("Hi"), answer("Yo"))
    ranking = {"ranking": True}
    assert one({"instruction": "Hi", "chosen": "Yo", "rejected": "No"}, ranking).messages == wanted
    listed = {"columns": {"prompt": "q", "chosen": "good", "rejected": "bad"}, **ranking}
    assert one({"q": "Hi", "good": "Yo", "bad": ""}, listed).messages == wanted
    better, worse = {"from": "gpt", "value": "Yo"}, {"from": "gpt", "value": "No"}
    for chosen, rejected in ((better, worse), ([better], [worse]), ("Yo", "No")):
        row = talk(("human", "Hi"), chosen=chosen, rejected=rejected)
        assert one(row, {**SHAREGPT, **ranking}).messages == wanted
    row = messages({"role": "user", "content": "Hi"})
    row |= {
        "chosen": {"role": "assistant", "content": "Yo"},
        "rejected": {"role": "assistant", "content": "No"},
    }
    assert one(row, {**OPENAI, **ranking}).messages == wanted


@pytest.mark.parametrize("tag", [True, "true", "True", 1])
def test_an_answer_that_people_wanted(tag: Any) -> None:
    entry = {"columns": {"prompt": "q", "response": "a", "kto_tag": "tag"}}
    assert one({"q": "Hi", "a": "Yo", "tag": tag}, entry).messages == (user("Hi"), answer("Yo"))


def test_a_table_keeps_lists_as_json_in_its_cells() -> None:
    assert one({"instruction": "c", "output": "d", "history": '[["a", "b"]]'}).messages[0] == user("a")
    row = {
        "messages": json.dumps([{"role": "user", "content": "[1]"}, {"role": "assistant", "content": "[2]"}])
    }
    assert one(row, OPENAI).messages == (user("[1]"), answer("[2]"))


def test_fields_that_a_table_fills_with_nothing() -> None:
    text = {"type": "text", "text": "Hi", "image": None, "image_url": None}
    said = [
        {"role": "user", "content": [text], "tool_calls": None, "weight": None, "reasoning_content": None},
        {"role": "assistant", "content": "Yo", "tool_calls": [], "train": None, "weight": 0, "thinking": ""},
    ]
    row = {"messages": said, "system": None, "tools": None, "images": None, "videos": None, "other": None}
    assert one(row, OPENAI) == Conversation((user("Hi"), answer("Yo", train=False)))
    assert one({**row, "tools": "[]", "images": []}, OPENAI) == Conversation(
        (user("Hi"), answer("Yo", train=False))
    )


def test_openai_without_columns_and_tags_takes_the_other_names_too() -> None:
    row = talk(("human", "Hi"), ("gpt", "Yo"))
    assert one(row, OPENAI) == one(row, SHAREGPT)
    tagged = {
        **OPENAI,
        "tags": {
            "role_tag": "role",
            "content_tag": "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
        },
    }
    info = parse_entry(Path(), "mine", {"file_name": "rows.json", **tagged})
    problem = RowReader(info, Reading()).read(Item(1, {"messages": row["conversations"]}))
    assert isinstance(problem, RowProblem) and problem.code == "row_missing"


def test_an_answer_alone_is_a_text_to_learn(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text("One line.\nAnother.\n", encoding="utf-8")
    info = parse_entry(tmp_path, "book", {"file_name": "book.txt", "columns": {"response": "text"}})
    found = [each.conversation.messages for each in read_rows(info) if isinstance(each, Row)]
    assert found == [(user(""), answer("One line.")), (user(""), answer("Another."))]


def test_rows_of_a_table_and_the_order_of_a_page(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("instruction,output\n" + "".join(f"q{n},a{n}\n" for n in range(1, 8)))
    info = parse_entry(tmp_path, "mine", {"file_name": "rows.csv"})
    assert [each.number for each in read_rows(info, skip=2, limit=3)] == [3, 4, 5]
    assert list(read_rows(info, skip=7)) == [] and len(list(read_rows(info))) == 7


@pytest.mark.parametrize(
    ("split", "numbers"),
    [
        ("train", range(1, 11)), ("train[:3]", (1, 2, 3)), ("train[7:]", (8, 9, 10)), ("train[2:4]", (3, 4)),
        ("train[:20%]", (1, 2)), ("train[80%:]", (9, 10)), ("train[-1:]", (10,)), ("train[:-8]", (1, 2)),
        ("train[5:2]", ()), (" train [ 1 : 2 ] ", (2,)),
    ],
)  # fmt: skip
def test_a_slice_of_a_file(tmp_path: Path, split: str, numbers: Any) -> None:
    rows = [{"instruction": str(number), "output": "x"} for number in range(1, 11)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    info = parse_entry(tmp_path, "mine", {"file_name": "rows.json", "split": split})
    assert [each.number for each in read_rows(info)] == list(numbers)
    assert [each.number for each in read_rows(info, skip=1, limit=1)] == list(numbers)[1:2]


def test_a_folder_names_the_file_of_each_row(tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "a.jsonl").write_text(
        '{"instruction": "<image>", "output": "y", "images": "a.png"}\n'
    )
    (tmp_path / "part" / "b.jsonl").write_text("{}\n")
    (tmp_path / "part" / "a.png").write_bytes(b"")
    found = list(read_rows(parse_entry(tmp_path, "mine", {"file_name": "part"})))
    assert isinstance(found[0], Row) and isinstance(found[1], RowProblem)
    assert found[0].file == "a.jsonl"
    assert found[0].conversation.messages[0].parts == (Media("image", tmp_path / "part" / "a.png"),)
    assert found[1].text == "mine (b.jsonl), row 1: instruction is missing."
