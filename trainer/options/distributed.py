"""Many processes: on which devices, by which engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainer.options.declare import option


@dataclass(frozen=True)
class DistributedOptions:
    devices: tuple[str, ...] = option(
        (), "Devices of this machine, by number; empty means the first one on the page, all of them at the terminal.", label="Devices",
        panel="devices",
    )  # fmt: skip
    nproc_per_node: int | None = option(
        None, "Processes on this machine; empty means one for each device.", label="Processes", panel="devices",
        min=1, max=1024, step=1,
    )  # fmt: skip
    ds_stage: Literal["none", "0", "2", "3"] = option(
        "none", "DeepSpeed ZeRO: 2 shares out gradients and the optimiser's memory, 3 the weights, too.",
        label="DeepSpeed stage", panel="devices",
    )  # fmt: skip
    ds_offload: bool = option(
        False, "DeepSpeed: keep what is shared out in the memory of the machine.", label="DeepSpeed offload",
        panel="devices", when={"ds_stage": ("2", "3")},
    )  # fmt: skip
    deepspeed: str = option(
        "", "A DeepSpeed file (JSON) of your own, instead of a stage.", label="DeepSpeed file", panel="none",
    )  # fmt: skip
    fsdp: Literal["none", "full_shard", "shard_grad_op"] = option(
        "none", "PyTorch's FSDP2: share out weights, gradients and optimiser (full_shard), or not the weights.",
        label="FSDP", panel="devices", when={"ds_stage": ("none",)},
    )  # fmt: skip
    fsdp_offload: bool = option(
        False, "FSDP: keep the parts in the memory of the machine.", label="FSDP offload", panel="devices",
        when={"fsdp": ("full_shard", "shard_grad_op")},
    )  # fmt: skip
    fsdp_config: str = option(
        "", "Settings of FSDP, as a file (JSON).", label="FSDP settings", panel="none",
    )  # fmt: skip
