"""How several devices share a run's memory, by the engine that runs them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.config import RunConfig


@dataclass(frozen=True)
class Engine:
    """`devices` in all, `local` of them on this machine. Each of the others says what is shared out, or lies on the host.

    `master`: trained weights are kept in 32 bits beside the optimiser, as DeepSpeed does in bf16 and fp16.
    """

    name: str = ""
    devices: int = 1
    local: int = 1
    weights: bool = False
    gradients: bool = False
    optimizer: bool = False
    optimizer_on_host: bool = False
    weights_on_host: bool = False
    master: bool = False
    buckets: bool = False

    @property
    def shares(self) -> bool:
        """Whether it is DeepSpeed, which computes in the format of its weights."""
        return self.master

    def share(self, shared: bool, size: int) -> int:
        """Bytes of `size` on each device."""
        return -(-size // self.devices) if shared else size


def engine_of(config: RunConfig, devices: int = 0) -> Engine:
    """The engine that a run's settings ask for; `devices` counts where they do not."""
    distributed = config.distributed
    local = distributed.nproc_per_node or len(distributed.devices) or devices or 1
    named, stage, offload, offload_weights = _deepspeed(config)
    half = config.method.compute_type not in ("fp32", "pure_bf16")
    if named:
        return Engine(
            f"ZeRO-{stage}" + (" offload" if offload else ""), local, local, weights=stage == 3, gradients=stage >= 2,
            optimizer=stage >= 1, optimizer_on_host=offload and stage >= 1, weights_on_host=offload_weights and stage == 3,
            master=half, buckets=stage < 3,
        )  # fmt: skip
    if distributed.fsdp != "none":
        away = distributed.fsdp_offload
        return Engine(
            "FSDP" + (" offload" if away else ""), local, local, weights=distributed.fsdp == "full_shard",
            gradients=True, optimizer=True, optimizer_on_host=away,
            weights_on_host=away and distributed.fsdp == "full_shard",
        )  # fmt: skip
    if local > 1:
        return Engine("DDP", local, local, buckets=True)
    return Engine()


def _deepspeed(config: RunConfig) -> tuple[bool, int, bool, bool]:
    """Whether DeepSpeed runs, its stage, whether the optimiser and the weights lie on the host."""
    distributed = config.distributed
    if distributed.deepspeed:
        zero = _settings(distributed.deepspeed).get("zero_optimization")
        zero = zero if isinstance(zero, Mapping) else {}
        stage = zero.get("stage", 0)
        return True, stage if isinstance(stage, int) else 0, _away(zero, "optimizer"), _away(zero, "param")
    if distributed.ds_stage == "none":
        return False, 0, False, False
    stage = int(distributed.ds_stage)
    offload = distributed.ds_offload and stage >= 2
    return True, stage, offload, offload


def _settings(given: str) -> dict[str, Any]:
    """DeepSpeed's settings: a file, or the JSON itself; none for a file that is not on this machine."""
    try:
        text = (
            given if given.lstrip().startswith("{") else Path(given).expanduser().read_text(encoding="utf-8")
        )
        found = json.loads(text)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _away(zero: Mapping[str, Any], what: str) -> bool:
    place = zero.get(f"offload_{what}")
    return isinstance(place, Mapping) and place.get("device") not in (None, "none")
