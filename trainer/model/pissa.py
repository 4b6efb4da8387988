"""PiSSA: LoRA that begins with the strongest directions of the weights (https://arxiv.org/abs/2404.02948).

A matrix W becomes s·B·A, which is trained, and the rest W - s·B0·A0, which stays. As an ordinary adapter of W that is
s·(B·A - B0·A0), the product of matrices of twice the rank: [B, -B0] and [A; A0]. So are all checkpoints saved: they
load everywhere, and hold the beginning that a resume needs.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file
from torch import nn

from trainer.errors import UserError
from trainer.model.adapter_files import WEIGHTS
from trainer.model.layers import size_of
from trainer.model.parts import PEFT_PREFIX
from trainer.options import LoraOptions

EXACT = -1
ADAPTER = "default"
# Directions that the quick decomposition looks at beyond those it is asked for.
OVERSAMPLED = 6
Pair = tuple[torch.Tensor, torch.Tensor]


class Start:
    """The beginning of a run: A0 and B0 of each layer by its full name, and whether PEFT finds them again by itself."""

    def __init__(self, pairs: Mapping[str, Pair], *, exact: bool, convert: bool) -> None:
        self.pairs = pairs
        self.exact = exact
        self.convert = convert


def start_of(model: Any) -> Start | None:
    """The beginning of a model that is trained with PiSSA; None for every other."""
    found = getattr(model, "pissa_start", None)
    return found if isinstance(found, Start) else None


def is_ordinary(start: Start) -> bool:
    """Whether the result is an ordinary adapter: as it was asked for, or because PEFT could not repeat the beginning."""
    return start.convert or not start.exact


@contextmanager
def as_trained(adapted: PeftModel) -> Iterator[None]:
    """Inside, the adapter's settings tell whoever loads it to decompose the base first."""
    config: Any = adapted.peft_config[ADAPTER]
    before, config.init_lora_weights = config.init_lora_weights, "pissa"
    try:
        yield
    finally:
        config.init_lora_weights = before


def check(model: nn.Module, layers: Sequence[str], options: LoraOptions) -> None:
    """Raises UserError for weights of few bits, and for a rank that a layer does not have."""
    modules = dict(model.named_modules())
    for name in layers:
        weight = getattr(modules[name], "weight", None)
        if not isinstance(weight, torch.Tensor) or not weight.is_floating_point():
            raise UserError("pissa_few_bits", field="pissa_init", name=name)
        size = size_of(modules[name])
        if size and min(size) < options.lora_rank:
            raise UserError(
                "pissa_rank", field="lora_rank", rank=options.lora_rank, name=name, width=min(size)
            )


def begin(adapted: PeftModel, options: LoraOptions, checkpoint: Path | None = None) -> None:
    """Decomposes the weights, or takes what the run in `checkpoint` began with, and leaves the rest in the base."""
    kept = _halves(checkpoint, 1) if checkpoint else {}
    pairs: dict[str, Pair] = {}
    with torch.no_grad():
        for name, layer in _layers(adapted):
            a, b = _sides(layer)
            scale = layer.scaling[ADAPTER]
            if kept:
                _fill((a, b), kept.get(name), checkpoint)
            else:
                _fill((a, b), _decompose(_weight(layer).float(), a.shape[0], options.pissa_iter, scale))
            # As they are in their own number format, so that nothing is lost between the two parts.
            pairs[name] = (a.detach().cpu().clone(), b.detach().cpu().clone())
            base: Any = layer.get_base_layer().weight
            rest = _weight(layer).float() - scale * (b.float() @ a.float())
            base.data = (rest.T if _turned(layer) else rest).to(base.dtype).contiguous()
    exact = options.pissa_iter == EXACT
    adapted.pissa_start = Start(pairs, exact=exact, convert=options.pissa_convert)  # type: ignore[assignment]


def _decompose(weight: torch.Tensor, rank: int, rounds: int, scale: float) -> Pair:
    """A and B of the `rank` strongest directions; `rounds` of the quick way, -1 for the exact one."""
    if rounds == EXACT:
        left, strengths, right = torch.linalg.svd(weight, full_matrices=False)
    else:
        wide = min(rank + OVERSAMPLED, *weight.shape)
        left, strengths, turned = torch.svd_lowrank(weight, wide, niter=rounds)
        right = turned.T
    roots = (strengths[:rank] / scale).sqrt()
    return roots[:, None] * right[:rank], left[:, :rank] * roots


def restore(adapted: PeftModel, checkpoint: Path) -> None:
    """Puts the trained halves of a checkpoint back, and all else that is trained. Raises UserError unless it fits."""
    trained = _halves(checkpoint, 0)
    with torch.no_grad():
        for name, layer in _layers(adapted):
            _fill(_sides(layer), trained.get(name), checkpoint)
        _restore_rest(adapted, load_file(checkpoint / WEIGHTS))


def _restore_rest(adapted: PeftModel, saved: Mapping[str, torch.Tensor]) -> None:
    """DoRA's lengths, and modules that are trained whole."""
    for name, parameter in adapted.named_parameters():
        short = name.replace(f".{ADAPTER}", "").replace(".modules_to_save", "")
        key = next((each for each in (short, short.removesuffix(".weight")) if each in saved), None)
        if parameter.requires_grad and key is not None and not _is_side(key):
            parameter.copy_(saved[key])


def save(adapted: PeftModel, folder: Path, state: Mapping[str, torch.Tensor]) -> None:
    """Writes an ordinary adapter of the unchanged base; `state` are its weights as PEFT would save them."""
    start = start_of(adapted)
    if start is None:
        raise ValueError("this model is not trained with PiSSA")
    found = dict(state)
    for name, (a0, b0) in start.pairs.items():
        for a_name, b_name in (("lora_A.weight", "lora_B.weight"), ("lora_embedding_A", "lora_embedding_B")):
            key_a, key_b = (f"{PEFT_PREFIX}{name}.{side}" for side in (a_name, b_name))
            if key_a in found:
                a, b = found[key_a], found[key_b]
                found[key_a] = torch.cat([a, a0.to(a)])
                found[key_b] = torch.cat([b, -b0.to(b)], dim=1)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: each.detach().cpu().contiguous().clone() for name, each in found.items()}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    _doubled(adapted.peft_config[ADAPTER]).save_pretrained(str(folder))


def _doubled(config: Any) -> LoraConfig:
    found: LoraConfig = copy.deepcopy(config)
    found.r *= 2
    found.lora_alpha *= math.sqrt(2) if found.use_rslora else 2  # type: ignore[assignment]
    found.inference_mode = True
    return found


def _halves(checkpoint: Path, which: int) -> dict[str, Pair]:
    """A and B of each layer in a checkpoint: of what was trained (0), or of the beginning (1)."""
    saved = load_file(checkpoint / WEIGHTS)
    found: dict[str, Pair] = {}
    for key, a in saved.items():
        for a_name, b_name in (
            (".lora_A.weight", ".lora_B.weight"),
            (".lora_embedding_A", ".lora_embedding_B"),
        ):
            if key.endswith(a_name):
                b, rank = saved[key.removesuffix(a_name) + b_name], a.shape[0] // 2
                part = slice(rank, 2 * rank) if which else slice(0, rank)
                sign = -1 if which else 1
                name = key.removeprefix(PEFT_PREFIX).removesuffix(a_name)
                found[name] = (a[part], sign * b[:, part])
    return found


def _fill(sides: Pair, values: Pair | None, checkpoint: Path | None = None) -> None:
    fits = values is not None and all(
        side.shape == value.shape for side, value in zip(sides, values, strict=True)
    )
    if not fits or values is None:
        raise UserError(
            "checkpoint_does_not_fit", field="resume_from_checkpoint", path=str(checkpoint or ""),
            reason="it does not hold the beginning of a PiSSA adapter with these layers and this rank",
        )  # fmt: skip
    for side, value in zip(sides, values, strict=True):
        side.copy_(value)


def _layers(adapted: PeftModel) -> Iterator[tuple[str, LoraLayer]]:
    for name, module in adapted.named_modules():
        if isinstance(module, LoraLayer):
            yield name.removeprefix(PEFT_PREFIX), module


def _sides(layer: LoraLayer) -> Pair:
    """A (rank × inputs) and B (outputs × rank)."""
    if ADAPTER in layer.lora_embedding_A:
        return layer.lora_embedding_A[ADAPTER], layer.lora_embedding_B[ADAPTER]
    sides: Any = (layer.lora_A[ADAPTER], layer.lora_B[ADAPTER])
    return sides[0].weight, sides[1].weight


def _turned(layer: LoraLayer) -> bool:
    return ADAPTER in layer.lora_embedding_A or bool(getattr(layer, "fan_in_fan_out", False))


def _weight(layer: LoraLayer) -> torch.Tensor:
    """The base's matrix, outputs × inputs."""
    base: Any = layer.get_base_layer()
    weight: torch.Tensor = base.weight.data
    return weight.T if _turned(layer) else weight


def _is_side(key: str) -> bool:
    return any(f".{side}" in key for side in ("lora_A", "lora_B", "lora_embedding_A", "lora_embedding_B"))
