"""Chat with pictures and videos: real classes with random weights, whose noise depends on what they are shown."""

from __future__ import annotations

import gc
import io
import json
import shutil
import weakref
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from tests.chat.tiny_vision import WORDS, write_vision_adapter, write_vision_model
from tests.dataset.shots import drawn, film, giant, image, turned, written
from trainer.chat.attached import attach, parts
from trainer.chat.engine import ChatEngine
from trainer.chat.request import Request, Turn
from trainer.chat.terminal import run_chat
from trainer.cli import main
from trainer.config import RunConfig
from trainer.dataset.conversation import Media, Text, message
from trainer.errors import UserError

FAMILIES = ("qwen2_vl", "llava_next")
SPOKEN = r".*(language_model|text_model).*\.(q_proj|v_proj|down_proj)"
ONE, TWO = image(56, 56), image(84, 28)
FILM = Media("video", data=film(8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Model folders by their family, made when they are asked for."""
    place = tmp_path_factory.mktemp("vision")

    def made(family: str, seed: int = 0) -> Path:
        path = place / f"{family}-{seed}"
        return path if path.exists() else write_vision_model(path, family, seed)

    return made


def say(engine: ChatEngine, question: str, *media: Media, **settings: Any) -> dict[str, str]:
    request = Request(question, media=media, max_new_tokens=10, **settings)
    return {side: chunk.text for side, chunk in engine.answers([request])[0].items()}


ASKED: tuple[tuple[str, tuple[Media, ...]], ...] = (
    ("what?", (ONE,)), ("what?", (TWO,)), ("what?", ()), ("what?", (ONE, TWO)), ("first <image>, then <image>", (TWO, ONE)),
)  # fmt: skip


def said(engine: ChatEngine, *load: Any) -> list[dict[str, str]]:
    engine.load(*load)
    return [say(engine, question, *media) for question, media in ASKED]


@pytest.mark.parametrize("family", FAMILIES)
def test_compare_with_pictures_answers_as_base_and_tuned_do_alone(
    engine: ChatEngine, folder: Callable[..., Path], tmp_path: Path, family: str
) -> None:
    base = folder(family)
    adapter = str(write_vision_adapter(tmp_path / "tuned", base, SPOKEN))
    bases = said(engine, str(base))
    tuned = said(engine, str(base), [adapter], "tuned")
    together = said(engine, str(base), [adapter], "compare")

    assert engine.loaded is not None and "image" in engine.loaded.sees
    assert [side.adapter for side in engine._sides] == ["__base__", "tuned"], "one batch for both"
    assert together == [{**one, **other} for one, other in zip(bases, tuned, strict=True)]
    assert len({each["base"] for each in bases}) == len(ASKED), "every picture and its place is seen"
    requests = [Request(question, media=media, max_new_tokens=10) for question, media in ASKED]
    batched = engine.answers(requests)
    assert [{side: chunk.text for side, chunk in each.items()} for each in batched] == together


def test_an_adapter_of_the_eyes_and_a_whole_model_are_compared_too(
    engine: ChatEngine, folder: Callable[..., Path], tmp_path: Path
) -> None:
    base = folder("qwen2_vl")
    # What a full fine-tune leaves may have neither tokenizer nor processor: those of the base stand in.
    whole = tmp_path / "whole"
    shutil.copytree(folder("qwen2_vl", 3), whole)
    own = {"config.json", "generation_config.json", "model.safetensors"}
    for file in whole.iterdir():
        if file.name not in own:
            file.unlink()
    assert {file.name for file in whole.iterdir()} == own
    seeing = write_vision_adapter(tmp_path / "eyes", base, r".*visual.*\.(qkv|fc1)")
    bases = said(engine, str(base))
    for checkpoint in (seeing, whole):
        tuned = said(engine, str(base), [str(checkpoint)], "tuned")
        assert said(engine, str(base), [str(checkpoint)], "compare") == [
            {**one, **other} for one, other in zip(bases, tuned, strict=True)
        ]
        assert [each["tuned"] for each in tuned] != [each["base"] for each in bases]


def test_answers_are_those_of_transformers(engine: ChatEngine, folder: Callable[..., Path]) -> None:
    base = str(folder("qwen2_vl"))
    processor = AutoProcessor.from_pretrained(base)
    content = [{"type": "image"}, {"type": "text", "text": "what?"}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    inputs = processor(text=[text], images=[[drawn(56, 56)]], return_tensors="pt")
    model = AutoModelForImageTextToText.from_pretrained(base, dtype=torch.float32)
    out = model.generate(**inputs, max_new_tokens=10, do_sample=False)
    expected = processor.tokenizer.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    engine.load(base)
    assert say(engine, "what?", ONE) == {"base": expected}
    assert engine.cost(ONE) == int((inputs["input_ids"] == processor.image_token_id).sum())


def test_pictures_stay_in_the_history(engine: ChatEngine, folder: Callable[..., Path]) -> None:
    engine.load(str(folder("qwen2_vl")))
    first = engine.answers([Request("what?", media=(ONE, FILM), max_new_tokens=6)])[0]["base"]
    assert first.history == (Turn("what?", first.text, (ONE, FILM)),)
    later = [
        say(engine, "and now?", *more, histories={"base": history})["base"]
        for history in (first.history, (replace(first.history[0], media=(TWO, FILM)),))
        for more in ((), (TWO,))
    ]
    assert len(set(later)) == 4
    # Without room, the oldest turn goes with its pictures.
    around = len(engine._sides[0].renderer.prompt([message("user", "")]))
    words = "z" * (WORDS["max_position_embeddings"] - 6 - around)
    long = engine.answers([Request(words, {"base": first.history}, max_new_tokens=6)])[0]["base"]
    assert long.left_out == 1 and long.text


def test_a_telephones_picture_is_seen_upright(
    engine: ChatEngine, folder: Callable[..., Path], tmp_path: Path
) -> None:
    engine.load(str(folder("qwen2_vl")))
    lying = Media("image", data=turned(6, "PNG"))
    upright = Media("image", data=written(drawn().transpose(Image.Transpose.ROTATE_270)))
    (tmp_path / "a.png").write_bytes(upright.data or b"")
    answers = [say(engine, "what?", each) for each in (lying, upright, attach(tmp_path / "a.png"))]
    assert (
        answers[0] == answers[1] == answers[2] != say(engine, "what?", Media("image", data=written(drawn())))
    )


def test_what_cannot_be_shown_is_refused_before_anything_is_said(
    engine: ChatEngine, base: str, folder: Callable[..., Path], tmp_path: Path
) -> None:
    files = {
        "cut.png": written(drawn())[:90], "bomb.png": giant(60_000, 60_000), "none.png": b"", "page.png": b"<html></html>",
        "cut.mp4": film(8)[:600],
    }  # fmt: skip
    engine.load(str(folder("qwen2_vl")))
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        kind: Any = "video" if name.endswith("mp4") else "image"
        shown = Media(kind, tmp_path / name)
        for refuse in (
            partial(attach, tmp_path / name),
            partial(engine.stream, Request("x", media=(shown,))),
        ):
            with pytest.raises(UserError) as caught:
                refuse()
            assert name in caught.value.text and str(tmp_path) not in caught.value.text
    with pytest.raises(UserError) as caught:
        engine.stream(Request("<image> <image>", media=(ONE,)))
    assert caught.value.code == "chat_media_marks"
    with pytest.raises(UserError) as caught:
        engine.stream(Request("a <|image_pad|> b"))
    assert caught.value.code == "chat_media_words"
    assert engine.state == "ready" and say(engine, "what?", ONE)

    engine.load(str(folder("llava_next")))
    assert engine.loaded is not None and engine.loaded.sees == ("image",)
    with pytest.raises(UserError) as caught:
        engine.cost(FILM)
    assert caught.value.code == "chat_no_video"
    # A template of plain words knows no pictures.
    engine.load(str(folder("qwen2_vl")), template="default")
    with pytest.raises(UserError) as caught:
        engine.stream(Request("x", media=(ONE,)))
    assert caught.value.code == "chat_media_template"
    engine.load(base)
    assert engine.loaded.sees == ()
    for refuse in (partial(engine.cost, ONE), partial(engine.stream, Request("x", media=(ONE,)))):
        with pytest.raises(UserError) as caught:
            refuse()
        assert caught.value.code == "chat_no_eyes"


def test_a_vision_model_is_given_back_whole(engine: ChatEngine, folder: Callable[..., Path]) -> None:
    engine.load(str(folder("qwen2_vl")))
    say(engine, "what?", ONE)
    gone = weakref.ref(engine._sides[0].model)
    engine.unload()
    gc.collect()
    assert gone() is None


def test_marks_say_where_pictures_stand() -> None:
    assert parts("a <image> b <video>", (FILM, ONE)) == (Text("a "), ONE, Text(" b "), FILM)
    assert parts("a", (ONE, FILM)) == (ONE, FILM, Text("a"))
    assert parts("<image>", (ONE,)) == (ONE,) == parts("", (ONE,))
    assert parts("an <image> tag", ()) == (Text("an <image> tag"),)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    for name, data in (("one.png", ONE.data), ("two.png", TWO.data), ("film.mp4", FILM.data)):
        (tmp_path / name).write_bytes(data or b"")
    return {name: str(tmp_path / name) for name in ("one.png", "two.png", "film.mp4")}


def test_the_terminal_shows_files(
    engine: ChatEngine, folder: Callable[..., Path], files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    base = str(folder("qwen2_vl"))
    words = ["chat", "--model_name_or_path", base, "--max_new_tokens", "10", "--prompt", "what?", "--json"]
    assert (
        main(
            [*words, "--image", files["one.png"], f"--image={files['two.png']}", "--video", files["film.mp4"]]
        )
        == 0
    )
    told = json.loads(capsys.readouterr().out)
    engine.load(base)
    assert told["answer"] == say(engine, "what?", ONE, TWO, FILM)["base"]
    costs = [engine.cost(each) for each in (ONE, TWO, FILM)]
    assert [each["tokens"] for each in told["media"]] == costs and told["image_tokens"] == sum(costs)
    assert [Path(each["file"]).name for each in told["media"]] == list(files)

    # Pictures are shown as large as a run has seen them.
    assert main([*words, "--image", files["one.png"], "--image_min_pixels", "12544"]) == 0
    assert json.loads(capsys.readouterr().out)["image_tokens"] == 16 > costs[0]

    assert main([*words, "--image", files["film.mp4"]]) == 2
    assert "film.mp4 is no picture" in capsys.readouterr().err
    assert main([*words, "--image"]) == 2


def test_a_conversation_takes_files_by_line(
    engine: ChatEngine,
    base: str,
    folder: Callable[..., Path],
    files: dict[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = str(folder("qwen2_vl"))
    engine.load(path)
    first = say(engine, "what?", ONE, TWO)["base"]
    second = say(engine, "again", histories={"base": (Turn("what?", first, (ONE, TWO)),)})["base"]
    source = f"/image {files['two.png']}\n/image nowhere.png\nwhat?\nagain\n"

    def talk(model: str) -> str:
        out = io.StringIO()
        config = RunConfig.from_flat({"model_name_or_path": model, "max_new_tokens": 10})
        assert (
            run_chat(config, media=(ONE,) if model == path else (), source=io.StringIO(source), out=out) == 0
        )
        return out.getvalue()

    assert talk(path) == f"{first}\n{second}\n"
    assert "There is no file nowhere.png" in capsys.readouterr().err
    talk(base)
    assert "reads only text" in capsys.readouterr().err
