"""Adapters: LoRA and its kin."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.options.declare import option

_LORA: dict[str, tuple[str, ...]] = {"finetuning_type": ("lora",)}
_OFT: dict[str, tuple[str, ...]] = {"finetuning_type": ("oft",)}
_ADAPTER: dict[str, tuple[str, ...]] = {"finetuning_type": ("lora", "oft")}


@dataclass(frozen=True)
class LoraOptions:
    lora_rank: int = option(
        8, "Width of the adapter.", label="LoRA rank", panel="lora", min=1, max=1024, step=1, when=_LORA,
    )  # fmt: skip
    lora_alpha: int | None = option(
        None, "Scale of the adapter; empty means twice the rank.", label="LoRA alpha", panel="lora", min=1, max=2048,
        step=1, when=_LORA,
    )  # fmt: skip
    lora_dropout: float = option(
        0.0, "Share of the adapter's inputs dropped in training.", label="LoRA dropout", panel="lora", min=0, max=1,
        step=0.01, when=_LORA,
    )  # fmt: skip
    lora_target: tuple[str, ...] = option(
        ("all",), "Layers that get an adapter: all, or names separated by commas.", label="LoRA target", panel="lora",
        choices=("all", "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"), when=_LORA,
    )  # fmt: skip
    loraplus_lr_ratio: float | None = option(
        None, "LoRA+: how many times faster matrix B learns than A; empty or 0 means off.", label="LoRA+ ratio",
        panel="lora", min=0, max=64, step=0.01, when=_LORA,
    )  # fmt: skip
    create_new_adapter: bool = option(
        False, "Merge the chosen adapters into the base and train a new one on top.", label="Create new adapter",
        panel="lora", when=_ADAPTER,
    )  # fmt: skip
    loraplus_lr_embedding: float = option(
        1e-6, "LoRA+: learning rate of adapters on embeddings.", label="LoRA+ rate of embeddings", panel="lora", min=0,
        when=_LORA,
    )  # fmt: skip
    use_rslora: bool = option(
        False, "Scale by the square root of the rank, so that high ranks learn as much.", label="rsLoRA", panel="lora",
        when=_LORA,
    )  # fmt: skip
    use_dora: bool = option(
        False, "DoRA: learn length and direction of the weights apart; slower.", label="DoRA", panel="lora",
        when=_LORA,
    )  # fmt: skip
    pissa_init: bool = option(
        False, "PiSSA: begin with the strongest directions of the weights.", label="PiSSA", panel="lora", when=_LORA,
    )  # fmt: skip
    pissa_iter: int = option(
        16, "PiSSA: iterations of the quick decomposition; -1 means the exact one.", label="PiSSA iterations",
        panel="lora", min=-1, max=1024, step=1, when={**_LORA, "pissa_init": ("true",)},
    )  # fmt: skip
    pissa_convert: bool = option(
        False, "PiSSA: leave an ordinary LoRA adapter of the unchanged base at the end.", label="Convert PiSSA",
        panel="lora", when={**_LORA, "pissa_init": ("true",)},
    )  # fmt: skip
    additional_target: tuple[str, ...] = option(
        (), "Modules that are trained whole and saved with the adapter, separated by commas.",
        label="Additional target", panel="lora", choices=("embed_tokens", "lm_head"), when=_ADAPTER,
    )  # fmt: skip
    oft_rank: int = option(
        0, "OFT: number of blocks in each layer; 0 means that the block size decides.", label="OFT rank", panel="lora",
        min=0, max=1024, step=1, when=_OFT,
    )  # fmt: skip
    oft_block_size: int = option(
        32, "OFT: size of the blocks that are rotated; 0 means that the rank decides.", label="OFT block size",
        panel="lora", min=0, max=1024, step=1, when=_OFT,
    )  # fmt: skip
    oft_target: tuple[str, ...] = option(
        ("all",), "Layers that get an OFT adapter: all, or names separated by commas.", label="OFT target",
        panel="lora", when=_OFT,
    )  # fmt: skip
    module_dropout: float = option(
        0.0, "OFT: share of the blocks left out in training.", label="OFT dropout", panel="lora", min=0, max=1,
        step=0.01, when=_OFT,
    )  # fmt: skip
