"""Will it fit? What a run needs, what is free, and the cheapest changes that would make it fit."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from trainer import device
from trainer.config import RunConfig
from trainer.model.fit.activations import Batch, Kernels
from trainer.model.fit.choice import Chosen, choose, formats_of
from trainer.model.fit.engine import Engine, engine_of
from trainer.model.fit.estimate import Need, need
from trainer.model.fit.layout import total
from trainer.model.fit.model import Sizes, sizes_of
from trainer.model.fit.shape import Shape

# Kept free for what no estimate sees: fragments between tensors, other programs, the estimate's own mistake.
SPARE = 0.15
# Logits of more numbers than this are computed in tiles on an accelerator (trainer.train.loop).
MOST_LOGITS = 2**27
# In bf16 a processor's batches are rounded up to so many tokens (trainer.train.prepare).
_MULTIPLE = 256


@dataclass(frozen=True)
class Machine:
    """What a run would be computed on. `free` bytes of each device that it would use, of `room` bytes; of the `host`'s
    memory, too. `name` is empty while nobody knows what computes here.
    """

    name: str
    free: tuple[int, ...]
    room: tuple[int, ...]
    host: int
    accelerated: bool
    has_bf16: bool = True


@dataclass(frozen=True)
class Change:
    """Option values that would make a run fit, and what it would need then."""

    values: dict[str, Any]
    need: Need


@dataclass(frozen=True)
class Fit:
    """Whether a run fits: `need` on each device, `machine`, `changes` by how little they cost, where it does not fit.

    `parameters` and `trained` count numbers; `checkpointing` is what `auto` comes to. `here` says whether the model's
    sizes were read from its files.
    """

    need: Need
    machine: Machine
    engine: str
    parameters: int
    trained: int
    precision: str
    checkpointing: bool
    here: bool
    changes: tuple[Change, ...] = ()

    @property
    def free(self) -> int | None:
        """Bytes on the fullest device; None while nobody knows."""
        return min(self.machine.free) if self.machine.free else None

    @property
    def fits(self) -> bool | None:
        """Whether there is room, with some to spare; None while nobody knows."""
        return None if self.free is None else _has_room(self.need, self.machine)

    @property
    def cannot(self) -> bool:
        """Whether more is needed than there is at all."""
        return self.free is not None and (self.need.total > self.free or self.need.host > self.machine.host)


def this_machine(numbers: Sequence[str] = (), processes: int = 1) -> Machine:
    """What computes here; `numbers` names devices, none means the first. Asks no driver before torch is there.

    Several `processes` on a processor share its memory.
    """
    host = device.free_ram()
    if not device.is_known():
        return Machine("", (), (), host, accelerated=True)
    if not device.is_accelerated():
        each = (host // processes,) * processes
        return Machine(device.name(), each, each, host, accelerated=False)
    listed = device.listed()
    chosen = [each for each in listed if str(each.number) in numbers] or listed[:1]
    return Machine(
        chosen[0].name, tuple(each.free for each in chosen), tuple(each.total for each in chosen), host,
        accelerated=True, has_bf16=device.has_bf16(),
    )  # fmt: skip


def fit(config: RunConfig, machine: Machine | None = None, batch: Batch | None = None) -> Fit | None:
    """Whether a run with these settings fits; None for a model whose sizes nobody knows before it is fetched.

    `batch` says how long the rows really are: without it each is taken to be `cutoff_len` tokens long, all trained.
    Reads no more than the headers of a model's files, which takes milliseconds.
    """
    machine = machine or machine_of(config)
    sizes = sizes_of(config.model.model_name_or_path, config.model.hub)
    if sizes is None:
        return None
    from trainer.model.fit.changes import cheapest

    scales = _Scales(machine, sizes, batch)
    found = scales.weigh(config)
    return (
        found if found.fits is not False else replace(found, changes=cheapest(config, machine, scales.weigh))
    )


def machine_of(config: RunConfig) -> Machine:
    """What a run with these settings would be computed on."""
    return this_machine(config.distributed.devices, config.distributed.nproc_per_node or 1)


class _Scales:
    """Weighs runs of one model; what they hold is found out once for all runs that hold the same."""

    def __init__(self, machine: Machine, sizes: Sizes, batch: Batch | None) -> None:
        self._machine, self._sizes, self._batch = machine, sizes, batch
        self._chosen: dict[Any, Chosen] = {}

    def weigh(self, config: RunConfig) -> Fit:
        machine, sizes = self._machine, self._sizes
        precision = precision_of(config, machine)
        engine = engine_of(config, len(machine.free) if len(config.distributed.devices) > 1 else 1)
        chosen = self._choose(config, precision, engine)
        kernels, batch = batch_of(config, sizes.shape, precision, machine, self._batch)
        choice = config.model.gradient_checkpointing
        needed = need(chosen, config, batch, kernels, engine, checkpointing=choice == "on")
        checkpointing = choice == "on"
        if choice == "auto" and machine.free and not _has_room(needed, machine):
            checkpointing = True
            needed = need(chosen, config, batch, kernels, engine, checkpointing=True)
        trained = sum(each.count for each in chosen.trained)
        return Fit(
            needed, machine, engine.name, total(sizes.layout), trained, precision, checkpointing, sizes.here
        )

    def _choose(self, config: RunConfig, precision: str, engine: Engine) -> Chosen:
        formats = formats_of(precision, config.method.finetuning_type, alone=not engine.shares)
        model = config.model
        bits = (
            model.quantization_bit,
            model.quantization_method,
            model.double_quantization,
            model.resize_vocab,
        )
        key = (config.method, config.lora, bits, formats)
        if key not in self._chosen:
            self._chosen[key] = choose(self._sizes.layout, self._sizes.shape, config, formats)
        return self._chosen[key]


def batch_of(
    config: RunConfig, shape: Shape, precision: str, machine: Machine, given: Batch | None
) -> tuple[Kernels, Batch]:
    """How a micro-batch is computed, and how large it is then; `given` are rows whose lengths are known."""
    batch = given or longest_batch(config, shape, machine)
    kernels = kernels_of(config, shape, batch, machine)
    if not kernels.apart:
        return kernels, batch._replace(tokens=batch.rows * batch.longest)
    return kernels, rounded(batch, precision, machine)


def _has_room(needed: Need, machine: Machine) -> bool:
    free = min(machine.free) * (1 - SPARE)
    return needed.total <= free and needed.host <= machine.host * (1 - SPARE)


def precision_of(config: RunConfig, machine: Machine) -> str:
    """The number format that `auto` comes to on a machine."""
    chosen = config.method.compute_type
    if chosen != "auto":
        return chosen
    if not machine.accelerated:
        return "fp32"
    return "bf16" if machine.has_bf16 else "fp16"


def longest_batch(config: RunConfig, shape: Shape, machine: Machine) -> Batch:
    """A micro-batch of rows as long as the cutoff, all trained; a model that sees is shown a picture in each."""
    rows, longest = config.train.per_device_train_batch_size, config.data.cutoff_len
    tokens = rows * longest
    patches = 0
    if shape.eyes:
        in_row = min(config.data.image_max_pixels // shape.eyes.patch**2, longest * shape.eyes.cells)
        patches = rows * in_row
    return Batch(tokens, tokens, rows, longest, patches)


def kernels_of(config: RunConfig, shape: Shape, batch: Batch, machine: Machine) -> Kernels:
    """How attention and the head will be computed."""
    flash = config.model.flash_attn in ("fa2", "fa3") or (
        config.model.flash_attn == "auto" and machine.accelerated and _has("flash_attn")
    )
    scores = config.model.flash_attn == "disabled" or (shape.capped and not flash)
    plain = not config.method.use_dft_loss and not config.extra.get("label_smoothing_factor")
    return Kernels(
        apart=not scores,
        scores=scores,
        fused=machine.accelerated and plain and batch.kept * shape.vocabulary > MOST_LOGITS,
        liger=config.model.enable_liger_kernel and machine.accelerated,
        processor=not machine.accelerated,
    )


def _has(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def rounded(batch: Batch, precision: str, machine: Machine) -> Batch:
    """As long as a processor makes it in bf16: rows side by side are filled up to a whole number of its steps."""
    if machine.accelerated or "bf16" not in precision:
        return batch
    return batch._replace(tokens=-(-batch.tokens // _MULTIPLE) * _MULTIPLE)
