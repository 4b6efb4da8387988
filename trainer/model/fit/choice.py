"""Which tensors a run holds, in how many bytes, and which of them it trains: as the method says."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property

from trainer.config import RunConfig
from trainer.model.fit.layout import Layout, Weight
from trainer.model.fit.shape import Shape

# bitsandbytes: numbers that share a scale, and scales that share one when they are quantised, too.
_BLOCK, _BLOCKS = 64, 256


@dataclass(frozen=True)
class Formats:
    """Bytes of a number: of frozen and trained weights, of the computation, of the vectors between layers.

    `casts` says that autocast converts weights and inputs; `adapters` are the bytes of an adapter's numbers.
    """

    name: str
    frozen: int
    trained: int
    compute: int
    stream: int
    casts: bool


def formats_of(name: str, method: str, *, alone: bool = True) -> Formats:
    """For "fp32", "bf16", "fp16" or "pure_bf16", as `trainer.model.load` sets them up for a method.

    With an engine that shares weights or optimiser out (not `alone`), weights lie in the format of the computation.
    """
    if name == "fp32":
        return Formats(name, 4, 4, 4, 4, casts=False)
    if name == "pure_bf16" or not alone:
        return Formats(name, 2, 2, 2, 2, casts=False)
    whole = method == "full"
    return Formats(name, 4 if whole else 2, 4, 2, 4 if whole else 2, casts=True)


@dataclass(frozen=True)
class Held:
    """A tensor in memory: its shape, its bytes, whether it is trained; `size` are the bytes of a number of it."""

    weight: Weight
    shape: tuple[int, ...]
    bytes: int
    size: int
    trained: bool = False
    adapter: bool = False

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    def narrowed(self, shape: tuple[int, ...]) -> Held:
        """The same in fewer dimensions."""
        return replace(self, shape=shape, bytes=math.prod(shape) * self.size)


@dataclass(frozen=True)
class Chosen:
    """All tensors of a run."""

    shape: Shape
    held: tuple[Held, ...]
    formats: Formats

    @cached_property
    def trained(self) -> tuple[Held, ...]:
        return tuple(each for each in self.held if each.trained)

    @cached_property
    def by_layer(self) -> dict[int, tuple[Held, ...]]:
        """What is trained in each layer of the language model."""
        found: dict[int, list[Held]] = {}
        for each in self.trained:
            if each.weight.part == "language_model":
                found.setdefault(each.weight.layer, []).append(each)
        return {layer: tuple(held) for layer, held in found.items()}

    @cached_property
    def weights(self) -> int:
        return sum(each.bytes for each in self.held)

    @cached_property
    def gradients(self) -> int:
        return sum(each.count * each.size for each in self.trained)

    @cached_property
    def first_layer(self) -> int:
        """The lowest layer of the language model with something trained; those below keep no activations.

        0 where the embeddings or what sees is trained, too; the number of layers where only the head is.
        """
        lowest = self.shape.layers
        for each in self.trained:
            if each.weight.part != "language_model" or each.weight.kind == "embedding":
                return 0
            if each.weight.layer >= 0:
                lowest = min(lowest, each.weight.layer)
        return lowest


def choose(layout: Layout, shape: Shape, config: RunConfig, formats: Formats) -> Chosen:
    """The tensors of a run with these settings; names that match nothing train nothing here, and are told elsewhere."""
    method = config.method.finetuning_type
    if method in ("lora", "oft"):
        held = tuple(_adapted(layout, shape, config, formats))
    else:
        held = tuple(_whole(layout, shape, config, formats))
    return Chosen(shape, held, formats)


def _frozen_parts(config: RunConfig, shape: Shape) -> frozenset[str]:
    if shape.eyes is None:
        return frozenset()
    method = config.method
    names = {
        "vision_tower": method.freeze_vision_tower,
        "multi_modal_projector": method.freeze_multi_modal_projector,
        "language_model": method.freeze_language_model,
    }
    return frozenset(name for name, frozen in names.items() if frozen)


def _whole(layout: Layout, shape: Shape, config: RunConfig, formats: Formats) -> Iterator[Held]:
    """Full fine-tuning, and that of some layers."""
    frozen = _frozen_parts(config, shape)
    chosen = _Layers(config, shape) if config.method.finetuning_type == "freeze" else None
    for each in layout:
        trained = each.part not in frozen and (chosen is None or chosen.has(each))
        size = formats.trained if trained else formats.frozen
        yield Held(each, each.shape, each.numbers * size, size, trained)


class _Layers:
    """The layers and modules that `freeze` leaves trainable."""

    def __init__(self, config: RunConfig, shape: Shape) -> None:
        method = config.method
        count, layers = method.freeze_trainable_layers, shape.layers
        if method.use_llama_pro:
            step = max(1, layers // max(1, count))
            self.layers = frozenset(range(step - 1, layers, step))
        elif count >= 0:
            self.layers = frozenset(range(max(0, layers - count), layers))
        else:
            self.layers = frozenset(range(min(layers, -count)))
        self.modules = () if "all" in method.freeze_trainable_modules else method.freeze_trainable_modules
        self.extra = method.freeze_extra_modules

    def has(self, weight: Weight) -> bool:
        named = not self.modules or any(f".{name}." in f".{weight.name}" for name in self.modules)
        inside = weight.part == "language_model" and weight.layer in self.layers
        # Of a model that sees, the parts that are not frozen are trained whole.
        return (inside and named) or weight.part != "language_model" or self._is_extra(weight)

    def _is_extra(self, weight: Weight) -> bool:
        return weight.layer < 0 and any(f".{name}." in f".{weight.name}" for name in self.extra)


def _adapted(layout: Layout, shape: Shape, config: RunConfig, formats: Formats) -> Iterator[Held]:
    """A frozen base, perhaps quantised, with an adapter, and modules that are trained whole beside it."""
    frozen = _frozen_parts(config, shape)
    bits = config.model.quantization_bit
    oft = config.method.finetuning_type == "oft"
    wanted = config.lora.oft_target if oft else config.lora.lora_target
    extra = set(config.lora.additional_target)
    if config.model.resize_vocab:
        extra |= {"embed_tokens", "lm_head"}
    size = 2 if formats.name == "pure_bf16" else 4
    for each in layout:
        if bits != "none" and each.kind == "linear":
            yield Held(each, each.shape, _quantized(each, config), formats.compute)
        else:
            yield Held(each, each.shape, each.numbers * formats.frozen, formats.frozen)
        if each.module in extra:
            yield Held(each, each.shape, each.numbers * size, size, trained=True)
        elif _has_adapter(each, wanted) and each.part not in frozen:
            for matrix in _oft(each, config) if oft else _lora(each, config):
                count = math.prod(matrix)
                yield Held(each, matrix, count * size, size, trained=True, adapter=True)
                if oft:
                    # Rows and columns of its numbers in each block, as two lists of long integers.
                    yield Held(each, (2, matrix[1]), 16 * matrix[1], 8)


def _has_adapter(weight: Weight, wanted: tuple[str, ...]) -> bool:
    if "all" in wanted:
        return weight.kind == "linear"
    module = weight.name.rsplit(".", 1)[0]
    return weight.kind in ("linear", "embedding", "head") and any(
        module == name or module.endswith(f".{name}") for name in wanted
    )


def _lora(weight: Weight, config: RunConfig) -> Iterator[tuple[int, ...]]:
    rank = config.lora.lora_rank
    out, into = weight.shape
    yield rank, into
    yield out, rank
    if config.lora.use_dora:
        yield (out,)


def _oft(weight: Weight, config: RunConfig) -> Iterator[tuple[int, ...]]:
    """A rotation of each block of the inputs, as many numbers as a skew-symmetric matrix has."""
    into = weight.shape[1]
    block = config.lora.oft_block_size or into // max(1, config.lora.oft_rank)
    block = _dividing(into, block)
    yield into // block, block * (block - 1) // 2


@cache
def _dividing(whole: int, wanted: int) -> int:
    """The size nearest to `wanted` that divides `whole`, as PEFT takes it."""
    return min(
        (each for each in range(1, whole + 1) if whole % each == 0), key=lambda each: abs(each - wanted)
    )


def _quantized(weight: Weight, config: RunConfig) -> int:
    """Bytes of a quantised matrix with its scales."""
    bits = int(config.model.quantization_bit)
    if config.model.quantization_method == "bnb" and bits == 8:
        return weight.numbers + 4 * weight.shape[0]
    if config.model.quantization_method == "bnb":
        blocks = -(-weight.numbers // _BLOCK)
        if not config.model.double_quantization:
            return weight.numbers // 2 + 4 * blocks + 64
        # The 16 and the 256 values of both codes lie with each matrix.
        return weight.numbers // 2 + blocks + 4 * -(-blocks // _BLOCKS) + 64 + 1024
    # HQQ: a scale and a zero point in 16 bits for each group of 64.
    return weight.numbers * bits // 8 + 4 * (weight.numbers // _BLOCK)
