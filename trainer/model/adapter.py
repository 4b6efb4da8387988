"""LoRA adapters on a model: which layers there are, a new one, an old one continued or merged."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers.modeling_utils import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from trainer.errors import UserError
from trainer.model.parts import PartName, parts_of
from trainer.options import LoraOptions

LINEAR = (nn.Linear, Conv1D)
# What stays as it is unless the options say otherwise.
SEEING: tuple[PartName, ...] = ("vision_tower", "multi_modal_projector")
WEIGHTS = "adapter_model.safetensors"


def linear_layers(model: PreTrainedModel, frozen: Collection[PartName] = SEEING) -> list[str]:
    """The full names of the linear layers outside of the frozen parts, by default of the language part; no head."""
    head, parts = model.get_output_embeddings(), parts_of(model)
    return [name for name in _all_linear(model, head) if parts.part_of(name) not in frozen]


def _all_linear(model: PreTrainedModel, head: nn.Module | None = None) -> list[str]:
    found: list[str] = []
    # Its weights are read without asking the layer, so that an adapter there would learn nothing.
    passed: list[str] = []
    for name, module in model.named_modules():
        if isinstance(module, nn.MultiheadAttention):
            passed.append(f"{name}.")
        elif isinstance(module, LINEAR) and module is not head and not name.startswith(tuple(passed)):
            found.append(name)
    return found


def choose_layers(
    model: PreTrainedModel, wanted: tuple[str, ...], frozen: Collection[PartName] = SEEING
) -> list[str]:
    """The full names of the layers that `lora_target` means: `all`, or ends of names such as q_proj.

    Those of frozen parts are left out. Raises UserError with the names that exist when one of them matches nothing.
    """
    layers = linear_layers(model, frozen)
    if wanted == ("all",):
        return layers
    unknown = [name for name in wanted if not any(_ends_with(layer, name) for layer in layers)]
    if unknown:
        known = ", ".join(sorted({layer.rsplit(".", 1)[-1] for layer in layers}))
        raise UserError("lora_target_unknown", field="lora_target", names=", ".join(unknown), known=known)
    return [layer for layer in layers if any(_ends_with(layer, name) for name in wanted)]


def _ends_with(layer: str, name: str) -> bool:
    return layer == name or layer.endswith(f".{name}")


def new_adapter(
    model: PreTrainedModel, options: LoraOptions, dtype: torch.dtype, frozen: Collection[PartName] = SEEING
) -> PeftModel:
    """The model with a fresh LoRA adapter, whose weights are in `dtype`; only they are trainable.

    Raises UserError when there is no layer outside of the frozen parts.
    """
    layers = choose_layers(model, options.lora_target, frozen)
    if not layers:
        raise UserError("nothing_trains", field="freeze_language_model")
    config = LoraConfig(
        r=options.lora_rank,
        lora_alpha=options.lora_alpha or 2 * options.lora_rank,
        lora_dropout=options.lora_dropout,
        target_modules=sorted(_shortest(layers, [name for name, _ in model.named_modules()])),
        task_type="CAUSAL_LM",
    )
    adapted = get_peft_model(model, config, autocast_adapter_dtype=dtype == torch.float32)
    return adapted


def _shortest(layers: list[str], every: list[str]) -> set[str]:
    """Last parts of the names where these mean the same layers, else the full names; the former are readable."""
    short = {layer.rsplit(".", 1)[-1] for layer in layers}
    reached = [layer for layer in every if layer.rsplit(".", 1)[-1] in short]
    return short if len(reached) == len(layers) else set(layers)


def old_adapter(model: PreTrainedModel, path: Path, dtype: torch.dtype, *, trainable: bool) -> PeftModel:
    """The model with an adapter from a folder. Raises UserError when it is none or belongs to another base."""
    check_adapter(model, path)
    return PeftModel.from_pretrained(
        model, str(path), is_trainable=trainable, autocast_adapter_dtype=dtype == torch.float32
    )


def merge(model: PreTrainedModel, path: Path) -> PreTrainedModel:
    """The model with an adapter's changes added to its weights."""
    check_adapter(model, path)
    merged: PreTrainedModel = PeftModel.from_pretrained(model, str(path)).merge_and_unload(safe_merge=True)
    return merged


def read_adapter(path: Path) -> dict[str, object]:
    """An adapter's adapter_config.json. Raises UserError when the folder holds no adapter that can be loaded."""
    try:
        found = json.loads((path / "adapter_config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _no_adapter(path, "there is no adapter_config.json") from None
    except (OSError, ValueError):
        raise _no_adapter(path, "adapter_config.json cannot be read") from None
    if not isinstance(found, dict):
        raise _no_adapter(path, "adapter_config.json does not hold names with values")
    if not (path / WEIGHTS).is_file():
        raise _no_adapter(path, f"there is no {WEIGHTS}")
    return found


def _no_adapter(path: Path, reason: str) -> UserError:
    return UserError("adapter_missing", field="adapter_name_or_path", path=str(path), reason=reason)


def check_adapter(model: nn.Module, path: Path) -> None:
    """Raises UserError when the adapter in `path` does not fit the layers of `model`: it has another base."""
    base = str(read_adapter(path).get("base_model_name_or_path") or "?")
    modules = dict(model.named_modules())
    for name, side, shape in _shapes(path):
        layer = modules.get(name)
        weight = getattr(layer, "weight", None)
        if layer is None or weight is None:
            reason = f"this model has no layer {name}"
        else:
            rows, columns = _sides_of(layer, weight)
            have, need = (columns, shape[-1]) if side == "lora_A" else (rows, shape[0])
            if have == need:
                continue
            reason = f"{name} has {have} {'inputs' if side == 'lora_A' else 'outputs'} here, {need} there"
        raise UserError(
            "adapter_other_base", field="adapter_name_or_path", path=str(path), base=base, reason=reason
        )


def _sides_of(layer: nn.Module, weight: torch.Tensor) -> tuple[int, int]:
    """Outputs and inputs of a layer; weights in few bits are packed and do not show them."""
    if hasattr(layer, "in_features") and hasattr(layer, "out_features"):
        return int(layer.out_features), int(layer.in_features)  # type: ignore[arg-type]
    rows, columns = reversed(weight.shape) if isinstance(layer, Conv1D) else weight.shape
    return rows, columns


def _shapes(path: Path) -> Iterator[tuple[str, str, list[int]]]:
    """Layer, lora_A or lora_B, and shape of each matrix of an adapter, from the file's header alone."""
    try:
        with safe_open(path / WEIGHTS, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118  safe_open is no mapping
                for side in ("lora_A", "lora_B"):
                    if f".{side}." in key:
                        layer = key.split(f".{side}.")[0].removeprefix("base_model.model.")
                        yield layer, side, file.get_slice(key).get_shape()
    except (SafetensorError, OSError) as error:
        raise _no_adapter(path, str(error)) from error
