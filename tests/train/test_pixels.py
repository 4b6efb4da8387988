"""Pixels are made once, kept whole or not at all, found by what pictures show, and prepared beside the training."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dataset import shots
from tests.dataset.processors import processor
from tests.train import families
from trainer.dataset.conversation import Media
from trainer.dataset.expand import Expander
from trainer.dataset.inputs import merge
from trainer.errors import UserError
from trainer.options import DataOptions
from trainer.train.collation import Flattened, single
from trainer.train.pixels import Pixels, prune
from trainer.train.seeing import Eyes, Seen, seeing, trial_rows

DATA = DataOptions(image_min_pixels=1)


class Counting(Expander):
    """Counts how often pictures are made, and in which threads."""

    def __init__(self, data: DataOptions = DATA, name: str = "qwen2_vl") -> None:
        super().__init__(processor(name), data)
        self.made = 0
        self.threads: set[str] = set()

    def inputs(self, media: Any) -> dict[str, Any]:
        self.made += 1
        self.threads.add(threading.current_thread().name)
        return super().inputs(media)


def _pixels(expander: Expander, folder: Path, **options: Any) -> Pixels:
    return Pixels(expander, torch.float32, folder, **options)


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_pictures_are_made_once_and_found_by_what_they_show(tmp_path: Path) -> None:
    first = Counting()
    made = _pixels(first, tmp_path).of((shots.image(), shots.image(90, 30)))
    assert _same(made, first.inputs((shots.image(), shots.image(90, 30))))
    (tmp_path / "elsewhere.png").write_bytes(shots.image().data or b"")
    again = Counting()
    kept = _pixels(again, tmp_path)
    for _ in range(2):
        found = kept.of((Media("image", path=tmp_path / "elsewhere.png"), shots.image(90, 30)))
        assert _same(found, made)
    assert again.made == 0
    for other in (DataOptions(image_max_pixels=900, image_min_pixels=1), DATA):
        counting = Counting(other)
        Pixels(counting, torch.bfloat16, tmp_path).of((shots.image(),))
        assert counting.made == 1
    assert _pixels(again, tmp_path).of(()) == {}


@pytest.mark.parametrize("harm", ["cut", "flipped", "empty", "words"])
def test_a_broken_entry_is_made_again(tmp_path: Path, harm: str) -> None:
    expander = Counting()
    made = _pixels(expander, tmp_path).of((shots.image(),))
    (path,) = tmp_path.glob("*.safetensors")
    whole = path.read_bytes()
    broken = {
        "cut": whole[:-100],
        "flipped": whole[:-50] + bytes([whole[-50] ^ 255]) + whole[-49:],
        "empty": b"",
        "words": b"{}" * 400,
    }
    path.write_bytes(broken[harm])
    assert _same(_pixels(expander, tmp_path).of((shots.image(),)), made)
    assert expander.made == 2
    assert path.read_bytes() == whole and not list(tmp_path.glob("*.part"))


def test_a_folder_that_cannot_be_written_costs_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    expander = Counting()
    pixels = _pixels(expander, tmp_path / "file")
    assert _same(pixels.of((shots.image(),)), pixels.of((shots.image(),)))
    assert expander.made == 2


def test_what_was_not_used_for_long_goes_first(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.safetensors").write_bytes(bytes(100))
        os.utime(tmp_path / f"{number}.safetensors", (number, number))
    for name, at in (("old.part", 1), ("young.part", time.time())):
        (tmp_path / name).write_bytes(b"half")
        os.utime(tmp_path / name, (at, at))
    prune(tmp_path, 250)
    assert sorted(each.stem for each in tmp_path.iterdir()) == ["3", "4", "young"]


def test_the_folder_stays_within_its_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.train.pixels.LOOK_EVERY", 2)
    pixels = _pixels(Counting(), tmp_path, kept_bytes=400_000)
    for number in range(9):
        pixels.of((shots.image(60 + number, 80),))
    assert 0 < sum(each.stat().st_size for each in tmp_path.iterdir()) < 700_000


shapes = st.lists(st.tuples(*(st.integers(1, 3) for _ in range(4))), min_size=1, max_size=4)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(shapes)
def test_merged_rows_keep_every_number_in_its_place(sizes: list[tuple[int, ...]]) -> None:
    rows = [{"pixels": torch.rand(size) + 1, "names": [number]} for number, size in enumerate(sizes)]
    merged = merge(rows)
    assert merged["names"] == list(range(len(sizes)))
    at = 0
    for row, size in zip(rows, sizes, strict=True):
        own = merged["pixels"][at : at + size[0]]
        at += size[0]
        assert torch.equal(own[tuple(slice(each) for each in size)], row["pixels"])
        assert torch.count_nonzero(own) == row["pixels"].numel()
    assert len(merged["pixels"]) == at


@pytest.mark.parametrize("name", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
def test_places_are_those_that_the_model_finds_itself(name: str, tmp_path: Path) -> None:
    """For each row alone the model's own way gives the same logits as the places that we hand over."""
    model, own = families.model(name).eval(), processor(name)
    expander = Expander(own, DATA)
    with seeing(model, own, expander) as eyes:
        assert eyes is not None
        for row in trial_rows(expander, own.tokenizer):
            ids = torch.tensor([list(row.ids)])
            given_inputs = eyes.inputs([row], flattened=True)
            alone = dict(given_inputs)
            alone.pop("position_ids")
            alone["mm_token_type_ids"] = torch.tensor(own.create_mm_token_type_ids([list(row.ids)]))
            with torch.no_grad():
                theirs = model(input_ids=ids, attention_mask=torch.ones_like(ids), **alone).logits
                ours = model(input_ids=ids, **given_inputs).logits
            torch.testing.assert_close(ours, theirs)


def test_pictures_are_prepared_in_other_threads(tmp_path: Path) -> None:
    expander = Counting()
    before = torch.get_num_threads()
    model, own = families.model("qwen2_vl"), processor("qwen2_vl")
    eyes = Eyes(model, own, _pixels(expander, tmp_path))
    try:
        rows = trial_rows(expander, own.tokenizer)
        items = [single(list(row.ids), list(row.ids), row.media) for row in rows]
        batch = Flattened(0, multiple=64, eyes=eyes)(items)
        seen = batch["later"].result(timeout=120)
    finally:
        eyes.close()
    assert expander.threads and threading.current_thread().name not in expander.threads
    assert batch["input_ids"].shape[1] == sum(batch["row_lengths"]) == seen["position_ids"].shape[-1]
    assert seen["image_grid_thw"].shape == (3, 3)
    assert torch.get_num_threads() == before


def test_a_picture_that_is_lost_in_a_run_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "gone.png"
    eyes = Eyes(families.model("qwen2_vl"), processor("qwen2_vl"), _pixels(Counting(), tmp_path / "pixels"))
    try:
        with pytest.raises(UserError, match=r"gone\.png"):
            eyes.later([Seen([1, 2], (Media("image", path=path),))], flattened=True).result(timeout=120)
    finally:
        eyes.close()
