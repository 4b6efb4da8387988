"""How many processes train a run, on which devices, by which engine: settled before anything is imported or started."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from trainer.config import RunConfig
from trainer.device import visibility_variable
from trainer.errors import UserError

Engine = Literal["one", "ddp", "deepspeed", "fsdp"]
# The accelerators that the person's environment shows, kept before all but the first are hidden from this process.
VISIBLE = "TUNEBOARD_VISIBLE"
# torchrun starts this module, once for each process of a machine.
RANK = "trainer.jobs.rank"
TORCHRUN = "trainer.jobs.torchrun"


@dataclass(frozen=True)
class Plan:
    """`processes` train on each of `nodes` machines; `argv` is empty where a thread of this process does it alone.

    `environment` is what the processes need beside the environment of this one. `node` is the number of this machine.
    """

    processes: int = 1
    nodes: int = 1
    engine: Engine = "one"
    argv: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    node: int = 0

    @property
    def all(self) -> int:
        """The processes of all machines."""
        return self.processes * self.nodes


def engine_of(config: RunConfig, processes: int) -> Engine:
    """What moves the gradients of a run on so many processes in all. Raises UserError when two are asked for."""
    wanted = config.distributed
    deepspeed = bool(wanted.deepspeed.strip()) or wanted.ds_stage != "none"
    if deepspeed and wanted.fsdp != "none":
        raise UserError("two_engines", field="fsdp")
    if deepspeed:
        return "deepspeed"
    # On one device there is nothing to share out.
    if wanted.fsdp != "none" and processes > 1:
        return "fsdp"
    return "ddp" if processes > 1 else "one"


def make_plan(config: RunConfig, environment: Mapping[str, str]) -> Plan:
    """The plan for `config` under the names of LLaMA-Factory in `environment`: NNODES, NPROC_PER_NODE and the others.

    Raises UserError for devices that are not there and for numbers that are none.
    """
    if config.task != "train":
        return Plan()
    visible = _names(environment.get(VISIBLE, ""))
    devices = _chosen(config, visible)
    processes = _processes(config, environment, devices, bool(visible))
    least, most = _nodes(environment)
    engine = engine_of(config, processes * most)
    forced = environment.get("FORCE_TORCHRUN", "0").strip().lower() in ("1", "true", "y", "yes", "on")
    elsewhere = bool(devices) and devices[0] != visible[0]
    if processes == 1 and most == 1 and engine == "one" and not forced and not elsewhere:
        return Plan()
    given = {visibility_variable(): ",".join(devices[:processes])} if devices else {}
    argv = (
        sys.executable,
        "-m",
        TORCHRUN,
        *_rendezvous(environment, least, most),
        f"--nproc-per-node={processes}",
    )
    node = _number(environment, "NODE_RANK", 0, least=0)
    return Plan(processes, most, engine, (*argv, "-m", RANK), given, node)


def first_device(config: RunConfig, environment: Mapping[str, str]) -> RunConfig:
    """The config as a page means it: without a word on devices the first one trains."""
    visible = _names(environment.get(VISIBLE, ""))
    said = (
        config.distributed.devices or config.distributed.nproc_per_node or environment.get("NPROC_PER_NODE")
    )
    return config if said or not visible else config.with_values(devices=visible[:1])


def _names(text: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in text.split(",") if each.strip())


def _chosen(config: RunConfig, visible: tuple[str, ...]) -> tuple[str, ...]:
    """The accelerators that are to be used: those named, else all; none on a machine without any."""
    wanted = config.distributed.devices
    if not visible:
        # Without an accelerator the numbers only say how many.
        return ()
    unknown = [each for each in wanted if each not in visible]
    if unknown:
        raise UserError("device_unknown", field="devices", names=", ".join(unknown), known=", ".join(visible))
    return wanted or visible


def _processes(
    config: RunConfig, environment: Mapping[str, str], devices: Sequence[str], accelerated: bool
) -> int:
    number = config.distributed.nproc_per_node
    named = environment.get("NPROC_PER_NODE", "").strip().lower()
    if number is None and named not in ("", "auto", "gpu"):
        number = _number(environment, "NPROC_PER_NODE", 1)
    if number is None:
        return len(devices) if accelerated else max(1, len(config.distributed.devices))
    if accelerated and number > len(devices):
        raise UserError("processes_too_many", field="nproc_per_node", wanted=number, devices=len(devices))
    return number


def _nodes(environment: Mapping[str, str]) -> tuple[int, int]:
    """The fewest and the most machines; they differ only where machines may come and go (RDZV_ID)."""
    count = _number(environment, "NNODES", 1)
    if not environment.get("RDZV_ID", "").strip():
        return count, count
    least, most = _number(environment, "MIN_NNODES", count), _number(environment, "MAX_NNODES", count)
    return min(least, most), most


def _rendezvous(environment: Mapping[str, str], least: int, most: int) -> tuple[str, ...]:
    """torchrun's arguments for how the machines find each other."""
    restarts = _number(environment, "MAX_RESTARTS", 0, least=0)
    address = environment.get("MASTER_ADDR", "").strip()
    port = environment.get("MASTER_PORT", "").strip()
    if port:
        _number(environment, "MASTER_PORT", 0)
    identity = environment.get("RDZV_ID", "").strip()
    common = (f"--max-restarts={restarts}",)
    if identity:
        nodes = str(most) if least == most else f"{least}:{most}"
        endpoint = f"{address or '127.0.0.1'}:{port or '29500'}"
        return (
            f"--nnodes={nodes}", "--rdzv-backend=c10d", f"--rdzv-id={identity}", f"--rdzv-endpoint={endpoint}", *common,
        )  # fmt: skip
    if most == 1 and not port:
        # torchrun itself finds a free port, and no other program can take it in between.
        return ("--standalone", "--local-addr=127.0.0.1", *common)
    rank = _number(environment, "NODE_RANK", 0, least=0)
    if rank >= most:
        raise UserError("environment_number", name="NODE_RANK", value=str(rank), least=0)
    return (
        f"--nnodes={most}", f"--node-rank={rank}", f"--master-addr={address or '127.0.0.1'}",
        f"--master-port={port or '29500'}", *common,
    )  # fmt: skip


def _number(environment: Mapping[str, str], name: str, default: int, least: int = 1) -> int:
    text = environment.get(name, "").strip()
    if not text:
        return default
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise UserError("environment_number", name=name, value=text[:80], least=least)
    return number
