"""OFT: adapters that rotate the inputs of a layer block by block (https://arxiv.org/abs/2306.07280, 2506.19847)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from peft import OFTConfig, PeftModel
from peft.tuners.oft.layer import OFTLayer, OFTRotationModule
from torch import nn
from transformers.pytorch_utils import Conv1D

from trainer.errors import UserError
from trainer.events import Note
from trainer.options import LoraOptions


def config_of(options: LoraOptions, targets: list[str], modules: list[str]) -> OFTConfig:
    """PEFT's settings. Raises UserError unless either the number of blocks or their size is given."""
    blocks, size = options.oft_rank, options.oft_block_size
    if bool(blocks) == bool(size):
        raise UserError("oft_size", field="oft_block_size", rank=blocks, size=size)
    return OFTConfig(
        r=blocks,
        oft_block_size=size,
        module_dropout=options.module_dropout,
        target_modules=targets,
        modules_to_save=modules or None,
        task_type="CAUSAL_LM",
    )


def check(model: nn.Module, layers: Sequence[str]) -> None:
    """Raises UserError for layers that PEFT cannot rotate."""
    modules = dict(model.named_modules())
    for name in layers:
        if isinstance(modules[name], Conv1D):
            raise UserError("oft_layer_kind", field="oft_target", name=name, kind="Conv1D")


def notes(adapted: PeftModel) -> list[Note]:
    """Where PEFT has taken other blocks than those that were asked for, because they do not divide a layer's width."""
    config = adapted.peft_config["default"]
    if not isinstance(config, OFTConfig):
        return []
    found: dict[tuple[int, int], list[str]] = {}
    for name, layer in _layers(adapted):
        rotation = _rotations(layer)["default"]
        width = rotation.r * rotation.block_size
        asked, got = (
            (config.r, width // rotation.block_size)
            if config.r
            else (config.oft_block_size, rotation.block_size)
        )
        if asked != got:
            found.setdefault((width, got), []).append(name.rsplit(".", 1)[-1])
    code = "oft_rank_rounded" if config.r else "oft_size_rounded"
    asked = config.r or config.oft_block_size
    return [
        Note(
            code=code,
            values={"asked": asked, "used": got, "width": width, "layers": ", ".join(sorted(set(names)))},
            level="warning",
        )
        for (width, got), names in sorted(found.items())
    ]


def drop_blocks(adapted: PeftModel) -> None:
    """Makes `module_dropout` work: PEFT 0.21 builds a layer for it, but never asks it.

    A block that is left out does not rotate.
    """
    for _, layer in _layers(adapted):
        for adapter, rotation in _rotations(layer).items():
            config = adapted.peft_config[adapter]
            if isinstance(config, OFTConfig) and config.module_dropout > 0:
                rotation.register_forward_hook(_Dropping(config.module_dropout))


class _Dropping:
    """A hook on a rotation: blocks that are left out hand their inputs on as they are."""

    def __init__(self, share: float) -> None:
        self.share = share

    def __call__(self, module: Any, args: tuple[torch.Tensor], output: torch.Tensor) -> torch.Tensor:
        if not module.training:
            return output
        blocks = (*output.shape[:-1], -1, module.block_size)
        before, after = args[0].reshape(blocks), output.reshape(blocks)
        left_out = torch.rand(before.shape[-2], 1, device=output.device) < self.share
        return torch.where(left_out, before.to(after.dtype), after).reshape(output.shape)


def _layers(adapted: PeftModel) -> list[tuple[str, OFTLayer]]:
    return [(name, module) for name, module in adapted.named_modules() if isinstance(module, OFTLayer)]


def _rotations(layer: OFTLayer) -> dict[str, OFTRotationModule]:
    found: dict[str, Any] = {**layer.oft_R, **layer.oft_embedding_R}
    return found
