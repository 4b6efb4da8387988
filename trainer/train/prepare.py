"""The model of a run, ready to be trained: base, adapters, what is trainable, in which format."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers.modeling_utils import PreTrainedModel

from trainer.config import RunConfig
from trainer.errors import UserError
from trainer.events import Note
from trainer.model.adapter import merge, new_adapter, old_adapter, read_adapter
from trainer.model.load import Precision, has_gpu, load_model
from trainer.train.attention import why_not_by_row
from trainer.train.collation import Collator, Flattened, Padded

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
        return name if has_gpu() and importlib.util.find_spec(package) else "sdpa"
    if choice in FLASH:
        name, package = FLASH[choice]
        if not has_gpu() or not importlib.util.find_spec(package):
            raise UserError("flash_not_installed", field="flash_attn", value=choice, package=package)
        return name
    return choice


def prepare_model(config: RunConfig, path: Path, precision: Precision) -> Prepared:
    """Loads the base onto the device, and adds what is trained."""
    full = config.method.finetuning_type == "full"
    dtype = precision.trainable if full else precision.frozen
    attention = attention_of(config.model.flash_attn)
    adapters = [Path(each) for each in config.model.adapter_name_or_path]
    for adapter in adapters:
        read_adapter(adapter)
    model = load_model(path, dtype, attention=attention, trust=config.model.trust_remote_code)
    if has_gpu():
        model.to(torch.device("cuda"))  # type: ignore[arg-type]
    if full:
        _train_language_part(model)
        return Prepared(model, [])
    notes = [_base_note(adapter, path) for adapter in adapters]
    merged = adapters if config.lora.create_new_adapter else adapters[:-1]
    for adapter in merged:
        model = merge(model, adapter)
        notes.append(Note(code="adapter_merged", values={"path": str(adapter)}))
    if len(merged) == len(adapters):
        adapted = new_adapter(model, config.lora, precision.trainable)
    else:
        adapted = old_adapter(model, adapters[-1], precision.trainable, trainable=True)
        rank = int(getattr(adapted.peft_config["default"], "r", 0))
        notes.append(Note(code="adapter_continued", values={"path": str(adapters[-1]), "rank": rank}))
    return Prepared(adapted, [note for note in notes if note])


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


def _train_language_part(model: PreTrainedModel) -> None:
    """Full fine-tuning trains the language model; an image encoder stays as it is."""
    if not hasattr(model, "get_decoder"):
        return
    head = model.get_output_embeddings()
    parts = [model.get_decoder(), *([head] if head is not None else [])]
    trained = {id(parameter) for part in parts for parameter in part.parameters()}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in trained)


class Batches(NamedTuple):
    """How rows become batches, and why they are padded if they are."""

    collator: Collator
    padded_because: str


def choose_batches(model: Any, pad_id: int, precision: Precision) -> Batches:
    """Flattened batches where the model keeps the rows apart, else padded ones."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    multiple = BF16_MULTIPLE if precision.frozen == torch.bfloat16 and not has_gpu() else 1
    implementation = base.config._attn_implementation
    if implementation.startswith("flash_attention"):
        return Batches(Flattened(pad_id, flash=True), "")
    reason = (
        "flash_attn is disabled." if implementation == "eager" else why_not_by_row(base, precision.autocast)
    )
    return Batches(Padded(pad_id), reason) if reason else Batches(Flattened(pad_id, multiple), "")
