"""What moves the gradients of a run over several processes: DDP, DeepSpeed or FSDP2, in the words of transformers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import accelerate.utils.other
from accelerate.utils.imports import is_deepspeed_available

from trainer import device
from trainer.config import RunConfig
from trainer.errors import UserError

Name = Literal["one", "ddp", "deepspeed", "fsdp"]


@dataclass(frozen=True)
class Engine:
    """`settings` are DeepSpeed's, or transformers' `fsdp_config`."""

    name: Name = "one"
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stage(self) -> int:
        """DeepSpeed's ZeRO stage; 0 without it."""
        zero = self.settings.get("zero_optimization") if self.name == "deepspeed" else None
        return int(zero.get("stage", 0)) if isinstance(zero, dict) else 0

    @property
    def splits_weights(self) -> bool:
        """Whether no process holds all weights while training: whatever computes, all must take part."""
        return self.name == "fsdp" or self.stage == 3

    @property
    def loads_split(self) -> bool:
        """Whether weights are split up as soon as they are read."""
        return self.stage == 3

    def arguments(self, checkpointing: bool, adapted: bool = False) -> dict[str, Any]:
        """The arguments of transformers' trainer that say so; `adapted` where an adapter is what is trained."""
        if self.name == "one":
            return {}
        # Everything is set up already; making arguments would take the processes apart again.
        found: dict[str, Any] = {"accelerator_config": {"use_configured_state": True}}
        if self.name == "ddp":
            return found
        found["use_cpu"] = False
        if self.name == "deepspeed":
            return {**found, "deepspeed": json.loads(json.dumps(dict(self.settings)))}
        wanted = checkpointing or bool(self.settings.get("activation_checkpointing"))
        # FSDP's own way wraps layers under other names, by which PEFT does not find an adapter when it is saved.
        settings = {**self.settings, "activation_checkpointing": wanted and not adapted}
        switches = {
            "gradient_checkpointing": adapted,
            "activation_checkpointing": adapted,
            "activation_checkpointing_kwargs": {"use_reentrant": False} if adapted else None,
        }
        return {**found, **(switches if wanted else {}), "fsdp": True, "fsdp_config": settings}


def engine_of(config: RunConfig, processes: int | None) -> Engine:
    """The engine of so many processes, whose settings a config holds as JSON; None: this one was started by itself."""
    if processes is None:
        return Engine()
    wanted = config.distributed
    if wanted.deepspeed:
        return Engine("deepspeed", json.loads(wanted.deepspeed))
    if wanted.fsdp != "none" and processes > 1:
        return Engine("fsdp", _fsdp(config))
    return Engine("ddp")


def _fsdp(config: RunConfig) -> dict[str, Any]:
    wanted = config.distributed
    own = json.loads(wanted.fsdp_config) if wanted.fsdp_config.strip() else {}
    return {
        "reshard_after_forward": wanted.fsdp == "full_shard",
        "cpu_offload": wanted.fsdp_offload,
        **{name.removeprefix("fsdp_"): value for name, value in own.items()},
        # Version 1 goes with the next transformers, and a result is always written whole.
        "version": 2,
        "state_dict_type": "FULL_STATE_DICT",
    }


def spare_deepspeed(engine: Engine) -> None:
    """Keeps accelerate from importing DeepSpeed, which takes seconds, to look whether a model is one of its engines."""
    used = engine.name == "deepspeed"
    accelerate.utils.other.is_deepspeed_available = is_deepspeed_available if used else lambda: False  # type: ignore[assignment]


def require_fitting(config: RunConfig, engine: Engine) -> None:
    """Raises UserError for a method that needs whole weights or gradients, which the engine shares out."""
    optimizer = config.optimizer
    shares = engine.name == "fsdp" or engine.stage > 0
    for name in ("use_galore", "use_apollo", "use_muon"):
        if getattr(optimizer, name) and shares:
            reason = "its optimiser looks at whole gradients, of which each process holds a share"
            raise UserError("engine_excludes", field=name, name=name, engine=engine.name, reason=reason)
    kind = config.method.compute_type
    if kind == "bf16" and engine.name in ("deepspeed", "fsdp") and not device.is_accelerated():
        reason = "without an accelerator it computes in fp32 alone"
        raise UserError(
            "engine_excludes",
            field="compute_type",
            name=f"compute_type {kind}",
            engine=engine.name,
            reason=reason,
        )
    if config.lora.pissa_init and engine.splits_weights:
        reason = "it begins with a decomposition of whole weights, of which each process holds a share"
        raise UserError(
            "engine_excludes", field="pissa_init", name="pissa_init", engine=engine.name, reason=reason
        )


# From the beginning: transformers asks when it saves a model, too.
spare_deepspeed(Engine())


def place(model: Any, engine: Engine) -> None:
    """The model onto the accelerator, unless the engine brings it there in parts."""
    if device.is_accelerated() and not engine.splits_weights:
        model.to(device.current())


def keep_used_names(model: Any) -> None:
    """Leaves a model only the changes of names that its file needed, so that it is saved under the names it came with.

    transformers does so itself, but not where DeepSpeed splits up the weights as they are read.
    """
    known = getattr(model, "_weight_conversions", None)
    if known:
        model._weight_conversions = [each for each in known if each.was_used()]


def without_tied(model: Any, weights: dict[str, Any] | None) -> dict[str, Any] | None:
    """Gathered weights without those that are the same as others, as a file has them."""
    if weights is None:
        return None
    tied = getattr(model, "all_tied_weights_keys", None) or {}
    return {name: each for name, each in weights.items() if tied.get(name) not in weights}
