"""Where a word stands in a text, as llama.cpp is told it: the base of the angles and how they are stretched."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from gguf import GGUFWriter, RopeScalingType

from trainer.errors import UserError


class Rope(NamedTuple):
    """`settings` as in config.json: rope_theta, rope_type and what belongs to that type."""

    settings: Mapping[str, Any]

    @property
    def theta(self) -> float:
        return float(self.settings.get("rope_theta") or 10000.0)

    @property
    def kind(self) -> str:
        return str(self.settings.get("rope_type") or self.settings.get("type") or "default")


def of_config(config: Any, layer_type: str = "") -> Rope:
    """The rope of a configuration; `layer_type` for families with one for each kind of layer."""
    found = getattr(config, "rope_parameters", None) or {}
    if layer_type and layer_type in found:
        found = found[layer_type] or {}
    return Rope(found)


def check(rope: Rope, name: str, kinds: tuple[str, ...]) -> None:
    """Raises UserError for a stretch that llama.cpp does not compute alike for this family."""
    partial = float(rope.settings.get("partial_rotary_factor") or 1.0)
    if rope.kind not in kinds or partial != 1.0 or (rope.kind == "yarn" and not _usual_yarn(rope)):
        kind = rope.kind if partial == 1.0 else "partial_rotary_factor"
        raise UserError("gguf_rope", field="export_format", name=name, kind=kind)


def write(writer: GGUFWriter, rope: Rope) -> None:
    """The metadata of a rope. A "llama3" one is said by a tensor instead: see `factors`."""
    writer.add_rope_freq_base(rope.theta)
    if rope.kind == "linear":
        writer.add_rope_scaling_type(RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(float(rope.settings["factor"]))
    elif rope.kind == "yarn":
        writer.add_rope_scaling_type(RopeScalingType.YARN)
        writer.add_rope_scaling_factor(float(rope.settings["factor"]))
        writer.add_rope_scaling_orig_ctx_len(int(rope.settings["original_max_position_embeddings"]))
        writer.add_rope_scaling_yarn_beta_fast(float(rope.settings.get("beta_fast") or 32))
        writer.add_rope_scaling_yarn_beta_slow(float(rope.settings.get("beta_slow") or 1))


def factors(config: Any, rope: Rope, width: int) -> Any | None:
    """A tensor of shape (width / 2,): what each angle's frequency is divided by. None unless the rope is "llama3"."""
    if rope.kind != "llama3":
        return None
    import torch
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    stretched, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    plain = rope.theta ** -(torch.arange(0, width, 2, dtype=torch.float64) / width)
    return (plain / stretched.double()).float()


def _usual_yarn(rope: Rope) -> bool:
    """llama.cpp weighs attention by 1 + ln(factor) / 10 itself, and rounds the ends of the ramp."""
    settings = rope.settings
    usual = 0.1 * math.log(float(settings["factor"])) + 1.0
    given = settings.get("attention_factor")
    if (
        settings.get("mscale")
        or settings.get("mscale_all_dim")
        or not settings.get("original_max_position_embeddings")
    ):
        return False
    return settings.get("truncate", True) is True and (
        given is None or math.isclose(float(given), usual, rel_tol=1e-4)
    )
