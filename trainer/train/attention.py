"""Causal attention row by row inside a flattened batch.

The rows of a batch lie one after another in a single sequence, without padding. Attention is computed for each row on
its own, so that no row sees another and no mask is needed: a mask over the whole sequence costs a third of a step on
a CPU and rules out the quick kernels on a GPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from accelerate.utils import send_to_device
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.modeling_utils import PreTrainedModel

from trainer.model.quantization import is_quantized
from trainer.train.seeing import Eyes, Seen

Rows = Sequence[Seen]
# No mask function is registered under this name, so transformers builds no mask.
NAME = "tuneboard_rows"
PLAIN_LAYERS = {"full_attention", "sliding_attention", "attention"}
# Arguments that change what attention computes and that are not handled here.
UNHANDLED = ("s_aux", "position_bias", "cache")


def attend_by_row(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    row_lengths: tuple[int, ...] | None = None,
    row_blocks: torch.Tensor | None = None,
    softcap: float | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of one flattened batch: (1, heads, tokens, size) in, (1, tokens, heads, size) out.

    `row_lengths` add up to the tokens. Tokens with the same number above 0 in `row_blocks` (1, tokens) see each other,
    also ahead. `softcap` bounds the scores, as in Gemma 2. Raises NotImplementedError for kinds of attention that need
    more than that, the causal order and a window.
    """
    given = [name for name in UNHANDLED if others.get(name) is not None]
    if row_lengths is None or attention_mask is not None or given:
        raise NotImplementedError(f"attention by row with {', '.join(given) or 'a mask'}")
    lengths = list(row_lengths)
    blocks = [None] * len(lengths) if row_blocks is None else row_blocks[0].split(lengths)
    rows = [
        _attend(q, k, v, dropout, scaling, _mask(q.shape[2], sliding_window, block, q.device), softcap)
        for q, k, v, block in zip(
            query.split(lengths, 2), key.split(lengths, 2), value.split(lengths, 2), blocks, strict=True
        )
    ]
    return torch.cat(rows, dim=1), None


def _attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    dropout: float,
    scaling: float | None,
    mask: torch.Tensor | None,
    softcap: float | None = None,
) -> torch.Tensor:
    if softcap is not None:
        return _attend_capped(query, key, value, dropout, scaling, mask, softcap)
    attended = scaled_dot_product_attention(
        query, key, value, attn_mask=mask, dropout_p=dropout, scale=scaling, is_causal=mask is None,
        enable_gqa=query.shape[1] != key.shape[1],
    )  # fmt: skip
    return attended.transpose(1, 2)


def _attend_capped(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    dropout: float,
    scaling: float | None,
    mask: torch.Tensor | None,
    softcap: float,
) -> torch.Tensor:
    """Written out: torch's own kernels have no place for a bound of the scores."""
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scores = query @ key.transpose(2, 3) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    scores = torch.tanh(scores / softcap) * softcap
    if mask is None:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    weights = scores.masked_fill(~mask, float("-inf")).softmax(-1, dtype=torch.float32).to(query.dtype)
    weights = torch.nn.functional.dropout(weights, dropout)
    return (weights @ value).transpose(1, 2)


def _mask(
    length: int, window: int | None, blocks: torch.Tensor | None, device: torch.device
) -> torch.Tensor | None:
    """None for the plain causal order; in a window each token sees itself and the `window` - 1 tokens before it."""
    narrow = bool(window and length > window)
    if not narrow and blocks is None:
        return None
    mask = torch.ones(length, length, dtype=torch.bool, device=device).tril()
    if window and narrow:
        mask = mask.triu(1 - window)
    if blocks is None:
        return mask
    return mask | ((blocks[:, None] == blocks) & (blocks > 0))


AttentionInterface.register(NAME, attend_by_row)


def switches(model: Any) -> list[Any]:
    """The configs in the language part of `model` that say how attention is computed, outer ones first."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    configs = (getattr(module, "config", None) for module in base.get_decoder().modules())
    return list({id(each): each for each in configs if hasattr(each, "_attn_implementation")}.values())


@contextmanager
def using(configs: list[Any], names: list[str]) -> Iterator[None]:
    """Inside, the model whose `switches` these are computes attention in the ways that `names` name, one for each."""
    before = [config._attn_implementation for config in configs]
    for config, name in zip(configs, names, strict=True):
        config._attn_implementation = name
    try:
        yield
    finally:
        for config, name in zip(configs, before, strict=True):
            config._attn_implementation = name


def by_row(configs: list[Any]) -> AbstractContextManager[None]:
    """Inside, the model whose `switches` these are computes attention by row: each call needs `row_lengths`."""
    return using(configs, [NAME] * len(configs))


def why_not_by_row(
    model: PreTrainedModel, autocast: torch.dtype | None = None, eyes: Eyes | None = None, rows: Rows = ()
) -> str:
    """Why `model` cannot be trained on flattened batches, or nothing when it can.

    Beyond what the model says of itself, a few short rows are tried: flattened and one by one they must give the same.
    For a vision model they are given, with pictures.
    """
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ()) - PLAIN_LAYERS
    if not getattr(model, "_supports_attention_backend", False):
        return "its attention cannot be exchanged."
    if kinds:
        return f"it has layers of the kind {', '.join(sorted(kinds))}."
    if not rows:
        # Ids from a formula, not from the generator of random numbers, which the run must find as it left it.
        ids = [each * 7919 % config.vocab_size for each in range(1, 25)]
        rows = (Seen(ids[:9]), Seen(ids[9:]))
    try:
        return "" if _rows_stay_apart(model, rows, eyes, autocast) else "its rows do not stay apart."
    except (
        NotImplementedError,
        TypeError,
        ValueError,
        RuntimeError,
        KeyError,
        AttributeError,
        IndexError,
    ) as error:
        return f"{type(error).__name__}: {str(error).strip()[:200]}"


@torch.no_grad()
def _rows_stay_apart(
    model: PreTrainedModel, rows: Rows, eyes: Eyes | None, autocast: torch.dtype | None
) -> bool:
    device = model.device

    def logits(together: Rows, **given: Any) -> torch.Tensor:
        ids = [each for row in together for each in row.ids]
        seen = eyes.inputs(together, flattened=True) if eyes else {}
        inputs = {"input_ids": torch.tensor([ids]), **given, **seen}
        found: torch.Tensor = model(**send_to_device(inputs, device)).logits[0].float()
        return found

    training = model.training
    model.eval()
    try:
        with torch.autocast(device.type, autocast) if autocast else nullcontext():
            apart = torch.cat([logits([row]) for row in rows])
            lengths = tuple(len(row.ids) for row in rows)
            positions = torch.cat([torch.arange(length) for length in lengths])[None]
            with by_row(switches(model)):
                flat = logits(rows, position_ids=positions, row_lengths=lengths)
    finally:
        model.train(training)
    # Weights of 8 bits meet inputs that are rounded to 8 bits, too, while nothing is learned.
    coarse = autocast is not None or model.dtype != torch.float32 or is_quantized(model)
    return bool((flat - apart).norm() <= (3e-2 if coarse else 1e-4) * apart.norm())
