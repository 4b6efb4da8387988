"""A GGUF file is one side of a chat; the same weights in a folder are the other, and both must say the same."""

from __future__ import annotations

import shutil
import threading
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.chat.test_engine import QUESTIONS, ask, last
from tests.export.gguf import tiny
from tests.export.gguf.test_families import tokenizer as tokenizer_of
from tests.model.gguf_files import write_gguf
from trainer.chat.engine import ChatEngine
from trainer.chat.request import Request, Turn
from trainer.config import RunConfig
from trainer.dataset.conversation import message
from trainer.dataset.render import Renderer
from trainer.errors import UserError
from trainer.model import llama
from trainer.model.generation import Draw
from trainer.model.gguf_side import chooser, open_side
from trainer.options import DataOptions
from trainer.paths import MODELS

SPROUT = str(MODELS / "sprout")
DRAWN: dict[str, Any] = {"temperature": 1.3, "top_p": 0.95}


@pytest.fixture(scope="session")
def sprout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in model as a GGUF file of fp32 numbers."""
    from trainer.export.gguf import write
    from trainer.export.progress import Quiet
    from trainer.export.source import open_source

    config = RunConfig.from_flat({"do_export": True, "model_name_or_path": SPROUT, "infer_dtype": "float32"})
    path = tmp_path_factory.mktemp("gguf") / "一 'quoted' Sprout.gguf"
    write(open_source(config), path, "f32", Quiet())
    return path


@pytest.fixture
def loaded(engine: ChatEngine, sprout: Path) -> ChatEngine:
    engine.load(SPROUT, [str(sprout)], "compare")
    return engine


def test_a_file_answers_as_the_model_that_it_was_made_from(loaded: ChatEngine, sprout: Path) -> None:
    assert loaded.loaded is not None
    assert loaded.loaded.sides == ("base", "tuned")
    assert loaded.loaded.dtype == "float32 / f32"
    assert loaded.loaded.context == 2048
    history: dict[str, tuple[Turn, ...]] = {}
    for question in QUESTIONS:
        for system in ("", "你是一只猫。"):
            request = Request(question, history, system=system, max_new_tokens=48)
            base, tuned = (last(loaded.stream(request))[side] for side in ("base", "tuned"))
            assert (base.text, base.ending, base.tokens) == (tuned.text, tuned.ending, tuned.tokens)
            assert tuned.history == base.history
        history = {"base": base.history, "tuned": tuned.history}
    assert len(history["tuned"]) == len(QUESTIONS)

    # Alone it needs no base at all, and may stand in the base's place.
    answer = ask(loaded, QUESTIONS[0])["tuned"]
    assert loaded.load("no such model", [str(sprout)], "tuned").model == str(sprout)
    assert ask(loaded, QUESTIONS[0]) == {"tuned": answer}
    loaded.load(str(sprout))
    assert ask(loaded, QUESTIONS[0]) == {"base": answer}


def test_several_questions_are_answered_in_their_order(loaded: ChatEngine) -> None:
    requests = [Request(question, max_new_tokens=20) for question in QUESTIONS]
    together = loaded.answers(requests)
    for request, sides in zip(requests, together, strict=True):
        assert list(sides) == ["base", "tuned"]
        assert sides["tuned"].text == last(loaded.stream(request))["tuned"].text == sides["base"].text


def test_the_same_seed_gives_the_same_answer(loaded: ChatEngine) -> None:
    once, again = (ask(loaded, QUESTIONS[3], **DRAWN, seed=3)["tuned"] for _ in range(2))
    others = {ask(loaded, QUESTIONS[3], **DRAWN, seed=seed)["tuned"] for seed in range(4, 12)}
    assert once == again
    assert len(others | {once}) > 1
    assert ask(loaded, QUESTIONS[3], temperature=1.0, top_p=0.001, seed=5) == ask(loaded, QUESTIONS[3])


def test_draws_follow_the_chances_and_stay_within_top_p() -> None:
    import numpy

    chances = numpy.array([0.05, 0.5, 0.15, 0.3])
    scores = numpy.log(chances).astype(numpy.float32)
    choose = chooser(Draw(1.0, 1.0, 0))
    counts = numpy.bincount([choose(scores) for _ in range(4000)], minlength=4) / 4000
    assert abs(counts - chances).max() < 0.03
    choose = chooser(Draw(1.0, 0.7, 0))
    counts = numpy.bincount([choose(scores) for _ in range(4000)], minlength=4) / 4000
    assert abs(counts - numpy.array([0, 0.625, 0, 0.375])).max() < 0.03
    assert chooser(Draw(0.0, 1.0, 0))(scores) == 1


@pytest.fixture
def paced(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Semaphore]:
    """Lets llama.cpp read only as often as a test allows; answers never end by themselves."""
    steps, read = threading.Semaphore(0), llama.Model.read

    def wait(model: llama.Model, ids: Any) -> None:
        assert steps.acquire(timeout=120)
        read(model, ids)

    monkeypatch.setattr(llama.Model, "read", wait)
    monkeypatch.setattr(llama.Model, "is_end", lambda *_: False)
    yield steps
    steps.release(10_000)


def test_an_answer_streams_and_is_stopped(
    engine: ChatEngine, sprout: Path, paced: threading.Semaphore
) -> None:
    engine.load(SPROUT, [str(sprout)], "tuned")
    engine._sides = tuple(_endless(side) for side in engine._sides)
    answer = engine.stream(Request(QUESTIONS[3], max_new_tokens=1000))
    seen = []
    for _ in range(3):
        paced.release()
        seen.append(next(answer).tokens)
    assert seen == [1, 2, 3]
    engine.stop()
    paced.release(10)
    final = last(answer)["tuned"]
    assert final.ending == "stopped"
    assert 3 <= final.tokens < 20
    assert final.history[-1].answer == final.text
    assert engine.state == "ready"

    # Stopped before the first word, nothing was said. What is left of the permits would let it say one.
    while paced.acquire(blocking=False):
        pass
    answer = engine.stream(Request(QUESTIONS[3]))
    engine.stop()
    paced.release(10)
    silent = last(answer)["tuned"]
    assert (silent.text, silent.ending, silent.history) == ("", "stopped", ())


def _endless(side: Any) -> Any:
    return replace(side, stop_ids=frozenset())


def test_an_ollama_folder_is_asked_with_its_system_prompt(
    engine: ChatEngine, sprout: Path, tmp_path: Path
) -> None:
    shutil.copy(sprout, tmp_path / "model.gguf")
    (tmp_path / "Modelfile").write_text('FROM ./model.gguf\nSYSTEM """Answer in one word."""\n', "utf-8")
    engine.load(SPROUT, [str(tmp_path)], "compare")
    plain, other = ask(engine, QUESTIONS[0]), ask(engine, QUESTIONS[0], system="You are a cat.")
    engine.load(SPROUT, [str(sprout)], "compare")
    assert plain["tuned"] == ask(engine, QUESTIONS[0], system="Answer in one word.")["tuned"]
    assert other == ask(engine, QUESTIONS[0], system="You are a cat.")
    assert plain["base"] == ask(engine, QUESTIONS[0])["base"]


def test_a_long_conversation_loses_its_oldest_turns(engine: ChatEngine, sprout: Path) -> None:
    engine.load(SPROUT, [str(sprout)], "tuned")
    history = tuple(Turn(f"question {number}", "answer " * 200) for number in range(12))
    chunk = last(engine.stream(Request("now?", {"tuned": history}, max_new_tokens=8)))["tuned"]
    assert 0 < chunk.left_out < 12
    with pytest.raises(UserError) as caught:
        engine.stream(Request("long " * 3000))
    assert caught.value.code == "chat_question_long"


def test_unloading_gives_the_file_back(engine: ChatEngine, sprout: Path) -> None:
    engine.load(SPROUT, [str(sprout)], "compare")
    ask(engine, "hello", max_new_tokens=4)
    models = [weakref.ref(side.model) for side in engine._sides]
    engine.unload()
    assert [each() for each in models] == [None, None]


def test_every_kind_of_broken_file_has_its_sentence_and_costs_nothing(
    engine: ChatEngine, sprout: Path, tmp_path: Path
) -> None:
    engine.load(SPROUT, [str(sprout)], "tuned")
    expected = ask(engine, "hello", max_new_tokens=8)
    whole = sprout.read_bytes()
    (tmp_path / "cut.gguf").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.gguf").write_text("no model", "utf-8")
    (tmp_path / "two").mkdir()
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / "two" / name).write_bytes(b"GGUF")
    (tmp_path / "both" / "gguf").mkdir(parents=True)
    (tmp_path / "both" / "merged").mkdir()
    (tmp_path / "both" / "gguf" / "m.gguf").write_bytes(b"GGUF")
    (tmp_path / "both" / "merged" / "config.json").write_text("{}")
    cases = {
        tmp_path / "nowhere.gguf": "chat_checkpoint_missing",
        tmp_path / "cut.gguf": "gguf_file_cut",
        tmp_path / "text.gguf": "gguf_file_other",
        tmp_path / "two": "gguf_file_several",
        tmp_path / "both": "chat_several_formats",
        # Whole as files, and yet nothing that llama.cpp can load.
        write_gguf(tmp_path / "strange.gguf", "no-such-family"): "llama_refuses",
        write_gguf(tmp_path / "hollow.gguf", "llama"): "llama_refuses",
        write_gguf(tmp_path / "mmproj-model.gguf", "clip"): "gguf_file_silent",
    }
    for path, code in cases.items():
        with pytest.raises(UserError) as caught:
            engine.load(SPROUT, [str(path)], "tuned")
        assert caught.value.code == code, path
        assert engine.state == "ready"
        assert ask(engine, "hello", max_new_tokens=8) == expected
    assert "no-such-family" in _refusal(engine, tmp_path / "strange.gguf").values["reason"]


def _refusal(engine: ChatEngine, path: Path) -> Any:
    with pytest.raises(UserError) as caught:
        engine.load(SPROUT, [str(path)], "compare")
    return caught.value


def test_a_file_that_ends_llama_cpp_does_not_end_us(
    engine: ChatEngine, sprout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "GGML_ASSERT(n_rot > 0) failed"
    monkeypatch.setattr(
        llama, "_TRIAL", f"import os, sys; print({words!r}, file=sys.stderr, flush=True); os.abort()"
    )
    error = _refusal(engine, sprout)
    assert (error.code, error.values["reason"]) == ("llama_died", "n_rot > 0")
    monkeypatch.setattr(llama, "_TRIAL", "raise SystemExit(7)")
    error = _refusal(engine, sprout)
    assert (error.code, error.values["reason"]) == ("llama_refuses", "status 7")


def test_without_llama_cpp_it_is_said_how_to_get_it(
    engine: ChatEngine, sprout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llama, "find_spec", lambda _: None)
    error = _refusal(engine, sprout)
    assert error.code == "llama_missing"
    assert "pip install llama-cpp-python" in error.hint


def test_an_adapter_cannot_stand_on_a_file(engine: ChatEngine, sprout: Path, adapter: str) -> None:
    with pytest.raises(UserError) as caught:
        engine.load(str(sprout), [adapter], "compare")
    assert caught.value.code == "chat_adapter_on_gguf"


@pytest.mark.parametrize(("kind", "manner"), [("llama", "legacy"), ("gemma", "gemma"), ("llama", "llama3")])
def test_other_vocabularies_read_and_write_as_the_model_s_own(kind: str, manner: str, tmp_path: Path) -> None:
    tokenizer = tokenizer_of(manner)
    more = {"head_dim": 32} if kind == "gemma" else {}
    file = tiny.written(tiny.write_model(tmp_path / "model", kind, tokenizer, **more), tmp_path)
    side = open_side(file, file, "", DataOptions())
    known = Renderer(tokenizer, "", DataOptions())
    texts = [text for text in tiny.HARD if text.strip() and "\x00" not in text]
    for text in texts:
        # Of two spaces before a text llama.cpp makes another token in this manner, which the export's notes say.
        if manner == "legacy" and text.startswith(" "):
            continue
        said = [message("user", text), message("assistant", "Yes."), message("user", text)]
        ids = known.prompt(said, "Be brief.")
        assert side.renderer.prompt(said, "Be brief.") == ids, text
        if "<|" in text:
            continue
        plain = tokenizer(text, add_special_tokens=False).input_ids
        decoded = tokenizer.decode(plain, skip_special_tokens=True)
        # Tokenizers that put a space before a text take it away again; this small one forgets to.
        decoded = decoded.removeprefix(" ") if manner == "legacy" else decoded
        assert side.tokenizer.decode(plain) == decoded, text
    assert side.stop_ids == {tokenizer.convert_tokens_to_ids("<|im_end|>")}
    assert side.model.is_end(tokenizer.eos_token_id)
