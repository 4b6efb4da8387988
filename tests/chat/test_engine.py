from __future__ import annotations

import gc
import logging
import threading
import weakref
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import Qwen2ForCausalLM

from tests.chat.conftest import Pace
from tests.chat.tiny import CONTEXT, write_adapter, write_model
from trainer.chat.engine import ChatEngine
from trainer.chat.request import Chunk, Request, Turn
from trainer.dataset.conversation import message
from trainer.errors import UserError
from trainer.model import memory
from trainer.paths import MODELS

QUESTIONS = (
    "Who are you?",
    "你是谁？请用一句话回答。",
    "2 + 2 = ?",
    "Tell me about the sea, please, and about the moon.",
)


def last(chunks: Iterable[Chunk]) -> dict[str, Chunk]:
    found = {}
    for chunk in chunks:
        found[chunk.side] = chunk
    assert all(chunk.done for chunk in found.values())
    return found


def ask(engine: ChatEngine, question: str, **settings: Any) -> dict[str, str]:
    settings = {"max_new_tokens": 24, **settings}
    return {side: chunk.text for side, chunk in last(engine.stream(Request(question, **settings))).items()}


def alone(engine: ChatEngine, questions: Iterable[str], *load: Any, **settings: Any) -> list[str]:
    engine.load(*load)
    return [next(iter(ask(engine, question, **settings).values())) for question in questions]


def greedy(base: str, engine: ChatEngine, question: str, count: int, adapter: str = "") -> list[int]:
    """What transformers itself generates."""
    model = Qwen2ForCausalLM.from_pretrained(base, dtype=torch.float32)
    if adapter:
        model = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    ids = torch.tensor([engine._sides[0].renderer.prompt([message("user", question)])])
    out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, do_sample=False)
    return out[0, ids.shape[1] :].tolist()


def test_answers_are_those_of_transformers(engine: ChatEngine, base: str, adapter: str) -> None:
    engine.load(base, [adapter], "compare")
    said = ask(engine, "hello", max_new_tokens=16)
    decode = partial(engine._sides[0].tokenizer.decode, skip_special_tokens=True)
    assert said == {
        "base": decode(greedy(base, engine, "hello", 16)),
        "tuned": decode(greedy(base, engine, "hello", 16, adapter)),
    }


def test_compare_answers_as_base_and_tuned_do_alone(engine: ChatEngine, base: str, adapter: str) -> None:
    bases = alone(engine, QUESTIONS, base)
    tuned = alone(engine, QUESTIONS, base, [adapter], "tuned")
    loaded = engine.load(base, [adapter], "compare")

    assert loaded.sides == ("base", "tuned")
    assert len({id(side.model) for side in engine._sides}) == 1
    together = [ask(engine, question) for question in QUESTIONS]
    assert [each["base"] for each in together] == bases
    assert [each["tuned"] for each in together] == tuned
    assert all(one != other for one, other in zip(bases, tuned, strict=True))


def test_sprout_is_compared_as_it_answers_alone(engine: ChatEngine, tmp_path: Path) -> None:
    adapter = str(write_adapter(tmp_path / "tuned", MODELS / "sprout", std=0.2))
    bases = alone(engine, QUESTIONS, "Sprout")
    tuned = alone(engine, QUESTIONS, "Sprout", [adapter], "tuned")
    engine.load("Sprout", [adapter], "compare")

    together = [ask(engine, question) for question in QUESTIONS]
    assert [each["base"] for each in together] == bases
    assert [each["tuned"] for each in together] == tuned
    assert bases != tuned
    assert all(chunk["base"].ending == "end" for chunk in engine.answers([Request("你好！")]))


def test_compare_is_one_batched_generation(engine: ChatEngine, base: str, adapter: str) -> None:
    engine.load(base, [adapter], "compare")
    shapes: list[tuple[int, ...]] = []
    model = engine._sides[0].model
    model.register_forward_pre_hook(
        lambda _module, _args, given: shapes.append(tuple(given["input_ids"].shape)), with_kwargs=True
    )
    model.get_base_model().register_forward_pre_hook(
        lambda _module, _args, given: shapes.append(tuple(given["input_ids"].shape)), with_kwargs=True
    )
    ask(engine, "hello", max_new_tokens=5)

    assert len(shapes) == 5
    assert all(rows == 2 for rows, _ in shapes)


def test_a_whole_tuned_model_stands_beside_its_base(
    engine: ChatEngine, base: str, whole: str, tmp_path: Path
) -> None:
    bases = alone(engine, QUESTIONS[:2], base)
    tuned = alone(engine, QUESTIONS[:2], base, [whole], "tuned")
    engine.load(base, [whole], "compare")

    together = [ask(engine, question) for question in QUESTIONS[:2]]
    assert [each["base"] for each in together] == bases
    assert [each["tuned"] for each in together] == tuned
    assert bases != tuned


@pytest.mark.parametrize(
    "changes", [{"use_dora": True}, {"bias": "lora_only"}, {"modules_to_save": ["lm_head"]}]
)
def test_adapters_that_do_not_mix_are_compared_all_the_same(
    engine: ChatEngine, base: str, tmp_path: Path, changes: dict[str, Any]
) -> None:
    path = write_adapter(tmp_path / "special", Path(base), **changes)
    if changes.get("bias"):
        _disturb_biases(path)
    expected = alone(engine, QUESTIONS[:1], base) + alone(engine, QUESTIONS[:1], base, [str(path)], "tuned")
    engine.load(base, [str(path)], "compare")

    assert ask(engine, QUESTIONS[0]) == dict(zip(("base", "tuned"), expected, strict=True))


def _disturb_biases(path: Path) -> None:
    from safetensors.torch import load_file, save_file

    file = path / "adapter_model.safetensors"
    weights = load_file(file)
    assert any(name.endswith("bias") for name in weights)
    save_file({name: w + (3.0 if name.endswith("bias") else 0.0) for name, w in weights.items()}, file)


def test_several_adapters_act_together(engine: ChatEngine, base: str, adapter: str, tmp_path: Path) -> None:
    other = str(
        write_adapter(tmp_path / "other", Path(base), seed=5, r=2, target_modules=["q_proj", "up_proj"])
    )
    merged = Qwen2ForCausalLM.from_pretrained(base, dtype=torch.float32)
    for path in (adapter, other):
        merged = PeftModel.from_pretrained(merged, path).merge_and_unload()
    merged.save_pretrained(tmp_path / "merged")
    for file in Path(base).glob("tok*"):
        (tmp_path / "merged" / file.name).write_bytes(file.read_bytes())
    (tmp_path / "merged" / "chat_template.jinja").write_bytes(
        (Path(base) / "chat_template.jinja").read_bytes()
    )

    expected = alone(engine, QUESTIONS, str(tmp_path / "merged"))
    assert alone(engine, QUESTIONS, base, [adapter, other], "tuned") == expected
    engine.load(base, [adapter, other], "compare")
    assert [ask(engine, question)["tuned"] for question in QUESTIONS] == expected


def test_each_side_has_its_own_history(engine: ChatEngine, base: str, adapter: str) -> None:
    engine.load(base, [adapter], "compare")
    first = last(engine.stream(Request("hello", max_new_tokens=9)))
    histories = {side: chunk.history for side, chunk in first.items()}
    second = last(engine.stream(Request("and now?", histories, max_new_tokens=9)))

    assert histories["base"] != histories["tuned"]
    for side, load in (("base", (base,)), ("tuned", (base, [adapter], "tuned"))):
        engine.load(*load)
        expected = last(engine.stream(Request("and now?", {side: histories[side]}, max_new_tokens=9)))
        assert expected[side].text == second[side].text
        assert expected[side].history == (*histories[side], Turn("and now?", second[side].text))
        assert ask(engine, "and now?", max_new_tokens=9)[side] != second[side].text


def test_a_row_that_ends_early_is_silent_while_the_other_goes_on(
    engine: ChatEngine, base: str, adapter: str
) -> None:
    engine.load(base, [adapter], "compare")
    free = last(engine.stream(Request("hello", max_new_tokens=24)))
    # Something that only base says ends an answer from now on.
    ids, others = greedy(base, engine, "hello", 24), greedy(base, engine, "hello", 24, adapter)
    stop = next(token for token in ids[3:] if token not in others)
    engine._sides = tuple(replace(side, stop_ids=frozenset({stop})) for side in engine._sides)
    chunks = list(engine.stream(Request("hello", max_new_tokens=24)))

    base_chunks = [chunk for chunk in chunks if chunk.side == "base"]
    assert [chunk.done for chunk in base_chunks].count(True) == 1
    assert base_chunks[-1].ending == "end"
    assert base_chunks[-1].tokens == ids.index(stop)
    assert free["base"].text.startswith(base_chunks[-1].text)
    tuned = last(chunks)["tuned"]
    assert tuned == replace(free["tuned"], tokens_per_s=tuned.tokens_per_s)


def test_the_same_seed_gives_the_same_answer(engine: ChatEngine, base: str, adapter: str) -> None:
    drawn = {"temperature": 1.5, "top_p": 1.0}
    singles = [
        alone(engine, QUESTIONS[:1], *load, **drawn, seed=3)[0]
        for load in ((base,), (base, [adapter], "tuned"))
    ]
    engine.load(base, [adapter], "compare")
    before = torch.random.get_rng_state()
    once, again, other = (ask(engine, QUESTIONS[0], **drawn, seed=seed) for seed in (3, 3, 4))

    assert once == again
    assert list(once.values()) == singles
    assert all(once[side] != other[side] for side in once)
    assert torch.equal(before, torch.random.get_rng_state())
    greedy = ask(engine, QUESTIONS[0])
    assert ask(engine, QUESTIONS[0], temperature=1.0, top_p=0.01, seed=1) == greedy != once


def test_answers_in_batches_equal_those_one_by_one(engine: ChatEngine, base: str, adapter: str) -> None:
    engine.load(base, [adapter], "compare")
    questions = [f"{'why ' * (number % 5)}{number}?" for number in range(11)]
    requests = [Request(question, max_new_tokens=8 + number) for number, question in enumerate(questions)]
    one_by_one = [last(engine.stream(request)) for request in requests]
    together = engine.answers(requests)

    assert [{s: c.text for s, c in each.items()} for each in together] == [
        {s: c.text for s, c in each.items()} for each in one_by_one
    ]
    assert {each["base"].ending for each in together} <= {"end", "length"}
    # Half of a surrogate pair is no character.
    assert ask(engine, "a\ud83d", system="\udc80") == ask(engine, "a?", system="?")
    assert engine.answers([]) == []


def test_stop_keeps_the_answer_so_far(
    engine: ChatEngine, base: str, pace: Callable[[ChatEngine], Pace]
) -> None:
    engine.load(base)
    full = ask(engine, "hello", max_new_tokens=50)["base"]
    steps = pace(engine)
    chunks = engine.stream(Request("hello", max_new_tokens=50))
    steps.allow(6)
    seen = [next(chunks)]
    while seen[-1].tokens < 6:
        seen.append(next(chunks))
    engine.stop()
    steps.allow()
    stopped = last([*seen, *chunks])["base"]

    assert stopped.ending == "stopped"
    assert 6 <= stopped.tokens <= 8
    assert stopped.history == (Turn("hello", stopped.text),)
    assert full.encode()[:8].startswith(stopped.text.encode()[:8])
    assert engine.state == "ready"
    assert ask(engine, "hello", max_new_tokens=50)["base"] == full


def test_one_answers_while_the_next_waits_and_each_stops_only_its_own(
    engine: ChatEngine, base: str, pace: Callable[[ChatEngine], Pace]
) -> None:
    engine.load(base)
    steps = pace(engine)
    first = engine.stream(Request("first", max_new_tokens=4, owner="a"))
    results: dict[str, Any] = {}

    def second(owner: str) -> None:
        results[owner] = last(engine.stream(Request("second", max_new_tokens=4, owner=owner)))["base"]

    waiting = {owner: threading.Thread(target=second, args=(owner,)) for owner in ("b", "c")}
    for thread in waiting.values():
        thread.start()
    _until(lambda: len(engine._tickets) == 3)
    engine.stop("c")
    waiting["c"].join(120)
    assert engine.state == "generating"
    assert results["c"].ending == "stopped"
    assert (results["c"].tokens, results["c"].history) == (0, ())
    steps.allow()
    waiting["b"].join(120)

    assert last(first)["base"].ending == "length"
    assert results["b"].ending == "length"
    assert engine.state == "ready"


def _until(happened: Callable[[], bool]) -> None:
    waited = threading.Event()
    for _ in range(12_000):
        if happened():
            return
        waited.wait(0.01)
    raise AssertionError("it did not happen within 120 s")


def test_who_waits_too_long_is_told(base: str, pace: Callable[[ChatEngine], Pace]) -> None:
    engine = ChatEngine(patience_s=0.05)
    engine.load(base)
    steps = pace(engine)
    first = engine.stream(Request("first", max_new_tokens=4))
    with pytest.raises(UserError) as caught:
        engine.stream(Request("second"))
    assert caught.value.code == "chat_busy"
    with pytest.raises(UserError) as caught:
        engine.load(base)
    assert caught.value.code == "chat_busy"
    steps.allow()
    assert last(first)["base"].ending == "length"
    engine.unload()


def test_dropping_the_iterator_stops_the_answer(
    engine: ChatEngine, base: str, pace: Callable[[ChatEngine], Pace]
) -> None:
    engine.load(base)
    steps = pace(engine)
    chunks = engine.stream(Request("hello", max_new_tokens=200))
    ticket = engine._tickets[0]
    del chunks
    gc.collect()
    assert ticket.stop.is_set()
    steps.allow()
    _until(lambda: engine.state == "ready")


def test_a_failing_model_costs_one_answer(
    engine: ChatEngine, base: str, adapter: str, whole: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    for load in ((base,), (base, [adapter], "compare"), (base, [whole], "compare")):
        engine.load(*load)
        expected = ask(engine, "hello")
        model = engine._sides[-1].model
        hooked = model.get_base_model() if isinstance(model, PeftModel) else model
        cases: list[tuple[Exception, str]] = [
            (RuntimeError("a wrong shape"), "chat_failed"),
            (torch.OutOfMemoryError("CUDA out of memory. Tried a lot"), "chat_memory"),
        ]
        for error, code in cases:
            handle = hooked.register_forward_pre_hook(partial(_fail, error))
            with pytest.raises(UserError) as caught:
                list(engine.stream(Request("hello")))
            assert caught.value.code == code
            handle.remove()
            assert engine.state == "ready"
            assert ask(engine, "hello") == expected


def _fail(error: Exception, *_: Any) -> None:
    raise error


def test_old_turns_make_room_and_it_is_said(engine: ChatEngine, base: str) -> None:
    engine.load(base)
    history = tuple(Turn(f"question {number}", "answer " * 4) for number in range(9))
    chunk = last(engine.stream(Request("now?", {"base": history}, max_new_tokens=40)))["base"]

    assert 0 < chunk.left_out < 9
    assert chunk.history[:-1] == history
    kept = {"base": history[chunk.left_out :]}
    assert last(engine.stream(Request("now?", kept, max_new_tokens=40)))["base"].text == chunk.text
    assert last(engine.stream(Request("now?", kept, max_new_tokens=40)))["base"].left_out == 0
    with pytest.raises(UserError) as caught:
        engine.stream(Request("x" * CONTEXT))
    assert caught.value.code == "chat_question_long"
    assert caught.value.values["limit"] == CONTEXT
    assert last(engine.stream(Request("x" * (CONTEXT - 60), max_new_tokens=500)))["base"].tokens < 60
    assert engine.state == "ready"


def test_unload_frees_everything(engine: ChatEngine, base: str, adapter: str, whole: str) -> None:
    for load in ((base, [adapter], "compare"), (base, [whole], "compare")):
        engine.load(*load)
        assert set(ask(engine, "hello")) == {"base", "tuned"}
        models = [weakref.ref(side.model) for side in engine._sides]
        weights = [weakref.ref(next(side.model.parameters())) for side in engine._sides]
        engine.unload()
        assert [each() for each in (*models, *weights)] == [None] * 4
        assert (engine.state, engine.loaded) == ("empty", None)
    with pytest.raises(UserError) as caught:
        engine.stream(Request("hello"))
    assert caught.value.code == "chat_empty"
    engine.unload()


def test_unload_gives_memory_back_to_the_system(engine: ChatEngine, tmp_path: Path) -> None:
    import psutil

    process = psutil.Process()
    path = str(write_model(tmp_path / "large", hidden=1024))
    engine.load(path)
    ask(engine, "hello", max_new_tokens=2)
    held, weights = process.memory_info().rss, sum(p.nbytes for p in engine._sides[0].model.parameters())
    assert weights > 50_000_000
    engine.unload()
    assert process.memory_info().rss < held - 0.7 * weights


def test_a_model_that_does_not_fit_is_refused_with_both_numbers(
    engine: ChatEngine, base: str, adapter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = sum(p.numel() for p in Qwen2ForCausalLM.from_pretrained(base).parameters())
    needed = memory.needed_bytes([Path(base)], torch.float32)
    assert needed == pytest.approx(weights * 4 * 1.15, abs=2)
    assert memory.needed_bytes([Path(base)], torch.bfloat16) == pytest.approx(needed / 2, abs=2)

    monkeypatch.setattr(memory, "free_bytes", lambda device: 20_000)
    with pytest.raises(UserError) as caught:
        engine.load(base, [adapter], "compare")
    assert caught.value.code == "chat_no_room"
    assert caught.value.values["needed"] >= needed / 1e6
    assert caught.value.values["free"] == 1
    assert engine.state == "empty"
    monkeypatch.undo()
    assert memory.free_bytes(torch.device("cpu")) > 100_000_000


def _empty(path: Path) -> str:
    path.mkdir()
    (path / "checkpoint-20").mkdir()
    return str(path)


def test_what_cannot_be_loaded_has_its_sentence_and_costs_nothing(
    engine: ChatEngine, base: str, adapter: str, whole: str, tmp_path: Path
) -> None:
    half = write_adapter(tmp_path / "half", Path(base))
    (half / "adapter_model.safetensors").write_bytes((half / "adapter_model.safetensors").read_bytes()[:200])
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "adapter_config.json").write_text("{}")
    engine.load(base)
    expected = ask(engine, "hello")
    cases: list[tuple[tuple[Any, ...], str]] = [
        (("Sprot",), "model_unknown"),
        ((str(tmp_path / "nowhere"),), "model_folder_missing"),
        ((str(tmp_path),), "model_without_config"),
        ((adapter,), "model_is_adapter"),
        ((base, [], "compare"), "chat_no_checkpoint"),
        ((base, [str(tmp_path / "nowhere")], "tuned"), "chat_checkpoint_missing"),
        ((base, [_empty(tmp_path / "run")], "compare"), "chat_checkpoint_empty"),
        ((base, [whole, adapter], "compare"), "chat_mixed_checkpoints"),
        ((base, [str(bare)], "compare"), "adapter_missing"),
        ((base, [str(half)], "compare"), "chat_checkpoint_cut"),
    ]
    for load, code in cases:
        with pytest.raises(UserError) as caught:
            engine.load(*load)
        assert caught.value.code == code, load
        assert engine.state == "ready"
        assert ask(engine, "hello") == expected
    for question in ("", "  \n"):
        with pytest.raises(UserError) as caught:
            engine.stream(Request(question))
        assert caught.value.code == "chat_no_question"
        assert engine.state == "ready"


def test_an_adapter_of_another_base_is_refused_or_named(
    engine: ChatEngine, base: str, adapter: str, tmp_path: Path
) -> None:
    wider = write_model(tmp_path / "wider", hidden=64)
    with pytest.raises(UserError) as caught:
        engine.load(str(wider), [adapter], "compare")
    assert caught.value.code == "adapter_other_base"
    assert engine.state == "empty"
    twin = write_model(tmp_path / "twin", seed=3)
    assert [note.code for note in engine.load(str(twin), [adapter], "tuned").notes] == [
        "adapter_base_differs"
    ]
    assert engine.load(base, [adapter], "tuned").notes == ()
