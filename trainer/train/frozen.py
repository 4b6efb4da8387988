"""finetuning_type freeze: some layers of a model are trained, everything else stays as it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from transformers.modeling_utils import PreTrainedModel

from trainer.errors import UserError
from trainer.events import Note
from trainer.model import counting
from trainer.model.blocks import Layers, chosen_layers, layers_of
from trainer.model.parts import PartName, Parts
from trainer.options import MethodOptions

# Names in a sentence; more of them nobody reads.
TOLD = 40


def train_some(
    model: PreTrainedModel,
    options: MethodOptions,
    parts: Parts,
    frozen: frozenset[PartName],
    dtype: torch.dtype,
) -> Note:
    """Makes the parameters that the options name trainable, in `dtype`, and all others not.

    Of a vision model the parts that are not frozen are trained whole, but for what speaks, whose layers are chosen.
    Raises UserError for names that mean nothing in this model, and when nothing is left to train.
    """
    layers = layers_of(model)
    numbers = chosen_layers(layers.total, options.freeze_trainable_layers, options.use_llama_pro)
    wanted = set() if "language_model" in frozen else set(_in_layers(model, layers, numbers, options))
    wanted |= set(_outside(model, layers, parts, frozen, options.freeze_extra_modules))
    if parts.vision_tower:
        still = frozen | {"language_model"}
        wanted |= {id(each) for name, each in model.named_parameters() if parts.part_of(name) not in still}
    trained = 0
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in wanted)
        if parameter.requires_grad:
            parameter.data = parameter.data.to(dtype)
            trained += counting.numbers(parameter)
    if not trained:
        raise UserError("freeze_nothing_trains", field="freeze_trainable_layers")
    listed = ", ".join(str(each) for each in numbers) if "language_model" not in frozen else ""
    return Note(
        code="layers_trained",
        values={
            "layers": listed or "-", "count": layers.total, "trained": trained,
            "parameters": counting.parameters(model),
        },
    )  # fmt: skip


def _in_layers(
    model: PreTrainedModel, layers: Layers, numbers: Iterable[int], options: MethodOptions
) -> Iterator[int]:
    """The ids of the parameters of these layers that belong to modules of the names wanted."""
    inside = {
        name: (parameter, *place)
        for name, parameter in model.named_parameters()
        if (place := layers.inside(name)) is not None
    }
    names = options.freeze_trainable_modules
    everything = not names or "all" in names
    known = {rest.rpartition(".")[0] for _, _, rest in inside.values()}
    if not everything:
        unknown = [each for each in names if not any(_holds(rest, each) for rest in known)]
        if unknown:
            raise _unknown("freeze_trainable_modules", unknown, _with_parents(known))
    for parameter, number, rest in inside.values():
        if number in numbers and (everything or any(_holds(rest, each) for each in names)):
            yield id(parameter)


def _outside(
    model: PreTrainedModel, layers: Layers, parts: Parts, frozen: frozenset[PartName], names: Iterable[str]
) -> Iterator[int]:
    """The ids of the parameters of modules outside of the layers and of frozen parts."""
    modules = {
        name: module
        for name, module in model.named_modules()
        if name
        and layers.inside(name) is None
        and not f"{layers.name}.".startswith(f"{name}.")
        and parts.part_of(name) not in frozen
        and any(True for _ in module.parameters())
    }
    unknown = [each for each in names if not any(_ends_with(name, each) for name in modules)]
    if unknown:
        raise _unknown("freeze_extra_modules", unknown, {name.rpartition(".")[2] for name in modules})
    for wanted in names:
        for name, module in modules.items():
            if _ends_with(name, wanted):
                yield from (id(each) for each in module.parameters())


def _unknown(field: str, names: Iterable[str], known: Iterable[str]) -> UserError:
    listed = sorted(each for each in known if each)
    more = ["..."] if len(listed) > TOLD else []
    return UserError(
        "freeze_modules_unknown", field=field, option=field, names=", ".join(names),
        known=", ".join([*listed[:TOLD], *more]),
    )  # fmt: skip


def _with_parents(names: Iterable[str]) -> set[str]:
    """self_attn.q_proj, and self_attn, too."""
    steps = [name.split(".") for name in names]
    return {".".join(each[:length]) for each in steps for length in range(1, len(each) + 1)}


def _holds(name: str, part: str) -> bool:
    """Whether whole words of a dotted name are `part`: self_attn.q_proj.weight holds self_attn, and q_proj."""
    return f".{part}." in f".{name}."


def _ends_with(name: str, part: str) -> bool:
    return name == part or name.endswith(f".{part}")
