"""Vision models of ten families are trained on rows with and without pictures, and what they become can be used."""

from __future__ import annotations

import json
import shutil
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from tests.dataset import shots
from tests.train import families, gallery, tiny
from tests.train.test_equality import _die_at
from trainer.config import RunConfig
from trainer.dataset import media
from trainer.dataset.conversation import Media
from trainer.errors import UserError
from trainer.events import Sample, Started
from trainer.model.parts import PART_NAMES, parts_of
from trainer.train import prepare

CLOSE = {"rel": 1e-5, "abs": 1e-5}
Configure = Callable[..., RunConfig]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gallery.save(tmp_path_factory.mktemp("gallery"))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a family's model, made when it is asked for."""
    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = families.save(name, tmp_path_factory.mktemp("models") / name)
        return made[name]

    return folder


@pytest.fixture(autouse=True)
def pixels_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.getbasetemp() / "pixels"
    monkeypatch.setattr("trainer.train.pixels.default_folder", lambda: folder)
    return folder


@pytest.fixture
def configure(folders: Callable[[str], Path], data: Path, tmp_path: Path) -> Configure:
    def make(family: str = "qwen2_vl", name: str = "run", **changes: Any) -> RunConfig:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        flat: dict[str, Any] = {
            "model_name_or_path": str(folders(family)), "dataset": "mixed", "dataset_dir": str(data),
            "output_dir": str(folder), "cutoff_len": 2048, "per_device_train_batch_size": 4,
            "gradient_accumulation_steps": 1, "max_steps": 2, "logging_steps": 1, "learning_rate": 0.01,
            "lr_scheduler_type": "constant", "compute_type": "fp32", "image_min_pixels": 1,
        }  # fmt: skip
        return RunConfig.from_flat({**flat, **changes})

    return make


def _generate(folder: Path, picture: bytes) -> str:
    """A few words of a trained model on a picture, in the way of transformers alone."""
    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder)
    content = [{"type": "image", "image": media.open_image(Media("image", data=picture))}]
    said = [{"role": "user", "content": [*content, {"type": "text", "text": "red"}]}]
    inputs = processor.apply_chat_template(
        said, tokenize=True, return_dict=True, return_tensors="pt", add_generation_prompt=True,
        processor_kwargs={"add_special_tokens": False},
    )  # fmt: skip
    with torch.no_grad():
        found = model.generate(**inputs, max_new_tokens=3, min_new_tokens=3, do_sample=False)
    assert found.shape[1] == inputs["input_ids"].shape[1] + 3
    return str(processor.batch_decode(found)[0])


@pytest.mark.parametrize("family", families.CONFIGS)
def test_a_family_is_trained_and_answers(configure: Configure, family: str) -> None:
    """All weights, two steps over rows with and without pictures, without padding; the result is whole by itself."""
    frozen = {f"freeze_{part}": False for part in PART_NAMES}
    run = tiny.train(configure(family, finetuning_type="full", **frozen))
    assert len(run.losses) == 2 and all(loss > 0 for loss in run.losses.values())
    assert "padded_batches" not in run.codes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert _generate(run.folder, shots.written(shots.drawn(50, 40)))


@pytest.mark.parametrize("family", families.CONFIGS)
def test_flattened_batches_equal_padded_ones(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    options: dict[str, Any] = {"val_size": 4, "eval_strategy": "steps", "eval_steps": 2, "max_steps": 2}
    flat = tiny.train(configure(family, "flat", **options))
    monkeypatch.setattr(prepare, "why_not_by_row", lambda *_: "a test wants padding.")
    padded = tiny.train(configure(family, "padded", **options))
    assert ("padded_batches" in flat.codes, "padded_batches" in padded.codes) == (False, True)
    assert padded.losses == pytest.approx(flat.losses, **CLOSE)
    assert padded.end.eval_loss == pytest.approx(flat.end.eval_loss, **CLOSE)


@pytest.mark.parametrize("family", ["qwen2_vl", "gemma3", "idefics3"])
def test_one_batch_is_the_same_however_it_is_cut_up(configure: Configure, family: str) -> None:
    """Also when a batch has no picture at all."""
    whole = tiny.train(configure(family, "whole", max_steps=3))
    parts = {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 4, "max_steps": 3}
    cut = tiny.train(configure(family, "parts", **parts))
    assert cut.losses == pytest.approx(whole.losses, **CLOSE)


def test_packed_rows_equal_unpacked_ones(configure: Configure) -> None:
    every = {"per_device_train_batch_size": 12, "max_steps": 2, "cutoff_len": 512}
    plain = tiny.train(configure(name="plain", **every))
    packed = tiny.train(configure(name="packed", packing=True, **every))
    assert "packing_off" not in packed.codes
    assert packed.losses == pytest.approx(plain.losses, **CLOSE)


@pytest.mark.parametrize("kind", ["lora", "loraplus", "full", "stream"])
def test_a_resumed_run_equals_an_uninterrupted_one(configure: Configure, kind: str) -> None:
    own: dict[str, dict[str, Any]] = {
        "lora": {"lora_dropout": 0.2}, "loraplus": {"loraplus_lr_ratio": 16}, "full": {"finetuning_type": "full"},
        "stream": {"streaming": True, "buffer_size": 5},
    }  # fmt: skip
    options = {"max_steps": 5, "save_steps": 2, **own[kind]}
    straight = tiny.train(configure(name="straight", **options))
    with pytest.raises(KeyboardInterrupt):
        tiny.train(configure(name="broken", **options), emit=_die_at(3))
    resumed = tiny.train(configure(name="broken", resume_from_checkpoint="true", **options))
    assert resumed.of(Started)[0].resumed_from == 2
    assert resumed.losses == pytest.approx({step: straight.losses[step] for step in (3, 4, 5)}, rel=1e-6)


# Those whose template, as the tests have it, knows videos.
@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl", "internvl"])
def test_films_and_pictures_in_one_run(configure: Configure, family: str) -> None:
    run = tiny.train(configure(family, dataset="films", per_device_train_batch_size=3))
    assert len(run.losses) == 2 and "data_rows_left_out" not in run.codes


def test_pictures_are_opened_once_and_never_by_the_training(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, pixels_folder: Path
) -> None:
    """Three epochs over eight rows with six pictures, two of which come twice; then a second run."""
    shutil.rmtree(pixels_folder, ignore_errors=True)
    opened: list[str] = []
    plain = media.open_image

    def counting(shown: Media) -> Any:
        if shown.path:  # not one made up to try the model with
            opened.append(threading.current_thread().name)
        return plain(shown)

    monkeypatch.setattr("trainer.dataset.media.open_image", counting)
    options: dict[str, Any] = {"dataset": "shown", "max_steps": -1, "num_train_epochs": 3}
    first, again = (
        tiny.train(configure(name=name, per_device_train_batch_size=1, **options))
        for name in ("first", "again")
    )
    # Rows side by side may show the same picture in the same moment.
    assert 6 <= len(opened) <= 8 and all(name.startswith("pictures") for name in opened)
    assert again.losses == pytest.approx(first.losses, rel=1e-6)


def test_rows_without_any_picture(configure: Configure) -> None:
    run = tiny.train(configure(dataset="said", learn_prompts="red sun", dataloader_num_workers=2))
    assert len(run.losses) == 2 and "pictures_one_reader" in run.codes
    assert [each.prompt for each in run.of(Sample)] == ["red sun"] * 2


MOVED = [
    (family, method, trained)
    for family in ("qwen2_vl", "qwen3_vl", "gemma3", "llava_next")
    for method, trained in (
        ("lora", ("language_model",)), ("lora", ("vision_tower",)), ("lora", ("multi_modal_projector",)),
        ("full", ("language_model",)), ("full", ("vision_tower", "multi_modal_projector")), ("full", PART_NAMES),
    )
    # Gemma's projector has no linear layer in which an adapter could be.
    if (family, method, trained) != ("gemma3", "lora", ("multi_modal_projector",))
]  # fmt: skip


@pytest.mark.parametrize(("family", "method", "trained"), MOVED)
def test_only_the_named_parts_move(
    configure: Configure, family: str, method: str, trained: tuple[str, ...], folders: Callable[[str], Path]
) -> None:
    options: dict[str, Any] = {f"freeze_{part}": part not in trained for part in PART_NAMES}
    run = tiny.train(configure(family, dataset="shown", finetuning_type=method, max_steps=1, **options))
    before = AutoModelForImageTextToText.from_pretrained(folders(family))
    parts = parts_of(before)
    if method == "full":
        after = dict(AutoModelForImageTextToText.from_pretrained(run.folder).named_parameters())
        moved = {name for name, each in before.named_parameters() if not torch.equal(each, after[name])}
    else:
        found = tiny.adapter(run.folder)
        moved = {name.removeprefix("base_model.model.").split(".lora_")[0] for name in found}
    assert {parts.part_of(name) for name in moved} == set(trained)
    note = next(each for each in run.events if getattr(each, "code", "") == "parts_trained")
    assert {part for part in PART_NAMES if note.values[part]} == set(trained)
    started = run.of(Started)[0]
    assert sum(note.values[part] for part in PART_NAMES) == started.trainable
    assert sum(note.values[f"{part}_all"] for part in PART_NAMES) == started.parameters


def test_nothing_to_train_is_a_sentence(configure: Configure) -> None:
    frozen: dict[str, Any] = {f"freeze_{part}": True for part in PART_NAMES}
    for method in ("lora", "full"):
        with pytest.raises(UserError, match="frozen"):
            tiny.train(configure(name=method, finetuning_type=method, **frozen))
    carried = {**frozen, "freeze_multi_modal_projector": False}
    with pytest.raises(UserError, match="frozen"):
        tiny.train(configure("gemma3", name="carried", **carried))


def test_a_text_model_is_told_so(configure: Configure, model_folder: Path) -> None:
    with pytest.raises(UserError) as caught:
        tiny.train(configure(model_name_or_path=str(model_folder)))
    assert caught.value.code == "rows_with_media" and "vision model" in caught.value.hint


def test_bad_pictures_are_left_out_and_reported(configure: Configure, tmp_path: Path) -> None:
    """A file cut short, one that is no picture, one too large to open, one that is not there."""
    data = gallery.save(tmp_path)
    whole = (data / "0.png").read_bytes()
    (data / "0.png").write_bytes(whole[:-30])
    (data / "1.png").write_text("<html>", encoding="utf-8")
    (data / "2.png").write_bytes(shots.giant(60_000, 60_000))
    (data / "3.png").unlink()
    options: dict[str, Any] = {"dataset_dir": str(data), "dataset": "shown"}
    for name in ("first", "again"):
        run = tiny.train(configure(name=name, **options))
        note = next(each for each in run.events if getattr(each, "code", "") == "data_rows_left_out")
        assert (note.values["count"], note.values["rows"]) == (6, 8)
        assert "3.png" in note.values["reasons"] and "row 4" in note.values["reasons"]
        assert run.end.step == 2
    (data / "0.png").write_bytes(whole)
    (data / "3.png").write_bytes(whole)
    mended = tiny.train(configure(name="mended", **options))
    note = next(each for each in mended.events if getattr(each, "code", "") == "data_rows_left_out")
    assert note.values["count"] == 3


def test_odd_pictures_are_trained(configure: Configure, tmp_path: Path) -> None:
    """Every kind that can be shown is; what cannot be is reported with its row and file."""
    from PIL import Image

    data = gallery.save(tmp_path)
    drawn = shots.drawn(64, 48)
    deep = Image.new("I;16", (64, 48), 30_000)
    odd = {
        0: shots.written(drawn.convert("CMYK"), "JPEG"), 1: shots.written(drawn.convert("P")),
        2: shots.written(drawn, "GIF", save_all=True, append_images=[drawn.rotate(90)]), 3: shots.written(deep),
        4: shots.written(drawn.convert("RGBA")), 5: shots.turned(6),
    }  # fmt: skip
    for number, content in odd.items():
        (data / f"{number}.png").write_bytes(content)
    run = tiny.train(configure(dataset_dir=str(data), dataset="shown", num_train_epochs=1, max_steps=-1))
    assert "data_rows_left_out" not in run.codes and run.end.step == 2
    (data / "0.png").write_bytes(shots.written(Image.new("RGB", (1, 1))))
    (data / "1.png").write_bytes(shots.written(Image.new("RGB", (20_000, 20))))
    run = tiny.train(configure(name="extreme", dataset_dir=str(data), dataset="shown"))
    note = next(each for each in run.events if getattr(each, "code", "") == "data_rows_left_out")
    assert note.values["count"] == 2 and "1.png (20000 x 20)" in note.values["reasons"]


def test_kept_rows_bring_their_pictures(configure: Configure, tmp_path: Path, data: Path) -> None:
    options: dict[str, Any] = {"tokenized_path": str(tmp_path / "kept")}
    first = tiny.train(configure(name="first", **options))
    again = tiny.train(configure(name="again", **options))
    assert "tokenized_read" in again.codes and again.losses == pytest.approx(first.losses, rel=1e-6)
    with pytest.raises(UserError) as caught:
        tiny.train(configure(name="smaller", image_max_pixels=1200, **options))
    assert caught.value.code == "tokenized_other_pixels"


def test_pictures_inside_the_rows(configure: Configure, tmp_path: Path) -> None:
    """The bytes of a parquet file, kept with the rendered rows: the second run reads no row."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [gallery.row(number, (1,)) for number in range(6)]
    for number, each in enumerate(rows):
        each["images"] = [{"bytes": shots.written(shots.drawn(50 + number, 40)), "path": None}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "inside.parquet")
    entry = {
        "file_name": "inside.parquet", "formatting": "sharegpt", "tags": gallery.TAGS,
        "columns": {"messages": "messages", "images": "images"},
    }  # fmt: skip
    (tmp_path / "dataset_info.json").write_text(json.dumps({"inside": entry}), encoding="utf-8")
    options: dict[str, Any] = {"dataset": "inside", "dataset_dir": str(tmp_path)}
    first, again = (tiny.train(configure(name=name, **options)) for name in ("first", "again"))
    assert again.losses == pytest.approx(first.losses, rel=1e-6)


@pytest.mark.parametrize("family", ["qwen2_vl", "gemma3"])
def test_activations_may_be_computed_twice_and_in_bf16(configure: Configure, family: str) -> None:
    plain = tiny.train(configure(family, "plain"))
    twice = tiny.train(configure(family, "twice", gradient_checkpointing="on"))
    assert twice.losses == pytest.approx(plain.losses, **CLOSE)
    coarse = tiny.train(configure(family, "coarse", compute_type="bf16"))
    assert coarse.losses == pytest.approx(plain.losses, rel=0.1)


def test_the_best_checkpoint_of_all_weights_is_the_result(configure: Configure) -> None:
    """The names of weights in a file are not those in memory: loading must not pass over them."""
    options: dict[str, Any] = {
        "finetuning_type": "full", "max_steps": 4, "save_steps": 1, "eval_strategy": "steps", "eval_steps": 1,
        "val_size": 4, "load_best_model_at_end": True, "learning_rate": 0.2,
    }  # fmt: skip
    run = tiny.train(configure(**options))
    note = next(each for each in run.events if getattr(each, "code", "") == "best_loaded")
    best, result = (
        AutoModelForImageTextToText.from_pretrained(folder).state_dict()
        for folder in (note.values["path"], run.folder)
    )
    assert all(torch.equal(each, result[name]) for name, each in best.items())


def test_another_picture_under_the_same_name_is_another_row(configure: Configure, tmp_path: Path) -> None:
    """Rendered rows are kept; a file of another size takes other tokens, and one that is gone none."""
    data = gallery.save(tmp_path)
    options: dict[str, Any] = {"dataset_dir": str(data), "dataset": "shown", "max_steps": 1}
    options["per_device_train_batch_size"] = 8
    first = tiny.train(configure(name="first", **options))
    (data / "0.png").write_bytes(shots.written(shots.drawn(300, 200)))
    larger = tiny.train(configure(name="larger", **options))
    assert larger.losses != first.losses and larger.of(Started)[0].rows == 8
    (data / "1.png").unlink()
    fewer = tiny.train(configure(name="fewer", **options))
    assert "data_rows_left_out" in fewer.codes and fewer.of(Started)[0].rows == 6


def test_what_is_seen_is_never_learned(configure: Configure) -> None:
    """Not even when the questions are."""
    from trainer.dataset.gather import gather
    from trainer.dataset.render import Renderer
    from trainer.model.load import load_processor

    config = configure(train_on_prompt=True, dataset="films")
    processor: Any = load_processor(Path(config.model.model_name_or_path))
    rows = gather(Renderer(processor.tokenizer, "", config.data, processor, whole=True), config.data, 0).train
    seen = {processor.tokenizer.convert_tokens_to_ids(f"<|{kind}_pad|>") for kind in ("image", "video")}
    assert seen <= {each for row in rows for each in row.input_ids}
    assert not seen & {each for row in rows for each in row.labels}
    assert [len(row.media) for row in rows] == [1, 1, 0]
