"""Rendered datasets are kept by what decides their tokens, never by a time; and gathered rows are those of load_rows."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pytest

from tests.dataset.tokenizers import own, tokenizer
from trainer.dataset import cache, load
from trainer.dataset.conversation import Row
from trainer.dataset.gather import Gathered, gather
from trainer.dataset.load import load_rows
from trainer.dataset.render import Renderer, render_all
from trainer.errors import UserError
from trainer.options import DataOptions

REFUSES = "{% for m in messages %}{% if m.content == 'refuse me' %}{{ raise_exception('no') }}{% endif %}{% endfor %}"
CHATML = REFUSES + own("chatml")


def write(folder: Path, entries: dict[str, Any] | None = None, **datasets: list[Any]) -> DataOptions:
    folder.mkdir(exist_ok=True)
    info = {}
    for name, rows in datasets.items():
        (folder / f"{name}.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
        info[name] = {"file_name": f"{name}.json", **(entries or {}).get(name, {})}
    (folder / "dataset_info.json").write_text(json.dumps(info), encoding="utf-8")
    return DataOptions(dataset=tuple(datasets), dataset_dir=str(folder), cutoff_len=24)


def rows(name: str, count: int) -> list[Any]:
    """One that the reader refuses, one that the template refuses, one that is cut, and good ones."""
    good = [{"instruction": f"how {number}", "output": f"{name} 老师 {number}"} for number in range(count)]
    bad = [{"instruction": "a", "output": ""}, {"instruction": "refuse me", "output": "y"}]
    return [*good[:2], *bad, *good[2:-1], {"instruction": "x " * 90, "output": "y"}]


def renderer(data: DataOptions, template: str = CHATML) -> Renderer:
    return Renderer(tokenizer(template), "", data)


@pytest.fixture
def forbidden(monkeypatch: pytest.MonkeyPatch) -> Any:
    """From when it is called no row may be read or rendered."""

    def refuse(*_: object, **__: object) -> Iterator[Row]:
        raise AssertionError("read or rendered although the rows are in the cache")

    def forbid() -> None:
        monkeypatch.setattr(Renderer, "render_many", refuse)
        monkeypatch.setattr(cache, "rows_of", refuse)
        monkeypatch.setattr(load, "read_rows", refuse)

    return forbid


def same(found: Gathered, other: Gathered) -> bool:
    return (found.train, found.parts, found.problems) == (other.train, other.parts, other.problems)


MIXES: list[dict[str, Any]] = [
    {},
    {"val_size": 0.25},
    {"val_size": 3, "eval_on_each_dataset": True},
    {"max_samples": 5},
    {"mix_strategy": "interleave_over", "interleave_probs": ("0.2", "0.8"), "val_size": 2},
    {"mix_strategy": "interleave_under"},
    {"dataset": ("a",), "eval_dataset": ("b", "drawn"), "eval_on_each_dataset": True},
    {"dataset": ("drawn", "b"), "eval_dataset": ("a",), "mix_strategy": "interleave_once", "max_samples": 9},
]


@pytest.mark.parametrize("options", MIXES)
def test_gathered_rows_are_those_of_load_rows(
    options: dict[str, Any], tmp_path: Path, forbidden: Any
) -> None:
    data = write(
        tmp_path / "data", {"drawn": {"num_samples": 12}}, a=rows("a", 9), b=rows("b", 6), drawn=rows("d", 7)
    )
    data = replace(data, **{"dataset": ("a", "b"), **options})
    found = gather(renderer(data), data, 42, folder=tmp_path / "cache")
    loaded = load_rows(data, 42)
    # A conversation may be repeated by the mixing, a problem is told once.
    expected = render_all(renderer(data), loaded.train)
    assert list(found.train) == expected.rows
    assert found.parts.keys() == loaded.parts.keys()
    problems = [*loaded.problems, *expected.problems]
    for name, part in loaded.parts.items():
        held = render_all(renderer(data), part)
        assert list(found.parts[name]) == held.rows
        problems += held.problems
    told = [(each.dataset, each.number, each.code) for each in found.problems]
    assert sorted(set(told)) == sorted({(each.dataset, each.number, each.code) for each in problems})
    assert len(set(told)) == len(told)
    forbidden()
    again = gather(renderer(data), data, 42, folder=tmp_path / "cache")
    assert same(again, found)
    assert (again.train.trained, again.train.cut, again.train.longest) == (
        sum(row.trained for row in expected.rows), sum(row.cut for row in expected.rows), expected.longest,
    )  # fmt: skip


def test_new_options_of_mixing_render_nothing(tmp_path: Path, forbidden: Any) -> None:
    data = write(tmp_path / "data", a=rows("a", 9), b=rows("b", 6))
    folder = tmp_path / "cache"
    gather(renderer(data), data, 42, folder=folder)
    os.utime(tmp_path / "data" / "a.json", (1, 1))
    forbidden()
    moved = replace(data, val_size=0.2, mix_strategy="interleave_over", packing=True)
    assert len(gather(renderer(data), moved, 7, folder=folder).parts[""]) in (2, 3)


@pytest.mark.parametrize(
    "change", ["row", "cutoff", "prompt", "template", "again", "name", "entry", "limit", "code"]
)
def test_whatever_decides_the_tokens_renders_anew(
    change: str, tmp_path: Path, forbidden: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, template = write(tmp_path / "data", a=rows("a", 4)), CHATML
    gather(renderer(data), data, 42, folder=tmp_path / "cache")
    path = tmp_path / "data" / "a.json"
    if change == "row":
        before = path.stat()
        path.write_text(path.read_text(encoding="utf-8").replace("how 1", "HOW 1"), encoding="utf-8")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    if change == "entry":
        write(
            tmp_path / "data",
            {"a": {"columns": {"prompt": "output", "response": "instruction"}}},
            a=rows("a", 4),
        )
    if change == "code":
        monkeypatch.setattr(cache, "code_key", lambda: "another")
    changed: dict[str, dict[str, Any]] = {
        "cutoff": {"cutoff_len": 25}, "prompt": {"train_on_prompt": True}, "again": {"overwrite_cache": True},
        "name": {"identity_name": "Nobody"}, "limit": {"max_samples": 3},
    }  # fmt: skip
    data = replace(data, **changed.get(change, {}))
    if change == "template":
        template = CHATML.replace("\n", " ")
    forbidden()
    with pytest.raises(AssertionError, match="read or rendered although"):
        gather(renderer(data, template), data, 42, folder=tmp_path / "cache")


@pytest.mark.parametrize("name", ["tokens.bin", "facts.bin", "places.bin", "problems.json", "rows.json"])
def test_a_broken_file_is_rendered_anew(name: str, tmp_path: Path) -> None:
    data = write(tmp_path / "data", a=rows("a", 4))
    first = gather(renderer(data), data, 42, folder=tmp_path / "cache")
    (kept,) = (tmp_path / "cache").iterdir()
    whole = (kept / name).read_bytes()
    # A new file: the old one is still looked at.
    (kept / name).unlink()
    (kept / name).write_bytes(whole[:-5])
    assert same(gather(renderer(data), data, 42, folder=tmp_path / "cache"), first)
    assert [each.name for each in (tmp_path / "cache").iterdir()] == [kept.name]


def test_of_a_hubs_dataset_nothing_is_rendered_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hub"))
    repo = tmp_path / "data" / "repo"
    repo.mkdir(parents=True)
    rows_file = repo / "train.jsonl"
    rows_file.write_text("\n".join(map(json.dumps, rows("a", 4))), encoding="utf-8")
    (tmp_path / "data" / "dataset_info.json").write_text('{"mine": {"hf_hub_url": "repo"}}', encoding="utf-8")
    data = DataOptions(dataset=("mine",), dataset_dir=str(tmp_path / "data"), cutoff_len=24)
    datasets.disable_progress_bars()
    found = gather(renderer(data), data, 42, folder=tmp_path / "cache")

    def refuse(*_: object) -> None:
        raise AssertionError("rendered again")

    monkeypatch.setattr(Renderer, "render_many", refuse)
    assert same(gather(renderer(data), data, 42, folder=tmp_path / "cache"), found)
    rows_file.write_text("\n".join(map(json.dumps, rows("b", 4))), encoding="utf-8")
    with pytest.raises(AssertionError, match="rendered again"):
        gather(renderer(data), data, 42, folder=tmp_path / "cache")
    datasets.enable_progress_bars()


def test_a_folder_that_cannot_be_made_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    data = write(tmp_path / "data", a=rows("a", 4))
    assert len(gather(renderer(data), data, 42, folder=tmp_path / "file" / "rows").train) == 4


def test_who_waits_can_end_the_rendering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Enough(Exception):
        pass

    asked: list[int] = []

    def breathe() -> None:
        asked.append(1)
        if len(asked) == 3:
            raise Enough

    data = write(tmp_path / "data", a=rows("a", 30))
    monkeypatch.setattr("trainer.dataset.cache.BREATH", 4)
    monkeypatch.setattr("trainer.dataset.render.BATCH", 4)
    with pytest.raises(Enough):
        gather(renderer(data), data, 42, folder=tmp_path / "kept", breathe=breathe)
    assert list((tmp_path / "kept").iterdir()) == []
    assert len(gather(renderer(data), data, 42, folder=tmp_path / "kept", breathe=lambda: None).train) == 30


def test_rows_are_rendered_in_portions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write(tmp_path / "data", a=rows("a", 30))
    expected = gather(renderer(data), data, 42, folder=tmp_path / "one")
    monkeypatch.setattr("trainer.dataset.render.BATCH", 4)
    monkeypatch.setattr("trainer.dataset.table.HELD", 16)
    assert same(gather(renderer(data), data, 42, folder=tmp_path / "two"), expected)


def test_the_oldest_are_removed(tmp_path: Path) -> None:
    data = write(tmp_path / "data", a=rows("a", 4))
    for number in range(3):
        changed = replace(data, cutoff_len=30 + number)
        gather(renderer(changed), changed, 42, folder=tmp_path / "cache")
        (newest,) = [each for each in (tmp_path / "cache").iterdir() if each.stat().st_mtime > 1000]
        os.utime(newest, (number, number))
    for name, used in (("killed.part", 5), ("busy.part", time.time())):
        (tmp_path / "cache" / name).mkdir()
        os.utime(tmp_path / "cache" / name, (used, used))
    cache.prune(tmp_path / "cache", kept_bytes=0)
    (tmp_path / "cache" / "busy.part").rmdir()
    assert [each.name for each in (tmp_path / "cache").iterdir()] == [newest.name]


def test_rows_with_pictures_are_refused_with_a_sentence(tmp_path: Path) -> None:
    picture = {"instruction": "<image>What?", "output": "A cat", "images": ["cat.png"]}
    data = write(tmp_path / "data", a=[*rows("a", 2), picture])
    (tmp_path / "data" / "cat.png").write_bytes(b"\x89PNG")
    with pytest.raises(UserError) as error:
        gather(renderer(data), data, 42, folder=tmp_path / "cache")
    assert error.value.code == "rows_with_media" and "row 6" in error.value.text
    assert "vision model" in error.value.hint


@pytest.mark.parametrize("cutoff", [4, 6])
def test_nothing_to_train_is_a_sentence(cutoff: int, tmp_path: Path) -> None:
    data = replace(
        write(tmp_path / "data", a=[{"instruction": "x " * 90, "output": "y"}] * 2), cutoff_len=cutoff
    )
    with pytest.raises(UserError) as ours:
        gather(renderer(data), data, 42, folder=tmp_path / "cache")
    with pytest.raises(UserError) as theirs:
        render_all(renderer(data), load_rows(data, 42).train)
    assert (ours.value.code, ours.value.values) == (theirs.value.code, theirs.value.values)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("name", ["pipe.jsonl", "/dev/zero"])
def test_what_is_read_without_end_is_refused_before_its_fingerprint(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    info = load.DatasetInfo("endless", tmp_path / name)
    with pytest.raises(UserError) as error:
        cache.contents_key(cache.Origin(info, DataOptions()))
    assert error.value.code == "file_special"
