"""Qwen2's kind of tokenizer, byte-level BPE, trained on our corpus; and its chat template."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import names
from spin import Chat, Marked
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SIZE = 6144
END, START, STOP = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
# Qwen2's split pattern: words with their leading space, single digits, marks, line breaks
PATTERN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
# The program's own ChatML, which knows tools.
TEMPLATE = Path(__file__).resolve().parents[2] / "trainer" / "model" / "templates" / "chatml.jinja"


def train(texts: Iterable[str]) -> Tokenizer:
    """A BPE tokenizer with `SIZE` tokens, the three special ones last."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE - 3,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
        max_token_length=24,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([END, START, STOP])
    return tokenizer


def alphabet() -> list[str]:
    """Each common character a few times alone, so that most get a token of their own."""
    return [char for char in names.COMMON for _ in range(6)] + [char for char in names.RARE for _ in range(2)]


def save(tokenizer: Tokenizer, folder: Path) -> None:
    """`tokenizer.json`, `tokenizer_config.json` and `chat_template.jinja`, as AutoTokenizer reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "Qwen2Tokenizer", "add_prefix_space": False, "add_bos_token": False, "bos_token": None, "unk_token": None,
        "eos_token": STOP, "pad_token": END, "additional_special_tokens": [START, STOP], "clean_up_tokenization_spaces": False,
        "split_special_tokens": False, "errors": "replace", "model_max_length": 2048,
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(
        json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    shutil.copyfile(TEMPLATE, folder / "chat_template.jinja")


def segments(item: Chat | Marked | str) -> list[tuple[str, bool]]:
    """The rendered text in pieces, each with whether it is an answer (plain text counts as one)."""
    if isinstance(item, str):
        return [(item + END, True)]
    if isinstance(item[0], tuple):
        return [*item, (END, True)]
    pieces: list[tuple[str, bool]] = []
    for message in item:
        pieces.append((f"{START}{message['role']}\n", False))
        pieces.append((f"{message['content']}{STOP}", message["role"] == "assistant"))
        pieces.append(("\n", False))
    return pieces
