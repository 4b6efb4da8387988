"""The model of a run, ready to be trained: base, adapters, what is trainable, in which format."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from transformers.modeling_utils import PreTrainedModel

from trainer import device
from trainer.config import RunConfig
from trainer.errors import UserError
from trainer.events import Note
from trainer.model import oft
from trainer.model.adapter import merge, new_adapter, old_adapter, read_adapter
from trainer.model.adapter_files import kind_of
from trainer.model.layers import ALL, choose_experts, expert_weights
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
from trainer.model.quantization import is_quantized
from trainer.model.vocabulary import Words
from trainer.options import WHOLE_METHODS
from trainer.train.attention import Rows, why_not_by_row
from trainer.train.casting import upcast_logits, upcast_norms
from trainer.train.collation import Collator, Flattened, Padded, untrained
from trainer.train.engine import Engine, keep_used_names, place
from trainer.train.frozen import train_some
from trainer.train.kernels import attention_note, choose_attention
from trainer.train.seeing import Eyes
from trainer.train.shallow import shallow
from trainer.train.shaping import Shaping, train_words
from trainer.train.squeezed import chosen_quantization, require_no_merge, size_note

# In bf16 a CPU prepares its kernels anew for each length: rounding up to this made steps a fifth quicker.
BF16_MULTIPLE = 256


class Prepared(NamedTuple):
    """A model (PEFT's for LoRA) and what the person should know of how it came about."""

    model: Any
    notes: list[Note]


def prepare_model(
    config: RunConfig,
    path: Path,
    precision: Precision,
    checkpoint: Path | None = None,
    words: Words | None = None,
    engine: Engine | None = None,
) -> Prepared:
    """Loads the base onto the device, and adds what is trained; `checkpoint` is the one that a run goes on from.

    `words` are the tokenizer's, to which the base is fitted where the config asks for it.
    """
    attention, notes = choose_attention(config.model.flash_attn, precision)
    quantization, told = chosen_quantization(config, path)
    method = config.method.finetuning_type
    dtype = precision.trainable if method == "full" else precision.frozen
    for adapter in config.model.adapter_name_or_path:
        read_adapter(Path(adapter))
    shaping = Shaping(config, words)
    model = load_model(
        path, dtype, attention=attention, trust=config.model.trust_remote_code, quantization=quantization,
        shape=shaping.positions, scratch=config.model.train_from_scratch,
    )  # fmt: skip
    whole = shaping.vocabulary(model)
    notes += shaping.notes
    keep_used_names(model)
    if not is_quantized(model):
        place(model, engine or Engine())
    notes += [attention_note(model), *told, *size_note(model)]
    if method in WHOLE_METHODS:
        prepared = _whole(config, model, precision, whole)
    else:
        prepared = _adapted(config, model, path, precision, checkpoint, whole)
    if config.model.upcast_layernorm:
        count = upcast_norms(prepared.model)
        notes.append(Note(code="norms_in_fp32", values={"count": count}))
    if config.model.upcast_lmhead_output:
        upcast_logits(prepared.model)
    return Prepared(prepared.model, [*notes, *prepared.notes])


def _whole(
    config: RunConfig, model: PreTrainedModel, precision: Precision, words: tuple[str, ...]
) -> Prepared:
    """The model itself, with all or some of its weights trainable, the modules of new `words` among them."""
    parts = parts_of(model)
    frozen = frozen_parts(config.method) if parts.vision_tower else frozenset()
    if config.method.finetuning_type == "freeze":
        note = train_some(model, config.method, parts, frozen, precision.trainable)
        train_words(model, words, precision.trainable)
        return Prepared(model, [note, *_shares_note(model, parts)])
    _train_all_but(model, parts, frozen)
    return Prepared(model, _shares_note(model, parts))


def _adapted(
    config: RunConfig,
    model: PreTrainedModel,
    path: Path,
    precision: Precision,
    checkpoint: Path | None,
    whole: tuple[str, ...],
) -> Prepared:
    """The model with an adapter, new or continued, that alone is trained; `whole` are modules beside a new one."""
    adapters = [Path(each) for each in config.model.adapter_name_or_path]
    parts = parts_of(model)
    frozen = frozen_parts(config.method) if parts.vision_tower else frozenset()
    notes = [_base_note(adapter, path) for adapter in adapters]
    merged = adapters if config.lora.create_new_adapter else adapters[:-1]
    require_no_merge(model, merged)
    for adapter in merged:
        model = merge(model, adapter)
        notes.append(Note(code="adapter_merged", values={"path": str(adapter)}))
    if len(merged) == len(adapters):
        kind: Literal["lora", "oft"] = "oft" if config.method.finetuning_type == "oft" else "lora"
        notes.append(_experts_note(config, model, frozen))
        adapted = new_adapter(
            model, config.lora, precision.trainable, frozen, kind=kind, whole=whole, checkpoint=checkpoint,
            expanded=config.method.freeze_trainable_layers if config.method.use_llama_pro else None,
        )  # fmt: skip
        notes += oft.notes(adapted)
    else:
        adapted = old_adapter(model, adapters[-1], precision.trainable, trainable=True)
        notes.append(_continued_note(adapters[-1], adapted))
        _freeze(adapted, parts, frozen)
    return Prepared(adapted, [*(note for note in notes if note), *_shares_note(adapted, parts)])


def _continued_note(path: Path, adapted: Any) -> Note:
    if kind_of(read_adapter(path)) == "OFT":
        return Note(code="adapter_continued_oft", values={"path": str(path)})
    rank = int(getattr(adapted.peft_config["default"], "r", 0))
    return Note(code="adapter_continued", values={"path": str(path), "rank": rank})


def _experts_note(config: RunConfig, model: PreTrainedModel, frozen: frozenset[PartName]) -> Note | None:
    """A mixture's experts, which are no layers, are not among all layers."""
    field = "oft_target" if config.method.finetuning_type == "oft" else "lora_target"
    wanted, experts = getattr(config.lora, field), expert_weights(model, frozen)
    if not experts or not set(wanted) & set(ALL) or choose_experts(model, wanted, frozen):
        return None
    count = sum(model.get_parameter(name).numel() for name in experts)
    names = ", ".join(sorted({name.rpartition(".")[2] for name in experts}))
    code = "experts_left" if field == "lora_target" else "experts_left_oft"
    return Note(code=code, values={"count": f"{count:,}", "names": names}, level="warning")


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
    # A family for which torch has no kernel, such as Gemma 2, is no choice of the person.
    if implementation == "eager" and getattr(base, "_supports_sdpa", True):
        reason = "its attention is computed in full (eager)."
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
