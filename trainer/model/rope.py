"""Positions stretched beyond the length that a model was made for: transformers' RoPE types in a model's configuration.

https://huggingface.co/docs/transformers/main/internal/rope_utils
"""

from __future__ import annotations

import math
from typing import Any

from torch import nn
from transformers.configuration_utils import PretrainedConfig

from trainer.errors import UserError
from trainer.events import Note

# What stays of a model's own parameters whatever the type is.
KEPT = ("rope_theta", "partial_rotary_factor", "mrope_section", "mrope_interleaved")
# Layers that look at their neighbours only never see a long distance.
LOCAL = "sliding_attention"
# The frequencies of llama3 that are stretched not at all and wholly, as LLaMA-Factory sets them.
LOW, HIGH = 1.0, 4.0


def stretch(config: PretrainedConfig, kind: str, length: int) -> Note:
    """Changes a configuration so that rows of `length` tokens can be learned, and says what was done.

    `kind` is linear, dynamic, yarn or llama3; the factor is `length` over the length that the model was first trained
    with, rounded up. Nothing is changed for rows that the model takes anyway. Raises UserError for a family whose
    positions are of another kind.
    """
    text = config.get_text_config()
    parameters = getattr(text, "rope_parameters", None)
    limit = getattr(text, "max_position_embeddings", None)
    if not isinstance(parameters, dict) or not parameters or not isinstance(limit, int):
        raise UserError("rope_unknown", field="rope_scaling", family=config.model_type, kind=kind)
    if length <= limit:
        return Note(code="rope_not_needed", values={"kind": kind, "length": length, "limit": limit})
    nested = [key for key in text.nested_rope_parameter_keys(parameters) if parameters[key] is not None]
    places = [key for key in nested if key != LOCAL]
    if nested and not places:
        raise UserError("rope_unknown", field="rope_scaling", family=config.model_type, kind=kind)
    originals = [_original(parameters[key] if nested else parameters, limit) for key in places or [""]]
    original = max(originals)
    factor = float(math.ceil(length / original))
    if nested:
        new = {key: _stretched(parameters[key], kind, factor, original) for key in places}
        text.rope_parameters = {**parameters, **new}
    else:
        text.rope_parameters = _stretched(parameters, kind, factor, original)
    # Dynamic scaling begins beyond this length, so that it stays; the others reach as far as they are stretched.
    text.max_position_embeddings = original if kind == "dynamic" else int(original * factor)
    values: dict[str, str | int | float] = {
        "kind": kind,
        "factor": int(factor),
        "limit": limit,
        "reach": int(original * factor),
    }
    if kind == "dynamic":
        return Note(code="rope_dynamic", values=values, level="warning")
    return Note(code="rope_stretched", values=values)


def _original(parameters: dict[str, Any], limit: int) -> int:
    """The length of the first training of a model that may have been stretched since."""
    original = parameters.get("original_max_position_embeddings")
    if isinstance(original, int):
        return original
    factor = parameters.get("factor") or 1.0
    return limit if parameters.get("rope_type") == "dynamic" else max(1, round(limit / factor))


def _stretched(parameters: dict[str, Any], kind: str, factor: float, original: int) -> dict[str, Any]:
    found = {name: parameters[name] for name in KEPT if parameters.get(name) is not None}
    found |= {"rope_type": kind, "factor": factor}
    if kind in ("yarn", "llama3"):
        found["original_max_position_embeddings"] = original
    if kind == "llama3":
        found |= {"low_freq_factor": LOW, "high_freq_factor": HIGH}
    return found


def require_stretched(model: nn.Module, kind: str, family: str) -> None:
    """Raises UserError when no part of a model reads the type that its configuration names."""
    for module in model.modules():
        own = getattr(module, "rope_type", None)
        if own == kind or (isinstance(own, dict) and kind in own.values()):
            return
    raise UserError("rope_unknown", field="rope_scaling", family=family, kind=kind)


def reach(config: PretrainedConfig) -> int | None:
    """The longest sequence in tokens that a model was made for; None where it has no limit."""
    text = config.get_text_config()
    limit = getattr(text, "max_position_embeddings", None)
    parameters = getattr(text, "rope_parameters", None)
    if limit and isinstance(parameters, dict) and parameters.get("rope_type") == "dynamic":
        return int(limit * float(parameters.get("factor") or 1.0))
    return int(limit) if limit else None
