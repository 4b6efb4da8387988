"""The tensors of a model that is in memory already, as an estimate sees them: exact, whatever its family and method."""

from __future__ import annotations

import re
from typing import Any

from trainer.model.fit.choice import Chosen, Formats, Held
from trainer.model.fit.layout import weight_of
from trainer.model.fit.shape import Shape, read_shape

_WRAPPED = re.compile(r"^base_model\.model\.|\.base_layer|\.modules_to_save\.[^.]+|\.original_module")
# PEFT's names of what it adds to a layer, with the adapter's name behind.
_ADDED = re.compile(r"\.(?:lora_(?:A|B|embedding_A|embedding_B|magnitude_vector)|oft_R)\.[^.]+(?=\.|$)")


def shape_of(model: Any) -> Shape | None:
    """A loaded model's sizes; None where its config does not say them."""
    try:
        return read_shape(model.config.to_dict())
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError):
        return None


def chosen_in(model: Any, shape: Shape, formats: Formats) -> Chosen:
    """What a model (PEFT's, too) holds and trains."""
    held = []
    for name, parameter in model.named_parameters():
        plain = _WRAPPED.sub("", name)
        adapter = _ADDED.search(plain) is not None
        plain = _ADDED.sub("", plain)
        if not plain.endswith((".weight", ".bias")):
            plain += ".weight" if adapter else ""
        size = tuple(parameter.shape)
        weight = weight_of(
            plain, (size if len(size) > 1 or not adapter else (1, *size)), shape.eyes is not None
        )
        bytes_ = parameter.numel() * parameter.element_size()
        held.append(Held(weight, size, bytes_, parameter.element_size(), parameter.requires_grad, adapter))
    return Chosen(shape, tuple(held), formats)
