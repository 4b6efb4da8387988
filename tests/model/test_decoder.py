from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from tests.chat.tiny import write_tokenizer
from trainer.model.decoder import HALF, Decoder

TEXTS = (
    "Hello, world!",
    "你好，世界！很高兴认识你。",
    "naïve café — ½ €",
    "🙂👩‍👩‍👧 ok",
    " leading and  double  spaces \n\n",
    "",
)


@pytest.mark.parametrize("text", TEXTS)
def test_no_half_character_is_ever_shown(text: str, tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    decoder = Decoder(tokenizer)
    for token in tokenizer(text, add_special_tokens=False)["input_ids"]:
        shown = decoder.push(token)
        assert text.startswith(shown)
        assert HALF not in shown
    assert decoder.finish() == text


def test_noise_ends_as_the_whole_decodes(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    draw = random.Random(0)
    for _ in range(50):
        ids = [draw.randrange(len(tokenizer)) for _ in range(40)]
        decoder = Decoder(tokenizer)
        shown = [decoder.push(token) for token in ids]
        assert all(one == other[: len(one)] for one, other in itertools.pairwise(shown))
        assert decoder.finish() == tokenizer.decode(ids, skip_special_tokens=True)
        assert decoder.tokens == 40
