"""Datasets of a hub, read by the hub's own library from folders that are laid out as its repositories."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import datasets
import modelscope
import pytest

from trainer.dataset.conversation import Call, Media, Row, RowProblem
from trainer.dataset.info import choose, parse_entry
from trainer.dataset.rows import Reading, read_rows
from trainer.errors import UserError

READY = """---
configs:
- config_name: short
  data_files: [{split: train, path: short/train.jsonl}, {split: test, path: short/test.jsonl}]
- config_name: long
  data_files: [{split: train, path: long/train.jsonl}]
---
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


def lines(path: Path, *rows: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A data folder with the repository `repo` in it: two configurations, two splits, and one more folder."""
    repo = tmp_path / "repo"
    lines(repo / "short" / "train.jsonl", *({"instruction": f"q{n}", "output": f"a{n}"} for n in range(1, 6)))
    lines(repo / "short" / "test.jsonl", {"instruction": "held", "output": "back"})
    lines(repo / "long" / "train.jsonl", {"instruction": "long", "output": "row"})
    (repo / "README.md").write_text(READY)
    return tmp_path


def read(data: Path, reading: Reading | None = None, **entry: Any) -> list[Row | RowProblem]:
    return list(read_rows(parse_entry(data, "mine", entry), reading))


def texts(found: list[Row | RowProblem]) -> list[str]:
    return [each.conversation.messages[0].text if isinstance(each, Row) else each.text for each in found]


@pytest.mark.parametrize("key", ["hf_hub_url", "ms_hub_url"])
def test_subset_split_and_folder(repository: Path, key: str) -> None:
    for place in ("repo", str(repository / "repo")):
        found = read(repository, subset="short", **{key: place})
        assert texts(found) == ["q1", "q2", "q3", "q4", "q5"] and [each.number for each in found] == [
            1,
            2,
            3,
            4,
            5,
        ]
    assert texts(read(repository, subset="short", split="test", **{key: "repo"})) == ["held"]
    assert texts(read(repository, subset="short", split="train[3:]", **{key: "repo"})) == ["q4", "q5"]
    assert texts(read(repository, subset="long", **{key: "repo"})) == ["long"]
    (repository / "repo" / "README.md").unlink()
    assert texts(read(repository, folder="long", **{key: "repo"})) == ["long"]


def test_a_page_of_rows_and_streaming(repository: Path) -> None:
    info = parse_entry(repository, "mine", {"hf_hub_url": "repo", "subset": "short"})
    assert texts(list(read_rows(info, skip=1, limit=2))) == ["q2", "q3"]
    assert texts(list(read_rows(info, Reading(streaming=True), skip=3))) == ["q4", "q5"]


def test_what_the_library_stores_otherwise_comes_back_as_it_was(tmp_path: Path) -> None:
    call = {"type": "function", "function": {"name": "f", "arguments": {"x": [1, None]}}}
    said = [
        {"role": "user", "content": [{"type": "text", "text": "<image>?"}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "5"},
        {"role": "assistant", "content": "Five."},
    ]
    tools = [{"name": "f", "parameters": {"a": 1}}, {"name": "g", "parameters": {"b": {"c": "d"}}}]
    lines(tmp_path / "repo" / "train.jsonl", {"messages": said, "tools": tools, "images": ["p.png"]})
    (tmp_path / "repo" / "p.png").write_bytes(b"x")
    for streaming in (False, True):
        (row,) = read(tmp_path, Reading(streaming=streaming), hf_hub_url="repo", formatting="openai")
        assert isinstance(row, Row)
        assert row.conversation.messages[1].calls == (Call("f", '{"x": [1, null]}'),)
        assert [each["function"] for each in row.conversation.functions] == tools
        assert row.conversation.media == (Media("image", tmp_path / "repo" / "p.png"),)


def test_pictures_in_a_table_stay_bytes(tmp_path: Path) -> None:
    (tmp_path / "repo").mkdir()
    shape = datasets.Features(
        instruction=datasets.Value("string"), output=datasets.Value("string"), images=datasets.List(datasets.Image())
    )  # fmt: skip
    row = {"instruction": "<image>", "output": "b", "images": [{"bytes": b"no picture", "path": None}]}
    table = datasets.Dataset.from_list([row], features=shape)
    table.to_parquet(str(tmp_path / "repo" / "train.parquet"))
    (found,) = read(tmp_path, hf_hub_url="repo")
    assert isinstance(found, Row) and found.conversation.media == (Media("image", data=b"no picture"),)


@pytest.mark.parametrize(
    ("entry", "code", "told"),
    [
        ({"hf_hub_url": "someone/nowhere"}, "data_hub_offline", "'someone/nowhere' is not on this machine, and huggingface.co"),
        ({"hf_hub_url": "no name at all"}, "data_hub_unknown", "huggingface.co has no dataset 'no name at all'"),
        ({"hf_hub_url": "/no/such/folder"}, "data_hub_unknown", "/no/such/folder"),
        ({"hf_hub_url": "repo", "subset": "none"}, "data_hub_subset", "has no subset 'none'"),
        ({"hf_hub_url": "repo"}, "data_hub_subset", "'short', 'long'"),
        ({"hf_hub_url": "repo", "subset": "long", "split": "test"}, "data_hub_split", "has no split 'test'"),
        ({"hf_hub_url": "repo", "subset": "broken"}, "data_hub_failed", "cannot be read"),
        ({"hf_hub_url": "repo", "columns": {"prompt": "q", "response": "output"}, "subset": "short"}, "data_column_nowhere", "q"),
    ],
)  # fmt: skip
def test_what_cannot_be_had(repository: Path, entry: dict[str, Any], code: str, told: str) -> None:
    readme = repository / "repo" / "README.md"
    readme.write_text(READY[:-4] + "- config_name: broken\n  data_files: short/gone*.jsonl\n---\n")
    with pytest.raises(UserError) as error:
        read(repository, **entry)
    assert (error.value.code, error.value.field) == (code, "dataset") and told in error.value.text


def test_online_takes_no_folder_of_this_machine(repository: Path) -> None:
    (info,) = choose("ONLINE", [str(repository / "none")])
    with pytest.raises(UserError, match="has no dataset"):
        list(read_rows(info))


def test_modelscope_is_asked_and_its_kept_copy_used_without_a_network(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def download(name: str) -> str:
        asked.append(name)
        return str(repository / "repo")

    def fail(name: str) -> str:
        raise ConnectionError("Failed to resolve 'modelscope.cn'")

    def kept(name: str, local_files_only: bool) -> str:
        assert local_files_only
        return download(name)

    def gone(name: str, local_files_only: bool) -> str:
        raise FileNotFoundError(name)

    entry = {"hf_hub_url": "someone/rows", "ms_hub_url": "other/rows", "subset": "long"}
    monkeypatch.setattr(modelscope, "dataset_snapshot_download", download)
    assert texts(read(repository, Reading(hub="modelscope"), **entry)) == ["long"] and asked == ["other/rows"]
    monkeypatch.setattr(modelscope, "dataset_snapshot_download", fail)
    compat = import_module("modelscope_hub.compat.snapshot_download")
    monkeypatch.setattr(compat, "dataset_snapshot_download", kept)
    assert texts(read(repository, Reading(hub="modelscope"), **entry)) == ["long"]
    monkeypatch.setattr(compat, "dataset_snapshot_download", gone)
    with pytest.raises(UserError) as error:
        read(repository, Reading(hub="modelscope"), **entry)
    assert error.value.code == "data_hub_offline" and "modelscope.cn" in error.value.text
