"""Asking the tokenizer about single places finds the tokens that a list of all places would."""

from __future__ import annotations

from bisect import bisect_left
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from trainer.dataset.labels import Aligned

TEXTS = [
    "Good morning to you  all",
    "老师好,你们好",
    "e\u0301te\u0301 été 🙂🙃 \t\n\n end",
    "<|end|> <|im_start|>user\n",
]


@cache
def made(kind: str) -> Tokenizer:
    """Tokenizers of the three kinds: bytes, bytes whose places leave out blanks, and pieces with a leading mark."""
    tokenizer = Tokenizer(
        models.BPE(byte_fallback=kind == "pieces", unk_token="<unk>" if kind == "pieces" else None)
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    if kind == "pieces":
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
        tokenizer.decoder = decoders.Replace("▁", " ")
        alphabet = []
    else:
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=kind == "trimmed")
    special = [
        "<unk>",
        "<|im_start|>",
        "<|end|>",
        *(f"<0x{byte:02X}>" for byte in range(256) if kind == "pieces"),
    ]
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([text for text in TEXTS for _ in range(3)], trainer)
    return tokenizer


@pytest.mark.parametrize("kind", ["bytes", "trimmed", "pieces"])
def test_places_are_those_of_the_list(kind: str) -> None:
    @settings(max_examples=150, deadline=None)
    @given(some.lists(some.one_of(some.sampled_from(TEXTS), some.text(max_size=8)), max_size=4), some.data())
    def check(parts: list[str], data: Any) -> None:
        text = "".join(parts)
        encoding = made(kind).encode(text, add_special_tokens=False)
        aligned = Aligned(encoding, encoding.ids, len(text))
        offsets = encoding.offsets
        for _ in range(4):
            start = data.draw(some.integers(0, len(text)))
            end = data.draw(some.integers(start, len(text)))
            first = bisect_left(offsets, start + 1, key=lambda each: each[1])
            after = bisect_left(offsets, end, key=lambda each: each[0])
            assert aligned.between(start, end) == (first, after)

    check()
