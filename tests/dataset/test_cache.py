"""Rendered rows are kept by what decides them, never by a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.dataset.tokenizers import own, talk, tokenizer
from trainer.dataset import cache
from trainer.dataset.conversation import Row
from trainer.dataset.render import RenderedRows, Renderer, render_all
from trainer.options import DataOptions

CHATML = own("chatml")
OPTIONS = DataOptions(dataset=("a",), cutoff_len=24)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "WORTHWHILE", 2)


def rows(*answers: str) -> list[Row]:
    return [Row("a", number, talk("how", each)) for number, each in enumerate(answers, 1)]


def forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    def render(*_: object) -> RenderedRows:
        raise AssertionError("rendered although the rows are in the cache")

    monkeypatch.setattr(cache, "render_all", render)


def test_a_second_start_renders_nothing_and_gives_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = rows("yes", "x " * 60, "老师好")
    renderer = Renderer(tokenizer(CHATML), "", OPTIONS)
    first = cache.render_cached(renderer, given, folder=tmp_path)
    assert first == render_all(renderer, given)
    assert [(p.number, p.code) for p in first.problems] == [(2, "row_cut")]
    forbid(monkeypatch)
    assert cache.render_cached(renderer, given, folder=tmp_path) == first


@pytest.mark.parametrize("change", ["row", "cutoff", "prompt", "template", "again"])
def test_whatever_decides_the_tokens_renders_anew(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, options, template = rows("yes", "no"), OPTIONS, CHATML
    cache.render_cached(Renderer(tokenizer(CHATML), "", options), given, folder=tmp_path)
    if change == "row":
        given = rows("yes", "No")
    if change == "cutoff":
        options = replace(options, cutoff_len=25)
    if change == "prompt":
        options = replace(options, train_on_prompt=True)
    if change == "template":
        template = CHATML.replace("\n", " ")
    forbid(monkeypatch)
    with pytest.raises(AssertionError, match="rendered although"):
        cache.render_cached(Renderer(tokenizer(template), "", options), given, change == "again", tmp_path)


def test_a_broken_file_is_rendered_anew(tmp_path: Path) -> None:
    given, renderer = rows("yes", "no"), Renderer(tokenizer(CHATML), "", OPTIONS)
    first = cache.render_cached(renderer, given, folder=tmp_path)
    (kept,) = tmp_path.glob("*.npz")
    kept.write_bytes(kept.read_bytes()[:100])
    assert cache.render_cached(renderer, given, folder=tmp_path) == first
    assert cache.render_cached(renderer, given, folder=tmp_path) == first


def test_a_folder_that_cannot_be_made_does_not_matter(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    renderer = Renderer(tokenizer(CHATML), "", OPTIONS)
    assert len(cache.render_cached(renderer, rows("yes", "no"), folder=blocked / "rows").rows) == 2
