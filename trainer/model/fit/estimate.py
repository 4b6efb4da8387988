"""The memory that a run needs on each device, and on the host beside it, by part."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.config import RunConfig
from trainer.model.fit.activations import Activations, Adapting, Batch, Kernels, activations_of
from trainer.model.fit.choice import Chosen
from trainer.model.fit.engine import Engine
from trainer.model.fit.optimizer import is_paged, optimizer_bytes, updates_at_once
from trainer.model.fit.seeing import pixels_bytes, seeing_bytes

PARTS = ("weights", "gradients", "optimizer", "activations", "logits", "buffers")
# Libraries' kernels and workspaces on an accelerator: what NVIDIA's take before anything is computed.
WORKSPACE = 300 << 20
# DeepSpeed gathers so many numbers at most ahead of their use (stage3_max_live_parameters).
_LIVE = 10**9


@dataclass(frozen=True)
class Need:
    """Bytes on each device by part, each at its own most, and `total`, the most at once; `host` is on the machine beside.

    The total is below the sum of the parts where one part takes the room that another has left.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    buffers: int
    total: int
    host: int = 0

    def parts(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in PARTS}


def need(
    chosen: Chosen, config: RunConfig, batch: Batch, kernels: Kernels, engine: Engine, *, checkpointing: bool
) -> Need:
    """Of a run that computes these tensors on such batches."""
    method = config.method.finetuning_type
    adapting = Adapting(method == "lora" and config.lora.lora_dropout > 0, method == "oft")
    made = activations_of(chosen, batch, kernels, checkpointing=checkpointing, adapting=adapting)
    kept = made.kept + seeing_bytes(chosen, batch)
    weights, on_host = _weights(chosen, engine)
    gradients = engine.share(engine.gradients, chosen.gradients)
    optimizer = optimizer_bytes(chosen, config) + (4 * _trained(chosen) if engine.master else 0)
    optimizer = engine.share(engine.optimizer, optimizer)
    if is_paged(config.train.optim) or engine.optimizer_on_host:
        on_host, optimizer = on_host + optimizer, 0
    if engine.optimizer_on_host and engine.gradients:
        # In 32 bits, for the processor that takes the step; a layer's at a time on the device.
        on_host += engine.share(True, 4 * _trained(chosen))
        gradients = min(gradients, 2 * _last(chosen))
    buffers = (
        pixels_bytes(chosen, batch) + (0 if kernels.processor else WORKSPACE) + _gathered(chosen, engine)
    )
    base = weights + optimizer + buffers
    moments = _moments(chosen, config, made, kept, gradients, kernels)
    on_top = made.casts if made.head + made.casts >= made.layer else made.layer
    return Need(
        weights=weights,
        gradients=_largest(chosen) if updates_at_once(config) else gradients,
        optimizer=optimizer,
        activations=kept + on_top,
        logits=made.head,
        buffers=buffers,
        total=base + max(moments),
        host=on_host * engine.local,
    )


def _moments(
    chosen: Chosen, config: RunConfig, made: Activations, kept: int, gradients: int, kernels: Kernels
) -> tuple[int, ...]:
    """Bytes beside weights and optimiser at each moment when they may be most."""
    turn = made.most - made.kept + kept
    if updates_at_once(config):
        return turn + _largest(chosen), made.lowest + 2 * _largest(chosen)
    earlier = gradients if config.train.gradient_accumulation_steps > 1 else 0
    # Going backward the last gradients are those of the lowest layer and of the embedding, unless they are there already.
    last = 0 if earlier else min(gradients, _last(chosen))
    return (
        earlier + turn,
        gradients - last + made.lowest,
        gradients + made.after,
        gradients + _update(chosen, config, kernels),
    )


def _weights(chosen: Chosen, engine: Engine) -> tuple[int, int]:
    """On the device, and for each device on the host."""
    size = engine.share(engine.weights, chosen.weights)
    return (0, size) if engine.weights_on_host else (size, 0)


def _gathered(chosen: Chosen, engine: Engine) -> int:
    """Weights that a device has whole for the moment when it needs them, and gradients on their way."""
    if engine.weights:
        size = chosen.formats.compute
        layers = max(1, chosen.shape.layers)
        count = sum(each.count for each in chosen.held)
        ends = 2 * chosen.shape.vocabulary * chosen.shape.hidden
        return size * min(count, 2 * (count // layers) + ends, _LIVE)
    return chosen.gradients if engine.buckets and engine.devices > 1 else 0


def _trained(chosen: Chosen) -> int:
    return sum(each.count for each in chosen.trained)


def _largest(chosen: Chosen) -> int:
    return max((each.count * each.size for each in chosen.trained), default=0)


def _last(chosen: Chosen) -> int:
    """Gradients of the lowest trained layer, and of an embedding that is not the head, too."""
    lowest = sum(each.count * each.size for each in chosen.trained if each.weight.layer == chosen.first_layer)
    if chosen.shape.tied:
        return lowest
    return lowest + sum(each.count * each.size for each in chosen.trained if each.weight.kind == "embedding")


def _update(chosen: Chosen, config: RunConfig, kernels: Kernels) -> int:
    """What the optimiser takes on the way: nothing where it is fused, else two copies of the largest tensor.

    On an accelerator torch updates all tensors at once (`foreach`), with a copy of all of them.
    """
    name = config.train.optim
    if name.endswith("_fused") or name.startswith(("paged_", "lion")) or "bit" in name or "bnb" in name:
        return 0
    return 2 * _largest(chosen) if kernels.processor else chosen.gradients
