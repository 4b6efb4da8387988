"""New words for a model: in its tokenizer, and as rows of its embeddings and of a head with weights of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers.modeling_utils import PreTrainedModel

from trainer.errors import UserError
from trainer.events import Note
from trainer.model.catalog import check_folder
from trainer.model.load import PROCESSORS, load_processor, read_tokenizer
from trainer.model.reshaped import tokenizer_folder
from trainer.model.split import rows_of, whole
from trainer.options import ModelOptions

# GPUs multiply matrices of such widths faster; it is LLaMA-Factory's number, too.
MULTIPLE = 64


@dataclass(frozen=True)
class Words:
    """A tokenizer with its new words: their descriptions (or nothing) by their ids.

    `processor` is what a vision model has beside it.
    """

    tokenizer: Any
    processor: Any
    new: Mapping[int, str]


def open_words(path: Path, options: ModelOptions, trust: bool = False) -> Words:
    """The tokenizer with which a training speaks, new words in it, and the processor of a model that sees.

    It is the base's, or that of an adapter that is trained further and has brought new words. Raises UserError for
    one that cannot be read, and for a file of new words that is none.
    """
    check_folder(path)
    place = tokenizer_folder(path, [Path(each) for each in options.adapter_name_or_path])
    has_processor = any((place / name).is_file() for name in PROCESSORS)
    processor = load_processor(path, trust)
    if processor and place != path and has_processor:
        processor.tokenizer = read_tokenizer(place, trust)  # type: ignore[attr-defined]
    tokenizer: Any = processor.tokenizer if processor else read_tokenizer(place, trust)  # type: ignore[attr-defined]
    described = _described(options)
    before = dict(tokenizer.get_vocab())
    tokenizer.add_tokens([word for word in options.add_tokens if word not in before])
    special = [word for word in described if word not in before]
    tokenizer.add_tokens(special, special_tokens=True)
    vocabulary = tokenizer.get_vocab()
    named = {**dict.fromkeys(options.add_tokens, ""), **described}
    new = {vocabulary[word]: text for word, text in named.items() if word not in before}
    return Words(tokenizer, processor, new)


def _described(options: ModelOptions) -> dict[str, str]:
    """New special words and what is said of them; those of a file come before those of the option."""
    if not options.new_special_tokens_config:
        return dict.fromkeys(options.add_special_tokens, "")
    path = Path(options.new_special_tokens_config).expanduser()
    field = "new_special_tokens_config"
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = str(getattr(error, "strerror", None) or getattr(error, "problem", None) or "it is no YAML")
        raise UserError("vocabulary_file", field=field, path=str(path)[:200], reason=reason) from None
    if not isinstance(found, dict) or not found:
        raise UserError(
            "vocabulary_file",
            field=field,
            path=str(path)[:200],
            reason="it does not hold words with descriptions",
        )
    return {str(word): "" if text is None else str(text) for word, text in found.items()}


def grow_words(model: PreTrainedModel, words: Words, begin: str) -> Note:
    """Fits embeddings and head to the tokenizer, fills the rows that are new, and says what was done.

    `begin` is noise_init (the mean of the known rows, and noise), desc_init (the mean of the words of the
    description) or desc_init_w_noise (that, and noise). Rows without a description begin as noise_init.
    Random numbers are torch's. Raises UserError for a model whose vocabulary cannot grow.
    """
    known, wanted = _rows(model), len(words.tokenizer)
    if wanted > known:
        try:
            model.resize_token_embeddings(wanted, pad_to_multiple_of=MULTIPLE, mean_resizing=False)
        except (NotImplementedError, ValueError, AttributeError) as error:
            reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
            raise UserError("vocabulary_fixed", field="resize_vocab", reason=reason) from None
    rows = _rows(model)
    fresh = sorted({*words.new, *range(known, rows)})
    if fresh:
        described = _spoken(words, fresh, begin)
        weights = _weights(model)
        with whole(weights):
            for weight in weights:
                _fill(weight, fresh, described, noisy=begin != "desc_init")
    values: dict[str, str | int | float] = {"words": len(words.new), "before": known, "rows": rows}
    return Note(code="vocabulary_grown" if rows > known else "vocabulary_fits", values=values)


def _rows(model: PreTrainedModel) -> int:
    embedding: Any = model.get_input_embeddings()
    return rows_of(embedding.weight)


def _weights(model: PreTrainedModel) -> list[torch.Tensor]:
    """The embedding, and the head unless the two are one."""
    embedding: Any = model.get_input_embeddings()
    head: Any = model.get_output_embeddings()
    alone = head is None or head.weight is embedding.weight
    return [embedding.weight] if alone else [embedding.weight, head.weight]


def _spoken(words: Words, fresh: Sequence[int], begin: str) -> dict[int, list[int]]:
    """The known words of each description."""
    if begin == "noise_init":
        return {}
    unknown = set(fresh)
    found = {}
    for row, text in words.new.items():
        ids = words.tokenizer(text, add_special_tokens=False)["input_ids"] if text.strip() else []
        if usable := [each for each in ids if each not in unknown]:
            found[row] = usable
    return found


def _fill(
    weight: torch.Tensor, fresh: Sequence[int], described: Mapping[int, Sequence[int]], noisy: bool
) -> None:
    with torch.no_grad():
        known = torch.ones(len(weight), dtype=torch.bool, device=weight.device)
        known[list(fresh)] = False
        mean = weight[known].float().mean(0)
        scale = 1 / math.sqrt(weight.shape[1])
        for row in fresh:
            spoken = described.get(row)
            begun = weight[list(spoken)].float().mean(0) if spoken else mean
            if noisy or not spoken:
                begun = begun + torch.randn(len(mean)).to(mean) * scale
            weight[row] = begun.to(weight.dtype)


def word_modules(model: PreTrainedModel) -> tuple[str, ...]:
    """The full names of the embedding and of a head with weights of its own."""
    wanted: list[Any] = [model.get_input_embeddings()]
    head: Any = model.get_output_embeddings()
    if head is not None and head.weight is not wanted[0].weight:
        wanted.append(head)
    names = {id(module): name for name, module in model.named_modules()}
    return tuple(names[id(each)] for each in wanted)
