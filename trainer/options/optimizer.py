"""Optimisers that remember less: GaLore, APOLLO, Muon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainer.options.declare import option

# They are for weights that are trained whole: an adapter's matrices are small already.
_WHOLE: dict[str, tuple[str, ...]] = {"finetuning_type": ("full", "freeze")}
_GALORE: dict[str, tuple[str, ...]] = {**_WHOLE, "use_galore": ("true",)}
_APOLLO: dict[str, tuple[str, ...]] = {**_WHOLE, "use_apollo": ("true",)}


@dataclass(frozen=True)
class OptimizerOptions:
    use_galore: bool = option(
        False, "GaLore: keep the optimiser's memory of gradients in few dimensions.", label="GaLore", panel="optimizer",
        when=_WHOLE,
    )  # fmt: skip
    galore_target: tuple[str, ...] = option(
        ("all",), "Layers whose gradients are projected: all, or names separated by commas.", label="GaLore target",
        panel="optimizer", when=_GALORE,
    )  # fmt: skip
    galore_rank: int = option(
        16, "Dimensions that are kept.", label="GaLore rank", panel="optimizer", min=1, max=1024, step=1, when=_GALORE,
    )  # fmt: skip
    galore_update_interval: int = option(
        200, "Steps between two choices of the dimensions.", label="GaLore update interval", panel="optimizer", min=1,
        max=2048, step=1, when=_GALORE,
    )  # fmt: skip
    galore_scale: float = option(
        2.0, "How strongly the projected gradients act.", label="GaLore scale", panel="optimizer", min=0, max=100,
        step=0.1, when=_GALORE,
    )  # fmt: skip
    galore_proj_type: Literal["std", "reverse_std", "right", "left", "full"] = option(
        "std", "Side from which gradients are projected.", label="GaLore projection", panel="optimizer", when=_GALORE,
    )  # fmt: skip
    galore_layerwise: bool = option(
        False, "Update each layer as soon as its gradient is there; no accumulation, one device.",
        label="GaLore layer by layer", panel="optimizer", when=_GALORE,
    )  # fmt: skip
    use_apollo: bool = option(
        False, "APOLLO: keep the optimiser's memory of gradients in few dimensions.", label="APOLLO", panel="optimizer",
        when=_WHOLE,
    )  # fmt: skip
    apollo_target: tuple[str, ...] = option(
        ("all",), "Layers whose gradients are projected: all, or names separated by commas.", label="APOLLO target",
        panel="optimizer", when=_APOLLO,
    )  # fmt: skip
    apollo_rank: int = option(
        16, "Dimensions that are kept.", label="APOLLO rank", panel="optimizer", min=1, max=1024, step=1, when=_APOLLO,
    )  # fmt: skip
    apollo_update_interval: int = option(
        200, "Steps between two choices of the dimensions.", label="APOLLO update interval", panel="optimizer", min=1,
        max=2048, step=1, when=_APOLLO,
    )  # fmt: skip
    apollo_scale: float = option(
        32.0, "How strongly the projected gradients act.", label="APOLLO scale", panel="optimizer", min=0, max=100,
        step=0.1, when=_APOLLO,
    )  # fmt: skip
    apollo_proj: Literal["random", "svd"] = option(
        "random", "Directions drawn at random, or the strongest ones.", label="APOLLO directions", panel="optimizer",
        when=_APOLLO,
    )  # fmt: skip
    apollo_proj_type: Literal["std", "right", "left"] = option(
        "std", "Side from which gradients are projected.", label="APOLLO projection", panel="optimizer", when=_APOLLO,
    )  # fmt: skip
    apollo_scale_type: Literal["channel", "tensor"] = option(
        "channel", "Scale each channel or each tensor.", label="APOLLO scaling", panel="optimizer", when=_APOLLO,
    )  # fmt: skip
    apollo_scale_front: bool = option(
        False, "Limit the growth of the gradient's length before scaling instead of after it.",
        label="APOLLO limits first", panel="optimizer", when=_APOLLO,
    )  # fmt: skip
    apollo_layerwise: bool = option(
        False, "Update each layer as soon as its gradient is there; no accumulation, one device.",
        label="APOLLO layer by layer", panel="optimizer", when=_APOLLO,
    )  # fmt: skip
    use_muon: bool = option(
        False, "Muon: updates of weight matrices made orthogonal; everything else by AdamW.", label="Muon",
        panel="optimizer",
    )  # fmt: skip
