"""The model and the rows of the training benchmark, written into a folder: the same for everybody who is measured."""

from __future__ import annotations

import json
import random
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM
from transformers.utils import logging

ROWS = 500
VOCABULARY = 8192
SYSTEM = "You answer."
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def words(seed: int = 0) -> list[str]:
    """Some 6,000 made-up words; the tokenizer knows each as one token."""
    chance = random.Random(seed)
    syllables = [a + b for a in "bcdfghjklmnprstvwz" for b in ("a", "e", "i", "o", "u", "ai", "or")]
    return sorted({"".join(chance.sample(syllables, 3)) for _ in range(6000)})


def write_tokenizer(folder: Path) -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )  # fmt: skip
    roles = ["system", "user", "assistant", SYSTEM] * 50
    tokenizer.train_from_iterator([*roles, *(" " + word for word in words())], trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    fast.chat_template = CHATML
    fast.save_pretrained(folder)


def write_model(folder: Path) -> None:
    """A random Qwen2 of 10 million parameters."""
    logging.disable_progress_bar()
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=VOCABULARY, hidden_size=256, intermediate_size=1024, num_hidden_layers=8, num_attention_heads=4,
        num_key_value_heads=4, max_position_embeddings=2048, tie_word_embeddings=True, eos_token_id=2, pad_token_id=0,
        bos_token_id=None,
    )  # fmt: skip
    Qwen2ForCausalLM(config).save_pretrained(folder)
    write_tokenizer(folder)


def write_rows(folder: Path) -> None:
    """Alpaca rows of 30 to 1000 tokens, mean near 190; a quarter of each is the question."""
    chance = random.Random(1)
    known = words()
    rows = []
    for _ in range(ROWS):
        # The template adds some 20 tokens, and a word is 1.3 tokens on average.
        length = int(min(740, max(8, chance.lognormvariate(4.5, 0.9))))
        said = [chance.choice(known) for _ in range(length)]
        cut = max(1, length // 4)
        rows.append({"instruction": " ".join(said[:cut]), "output": " ".join(said[cut:]), "system": SYSTEM})
    (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    columns = {"prompt": "instruction", "response": "output", "system": "system"}
    info = {"rows": {"file_name": "rows.json", "columns": columns}}
    (folder / "dataset_info.json").write_text(json.dumps(info), encoding="utf-8")


def write_all(folder: Path) -> None:
    """`folder/model` and `folder/data`."""
    for name, write in (("model", write_model), ("data", write_rows)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        write(folder / name)
