"""The model of a run, ready to be trained: base, adapters, what is trainable, in which format."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers.modeling_utils import PreTrainedModel

from trainer import device
from trainer.config import RunConfig
from trainer.errors import UserError
from trainer.events import Note
from trainer.model.adapter import merge, new_adapter, old_adapter, read_adapter
from trainer.model.load import Precision, load_model
from trainer.model.parts import (
    PART_NAMES,
    PEFT_PREFIX,
    PartName,
    Parts,
    Share,
    frozen_parts,
    parts_of,
    shares,
)
from trainer.train.attention import Rows, why_not_by_row
from trainer.train.collation import Collator, Flattened, Padded, untrained
from trainer.train.engine import Engine, keep_used_names, place
from trainer.train.seeing import Eyes
from trainer.train.shallow import shallow

# In bf16 a CPU prepares its kernels anew for each length: rounding up to this made steps a fifth quicker.
BF16_MULTIPLE = 256
FLASH = {"fa2": ("flash_attention_2", "flash_attn"), "fa3": ("flash_attention_3", "flash_attn_interface")}


class Prepared(NamedTuple):
    """A model (PEFT's for LoRA) and what the person should know of how it came about."""

    model: Any
    notes: list[Note]


def attention_of(choice: str) -> str:
    """transformers' name for an option's value. Raises UserError for a kernel that this machine does not have."""
    if choice == "disabled":
        return "eager"
    if choice == "auto":
        name, package = FLASH["fa2"]
        return name if device.is_accelerated() and importlib.util.find_spec(package) else "sdpa"
    if choice in FLASH:
        name, package = FLASH[choice]
        if not device.is_accelerated() or not importlib.util.find_spec(package):
            raise UserError("flash_not_installed", field="flash_attn", value=choice, package=package)
        return name
    return choice


def prepare_model(
    config: RunConfig, path: Path, precision: Precision, engine: Engine | None = None
) -> Prepared:
    """Loads the base onto the device, and adds what is trained."""
    full = config.method.finetuning_type == "full"
    dtype = precision.trainable if full else precision.frozen
    attention = attention_of(config.model.flash_attn)
    adapters = [Path(each) for each in config.model.adapter_name_or_path]
    for adapter in adapters:
        read_adapter(adapter)
    model = load_model(path, dtype, attention=attention, trust=config.model.trust_remote_code)
    keep_used_names(model)
    place(model, engine or Engine())
    parts = parts_of(model)
    frozen = frozen_parts(config.method) if parts.vision_tower else frozenset()
    if full:
        _train_all_but(model, parts, frozen)
        return Prepared(model, _shares_note(model, parts))
    notes = [_base_note(adapter, path) for adapter in adapters]
    merged = adapters if config.lora.create_new_adapter else adapters[:-1]
    for adapter in merged:
        model = merge(model, adapter)
        notes.append(Note(code="adapter_merged", values={"path": str(adapter)}))
    if len(merged) == len(adapters):
        adapted = new_adapter(model, config.lora, precision.trainable, frozen)
    else:
        adapted = old_adapter(model, adapters[-1], precision.trainable, trainable=True)
        rank = int(getattr(adapted.peft_config["default"], "r", 0))
        notes.append(Note(code="adapter_continued", values={"path": str(adapters[-1]), "rank": rank}))
        _freeze(adapted, parts, frozen)
    return Prepared(adapted, [*(note for note in notes if note), *_shares_note(adapted, parts)])


def _base_note(adapter: Path, model: Path) -> Note | None:
    """A hint when an adapter that fits was trained on a model of another name."""
    base = str(read_adapter(adapter).get("base_model_name_or_path") or "")
    if (
        not base
        or base == str(model)
        or Path(base).name == model.name
        or Path(base).resolve() == model.resolve()
    ):
        return None
    values: dict[str, str | int | float] = {"path": str(adapter), "base": base, "model": str(model)}
    return Note(code="adapter_base_differs", values=values, level="warning")


def _train_all_but(model: PreTrainedModel, parts: Parts, frozen: frozenset[PartName]) -> None:
    """Raises UserError when nothing is left to train."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(parts.part_of(name) not in frozen)
    if not any(each.requires_grad for each in model.parameters()):
        raise UserError("nothing_trains", field="freeze_language_model")


def _freeze(model: Any, parts: Parts, frozen: frozenset[PartName]) -> None:
    """An adapter that is trained further may have layers in parts that shall stay as they are."""
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and parts.part_of(name.removeprefix(PEFT_PREFIX)) in frozen:
            parameter.requires_grad_(False)
    if not any(each.requires_grad for each in model.parameters()):
        raise UserError("nothing_trains", field="freeze_language_model")


def _shares_note(model: Any, parts: Parts) -> list[Note]:
    """Which parts are trained, and how many of their parameters; nothing for a model of text."""
    if not parts.vision_tower:
        return []
    values: dict[str, str | int | float] = {}
    for name in PART_NAMES:
        share = shares(model, parts).get(name, Share(0, 0))
        values[name], values[f"{name}_all"] = share.trained, share.all
    return [Note(code="parts_trained", values=values)]


class Batches(NamedTuple):
    """How rows become batches, and why they are padded if they are."""

    collator: Collator
    padded_because: str


def choose_batches(
    model: Any,
    pad_id: int,
    precision: Precision,
    eyes: Eyes | None = None,
    rows: Rows = (),
    engine: Engine | None = None,
) -> Batches:
    """Flattened batches where the model keeps the rows apart, else padded ones.

    A vision model has `eyes`, and is tried with `rows` that show pictures.
    """
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    multiple = BF16_MULTIPLE if precision.frozen == torch.bfloat16 and not device.is_accelerated() else 1
    implementation = base.config._attn_implementation
    # What flash-attention's kernels read about rows would reach the part that sees, too.
    if implementation.startswith("flash_attention") and not eyes:
        return Batches(Flattened(pad_id, flash=True), "")
    if implementation == "eager":
        reason = "flash_attn is disabled."
    else:
        if engine is not None and engine.loads_split:
            base = shallow(base)
        reason = why_not_by_row(base, precision.autocast, eyes, rows)
        if reason and eyes:
            eyes.blocks = True
            reason = why_not_by_row(base, precision.autocast, eyes, rows) and reason
    together = engine is not None and engine.name != "one" and rows
    picture = untrained(next(row for row in rows if row.media)) if together else None
    if reason:
        return Batches(Padded(pad_id, eyes, picture), reason)
    return Batches(Flattened(pad_id, multiple, eyes=eyes, picture=picture), "")
