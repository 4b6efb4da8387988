"""Options that are right by themselves and exclude each other."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import TYPE_CHECKING

from trainer.contradictions_of_methods import complain_of_methods, engine_of, zero_stage
from trainer.errors import UserError
from trainer.options import EXPORT_FORMATS, GGUF_TYPES, WHOLE_METHODS
from trainer.values import ROW_PROMPT, named_row, short

if TYPE_CHECKING:
    from trainer.config import RunConfig

MOST_PROMPTS = 3
LOW_RANK = {"galore": "GaLore", "apollo": "APOLLO"}


def contradictions(config: RunConfig, wrong: set[str]) -> list[UserError]:
    """Options that exclude each other. Those in `wrong` have been complained of already."""
    train, data = config.train, config.data
    # Rows that were rendered before may bring a part for evaluation.
    held_back = data.val_size > 0 or bool(data.eval_dataset) or bool(data.tokenized_path)
    found: list[UserError] = []

    def complain(field_name: str, code: str, **values: str | int | float) -> None:
        if field_name not in wrong:
            found.append(UserError(code, field=field_name, **values))

    for name in ("learning_rate", "num_train_epochs"):
        if getattr(train, name) == 0:
            complain(name, "option_not_positive", name=name, value=0)
    if train.eval_strategy != "no" and not held_back:
        complain("eval_strategy", "eval_without_rows", value=train.eval_strategy)
    if data.val_size > 0 and data.eval_dataset:
        complain("val_size", "eval_rows_twice")
    for name in ("do_eval", "do_predict"):
        if config.task == "train" and getattr(config.evaluate, name) and not held_back:
            complain(name, "evaluate_after_without_rows", name=name)
    if train.load_best_model_at_end and train.eval_strategy == "no":
        complain("load_best_model_at_end", "best_without_eval")
    every = train.eval_steps or train.logging_steps
    if (
        train.load_best_model_at_end
        and train.eval_strategy == "steps"
        and every >= 1
        and train.save_steps % every
    ):
        better = int(every) * max(1, round(train.save_steps / every))
        complain(
            "save_steps", "best_steps", save_steps=train.save_steps, eval_steps=int(every), better=better
        )
    if train.max_steps == 0:
        complain("max_steps", "option_not_positive", name="max_steps", value=0)
    if len(train.learn_prompts) > MOST_PROMPTS:
        complain("learn_prompts", "too_many_prompts", count=len(train.learn_prompts), most=MOST_PROMPTS)
    for prompt in train.learn_prompts:
        if prompt.strip().lower().startswith(ROW_PROMPT) and not named_row(prompt)[0]:
            complain("learn_prompts", "learn_row_unknown", value=short(prompt))
    if data.mask_history and data.train_on_prompt:
        complain("mask_history", "option_twice", name="mask_history", other="train_on_prompt")
    _complain_of_optimizers(config, complain)
    _complain_of_data(config, complain)
    _complain_of_formats(config, complain)
    complain_of_methods(config, complain)
    method = config.method.finetuning_type
    if config.task == "train" and method in WHOLE_METHODS and config.model.adapter_name_or_path:
        complain("adapter_name_or_path", "adapter_with_full", method=method)
    return found


def _complain_of_optimizers(config: RunConfig, complain: Callable[..., None]) -> None:
    """Optimisers that are not for this method, or not together; losses likewise."""
    own, train, many = config.optimizer, config.train, config.distributed
    methods = {"use_galore": own.use_galore, "use_apollo": own.use_apollo, "use_muon": own.use_muon}
    first, *others = [name for name, wanted in methods.items() if wanted] or [""]
    if first and config.method.finetuning_type == "lora" and config.lora.loraplus_lr_ratio:
        others.append("loraplus_lr_ratio")
    for other in others:
        complain(other, "optimizers_exclude", name=first, other=other)
    projected = first in ("use_galore", "use_apollo")
    if projected and config.method.finetuning_type not in ("full", "freeze"):
        method, value = first.removeprefix("use_"), config.method.finetuning_type
        complain("finetuning_type", "low_rank_with_adapter", method=LOW_RANK[method], value=value)
    if first == "use_muon" and train.optim not in ("adamw_torch", "adamw_torch_fused"):
        complain("optim", "muon_optim", name=train.optim)
    engine = engine_of(config).lower()
    # ZeRO-0 shares nothing out.
    if first and engine and not (engine == "deepspeed" and zero_stage(config) == 0):
        complain(first, "optimizer_engine", name=first, engine=engine)
    for name, layerwise in (("galore", own.galore_layerwise), ("apollo", own.apollo_layerwise)):
        if not (layerwise and first == f"use_{name}"):
            continue
        if train.gradient_accumulation_steps != 1:
            count = train.gradient_accumulation_steps
            complain(
                "gradient_accumulation_steps", "layerwise_accumulates", method=LOW_RANK[name], count=count
            )
        if (many.nproc_per_node or 1) > 1:
            complain(
                "nproc_per_node", "layerwise_processes", method=LOW_RANK[name], count=many.nproc_per_node
            )
    if train.early_stopping_steps and train.eval_strategy == "no":
        complain("early_stopping_steps", "early_without_eval")
    if config.method.use_dft_loss and config.extra.get("label_smoothing_factor"):
        complain("use_dft_loss", "dft_with_smoothing")
    if config.method.use_dft_loss and config.extra.get("loss_type", "dft") != "dft":
        complain("use_dft_loss", "option_twice", name="use_dft_loss", other="loss_type")


def _complain_of_data(config: RunConfig, complain: Callable[..., None]) -> None:
    """What mixing, streaming and pictures ask of each other."""
    data = config.data
    if data.interleave_probs:
        if data.mix_strategy == "concat":
            complain("interleave_probs", "probs_without_turns")
        elif len(data.interleave_probs) != len(data.dataset):
            count, datasets = len(data.interleave_probs), len(data.dataset)
            complain("interleave_probs", "probs_count", count=count, datasets=datasets)
        elif not _are_shares(data.interleave_probs):
            complain("interleave_probs", "probs_wrong", value=", ".join(data.interleave_probs))
    # Only a training has no end by itself.
    if data.streaming and config.task == "train":
        if config.train.max_steps <= 0:
            complain("max_steps", "streaming_without_steps")
        if data.max_samples is not None:
            complain("max_samples", "streaming_excludes", name="max_samples")
    if data.streaming and 0 < data.val_size < 1:
        complain("val_size", "streaming_share", value=data.val_size)
    for kind in ("image", "video"):
        least, most = getattr(data, f"{kind}_min_pixels"), getattr(data, f"{kind}_max_pixels")
        if least > most:
            complain(f"{kind}_max_pixels", "pixels_crossed", kind=kind, least=least, most=most)


def _complain_of_formats(config: RunConfig, complain: Callable[..., None]) -> None:
    """Formats of an export that there are not."""
    known = {"export_format": EXPORT_FORMATS, "gguf_type": GGUF_TYPES}
    for name, allowed in known.items():
        for value in getattr(config.export, name):
            if value.lower() not in allowed:
                near = difflib.get_close_matches(value.lower(), allowed, n=1, cutoff=0.0)
                nearest = near[0] if near else allowed[0]
                complain(
                    name, f"{name}_unknown", value=short(value), known=", ".join(allowed), nearest=nearest
                )


def _are_shares(words: tuple[str, ...]) -> bool:
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        return False
    return all(0 <= number < float("inf") for number in numbers) and sum(numbers) > 0
