from __future__ import annotations

import io
import json
from typing import Any

import pytest

from trainer.chat.engine import ChatEngine
from trainer.chat.request import Request, Turn
from trainer.chat.terminal import run_chat
from trainer.config import RunConfig
from trainer.errors import UserError

PROMPTS = ["Who are you?", "你是谁？", "2 + 2 = ?", "x"]


def settings(base: str, adapter: str = "", **more: Any) -> RunConfig:
    adapters = {"adapter_name_or_path": adapter} if adapter else {}
    return RunConfig.from_flat({"model_name_or_path": base, "max_new_tokens": 12, **adapters, **more})


def run(config: RunConfig, prompts: list[str] | None = None, source: str = "", **flags: Any) -> str:
    out = io.StringIO()
    assert run_chat(config, prompts or (), source=io.StringIO(source), out=out, **flags) == 0
    return out.getvalue()


def expected(engine: ChatEngine, load: tuple[Any, ...], question: str, **settings: Any) -> str:
    engine.load(*load)
    return list(engine.stream(Request(question, max_new_tokens=12, **settings)))[-1].text


def test_prompts_become_one_json_object_a_line(engine: ChatEngine, base: str, adapter: str) -> None:
    lines = run(settings(base, adapter), PROMPTS, compare=True, as_json=True).split("\n")
    assert lines.pop() == ""
    objects = [json.loads(line) for line in lines]
    assert [each["prompt"] for each in objects] == PROMPTS
    for each in objects:
        assert set(each) == {"prompt", "answer", "base"}
        assert each["base"] == expected(engine, (base,), each["prompt"])
        assert each["answer"] == expected(engine, (base, [adapter], "tuned"), each["prompt"])
    assert "你是谁" in lines[1]

    tuned = [json.loads(line) for line in run(settings(base, adapter), PROMPTS, as_json=True).splitlines()]
    assert tuned == [{"prompt": each["prompt"], "answer": each["answer"]} for each in objects]


def test_answers_are_plain_text_without_json(engine: ChatEngine, base: str, adapter: str) -> None:
    answer = expected(engine, (base,), "x")
    assert run(settings(base), ["x"]) == f"{answer}\n"
    assert run(settings(base), ["x", "x"]) == f"> x\n{answer}\n" * 2
    tuned = expected(engine, (base, [adapter], "tuned"), "x")
    assert run(settings(base, adapter), ["x"], compare=True) == f"base: {answer}\ntuned: {tuned}\n"


def test_the_settings_reach_the_model(engine: ChatEngine, base: str) -> None:
    drawn = {"temperature": 1.2, "top_p": 0.9, "system": "Speak softly."}
    answer = expected(engine, (base,), "x", **drawn, seed=7)
    assert run(settings(base, **drawn, seed=7), ["x"]) == f"{answer}\n"
    assert run(settings(base, **drawn, seed=8), ["x"]) != f"{answer}\n"


def test_a_conversation_remembers_until_it_is_cleared(engine: ChatEngine, base: str) -> None:
    first = expected(engine, (base,), "hello")
    second = expected(engine, (base,), "again", histories={"base": (Turn("hello", first),)})
    out = run(settings(base), source="hello\nagain\n\nclear\nhello\nexit\nnever asked\n")
    assert out == f"{first}\n{second}\n{first}\n"
    assert run(settings(base), source="") == ""


def test_a_compared_conversation_keeps_two_histories(engine: ChatEngine, base: str, adapter: str) -> None:
    source = "hello\nagain\n"
    out = run(settings(base, adapter), source=source, compare=True, as_json=True)
    both = [json.loads(line) for line in out.splitlines()]
    alone = run(settings(base, adapter), source=source, as_json=True)
    assert [each["answer"] for each in both] == [json.loads(line)["answer"] for line in alone.splitlines()]
    alone = run(settings(base), source=source, as_json=True)
    assert [each["base"] for each in both] == [json.loads(line)["answer"] for line in alone.splitlines()]
    shown = run(settings(base, adapter), source="hello\n", compare=True)
    assert shown == f"base: {both[0]['base']}\ntuned: {both[0]['answer']}\n"


def test_mistakes_are_told(base: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError) as caught:
        run_chat(settings(base), PROMPTS, compare=True)
    assert caught.value.code == "chat_no_checkpoint"
    with pytest.raises(UserError) as caught:
        run_chat(settings(base), ["fine", " "])
    assert caught.value.code == "chat_no_question"
    # In a conversation a mistake costs one turn.
    out = run(settings(base), source=f"{'x' * 400}\nhello\n")
    assert out.count("\n") >= 1
    assert "at most 256" in capsys.readouterr().err


def test_an_interrupt_ends_the_answer_then_the_conversation(
    base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter([None])
    original = ChatEngine.stream

    def interrupted(engine: ChatEngine, request: Request) -> Any:
        answer = original(engine, request)

        class Interrupted:
            def __next__(self) -> Any:
                for _ in calls:
                    raise KeyboardInterrupt
                return next(answer)

        return Interrupted()

    class Source(io.StringIO):
        def readline(self, *size: Any) -> str:
            line = super().readline()
            if not line:
                raise KeyboardInterrupt
            return line

    monkeypatch.setattr(ChatEngine, "stream", interrupted)
    out = io.StringIO()
    config = settings(base).with_values(max_new_tokens=200)
    assert run_chat(config, source=Source("hello\nx\n"), out=out) == 130
    assert out.getvalue().endswith("\n")
