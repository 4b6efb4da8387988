"""The tokens of pictures and videos are those that the model's own processor writes, for ten families."""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.dataset import shots
from tests.dataset.processors import FAMILIES, FILMS, mllama, processor
from trainer.dataset import media, video
from trainer.dataset.chat_template import Unusable
from trainer.dataset.conversation import Media
from trainer.dataset.expand import Expanded, Expander
from trainer.dataset.sizes import fit
from trainer.errors import UserError
from trainer.options import DataOptions

DATA = DataOptions(image_min_pixels=1)
SIZES = ((60, 40), (30, 90), (7, 5), (200, 33), (640, 480))


def _mark(name: str, kind: str = "image") -> str:
    return str(getattr(processor(name), f"{kind}_token"))


def _ids(name: str, text: str) -> list[int]:
    found: list[int] = processor(name).tokenizer(text, add_special_tokens=False)["input_ids"]
    return found


def _asked(name: str, text: str, pictures: list[Image.Image], **more: Any) -> dict[str, Any]:
    """The processor itself, asked as transformers' users ask it."""
    if pictures:
        more["images"] = [pictures]
    found: dict[str, Any] = processor(name)(
        text=[text], add_special_tokens=False, return_tensors="pt", **more
    )
    return found


def _require_same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    text = {"input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids"}
    assert set(found) == set(wanted) - text
    for key, value in found.items():
        torch.testing.assert_close(value, wanted[key], rtol=0, atol=0)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_ids_and_pixels_are_the_processors_own(name: str, count: int) -> None:
    shown = [shots.image(*size) for size in SIZES[:count]]
    # Places beside each other, at the start and at the end, and text like what the processor writes.
    mark = _mark(name)
    text = mark + "\n\n".join(f"look <{at}>\n{mark}" for at in range(1, count))
    expander = Expander(processor(name), DATA)
    expanded = expander.expand(text, shown)
    wanted = _asked(name, text, [media.open_image(each) for each in shown])
    assert _ids(name, expanded.text) == wanted["input_ids"][0].tolist()
    _require_same(expander.inputs(shown), wanted)
    _require_spans(text, expanded, mark)
    written = [expanded.text[start:end] for start, end in expanded.spans]
    soft = getattr(processor(name).tokenizer, "image_token_id", None) or processor(name).image_token_id
    assert sum(_ids(name, each).count(soft) for each in written) == _ids(name, expanded.text).count(soft) > 0
    if count == 1 or name != "llava_onevision":  # that one cuts a picture finer when it is alone
        assert [expander.cost(each) for each in shown] == [len(_ids(name, each)) for each in written]


def _require_spans(text: str, expanded: Expanded, mark: str) -> None:
    """With the places put back the text is what it was."""
    back = expanded.text
    for start, end in reversed(expanded.spans):
        back = back[:start] + mark + back[end:]
    assert back == text
    assert [text[start:end] for start, end in expanded.places] == [mark] * len(expanded.spans)


def test_the_count_of_tokens_is_that_of_the_features() -> None:
    shown = [shots.image(*size) for size in SIZES]
    for name, side in (("qwen2_vl", 28), ("qwen2_5_vl", 28), ("qwen3_vl", 32)):
        expander = Expander(processor(name), DATA)
        grids = expander.inputs(shown)["image_grid_thw"]
        assert [expander.cost(each) for each in shown] == (grids.prod(-1) // 4).tolist()
        assert expander.cost(shots.image(side * 4, side * 3)) == 12


# SmolVLM's processor offers no count.
@pytest.mark.parametrize("name", [each for each in FAMILIES if each != "smolvlm"])
def test_costs_agree_with_what_transformers_counts(name: str) -> None:
    sizes = [(height, width) for width, height in SIZES]
    counted = processor(name)._get_num_multimodal_tokens(image_sizes=sizes)["num_image_tokens"]
    around = 4 if name == "gemma3" else 0  # it leaves out the marks and the empty lines around a picture
    expander = Expander(processor(name), DATA)
    assert [expander.cost(shots.image(*size)) for size in SIZES] == [each + around for each in counted]


@pytest.mark.parametrize("name", FILMS)
def test_videos_are_expanded_as_the_processor_does(name: str, tmp_path: Path) -> None:
    from transformers.video_utils import VideoMetadata

    (tmp_path / "film.mp4").write_bytes(shots.film(30, 10))
    shot = Media("video", path=tmp_path / "film.mp4")
    expander = Expander(processor(name), DATA)
    even = name.startswith("qwen")
    chosen = (0, 5, 11, 17, 23, 29)
    assert expander.shape(shot).indices == chosen
    text = f"see {_mark(name, 'video')} and {_mark(name)}"
    row = [shot, shots.image()]
    expanded = expander.expand(text, row)
    frames = list(video.take(shot, chosen))
    told = VideoMetadata(
        total_num_frames=30, fps=10.0, width=64, height=48, duration=3.0, frames_indices=list(chosen)
    )
    wanted = _asked(
        name,
        text,
        [media.open_image(row[1])],
        videos=[[frames]],
        video_metadata=[[told]],
        do_sample_frames=False,
    )
    assert _ids(name, expanded.text) == wanted["input_ids"][0].tolist()
    _require_same(expander.inputs(row), wanted)
    start, end = expanded.spans[0]
    assert expander.cost(shot) == len(_ids(name, expanded.text[start:end]))
    listed = Media("video", frames=tuple(shots.image() for _ in range(5)))
    assert len(expander.shape(listed).indices) == (6 if even else 5)
    assert expander.cost(listed) > 0


def test_options_bound_pictures_and_frames() -> None:
    big = shots.image(1600, 1200)
    for name, side in (("qwen2_vl", 28), ("qwen3_vl", 32), ("llava_next", 0), ("gemma3", 0)):
        small = Expander(processor(name), replace(DATA, image_max_pixels=200 * 200)).shape(big)
        assert 0.8 * 200 * 200 <= small.width * small.height <= 200 * 200
        assert small.width / small.height == pytest.approx(4 / 3, abs=0.2)
        if side:
            assert small.width % side == small.height % side == 0
    expander = Expander(processor("qwen2_vl"), replace(DATA, image_max_pixels=28 * 28 * 12))
    assert expander.cost(big) == 12
    assert tuple(expander.inputs([big])["image_grid_thw"][0]) == (1, 6, 8)
    few = Expander(processor("qwen2_vl"), replace(DATA, video_maxlen=4, video_fps=9.0))
    assert len(few.shape(Media("video", data=shots.film(30, 10))).indices) == 4


def test_sizes_follow_the_area() -> None:
    assert fit(100, 50, 1024, 589_824) == (100, 50)
    assert fit(4000, 1000, 1024, 589_824) == (1536, 384)
    assert fit(10, 10, 1024, 589_824) == (32, 32)
    assert fit(1, 1, 1024, 589_824) == (32, 32)
    assert fit(20_000, 1, 4096, 4096) == (int(20_000 * (4096 / 20_000) ** 0.5), 1)
    assert fit(50, 50, 9_999, 100) == (10, 10)
    assert fit(1600, 1200, 1, 28 * 28 * 12, side=28) == (112, 84)


def test_the_processor_is_asked_once_for_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    expander = Expander(processor("qwen2_vl"), DATA)
    asked: list[str] = []
    ask = expander._ask
    monkeypatch.setattr(expander, "_ask", lambda text, *more: asked.append(text) or ask(text, *more))
    text = f"{_mark('qwen2_vl')} one"
    first = expander.expand(text, [shots.image()])
    assert len(asked) == 2  # the second time with the row itself, for proof
    for _ in range(5):
        assert expander.expand(text, [shots.image()]) == first
    assert len(asked) == 2


def test_threads_share_it_and_it_can_be_sent_away() -> None:
    expander = Expander(processor("idefics3"), DATA)
    text = f"{_mark('idefics3')} one"
    shown = [shots.image(20 + at, 60) for at in range(8)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda each: expander.expand(text, [each]), shown * 3))
    assert found[:8] == found[8:16] == found[16:]
    copy = pickle.loads(pickle.dumps(expander))
    assert copy.expand(text, [shown[0]]) == found[0]
    assert copy.fingerprint == expander.fingerprint
    assert (
        Expander(processor("idefics3"), replace(DATA, image_max_pixels=99)).fingerprint
        != expander.fingerprint
    )
    assert Expander(processor("llava"), DATA).fingerprint != expander.fingerprint


def _refusal(name: str, text: str, shown: list[Media], whole: bool = False) -> Unusable:
    with pytest.raises(Unusable) as refused:
        Expander(processor(name), DATA, whole).expand(text, shown)
    return refused.value


def test_places_and_media_that_differ(tmp_path: Path) -> None:
    mark, film = _mark("qwen2_vl"), _mark("qwen2_vl", "video")
    cases = {
        f"{mark}": ([], "image", 1, 0),
        f"{mark}{mark}": ([shots.image()], "image", 2, 1),
        "none": ([shots.image()], "image", 0, 1),
        f"{film}": ([], "video", 1, 0),
    }
    for text, (shown, kind, found, given) in cases.items():
        refused = _refusal("qwen2_vl", text, shown)
        assert refused.code == "row_media_marks"
        assert refused.values == {"kind": kind, "found": found, "given": given}
    assert Expander(processor("qwen2_vl"), DATA).expand("only words", []) == Expanded("only words")
    for blind in ("gemma3", "llava", "idefics3"):
        assert _refusal(blind, "<video>", [Media("video", data=shots.film())]).code == "row_no_video"


def test_media_that_cannot_be_used(tmp_path: Path) -> None:
    mark = _mark("qwen2_vl")
    (tmp_path / "thin.png").write_bytes(shots.written(Image.new("RGB", (900, 2))))
    refused = _refusal("qwen2_vl", mark, [Media("image", path=tmp_path / "thin.png")])
    assert refused.code == "row_media_refused"
    assert refused.values["file"] == str(tmp_path / "thin.png") and refused.values["width"] == 900
    assert "200" in str(refused.values["reason"])
    (tmp_path / "thin.png").write_bytes(shots.written(Image.new("RGB", (9000, 2))))  # beyond image_max_pixels
    long = Expander(processor("qwen2_vl"), replace(DATA, image_max_pixels=1024))
    with pytest.raises(Unusable, match="row_media_refused"):
        long.expand(mark, [Media("image", path=tmp_path / "thin.png")])
    assert (
        _refusal("qwen2_vl", mark, [Media("image", path=tmp_path / "gone.png")]).code == "row_image_missing"
    )
    cut = Media("image", data=shots.written(Image.effect_noise((99, 99), 50))[:4000])
    assert Expander(processor("qwen2_vl"), DATA).expand(mark, [cut]).spans
    assert _refusal("qwen2_vl", mark, [cut], whole=True).code == "row_image_truncated"


def test_a_processor_that_wants_the_text_to_begin_in_its_way() -> None:
    own = mllama()
    text = "<|begin_of_text|><|image|>what is it?"
    expanded = Expander(own, DATA).expand(text, [shots.image()])
    wanted = own(text=[text], images=[[media.open_image(shots.image())]], add_special_tokens=False)
    assert own.tokenizer(expanded.text, add_special_tokens=False)["input_ids"] == wanted["input_ids"][0]
    assert "cross_attention_mask" in Expander(own, DATA).inputs([shots.image()])


class _Rewriting:
    """A processor that puts words of its own around the text."""

    def __init__(self, own: Any) -> None:
        self._own = own
        self.tokenizer = own.tokenizer

    def __call__(self, text: list[str], **more: Any) -> Any:
        self._own.tokenizer = self.tokenizer
        return self._own(text=[f"see: {each}" for each in text], **more)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._own, name)


def test_a_processor_that_rewrites_the_text_is_told_of() -> None:
    rewriting = _Rewriting(FAMILIES["llava"]())
    with pytest.raises(UserError) as told:
        Expander(rewriting, DATA).expand("<image> what", [shots.image()])
    assert told.value.code == "processor_rewrites"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models") / "qwen"
    processor("qwen2_vl").save_pretrained(made)
    (made / "config.json").write_text(json.dumps({"model_type": "qwen2_vl", "vision_config": {"depth": 1}}))
    return made


def test_a_processor_comes_from_a_model_folder(folder: Path) -> None:
    from trainer.model.eyes import is_vision
    from trainer.model.load import load_processor
    from trainer.paths import MODELS

    assert is_vision(folder) and not is_vision(MODELS / "sprout") and not is_vision(folder / "nowhere")
    assert load_processor(MODELS / "sprout") is None
    loaded = load_processor(folder)
    text = f"{_mark('qwen2_vl')} one"
    assert Expander(loaded, DATA).expand(text, [shots.image()]) == Expander(
        processor("qwen2_vl"), DATA
    ).expand(text, [shots.image()])


@pytest.mark.parametrize("content", [None, "{broken", "{}"])
def test_a_processor_that_is_missing_or_broken(folder: Path, tmp_path: Path, content: str | None) -> None:
    import shutil

    from trainer.model.load import load_processor

    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    if content is None:
        (copy / "processor_config.json").unlink()
    else:
        (copy / "processor_config.json").write_text(content)
    with pytest.raises(UserError) as told:
        load_processor(copy)
    assert told.value.code == "processor_broken" and str(copy) in told.value.text and told.value.hint


def test_the_tiny_processors_are_the_real_classes() -> None:
    for name in FAMILIES:
        assert type(processor(name)).__module__.startswith("transformers.models."), name
