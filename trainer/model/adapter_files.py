"""Adapters as folders: what their files say, and whether they fit a model. Only headers of weights are read."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open
from torch import nn

from trainer.errors import UserError
from trainer.model.layers import size_of
from trainer.model.parts import PEFT_PREFIX

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
# They begin by taking a part of the base's weights away, which is not written down in the adapter.
CHANGES_BASE = ("pissa", "olora", "corda")
_PART = re.compile(
    r"(?P<layer>.+)\.(?P<side>lora_A|lora_B|lora_embedding_A|lora_embedding_B|lora_magnitude_vector|oft_R|oft_embedding_R)"
    r"(\.weight)?"
)


def read_adapter(path: Path) -> dict[str, object]:
    """An adapter's adapter_config.json. Raises UserError when the folder holds no adapter that can be loaded."""
    try:
        found = json.loads((path / CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _no_adapter(path, f"there is no {CONFIG}") from None
    except (OSError, ValueError):
        raise _no_adapter(path, f"{CONFIG} cannot be read") from None
    if not isinstance(found, dict):
        raise _no_adapter(path, f"{CONFIG} does not hold names with values")
    if not (path / WEIGHTS).is_file():
        raise _no_adapter(path, f"there is no {WEIGHTS}")
    return found


def kind_of(config: Mapping[str, object]) -> str:
    """PEFT's word for the method of an adapter: LORA, OFT and others."""
    return str(config.get("peft_type") or "LORA").upper()


def changes_base(config: Mapping[str, object]) -> bool:
    """Whether loading an adapter changes the base itself, so that switching it off does not bring that back."""
    start = str(config.get("init_lora_weights") or "").lower()
    return str(config.get("bias") or "none") != "none" or start.startswith(CHANGES_BASE)


def adds_up(config: Mapping[str, object]) -> bool:
    """Whether an adapter is a plain sum on each layer, so that several of them can act as one."""
    beyond = ("use_dora", "lora_bias", "modules_to_save", "target_parameters", "trainable_token_indices")
    named = isinstance(config.get("target_modules"), list)
    plain = named and not any(config.get(name) for name in beyond)
    return kind_of(config) == "LORA" and plain and not changes_base(config)


def _no_adapter(path: Path, reason: str) -> UserError:
    return UserError("adapter_missing", field="adapter_name_or_path", path=str(path), reason=reason)


class _Weight(NamedTuple):
    """A weight in an adapter's file; `side` is empty for one of a module that was trained whole."""

    layer: str
    side: str
    shape: tuple[int, ...]


def check_adapter(model: nn.Module, path: Path) -> None:
    """Raises UserError when the adapter in `path` does not fit the layers of `model`: it has another base."""
    config = read_adapter(path)
    base = str(config.get("base_model_name_or_path") or "?")
    modules = dict(model.named_modules())
    parameters = dict(model.named_parameters(remove_duplicate=False))
    for weight in _weights(path):
        if weight.side:
            reason = _layer_differs(modules.get(weight.layer), weight, config)
        else:
            found = parameters.get(weight.layer)
            reason = _whole_differs(None if found is None else tuple(found.shape), weight)
        if reason:
            raise UserError(
                "adapter_other_base", field="adapter_name_or_path", path=str(path), base=base, reason=reason
            )


def _layer_differs(layer: nn.Module | None, weight: _Weight, config: Mapping[str, Any]) -> str:
    size = size_of(layer) if layer is not None else None
    if size is None:
        # A convolution, or the experts of a mixture: PEFT says when these do not fit.
        return "" if layer is not None else f"this model has no layer {weight.layer}"
    inputs, outputs = size
    if weight.side.startswith("oft"):
        return _rotation_differs(outputs if weight.side == "oft_embedding_R" else inputs, weight, config)
    into = weight.side in ("lora_A", "lora_embedding_A")
    need = weight.shape[0] if weight.side == "lora_magnitude_vector" or not into else weight.shape[-1]
    have = inputs if into else outputs
    if have == need:
        return ""
    return f"{weight.layer} has {have} {'inputs' if into else 'outputs'} here, {need} there"


def _rotation_differs(width: int, weight: _Weight, config: Mapping[str, Any]) -> str:
    """A rotation has a row for each block, of the numbers above the diagonal of a square as wide as the block."""
    blocks, numbers = weight.shape
    wide = (1 + math.isqrt(1 + 8 * numbers)) // 2
    fits = width % wide == 0 if config.get("block_share") else blocks * wide == width
    return "" if fits else f"{weight.layer} has {width} inputs here, {blocks * wide} there"


def _whole_differs(have: tuple[int, ...] | None, weight: _Weight) -> str:
    if have is None:
        return f"this model has no weights {weight.layer}"
    if have == weight.shape:
        return ""
    here, there = ("×".join(map(str, shape)) for shape in (have, weight.shape))
    return f"{weight.layer} is {here} here, {there} there"


def adapted_layers(path: Path) -> set[str]:
    """The full names of the layers that an adapter sits on; not of modules that were trained whole."""
    return {weight.layer for weight in _weights(path) if weight.side}


def weight_names(path: Path) -> set[str]:
    """The names in an adapter's file. Raises UserError when it cannot be read."""
    try:
        with safe_open(path / WEIGHTS, framework="pt") as file:
            return set(file.keys())
    except (SafetensorError, OSError) as error:
        raise _no_adapter(path, str(error)) from error


def _weights(path: Path) -> Iterator[_Weight]:
    try:
        with safe_open(path / WEIGHTS, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118  safe_open is no mapping
                name, shape = key.removeprefix(PEFT_PREFIX), tuple(file.get_slice(key).get_shape())
                part = _PART.fullmatch(name)
                if part:
                    yield _Weight(part["layer"].replace(".base_layer", ""), part["side"], shape)
                elif "lora_" not in name and "oft_" not in name and ".token_adapter." not in name:
                    yield _Weight(name.replace(".base_layer.", "."), "", shape)
    except (SafetensorError, OSError) as error:
        raise _no_adapter(path, str(error)) from error
