"""A stream gives the rows of its files again and again, in an order that a resume finds again without rendering."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tests.dataset import tokenizers as tk
from tests.dataset.test_cache import renderer, rows, write
from trainer.dataset import stream as module
from trainer.dataset.load import load_rows
from trainer.dataset.render import Rendered, Renderer, render_all
from trainer.dataset.stream import Stream, held_back, trained_on
from trainer.errors import UserError
from trainer.options import DataOptions


def options(folder: Path, **changes: Any) -> DataOptions:
    data = write(folder / "data", a=rows("a", 9), b=rows("b", 5))
    return replace(data, streaming=True, buffer_size=4, **changes)


def some(stream: Stream, count: int, skip: int = 0) -> list[Rendered | None]:
    return list(islice(stream.rendered(skip), count))


def keys(found: list[Rendered | None] | list[Rendered]) -> Counter[str]:
    return Counter(repr(row.input_ids) for row in found if row)


def test_every_epoch_has_every_row_once_in_an_order_of_its_own(tmp_path: Path) -> None:
    data = options(tmp_path)
    stream = Stream(renderer(data), data, 42)
    found = some(stream, 28)
    expected = render_all(renderer(data), load_rows(replace(data, streaming=False), 42).train).rows
    assert keys(found[:14]) == keys(found[14:]) == keys(expected)
    assert found[:14] != found[14:]
    assert found == some(Stream(renderer(data), data, 42), 28) != some(Stream(renderer(data), data, 43), 28)
    # Two of each dataset cannot be used: told once, however often they are read.
    assert sorted((each.dataset, each.number, each.code) for each in stream.problems) == [
        ("a", 3, "row_empty_answer"), ("a", 4, "row_template_refuses"), ("b", 3, "row_empty_answer"), ("b", 4, "row_template_refuses"),
    ]  # fmt: skip


@pytest.mark.parametrize("strategy", ["concat", "interleave_under", "interleave_over", "interleave_once"])
def test_rows_held_back_are_trained_in_no_epoch(strategy: str, tmp_path: Path) -> None:
    data = options(tmp_path, val_size=3, mix_strategy=strategy)
    stream = Stream(renderer(data), data, 42)
    held = keys(list(stream.evaluation()[""]))
    # One of the first three is refused by the template where the datasets follow one another.
    assert held.total() == (2 if strategy == "concat" else 3)
    assert not held & keys(some(stream, 60))
    # Who evaluates later finds the same rows, and those that were trained.
    again, rest = held_back(data, 42), list(trained_on(data, 42))
    assert keys(list(render_all(renderer(data), again.rows).rows)) == held
    every = load_rows(replace(data, streaming=False, val_size=0, mix_strategy="concat"), 42).train
    assert len(again.rows) == 3 and len(again.rows) + len(rest) == len(every)
    assert not {(row.dataset, row.number) for row in again.rows} & {(row.dataset, row.number) for row in rest}
    each = Stream(renderer(data), replace(data, eval_on_each_dataset=True), 42).evaluation()
    assert set(each) == ({"a"} if strategy == "concat" else {"a", "b"})
    assert sum(len(part) for part in each.values()) == held.total()


def test_a_dataset_for_evaluation(tmp_path: Path) -> None:
    data = options(tmp_path)
    data = replace(data, dataset=("a",), eval_dataset=("a", "b"), eval_on_each_dataset=True)
    assert {name: len(part) for name, part in Stream(renderer(data), data, 1).evaluation().items()} == {
        "a": 9,
        "b": 5,
    }
    merged = Stream(renderer(data), replace(data, eval_on_each_dataset=False), 1).evaluation()
    assert {name: len(part) for name, part in merged.items()} == {"": 14}


@pytest.mark.parametrize("skip", [0, 1, 13, 14, 40])
def test_a_resume_goes_on_at_the_right_row_and_renders_none_before(
    skip: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 3)
    data = options(tmp_path, mix_strategy="interleave_over")
    straight = some(Stream(renderer(data), data, 42), skip + 20)
    first = Stream(renderer(data), data, 42)
    some(first, skip)
    first.save(tmp_path)
    rendered = []
    many = Renderer.render_many

    def counted(self: Renderer, given: Any) -> Any:
        batch = list(given)
        rendered.extend(batch)
        return many(self, batch)

    monkeypatch.setattr(Renderer, "render_many", counted)
    resumed = Stream(renderer(data), data, 42)
    resumed.restore(tmp_path)
    found = some(resumed, skip + 20, skip)
    assert found == [None] * skip + straight[skip:]
    assert len(rendered) <= 20 + 20 // 3 + 3
    # Without the file of the checkpoint they are rendered to find out which were refused.
    blind = Stream(renderer(data), data, 42)
    blind.restore(tmp_path / "nowhere")
    assert some(blind, skip + 20, skip) == found
    assert {each.number for each in resumed.problems} == {3, 4}


def test_a_file_is_read_no_further_than_the_buffer(tmp_path: Path) -> None:
    line = b'{"instruction": "a", "output": "b"}\n'
    (tmp_path / "rows.jsonl").write_bytes(line * 100_000 + b"\xff\n")
    (tmp_path / "dataset_info.json").write_text('{"a": {"file_name": "rows.jsonl"}}', encoding="utf-8")
    data = DataOptions(dataset=("a",), dataset_dir=str(tmp_path), streaming=True, buffer_size=10, val_size=5)
    assert len(some(Stream(renderer(data), data, 42), 50)) == 50


@pytest.mark.parametrize(
    ("given", "changes", "code"),
    [
        ([{"instruction": "a", "output": ""}] * 3, {}, "data_no_rows"),
        ([{"instruction": "refuse me", "output": "y"}] * 3, {}, "data_no_rows"),
        ([{"instruction": "a", "output": "y"}] * 3, {"val_size": 3}, "data_val_too_large"),
    ],
)
def test_nothing_to_train_is_a_sentence(
    given: list[Any], changes: dict[str, Any], code: str, tmp_path: Path
) -> None:
    data = replace(write(tmp_path / "data", a=given), streaming=True, **changes)
    with pytest.raises(UserError) as error:
        Stream(renderer(data), data, 42).first()
    assert error.value.code == code


def test_a_stream_says_that_it_draws_no_sample(tmp_path: Path) -> None:
    rows = [{"instruction": f"ask {number}", "output": "answer"} for number in range(6)]
    (tmp_path / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    entries = {"few": {"file_name": "rows.json", "num_samples": 2}, "all": {"file_name": "rows.json"}}
    (tmp_path / "dataset_info.json").write_text(json.dumps(entries), encoding="utf-8")
    tokens = tk.tokenizer(tk.own("chatml"))
    notes = {}
    for name in entries:
        data = DataOptions(dataset=(name,), dataset_dir=str(tmp_path), streaming=True)
        notes[name] = [note.code for note in Stream(Renderer(tokens, "", data), data, 1).notes]
    assert notes == {"few": ["stream_all_rows"], "all": []}
