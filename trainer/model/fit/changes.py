"""The cheapest changes that would make a run fit: first those that cost time only, then those that cost the result."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

from trainer.config import RunConfig
from trainer.errors import UserError
from trainer.model.fit.weighing import Change, Fit, Machine

Values = dict[str, Any]
Step = Callable[[RunConfig, Machine], Values]
MOST = 3
_SHORTEST = 512


def _checkpointing(config: RunConfig, machine: Machine) -> Values:
    return {} if config.model.gradient_checkpointing == "on" else {"gradient_checkpointing": "on"}


def _half(config: RunConfig, machine: Machine) -> Values:
    """A smaller micro-batch with as many rows a step."""
    size, steps = config.train.per_device_train_batch_size, config.train.gradient_accumulation_steps
    if size == 1:
        return {}
    smaller = size // 2 if size % 2 == 0 else 1
    return {"per_device_train_batch_size": smaller, "gradient_accumulation_steps": steps * (size // smaller)}


def _single(config: RunConfig, machine: Machine) -> Values:
    size, steps = config.train.per_device_train_batch_size, config.train.gradient_accumulation_steps
    if size == 1:
        return {}
    return {"per_device_train_batch_size": 1, "gradient_accumulation_steps": steps * size}


def _liger(config: RunConfig, machine: Machine) -> Values:
    if config.model.enable_liger_kernel or not machine.accelerated or not _has("liger_kernel"):
        return {}
    return {"enable_liger_kernel": True}


def _attention(config: RunConfig, machine: Machine) -> Values:
    return {"flash_attn": "auto"} if config.model.flash_attn == "disabled" else {}


def _share(config: RunConfig, machine: Machine) -> Values:
    """ZeRO-3, where there are several devices and no other engine."""
    distributed = config.distributed
    if (
        len(machine.free) < 2
        or distributed.fsdp != "none"
        or distributed.deepspeed
        or distributed.ds_stage == "3"
    ):
        return {}
    return {"ds_stage": "3"}


def _offload(config: RunConfig, machine: Machine) -> Values:
    distributed = config.distributed
    if (
        not machine.accelerated
        or distributed.deepspeed
        or distributed.fsdp != "none"
        or not _has("deepspeed")
    ):
        return {}
    alone = config.optimizer
    if alone.use_galore or alone.use_apollo or config.model.quantization_bit != "none":
        return {}
    return {} if distributed.ds_offload else {"ds_stage": "3", "ds_offload": True}


def _small_optimizer(config: RunConfig, machine: Machine) -> Values:
    """AdamW's moments in 8 bits, where they are what is large."""
    whole = config.method.finetuning_type in ("full", "freeze")
    plain = config.train.optim in ("adamw_torch", "adamw_torch_fused", "adamw_hf")
    if not (whole and plain and machine.accelerated and _has("bitsandbytes")):
        return {}
    return {"optim": "adamw_8bit"}


def _bits(count: str) -> Step:
    def quantize(config: RunConfig, machine: Machine) -> Values:
        adapter = config.method.finetuning_type in ("lora", "oft")
        now = config.model.quantization_bit
        if (
            not adapter
            or not _has("bitsandbytes")
            or now not in ("none", "8")
            or now == count
            or config.lora.pissa_init
        ):
            return {}
        return {"quantization_bit": count}

    return quantize


def _pure(config: RunConfig, machine: Machine) -> Values:
    whole = config.method.finetuning_type in ("full", "freeze")
    return (
        {"compute_type": "pure_bf16"}
        if whole and config.method.compute_type != "pure_bf16" and machine.has_bf16
        else {}
    )


def _adapter(config: RunConfig, machine: Machine) -> Values:
    if config.method.finetuning_type not in ("full", "freeze"):
        return {}
    others = {"use_galore": False, "use_apollo": False, "use_muon": False}
    used = {name: value for name, value in others.items() if getattr(config.optimizer, name)}
    return {"finetuning_type": "lora", **used}


def _some_layers(config: RunConfig, machine: Machine) -> Values:
    return {"finetuning_type": "freeze"} if config.method.finetuning_type == "full" else {}


def _shorter(config: RunConfig, machine: Machine) -> Values:
    shorter = config.data.cutoff_len // 2
    return {"cutoff_len": shorter} if shorter >= _SHORTEST else {}


# By how little they cost: nothing, time, a little of the result, more of it, rows.
_STEPS: tuple[Step, ...] = (
    _attention, _liger, _half, _checkpointing, _single, _share, _small_optimizer, _bits("8"), _bits("4"), _offload,
    _pure, _adapter, _some_layers, _shorter,
)  # fmt: skip


def cheapest(config: RunConfig, machine: Machine, weigh: Callable[[RunConfig], Fit]) -> tuple[Change, ...]:
    """At most three changes, each of which is enough by itself; of several options where no single one is enough."""
    found: list[Change] = []
    for values in _candidates(config, machine, weigh):
        if any(set(each.values.items()) <= set(values.items()) for each in found):
            continue
        fitting = _weighed(config, values, weigh)
        if fitting is not None and fitting.fits:
            found.append(Change(values, fitting.need))
        if len(found) == MOST:
            break
    return tuple(found)


def _candidates(config: RunConfig, machine: Machine, weigh: Callable[[RunConfig], Fit]) -> Iterator[Values]:
    """Each step alone, then each with as many of those before it as it takes."""
    for step in _STEPS:
        if values := step(config, machine):
            yield values
    collected: list[Step] = []
    for step in _STEPS:
        collected.append(step)
        values, needed = _together(config, machine, collected)
        if len(needed) > 1 and (fitting := _weighed(config, values, weigh)) and fitting.fits:
            yield _pruned(config, machine, needed, weigh)


def _together(config: RunConfig, machine: Machine, steps: list[Step]) -> tuple[Values, list[Step]]:
    """The values of several steps, one after another, and those of the steps that change something."""
    values: Values = {}
    used = []
    changed = config
    for step in steps:
        if more := step(changed, machine):
            after = _changed(config, {**values, **more})
            if after is not None:
                values, changed = {**values, **more}, after
                used.append(step)
    return values, used


def _pruned(
    config: RunConfig, machine: Machine, steps: list[Step], weigh: Callable[[RunConfig], Fit]
) -> Values:
    """Without the steps that are not needed, the dearest first; the last one stays."""
    for step in reversed(steps[:-1]):
        fewer = [each for each in steps if each is not step]
        values, used = _together(config, machine, fewer)
        fitting = _weighed(config, values, weigh) if used and used[-1] is steps[-1] else None
        if fitting is not None and fitting.fits:
            steps = fewer
    return _together(config, machine, steps)[0]


def _weighed(config: RunConfig, values: Values, weigh: Callable[[RunConfig], Fit]) -> Fit | None:
    changed = _changed(config, values)
    return weigh(changed) if changed is not None else None


def _changed(config: RunConfig, values: Values) -> RunConfig | None:
    """None where the changed options would contradict others."""
    try:
        return config.with_values(**values)
    except UserError:
        return None


def _has(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
