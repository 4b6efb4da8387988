"""Which optimiser a run has, and the check that it can be used here."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import torch
from peft.optimizers import create_loraplus_optimizer
from transformers import Trainer
from transformers.training_args import OptimizerNames, TrainingArguments

from trainer import device
from trainer.config import RunConfig
from trainer.errors import UserError
from trainer.events import Note
from trainer.train.low_rank import NAMED, Plan, make_low_rank, plan_of
from trainer.train.muon import make_muon

Make = Callable[[Any], torch.optim.Optimizer]
# Optimisers of packages outside of the tested set that ask for another loop than this one.
ANOTHER_LOOP = {
    "lomo": "the package lomo-optim updates weights inside a backward pass of its own",
    "adalomo": "the package lomo-optim updates weights inside a backward pass of its own",
    **dict.fromkeys(
        ("schedule_free_radam", "schedule_free_adamw", "schedule_free_sgd"),
        "the package schedulefree trains other weights than those that are to be evaluated and saved",
    ),
}
# Those that look into optim_args, by the beginnings of their names; transformers ignores them with any other.
READS_ARGUMENTS = (
    "galore", "apollo", "sgd", "adagrad", "rmsprop", "ademamix", "paged_ademamix", "adamw_anyprecision", "grokadamw",
    "adamw_torch_4bit", "adamw_torch_8bit", "stable_adamw",
)  # fmt: skip


def check_name(name: str) -> None:
    """Raises UserError, with the nearest name, for an optimiser that transformers does not know."""
    known = [each.value for each in OptimizerNames]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
        raise UserError("optim_unknown", field="optim", name=name, nearest=near)


def check(config: RunConfig, arguments: TrainingArguments) -> None:
    """Raises UserError when the optimiser that the options name cannot be used with the others or on this machine."""
    name = config.train.optim
    plan = plan_of(config)
    if plan is None:
        usable(arguments)
    elif plan.layerwise and arguments.fp16:
        raise UserError("layerwise_fp16", field="compute_type", method=plan.method)
    elif plan.layerwise and arguments.world_size > 1:
        raise UserError(
            "layerwise_processes", field="nproc_per_node", method=plan.method, count=arguments.world_size
        )
    for argument, read in (
        ("optim_args", name.startswith(READS_ARGUMENTS)), ("optim_target_modules", NAMED.fullmatch(name)),
    ):  # fmt: skip
        if config.extra.get(argument) and not read:
            raise UserError("optim_reads_none", field="extra", argument=argument, name=name)


def usable(arguments: TrainingArguments) -> tuple[Any, dict[str, Any]]:
    """The optimiser's class and its arguments. Raises UserError when a package that it needs is not there."""
    name = str(getattr(arguments.optim, "value", arguments.optim))
    if name in ANOTHER_LOOP:
        raise UserError("optim_package", field="optim", name=name, reason=ANOTHER_LOOP[name])
    try:
        kind, settings = Trainer.get_optimizer_cls_and_kwargs(arguments)
    except (ImportError, ValueError, RuntimeError) as error:
        raise UserError("optim_package", field="optim", name=name, reason=str(error)[:300]) from error
    if settings.get("is_paged") and not device.is_accelerated():
        # What is computed is the same; a processor has no other memory to move pages to.
        settings["is_paged"] = False
    return kind, settings


def chosen(config: RunConfig) -> Make | None:
    """What makes the optimiser for a trainer, where it is not simply the one that `optim` names."""
    plan = plan_of(config)
    if plan is not None:
        return lambda own: _low_rank(own, plan, config.train.optim)
    if config.optimizer.use_muon:
        return _muon
    ratio = config.lora.loraplus_lr_ratio
    if ratio and config.method.finetuning_type == "lora":
        rate = config.lora.loraplus_lr_embedding
        return lambda own: lora_plus(own.model, own.args, ratio, rate)
    return None


def notes(config: RunConfig) -> list[Note]:
    """What a person should know of the optimiser before it begins."""
    plan = plan_of(config)
    if plan is None or not plan.layerwise:
        return []
    return [Note(code="layerwise_no_norm", values={"method": plan.method})]


def _low_rank(own: Any, plan: Plan, optim: str) -> torch.optim.Optimizer:
    arguments = own.args
    settings: dict[str, Any] = {"lr": arguments.learning_rate}
    if plan.inner == "adafactor":
        settings |= {"scale_parameter": False, "relative_step": False}
    else:
        settings |= _adam(arguments)
    if plan.inner == "adamw_8bit":
        settings |= {"optim_bits": 8, "is_paged": optim.startswith("paged") and device.is_accelerated()}
    decayed = own.get_decay_parameter_names(own.model)
    return make_low_rank(own.model, plan, settings, arguments.weight_decay, decayed)


def _muon(own: Any) -> torch.optim.Optimizer:
    arguments, model = own.args, own.model
    decayed = own.get_decay_parameter_names(model)
    return make_muon(model, arguments.learning_rate, arguments.weight_decay, _adam(arguments), decayed)


def _adam(arguments: TrainingArguments) -> dict[str, Any]:
    return {"betas": (arguments.adam_beta1, arguments.adam_beta2), "eps": arguments.adam_epsilon}


def lora_plus(
    model: Any, arguments: TrainingArguments, ratio: float, embedding_rate: float = 1e-6
) -> torch.optim.Optimizer:
    """The named optimiser with a learning rate `ratio` times as high for the matrices B, and one of their own for
    adapters on embeddings: https://arxiv.org/abs/2402.12354
    """
    kind, settings = usable(arguments)
    optimizer: torch.optim.Optimizer = create_loraplus_optimizer(
        model, kind, lr=settings.pop("lr"), loraplus_lr_ratio=ratio,
        loraplus_lr_embedding=embedding_rate, loraplus_weight_decay=arguments.weight_decay, **settings,
    )  # fmt: skip
    return optimizer
