"""Tiny models of every family with tokenizers of their kind, trained on texts of the repository."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from trainer.config import RunConfig
from trainer.export import gguf
from trainer.export.progress import Quiet
from trainer.export.source import Source, open_source
from trainer.model import llama
from trainer.paths import DATA

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Signs at which tokenizers part ways: numbers, runs of spaces, other scripts, marks, emoji, apostrophes, odd bytes.
HARD = (
    "Hello world", " leading", "  two", "trailing ", "a  b   c    d", "\ttab\tand\n\nlines\r\n \n", "\n\n\n\n", "    indented()",
    "1234567890 12 345 6.78e-9 ３４", "don't I'LL we've THEY'RE it'S x'y 'tis ''", "你好，世界！今天天气很好。", "日本語のテキスト カタカナ",
    "한국어 문장입니다", "Привет, как дела?", "مرحبا بالعالم", "नमस्ते दुनिया", "ภาษาไทย", "😀👩‍👩‍👧‍👦🇩🇪 ✨", "naïve café ÀÉÎ straße ﬁ",
    "camelCaseHTTPServer_snake-case/path.py:12", "a\u00a0b\u3000c\u2009d", "<|im_start|>user\nHi<|im_end|>\n",
    "<|im_end|><|im_end|> x", "a<|im_end|>b <|im_end|> c", "!!!???...---===", "x=y+1;//c\n\t#d", "∑∫≈≠ ½ ² ©", "\u200b\ufeff zero", "",
    "mixed中文and English混合1234条", "ﷺ ㍿ Ⅷ", "\x00\x01\x7f", "A" * 40, " " * 33 + "x", "\n" * 9 + "y",
)  # fmt: skip


@cache
def corpus() -> tuple[str, ...]:
    """Texts of the repository's own datasets, and the hard strings."""
    # Not the list of datasets, which grows: models would change with it.
    names = ("guard.json", "guide_demo.json", "guide_demo_eval.json", "identity.json")
    texts = [(DATA / name).read_text(encoding="utf-8")[:60_000] for name in names]
    return (*texts, *HARD)


def byte_level(
    split: str, *, whole: bool = False, nfc: bool = False, bos: bool = False, merged: bool = True
) -> Any:
    """A byte-level tokenizer that cuts text by `split`: a regular expression, "bytes" or "digits bytes"."""
    made = Tokenizer(models.BPE(ignore_merges=whole))
    if split == "bytes":
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    elif split == "digits bytes":
        steps = [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
        made.pre_tokenizer = pre_tokenizers.Sequence(steps)
    else:
        cut = pre_tokenizers.Split(Regex(split), behavior="isolated")
        made.pre_tokenizer = pre_tokenizers.Sequence(
            [cut, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        )
    if nfc:
        made.normalizer = normalizers.NFC()
    made.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    size = 900 if merged else 256
    made.train_from_iterator(
        corpus(), trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    )
    return _wrapped(made, bos)


def pieces(manner: str, *, complete: bool = True) -> Any:
    """A tokenizer in SentencePiece's manner; `manner`: "gemma", "legacy" (a space before each part), "first"."""
    made = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    made.normalizer = normalizers.Replace(" ", "▁")
    first = ["<unk>", *(f"<0x{number:02X}>" for number in range(256))]
    trainer = trainers.BpeTrainer(
        vocab_size=1500, special_tokens=first, show_progress=False, limit_alphabet=300
    )
    made.train_from_iterator(
        [line for text in corpus() for line in text.replace("\n", " ").split(". ")], trainer
    )
    facts = json.loads(made.to_str())
    facts["added_tokens"] = [each for each in facts["added_tokens"] if each["content"] == "<unk>"]
    if complete:
        facts["model"]["merges"] = _all_merges(facts["model"]["vocab"])
    made = Tokenizer.from_str(json.dumps(facts))
    made.normalizer = normalizers.Replace(" ", "▁")
    if manner == "gemma":
        made.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    elif manner == "legacy":
        made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        made.normalizer = None
        made.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme=manner, split=False)
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return _wrapped(made, True, unk_token="<unk>")


def _all_merges(vocab: dict[str, int]) -> list[list[str]]:
    """Every way to put a word together, the words in their order: what a conversion from SentencePiece writes."""
    words = [each for each in sorted(vocab, key=lambda word: vocab[word]) if vocab[each] > 256]
    return [
        [word[:cut], word[cut:]]
        for word in words
        for cut in range(1, len(word))
        if word[:cut] in vocab and word[cut:] in vocab
    ]


def _wrapped(made: Any, bos: bool, **more: Any) -> Any:
    made.add_special_tokens(
        [AddedToken(each, normalized=False) for each in ("<|bos|>", "<|im_start|>", "<|im_end|>", "<|end|>")]
    )
    if bos:
        made.post_processor = processors.TemplateProcessing(
            single="<|bos|> $A", special_tokens=[("<|bos|>", made.token_to_id("<|bos|>"))]
        )
        more["bos_token"] = "<|bos|>"
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=made,
        eos_token="<|im_end|>",
        pad_token="<|end|>",
        clean_up_tokenization_spaces=False,
        **more,
    )
    wrapped.chat_template = ("{{ bos_token }}" if bos else "") + CHATML
    return wrapped


def write_model(folder: Path, kind: str, tokenizer: Any, seed: int = 0, **changes: Any) -> Path:
    """A model of three layers with large random weights, which keep the likeliest token ahead of the next."""
    settings: dict[str, Any] = {
        "vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512, "initializer_range": 0.3,
        "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": None, **changes,
    }  # fmt: skip
    config = AutoConfig.for_model(kind, **settings)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model: Any = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        for weight in model.parameters():
            if weight.ndim == 1:
                # Norms and biases that do something: fresh ones are ones and zeros.
                weight.data += torch.randn_like(weight) * 0.1
        if kind.startswith("gemma"):
            # It multiplies embeddings by their width's root: each word would only ever say itself again.
            model.get_input_embeddings().weight.data *= 0.1
            model.model.norm.weight.data += 9
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def opened(folder: Path, **changes: Any) -> Source:
    values = {"do_export": True, "model_name_or_path": str(folder), "infer_dtype": "auto", **changes}
    return open_source(RunConfig.from_flat(values))


def written(folder: Path, target: Path, kind: str = "f32") -> Path:
    """The model in `folder` as a GGUF file."""
    source = opened(folder)
    gguf.check(source, kind)
    (path,) = gguf.write(source, target / f"tiny-{kind}.gguf", kind, Quiet())
    return path


def loaded(path: Path) -> llama.Model:
    return llama.open_model(path, 256, trial=False, exact=True)


def same_tokens(tokenizer: Any, model: llama.Model, texts: Sequence[str] = HARD) -> Iterator[str]:
    """The texts of which the two make different tokens."""
    for text in texts:
        added, bare = tokenizer(text).input_ids, tokenizer(text, add_special_tokens=False).input_ids
        if (added, bare) != (model.tokenize_added(text), model.tokenize(text)):
            yield text


def answers(folder: Path, ids: Sequence[int], count: int) -> tuple[list[int], np.ndarray[Any, Any]]:
    """The likeliest tokens by transformers, and the scores (count, vocabulary) they were taken from."""
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    found: list[int] = []
    scores = []
    with torch.inference_mode():
        for _ in range(count):
            scores.append(model(torch.tensor([[*ids, *found]])).logits[0, -1].numpy())
            found.append(int(scores[-1].argmax()))
    return found, np.stack(scores)
