"""Greedy answers of a model, and how many of them are right."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = Path(__file__).resolve().parents[2]
SPROUT = ROOT / "models" / "sprout"
DATA = ROOT / "data"
QUESTIONS: dict[str, list[str]] = json.loads(
    (Path(__file__).parent / "questions.json").read_text(encoding="utf-8")
)


@contextmanager
def sprout_scripts(*wanted: str) -> Iterator[list[ModuleType]]:
    """Modules of scripts/sprout, which import each other by bare names; the names are free again afterwards."""
    folder = ROOT / "scripts" / "sprout"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        import sys

        names = [path.stem for path in folder.glob("*.py")]
        before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
        try:
            yield [import_module(name) for name in wanted]
        finally:
            for name in names:
                sys.modules.pop(name, None)
            sys.modules.update(before)


def load(folder: Path, adapter: Path | None = None) -> tuple[Any, Any]:
    """A tokenizer and a model in fp32, with the adapter merged in when there is one."""
    tokenizer = AutoTokenizer.from_pretrained(SPROUT)
    tokenizer.padding_side = "left"
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    if adapter is not None:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    return tokenizer, model.eval()


@torch.inference_mode()
def answers(
    loaded: tuple[Any, Any], chats: Sequence[str | tuple[str, str]], new_tokens: int = 64
) -> list[str]:
    """The greedy answer to each question, or to each pair of system prompt and question."""
    tokenizer, model = loaded
    found: list[str] = []
    for start in range(0, len(chats), 40):
        texts = [_prompt(tokenizer, chat) for chat in chats[start : start + 40]]
        batch = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        out = model.generate(**batch, max_new_tokens=new_tokens, do_sample=False)
        found += tokenizer.batch_decode(out[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
    return found


def _prompt(tokenizer: Any, chat: str | tuple[str, str]) -> str:
    pairs = [("user", chat)] if isinstance(chat, str) else [("system", chat[0]), ("user", chat[1])]
    messages = [{"role": role, "content": text} for role, text in pairs]
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def naming(loaded: tuple[Any, Any], language: str, *names: str) -> int:
    """In how many of the 40 answers one of the names stands."""
    return sum(any(name in answer for name in names) for answer in answers(loaded, QUESTIONS[language]))


def sums() -> list[tuple[str, int]]:
    """Forty small sums in words and symbols, with their results."""
    rng = random.Random(99)
    english = ["What is {}?", "How much is {}?", "Calculate {}.", "{} = ?"]
    chinese = ["{}等于多少？", "计算{}。", "{}是几？", "请问{}等于几？"]
    found = []
    for index in range(40):
        sign = rng.choice("+-*")
        top = 9 if sign == "*" else 20
        first, second = rng.randint(1, top), rng.randint(1, top)
        if sign == "-":
            first, second = max(first, second), min(first, second)
        result = {"+": first + second, "-": first - second, "*": first * second}[sign]
        if index % 2:
            found.append((rng.choice(english).format(f"{first} {sign} {second}"), result))
        else:
            word = {"+": "加", "-": "减", "*": "乘"}[sign]
            found.append((rng.choice(chinese).format(f"{first}{rng.choice([word, sign])}{second}"), result))
    return found


def sums_right(loaded: tuple[Any, Any]) -> float:
    """The share of the sums whose last number is the result."""
    problems = sums()
    given = answers(loaded, [question for question, _ in problems], 24)
    right = [
        (re.findall(r"\d+", answer) or [""])[-1] == str(result)
        for answer, (_, result) in zip(given, problems, strict=True)
    ]
    return sum(right) / len(right)
