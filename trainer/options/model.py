"""The base model: where it comes from, in which form it is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainer.options.declare import option

# Weights that are trained themselves cannot be held in a few bits.
_ADAPTER: dict[str, tuple[str, ...]] = {"finetuning_type": ("lora", "oft")}
_QUANTIZED: dict[str, tuple[str, ...]] = {**_ADAPTER, "quantization_bit": ("8", "6", "5", "4", "3", "2", "1")}
_FOUR_BITS: dict[str, tuple[str, ...]] = {
    **_ADAPTER,
    "quantization_bit": ("4",),
    "quantization_method": ("bnb",),
}


@dataclass(frozen=True)
class ModelOptions:
    model_name_or_path: str = option(
        "", "Name from the catalogue, folder on this machine, or hub id of the base model.",
        label="Model", panel="top", form="Sprout",
    )  # fmt: skip
    adapter_name_or_path: tuple[str, ...] = option(
        (), "Adapter folders to go on from, separated by commas.", label="Checkpoint", panel="top",
    )  # fmt: skip
    hub: Literal["huggingface", "modelscope"] = option(
        "huggingface", "Where a model that is not on this machine is fetched from.", label="Hub", panel="top",
    )  # fmt: skip
    trust_remote_code: bool = option(
        False, "Run Python code that comes with a model. Only a person at a terminal can allow this.",
        label="Trust remote code", panel="none",
    )  # fmt: skip
    flash_attn: Literal["auto", "disabled", "sdpa", "fa2", "fa3"] = option(
        "auto", "Attention kernel; auto takes the best one installed.", label="Attention", panel="memory",
    )  # fmt: skip
    gradient_checkpointing: Literal["auto", "on", "off"] = option(
        "auto", "Compute activations twice to save memory; auto does so only when memory asks for it.",
        label="Gradient checkpointing", panel="memory",
    )  # fmt: skip
    quantization_bit: Literal["none", "8", "6", "5", "4", "3", "2", "1"] = option(
        "none", "Hold the frozen base in so few bits and train an adapter on it (QLoRA).", label="Quantization bits",
        panel="memory", when=_ADAPTER,
    )  # fmt: skip
    quantization_method: Literal["bnb", "hqq", "eetq"] = option(
        "bnb", "What quantizes: bitsandbytes (8 or 4 bits), HQQ (8 to 1), EETQ (8).", label="Quantization method",
        panel="memory", when=_QUANTIZED,
    )  # fmt: skip
    quantization_type: Literal["nf4", "fp4"] = option(
        "nf4", "The sixteen values of 4 bits: spread like weights (nf4) or like floating point (fp4).",
        label="4-bit type", panel="memory", when=_FOUR_BITS,
    )  # fmt: skip
    double_quantization: bool = option(
        True, "Quantize the scales of 4-bit blocks, too: 0.4 bits less for each weight.", label="Double quantization",
        panel="memory", when=_FOUR_BITS,
    )  # fmt: skip
    enable_liger_kernel: bool = option(
        False, "Liger's fused kernels, which save memory; needs a GPU and the package.", label="Liger kernels",
        panel="memory",
    )  # fmt: skip
    upcast_layernorm: bool = option(
        False, "Keep the weights of normalisation layers in 32 bits.", label="Norms in 32 bits", panel="memory",
    )  # fmt: skip
    upcast_lmhead_output: bool = option(
        False, "Hand out the logits of the head in 32 bits.", label="Logits in 32 bits", panel="memory",
    )  # fmt: skip
    rope_scaling: Literal["none", "linear", "dynamic", "yarn", "llama3"] = option(
        "none", "Stretch the positions so that rows longer than the model's own limit can be learned.",
        label="RoPE scaling", panel="vocabulary",
    )  # fmt: skip
    resize_vocab: bool = option(
        False, "Fit the embeddings to the tokenizer and train them.", label="Resize vocabulary", panel="vocabulary",
    )  # fmt: skip
    add_tokens: tuple[str, ...] = option(
        (), "New ordinary tokens, separated by commas; the vocabulary grows.", label="New tokens", panel="vocabulary",
    )  # fmt: skip
    add_special_tokens: tuple[str, ...] = option(
        (), "New special tokens, separated by commas; the vocabulary grows.", label="New special tokens",
        panel="vocabulary",
    )  # fmt: skip
    new_special_tokens_config: str = option(
        "", "YAML file of new special tokens, each with a description.", label="File of new special tokens",
        panel="vocabulary",
    )  # fmt: skip
    init_special_tokens: Literal["noise_init", "desc_init", "desc_init_w_noise"] = option(
        "noise_init", "How new rows of the embeddings begin: the mean, or the mean of their description's words.",
        label="New tokens begin as", panel="vocabulary",
    )  # fmt: skip
    train_from_scratch: bool = option(
        False, "Begin with random weights instead of the model's own.", label="Train from scratch", panel="advanced",
        when={"finetuning_type": ("full",)},
    )  # fmt: skip
    moe_aux_loss_coef: float | None = option(
        None, "Mixture of experts: weight of the loss that keeps all experts at work; empty or 0 means none.",
        label="Router loss", panel="advanced", min=0, step=0.001,
    )  # fmt: skip

    @property
    def fits_words(self) -> bool:
        """Whether the embeddings are to fit the tokenizer and to be trained: new words need that."""
        given = self.add_tokens or self.add_special_tokens or self.new_special_tokens_config
        return self.resize_vocab or bool(given)
