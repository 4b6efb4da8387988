"""What a forward pass keeps for the backward pass, and what both take on the way, in bytes.

Counted operation by operation as transformers' models compute: what each saves follows from torch's formulas for its
derivative (https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml). tests/model/fit compares it
with runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from trainer.model.fit.choice import Chosen, Held

# Logits, softmax and their gradients, all in 32 bits, at the moment when there are most of them.
_LOGIT_BYTES = 12
# Tokens whose logits TRL's fused head computes at once.
_TILE = 1024


class Batch(NamedTuple):
    """A micro-batch: `rows` of at most `longest` tokens, `tokens` in all, `kept` of them with logits; `patches` of pictures."""

    tokens: int
    kept: int
    rows: int
    longest: int
    patches: int = 0


@dataclass(frozen=True)
class Kernels:
    """How attention and the head are computed.

    `apart`: each row by itself, without a mask. `scores`: all scores of a row lie in memory. `fused`: logits only in
    tiles. `liger`: neither norms' nor MLPs' inner steps are kept. `processor`:
    no accelerator.
    """

    apart: bool = True
    scores: bool = False
    fused: bool = False
    liger: bool = False
    processor: bool = True


class Adapting(NamedTuple):
    """What makes an adapter keep more: dropout of its inputs, rotated ones."""

    dropout: bool = False
    oft: bool = False


class _Layer:
    """What is trained in a layer, by the names of its modules."""

    def __init__(self, held: Iterable[Held], adapting: Adapting) -> None:
        mine = [each for each in held if each.trained]
        self.whole = {each.weight.module for each in mine if not each.adapter}
        self.norms = any(each.weight.kind == "norm" and not each.adapter for each in mine)
        self.adapted = {each.weight.module for each in mine if each.adapter}
        # Between the two matrices of an adapter: as many numbers a token as its rank.
        pairs = [] if adapting.oft else [each for each in mine if each.adapter and len(each.shape) == 2]
        self.narrow = sum(min(each.shape) for each in pairs) // 2
        # DoRA alone has vectors: the lengths of the weights' rows.
        self.lengths = sum(each.count for each in mine if each.adapter and len(each.shape) == 1)
        self.rotations = sum(_rotation(each) for each in mine if each.adapter) if adapting.oft else 0
        self.experts = any(".experts" in each.weight.name for each in mine)
        self.dropout, self.oft = adapting.dropout, adapting.oft

    def learns(self, *modules: str) -> int:
        """How many of these modules need their input for a gradient."""
        return sum(module in self.whole or module in self.adapted for module in modules)


@dataclass(frozen=True)
class Activations:
    """Bytes at three moments beside weights, optimiser and gradients: the turn from forward to backward, the lowest
    layer going backward, the end. `casts` are copies of weights that lie there as long as the logits do.

    `kept` until the backward pass; on top of it `head` for logits, or `layer` for vectors inside of a layer, whatever is
    more. `lowest` is what the lowest layer has then, `after` an embedding's second gradient.
    """

    kept: int
    layer: int
    head: int
    lowest: int
    after: int
    casts: int = 0

    @property
    def most(self) -> int:
        return self.kept + max(self.layer, self.head + self.casts)


def activations_of(
    chosen: Chosen, batch: Batch, kernels: Kernels, *, checkpointing: bool, adapting: Adapting
) -> Activations:
    """Of one micro-batch on one device."""
    layers = _layers(chosen, adapting)
    each = [_kept(chosen, layer, number, batch, kernels) for number, layer in layers]
    inside = max((_backward(chosen, number, batch) for number, _ in layers), default=0)
    casts, ends = _casts(chosen), _ends(chosen, batch)
    lowest = max(each, default=0) + inside
    head = _head(chosen, batch, kernels)
    if not checkpointing:
        return Activations(sum(each) + casts + ends, inside, head, lowest, _twice(chosen))
    # Each layer's input is kept; one layer at a time is computed again, with its casts.
    kept = chosen.formats.stream * chosen.shape.hidden * batch.tokens * chosen.shape.layers
    lowest += casts // max(1, chosen.shape.layers)
    return Activations(kept + ends, lowest, head, lowest, _twice(chosen), casts)


def _layers(chosen: Chosen, adapting: Adapting) -> list[tuple[int, _Layer]]:
    """Those that keep activations, with what is trained in them."""
    return [
        (number, _Layer(chosen.by_layer.get(number, ()), adapting))
        for number in range(chosen.first_layer, chosen.shape.layers)
    ]


def _kept(chosen: Chosen, layer: _Layer, number: int, batch: Batch, kernels: Kernels) -> int:
    each = _norms(chosen, layer, kernels) + _attention(chosen, layer, kernels) + _beside(chosen, layer)
    tokens = batch.tokens * each + _mlp(chosen, layer, number, batch.tokens, kernels)
    return tokens + _scores(chosen, batch, kernels) + layer.rotations


def _beside(chosen: Chosen, layer: _Layer) -> int:
    """What adapters add: the vectors between their matrices; for DoRA both sums before the lengths are set."""
    size = chosen.formats.compute
    return layer.narrow * size + layer.lengths * (2 * size + (1 if chosen.formats.casts else 0))


def _rotation(each: Held) -> int:
    """OFT's blocks as whole matrices in 32 bits, from the numbers of skew-symmetric ones."""
    blocks, numbers = each.shape
    side = round((1 + math.sqrt(1 + 8 * numbers)) / 2)
    return blocks * side * side * 4


def _norms(chosen: Chosen, layer: _Layer, kernels: Kernels) -> int:
    """RMSNorm computes in 32 bits: its input is kept in them, and the normed vector where its weight is trained."""
    shape, formats = chosen.shape, chosen.formats
    if kernels.liger:
        return shape.norms * shape.hidden * formats.stream
    kept = 4 + (formats.stream if layer.norms else 0)
    wide = shape.norms * shape.hidden
    if shape.head_norms:
        wide += shape.queries + shape.keys
    return wide * kept


def _inputs(layer: _Layer, chosen: Chosen, kernels: Kernels, width: int, *modules: str) -> int:
    """The input that several modules share; autocast makes a copy of it for each."""
    count = layer.learns(*modules)
    size = chosen.formats.compute
    if layer.dropout:
        # Each adapter has a mask of its own, in bytes or on a processor in numbers, and the vectors under it.
        return layer.learns(*modules) * width * (size + (size if kernels.processor else 1))
    if layer.oft:
        # Each module rotates its own input; under autocast some of it lies there in 32 bits.
        return width * count * (size + 1 if chosen.formats.casts else size)
    return width * size * (count if chosen.formats.casts else min(count, 1))


def _attention(chosen: Chosen, layer: _Layer, kernels: Kernels) -> int:
    shape, size = chosen.shape, chosen.formats.compute
    keys = shape.keys if kernels.apart else shape.queries
    inputs = _inputs(
        layer,
        chosen,
        kernels,
        shape.hidden,
        "q_proj",
        "k_proj",
        "v_proj",
        "qkv_proj",
        "c_attn",
        "query_key_value",
    )
    return (
        inputs
        + _inputs(layer, chosen, kernels, shape.queries, "o_proj", "c_proj", "dense")
        + (2 * shape.queries + 2 * keys) * size
    )


def _scores(chosen: Chosen, batch: Batch, kernels: Kernels) -> int:
    """Of attention step by step: the softmax in 32 bits, and what was made of it for the product with the values."""
    if not kernels.scores:
        return chosen.shape.heads * batch.tokens * 4
    per_score = 4 + (chosen.formats.compute if chosen.formats.compute < 4 else 0)
    if chosen.shape.capped:
        per_score += chosen.formats.compute
    return chosen.shape.heads * batch.rows * batch.longest**2 * per_score


def _mlp(chosen: Chosen, layer: _Layer, number: int, tokens: int, kernels: Kernels) -> int:
    shape = chosen.shape
    if not shape.is_sparse(number):
        return tokens * _dense(chosen, layer, shape.inner, kernels)
    experts = shape.experts
    assert experts is not None
    # The gathered inputs and the product are kept only where the experts themselves learn.
    inside = 3 * experts.inner + shape.hidden
    if layer.experts:
        inside += experts.inner + shape.hidden
    routed = tokens * experts.active * inside * chosen.formats.compute
    shared = tokens * _dense(chosen, layer, experts.shared, kernels) if experts.shared else 0
    return routed + shared + tokens * experts.count * 4 * 2


def _dense(chosen: Chosen, layer: _Layer, inner: int, kernels: Kernels) -> int:
    shape, size = chosen.shape, chosen.formats.compute
    inputs = _inputs(
        layer, chosen, kernels, shape.hidden, "gate_proj", "up_proj", "gate_up_proj", "fc1", "c_fc"
    )
    product = _inputs(layer, chosen, kernels, inner, "down_proj", "fc2", "dense_4h_to_h")
    inside = (3 if shape.gated else 1) * inner * size
    if kernels.liger:
        inside = 2 * inner * size
    return inputs + product + inside


def _backward(chosen: Chosen, number: int, batch: Batch) -> int:
    """Gradients of vectors inside of one layer while it goes backward."""
    shape, size = chosen.shape, chosen.formats.compute
    inner = shape.inner
    if shape.is_sparse(number) and shape.experts:
        inner = shape.experts.inner * shape.experts.active + shape.experts.shared
    return batch.tokens * (2 * shape.hidden * 4 + 2 * inner * size)


def _head(chosen: Chosen, batch: Batch, kernels: Kernels) -> int:
    if kernels.fused or kernels.liger:
        return min(batch.kept, _TILE) * chosen.shape.vocabulary * _LOGIT_BYTES
    return batch.kept * chosen.shape.vocabulary * _LOGIT_BYTES


def _casts(chosen: Chosen) -> int:
    """Copies of trained matrices in the format of the computation, which autocast keeps."""
    if not chosen.formats.casts:
        return 0
    matrices = (
        each for each in chosen.trained if each.adapter or each.weight.kind in ("linear", "head", "other")
    )
    tied = chosen.shape.tied and any(each.weight.kind == "embedding" for each in chosen.trained)
    head = chosen.shape.vocabulary * chosen.shape.hidden if tied else 0
    return chosen.formats.compute * (sum(each.count for each in matrices) + head)


def _ends(chosen: Chosen, batch: Batch) -> int:
    """The last norm, the vectors whose logits are computed, the angles of the positions."""
    shape, formats = chosen.shape, chosen.formats
    normed = any(each.weight.kind == "norm" and each.weight.layer < 0 for each in chosen.trained)
    last = batch.tokens * shape.hidden * (4 + (formats.stream if normed else 0))
    # The lowest layer's first norm keeps nothing where nothing below is trained.
    first = any(each.weight.kind == "embedding" for each in chosen.trained)
    last -= 0 if first else batch.tokens * shape.hidden * 4
    return (
        max(0, last)
        + batch.kept * shape.hidden * formats.compute
        + 2 * batch.tokens * shape.head * formats.stream
    )


def _twice(chosen: Chosen) -> int:
    """A trained embedding that is the head, too, has two gradients for a moment."""
    found = [each for each in chosen.trained if each.weight.kind == "embedding" and not each.adapter]
    return sum(each.count * each.size for each in found) if chosen.shape.tied else 0
