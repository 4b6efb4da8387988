"""What is trained: the stage, the method, the parts of a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainer.options.declare import option

# Methods that train weights of the model itself, and leave a whole model behind.
WHOLE_METHODS = ("freeze", "full")
_LAYERS: dict[str, tuple[str, ...]] = {"finetuning_type": ("freeze",)}


@dataclass(frozen=True)
class MethodOptions:
    finetuning_type: Literal["lora", "oft", "freeze", "full"] = option(
        "lora", "LoRA and OFT train a small adapter, freeze some layers, full every weight.", label="Method",
        panel="top",
    )  # fmt: skip
    compute_type: Literal["auto", "bf16", "fp16", "fp32", "pure_bf16"] = option(
        "auto", "Number format of the computation; auto takes bf16 where it is faster.", label="Precision",
        panel="basics",
    )  # fmt: skip
    freeze_vision_tower: bool = option(
        True, "Vision models: leave the part that looks at pictures as it is.", label="Freeze vision tower",
        panel="multimodal",
    )  # fmt: skip
    freeze_multi_modal_projector: bool = option(
        True, "Vision models: leave the part that hands over what was seen to the language model as it is.",
        label="Freeze projector", panel="multimodal",
    )  # fmt: skip
    freeze_language_model: bool = option(
        False, "Vision models: leave the part that speaks as it is.", label="Freeze language model",
        panel="multimodal",
    )  # fmt: skip
    freeze_trainable_layers: int = option(
        2, "How many layers are trained: the last ones, or with a minus the first ones.", label="Trainable layers",
        panel="freeze", min=-128, max=128, step=1, when=_LAYERS,
    )  # fmt: skip
    freeze_trainable_modules: tuple[str, ...] = option(
        ("all",), "Parts of these layers that are trained: all, or names separated by commas.",
        label="Trainable modules", panel="freeze", when=_LAYERS,
    )  # fmt: skip
    freeze_extra_modules: tuple[str, ...] = option(
        (), "Modules outside of the layers that are trained, too, separated by commas.", label="Extra modules",
        panel="freeze", when=_LAYERS,
    )  # fmt: skip
    use_llama_pro: bool = option(
        False, "Train only blocks that an expansion has put in, evenly spread over the layers.", label="LLaMA Pro",
        panel="freeze", when=_LAYERS,
    )  # fmt: skip
    use_dft_loss: bool = option(
        False, "Weigh each token's loss by its own probability (DFT).", label="DFT loss", panel="advanced",
        when={"stage": ("sft",)},
    )  # fmt: skip
    disable_shuffling: bool = option(
        False, "Take the rows in their order.", label="No shuffling", panel="advanced",
    )  # fmt: skip
