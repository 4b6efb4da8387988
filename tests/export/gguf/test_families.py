"""Every family, written from transformers' weights, answers in llama.cpp as it does in transformers."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.export.gguf import tiny
from trainer.export.gguf import pretokenizers

STEPS = 32
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 128}
STRETCHED = {
    "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 128,
}  # fmt: skip
LINEAR = {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e6}
GEMMA = {"head_dim": 32, "query_pre_attn_scalar": 32, "sliding_window": 16}


class Case(NamedTuple):
    kind: str
    tokenizer: str
    changes: dict[str, Any]


CASES = {
    "qwen2": Case("qwen2", "qwen2", {"rope_parameters": LINEAR}),
    "qwen2, tied": Case("qwen2", "qwen2", {"tie_word_embeddings": True}),
    "qwen3": Case("qwen3", "qwen2", {"head_dim": 32, "tie_word_embeddings": True}),
    "qwen3, yarn": Case("qwen3", "qwen2", {"head_dim": 32, "rope_parameters": YARN}),
    "llama 2": Case("llama", "legacy", {}),
    "llama 3": Case("llama", "llama3", {"rope_parameters": STRETCHED}),
    "llama with biases": Case("llama", "llama3", {"attention_bias": True, "mlp_bias": True}),
    "mistral": Case("mistral", "gemma", {"head_dim": 32, "sliding_window": None}),
    "gemma": Case("gemma", "gemma", {"head_dim": 32}),
    "gemma 2": Case("gemma2", "gemma", GEMMA),
    "gemma 3": Case("gemma3_text", "gemma", {**GEMMA, "num_hidden_layers": 7}),
    "gemma 3, other pattern": Case(
        "gemma3_text", "gemma",
        {
            **GEMMA, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
            "rope_parameters": {
                "full_attention": LINEAR, "sliding_attention": {"rope_type": "default", "rope_theta": 2e4}
            },
        },
    ),
}  # fmt: skip


@cache
def tokenizer(name: str) -> Any:
    if name == "qwen2":
        return tiny.byte_level(pretokenizers.QWEN2, nfc=True)
    if name == "llama3":
        return tiny.byte_level(pretokenizers.LLAMA3, whole=True, bos=True)
    return tiny.pieces(name)


@pytest.mark.parametrize("name", CASES)
def test_a_family_answers_alike(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    folder = tiny.write_model(tmp_path / "model", case.kind, tokenizer(case.tokenizer), **case.changes)
    ids = tokenizer(case.tokenizer)("The river and 12 stones: " * 3).input_ids
    wanted, scores = tiny.answers(folder, ids, STEPS)
    # llama.cpp has GELU as a table in half precision.
    near = 0.05 if case.kind.startswith("gemma") else 1e-3
    for kind, far in (("f32", near), ("f16", 0.5), ("bf16", 2.0)):
        model = tiny.loaded(tiny.written(folder, tmp_path, kind))
        found = model.logits_of([*ids, *wanted[:-1]], len(ids) - 1)
        assert np.abs(found - scores).max() < far, kind
        sure = _ahead(scores) > 2 * far
        assert (found.argmax(1) == scores.argmax(1))[sure].all(), kind
        if kind == "f32":
            assert sure.mean() > 0.5
            assert model.greedy(ids, STEPS, ends=False)[: _first(~sure)] == wanted[: _first(~sure)]
        model.close()


def _ahead(scores: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """How far the best score of each row is ahead of the second."""
    best = np.sort(scores, axis=1)
    ahead: np.ndarray[Any, Any] = best[:, -1] - best[:, -2]
    return ahead


def _first(flags: np.ndarray[Any, Any]) -> int:
    return int(flags.argmax()) if flags.any() else len(flags)
