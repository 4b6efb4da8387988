"""Which rows a run gets: formats, columns, tags, placeholders, samples, and rows held back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from trainer.dataset.conversation import Conversation
from trainer.dataset.info import choose, find_folder, load_info
from trainer.dataset.load import load_rows
from trainer.errors import UserError
from trainer.options import DataOptions
from trainer.paths import DATA


def folder(path: Path, **datasets: tuple[dict[str, Any], list[Any]]) -> DataOptions:
    """A data folder with these datasets (entry and rows), all of them chosen."""
    info = {}
    for name, (entry, rows) in datasets.items():
        (path / f"{name}.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
        info[name] = {"file_name": f"{name}.json", **entry}
    (path / "dataset_info.json").write_text(json.dumps(info), encoding="utf-8")
    return DataOptions(dataset=tuple(datasets), dataset_dir=str(path))


def said(conversation: Conversation) -> list[str]:
    return [each.text for each in conversation.messages]


def numbered(count: int) -> tuple[dict[str, Any], list[Any]]:
    return {}, [{"instruction": f"q{number}", "output": f"a{number}"} for number in range(1, count + 1)]


def one(path: Path, entry: dict[str, Any], row: Any, **options: Any) -> Conversation:
    rows = load_rows(replace(folder(path, mine=(entry, [row])), **options), 42)
    assert rows.problems == [] and rows.evaluation == []
    return rows.train[0].conversation


def test_alpaca(tmp_path: Path) -> None:
    row = {
        "instruction": "Add", "input": "1 and 2", "output": "3", "system": "You count.",
        "history": [["Hi", "Hello"], ["How?", "Well"]],
    }  # fmt: skip
    found = one(tmp_path, {}, row)
    assert said(found) == ["Hi", "Hello", "How?", "Well", "Add\n1 and 2", "3"]
    assert [each.role for each in found.messages] == ["user", "assistant"] * 3
    assert found.system == "You count."
    bare = {"instruction": "Add", "input": None, "output": "3", "system": None, "history": None, "other": 5}
    assert one(tmp_path, {}, bare) == one(tmp_path, {}, {"instruction": "Add", "output": "3"})


def test_columns_are_all_or_nothing(tmp_path: Path) -> None:
    entry = {"columns": {"prompt": "q", "response": "a", "system": "s"}}
    found = one(tmp_path, entry, {"q": "Hi", "a": "Yo", "s": "S", "input": "no", "history": [["no", "no"]]})
    assert (said(found), found.system) == (["Hi", "Yo"], "S")
    found = one(tmp_path, {"columns": {"query": "q", "response": "a"}}, {"q": "Hi", "a": "Yo"})
    assert said(found) == ["Hi", "Yo"]


def test_sharegpt_with_its_own_tags(tmp_path: Path) -> None:
    turns = [("system", "S"), ("human", "Hi"), ("gpt", "Yo")]
    row = {"conversations": [{"from": who, "value": text} for who, text in turns], "system": "not this"}
    found = one(tmp_path, {"formatting": "sharegpt"}, row)
    assert (said(found), found.system) == (["Hi", "Yo"], "S")
    found = one(tmp_path, {"formatting": "sharegpt"}, {**row, "conversations": row["conversations"][1:]})
    assert found.system == "not this"
    entry = {
        "formatting": "sharegpt",
        "columns": {"messages": "talk"},
        "tags": {"role_tag": "who", "content_tag": "what", "user_tag": "me", "assistant_tag": "it"},
    }
    found = one(tmp_path, entry, {"talk": [{"who": "me", "what": "Hi"}, {"who": "it", "what": "Yo"}]})
    assert (said(found), found.system) == (["Hi", "Yo"], "")


def test_openai_with_parts_and_flags(tmp_path: Path) -> None:
    row = {
        "messages": [
            {"role": "system", "content": "S"},
            {"role": "user", "content": [{"type": "text", "text": "H"}, {"type": "text", "text": "i"}]},
            {"role": "assistant", "content": "Yo", "weight": 0, "tool_calls": None},
            {"role": "user", "content": "More"},
            {"role": "assistant", "content": "No", "train": True, "name": "x"},
        ]
    }
    found = one(tmp_path, {"formatting": "openai"}, row)
    assert (said(found), found.system) == (["Hi", "Yo", "More", "No"], "S")
    assert [each.train for each in found.messages[1::2]] == [False, True]


def test_placeholders_in_any_text(tmp_path: Path) -> None:
    row = {
        "instruction": "{{name}}?", "input": "{{author}}", "output": "I am {{name}} by {{author}}, {{ name }}, {{x}}.",
        "system": "{{name}}", "history": [["{{name}}", "{{name}}"]],
    }  # fmt: skip
    found = one(tmp_path, {}, row, identity_name="{{author}}", identity_author="Grüße")
    assert said(found) == [
        "{{author}}", "{{author}}", "{{author}}?\nGrüße", "I am {{author}} by Grüße, {{ name }}, {{x}}.",
    ]  # fmt: skip
    assert found.system == "{{author}}"


@pytest.mark.parametrize(
    ("name", "content", "numbers"),
    [
        ("rows.json", '\ufeff[{"instruction": "a", "output": "b"}]', [1]),
        (
            "rows.jsonl",
            '\ufeff{"instruction": "a", "output": "b"}\r\n\r\n{"instruction": "a", "output": "b"}',
            [1, 3],
        ),
        ("rows.json", '{"instruction": "a", "output": "b"}\n{"instruction": "a", "output": "b"}\n', [1, 2]),
        ("rows.json", '{\n"instruction": "a",\n"output": "b"}', [1]),
        (
            "rows.jsonl",
            '[\n{"instruction": "a", "output": "b"},\n{"instruction": "a", "output": "b"}]',
            [1, 2],
        ),
        ("rows.jsonl", '{"instruction": "a", "output": "b\u2028c"}', [1]),
        ("rows.JSON", '[{"instruction": "a", "output": "b"}]', [1]),
        ("rows", '[{"instruction": "a", "output": "b"}]', [1]),
    ],
)
def test_files_are_read_by_what_they_hold(
    tmp_path: Path, name: str, content: str, numbers: list[int]
) -> None:
    (tmp_path / name).write_bytes(content.encode())
    (tmp_path / "dataset_info.json").write_text(
        json.dumps({"mine": {"file_name": name}}), encoding="utf-8-sig"
    )
    rows = load_rows(DataOptions(dataset=("mine",), dataset_dir=str(tmp_path)), 42)
    assert [row.number for row in rows.train] == numbers and rows.problems == []


def test_several_datasets_and_their_first_rows(tmp_path: Path) -> None:
    options = folder(tmp_path, a=numbered(5), b=numbered(2), c=({}, [5, *numbered(3)[1]]))
    rows = load_rows(replace(options, max_samples=3), 42)
    assert [(row.dataset, row.number) for row in rows.train] == [
        ("a", 1), ("a", 2), ("a", 3), ("b", 1), ("b", 2), ("c", 2), ("c", 3),
    ]  # fmt: skip
    assert [(each.dataset, each.number) for each in rows.problems] == [("c", 1)]


def test_the_stream_is_read_no_further_than_needed(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b'{"instruction": "a", "output": "b"}\n' * 100_000 + b"\xff\n")
    (tmp_path / "dataset_info.json").write_text('{"mine": {"file_name": "rows.jsonl"}}')
    options = DataOptions(dataset=("mine",), dataset_dir=str(tmp_path), max_samples=3)
    assert len(load_rows(options, 42).train) == 3


def test_num_samples_draws_and_repeats(tmp_path: Path) -> None:
    few = load_rows(folder(tmp_path, mine=({"num_samples": 4}, [*numbered(9)[1], 5])), 42)
    assert len({row.number for row in few.train}) == 4 and len(few.problems) == 1
    many = load_rows(folder(tmp_path, mine=({"num_samples": 25}, numbered(9)[1])), 42)
    assert len(many.train) == 25 and len({row.number for row in many.train}) == 9
    again = load_rows(folder(tmp_path, mine=({"num_samples": 25}, numbered(9)[1])), 42)
    assert many == again
    other = load_rows(folder(tmp_path, mine=({"num_samples": 25}, numbered(9)[1])), 43)
    assert many != other


@pytest.mark.parametrize(
    ("size", "held"), [(0.1, 2), (0.25, 5), (0.01, 1), (1, 1), (7, 7), (19, 19), (0.95, 19)]
)
def test_rows_held_back(tmp_path: Path, size: float, held: int) -> None:
    options = replace(folder(tmp_path, mine=numbered(20)), val_size=size)
    rows = load_rows(options, 42)
    assert (len(rows.train), len(rows.evaluation)) == (20 - held, held)
    numbers = [[row.number for row in part] for part in (rows.train, rows.evaluation)]
    assert sorted([*numbers[0], *numbers[1]]) == list(range(1, 21))
    assert all(part == sorted(part) for part in numbers)
    assert rows == load_rows(options, 42)


def test_the_seed_decides_which_rows_are_held_back(tmp_path: Path) -> None:
    options = replace(folder(tmp_path, mine=numbered(50)), val_size=10)
    assert len({tuple(row.number for row in load_rows(options, seed).evaluation) for seed in range(5)}) == 5


@pytest.mark.parametrize(
    ("size", "code"), [(20, "data_val_too_large"), (0.99, "data_val_too_large"), (2.5, "data_val_size")]
)
def test_rows_held_back_leave_some_to_train_on(tmp_path: Path, size: float, code: str) -> None:
    options = replace(folder(tmp_path, mine=numbered(20)), val_size=size)
    with pytest.raises(UserError) as error:
        load_rows(options, 42)
    assert (error.value.code, error.value.field) == (code, "val_size")


def test_a_dataset_for_evaluation(tmp_path: Path) -> None:
    options = folder(tmp_path, a=numbered(5), b=({}, [5, *numbered(2)[1]]))
    rows = load_rows(replace(options, dataset=("a",), eval_dataset=("b",)), 42)
    assert [row.number for row in rows.evaluation] == [2, 3] and len(rows.train) == 5
    assert [(each.dataset, each.number) for each in rows.problems] == [("b", 1)]


def test_what_a_person_should_know_of_the_data(tmp_path: Path) -> None:
    pair = {"instruction": "a", "chosen": "b", "rejected": "c"}
    columns = {"prompt": "instruction", "chosen": "chosen", "rejected": "rejected"}
    options = folder(tmp_path, a=numbered(2), b=({"ranking": True, "columns": columns}, [pair]))
    (tmp_path / "a.json").write_bytes(json.dumps(numbered(2)[1]).encode("utf-16"))
    rows = load_rows(options, 42)
    assert [(note.code, note.text) for note in rows.notes] == [
        ("data_pairs", "b: of each pair of answers only the chosen one is trained."),
        ("data_encoding", "a is read as UTF-16 LE."),
    ]
    assert [said(row.conversation)[-1] for row in rows.train] == ["a1", "a2", "b"]


def test_the_folder_is_found_from_here_then_in_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_folder("data") == DATA
    (tmp_path / "data").mkdir()
    assert find_folder("data") == DATA
    folder(tmp_path / "data", mine=numbered(1))
    assert list(load_info("data")) == ["mine"]
    assert choose("data", ["mine"])[0].path == Path("data/mine.json")
    assert find_folder(tmp_path / "data") == tmp_path / "data"


def test_a_file_may_lie_anywhere(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "rows.json").write_text('[{"instruction": "a", "output": "b"}]')
    entries = {"up": {"file_name": "../rows.json"}, "whole": {"file_name": str(tmp_path / "rows.json")}}
    (tmp_path / "inner" / "dataset_info.json").write_text(json.dumps(entries))
    options = DataOptions(dataset=("up", "whole"), dataset_dir=str(tmp_path / "inner"))
    assert len(load_rows(options, 42).train) == 2


def test_words_that_an_entry_may_hold_without_effect(tmp_path: Path) -> None:
    entry = {
        "split": "train",
        "ranking": False,
        "hf_hub_url": None,
        "license": "CC0",
        "file_sha1": "0",
        "num_samples": None,
    }
    assert said(one(tmp_path, entry, {"instruction": "a", "output": "b"})) == ["a", "b"]


@pytest.mark.parametrize("name", ["identity", "ner_demo", "chat_demo"])
def test_the_datasets_that_ship_load_whole(name: str) -> None:
    rows = load_rows(DataOptions(dataset=(name,), identity_name="Lumo", identity_author="us"), 42)
    assert len(rows.train) >= 20 and rows.problems == []
    texts = " ".join(text for row in rows.train for text in said(row.conversation))
    assert "{{name}}" not in texts and "{{author}}" not in texts
    assert ("Lumo" in texts) == (name == "identity")
