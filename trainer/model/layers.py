"""The layers of a model that an adapter can go to, and the modules that can be trained whole beside it."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Iterable, Iterator

from torch import nn
from transformers.modeling_utils import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from trainer.errors import UserError
from trainer.model.parts import PartName, parts_of

LINEAR = (nn.Linear, Conv1D)
# What stays as it is unless the options say otherwise.
SEEING: tuple[PartName, ...] = ("vision_tower", "multi_modal_projector")
ALL = ("all", "all-linear")
EARLIER = {
    "gate_proj": "gate_up_proj", "up_proj": "gate_up_proj", "w1": "gate_up_proj", "w3": "gate_up_proj",
    "w2": "down_proj",
}  # fmt: skip
# A name with one of these is a pattern, as PEFT takes it where one text names the layers.
_PATTERN = frozenset("*?+[](){}|^$\\")


def is_linear(module: nn.Module) -> bool:
    """Whether a module multiplies with a matrix: torch's layer, GPT-2's, or one of few bits by any package."""
    if isinstance(module, LINEAR):
        return True
    sizes = (getattr(module, "in_features", None), getattr(module, "out_features", None))
    return "linear" in type(module).__name__.lower() and all(isinstance(size, int) for size in sizes)


def size_of(module: nn.Module) -> tuple[int, int] | None:
    """Inputs and outputs of a layer, of an embedding its words and its width; None for other modules.

    The weights of a layer of few bits are packed, so that their shape does not tell.
    """
    if isinstance(module, Conv1D):
        inputs, outputs = module.weight.shape
        return int(inputs), int(outputs)
    if isinstance(module, nn.Embedding):
        return module.num_embeddings, module.embedding_dim
    return (int(module.in_features), int(module.out_features)) if is_linear(module) else None  # type: ignore[arg-type]


def linear_layers(model: PreTrainedModel, frozen: Collection[PartName] = SEEING) -> list[str]:
    """The full names of the linear layers outside of the frozen parts, by default of the language part; no head."""
    head, parts = model.get_output_embeddings(), parts_of(model)
    return [
        name
        for name, module in _reached(model)
        if is_linear(module) and module is not head and parts.part_of(name) not in frozen
    ]


def _reached(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """All modules but those whose weights are read without asking them, so that an adapter would learn nothing."""
    passed: list[str] = []
    for name, module in model.named_modules():
        if isinstance(module, nn.MultiheadAttention):
            passed.append(f"{name}.")
        elif not name.startswith(tuple(passed)):
            yield name, module


def choose_layers(
    model: PreTrainedModel,
    wanted: tuple[str, ...],
    frozen: Collection[PartName] = SEEING,
    field: str = "lora_target",
    experts: Collection[str] = (),
) -> list[str]:
    """The full names of the layers that the option `field` means: `all`, ends of names such as q_proj, or patterns.

    Embeddings and the head are meant only where they are named. Layers of frozen parts are left out; a name may mean
    nothing but some of the `experts`. Raises UserError with the names that exist when one of them matches nothing.
    """
    parts, usual = parts_of(model), linear_layers(model, frozen)
    every = [
        name
        for name, module in _reached(model)
        if (is_linear(module) or isinstance(module, nn.Embedding)) and parts.part_of(name) not in frozen
    ]
    chosen: set[str] = set()
    unknown = []
    for name in wanted:
        found = usual if name in ALL else [layer for layer in every if _means(name, layer)]
        chosen.update(found)
        if not found and name not in ALL and not _holds(name, experts):
            unknown.append(name)
    if unknown:
        known = ", ".join(sorted(_last([*every, *expert_weights(model, frozen)])))
        raise UserError(f"{field}_unknown", field=field, names=", ".join(unknown), known=known)
    return [layer for layer in every if layer in chosen]


def expert_weights(model: PreTrainedModel, frozen: Collection[PartName] = SEEING) -> list[str]:
    """The full names of the weights of all experts of a mixture at once, which are no layers of their own."""
    parts = parts_of(model)
    return [
        name
        for name, parameter in model.named_parameters()
        if parameter.ndim == 3 and "expert" in name and parts.part_of(name) not in frozen
    ]


def choose_experts(
    model: PreTrainedModel, wanted: tuple[str, ...], frozen: Collection[PartName] = SEEING
) -> list[str]:
    """Those of `expert_weights` that are named: by themselves, or by what holds them."""
    return [each for each in expert_weights(model, frozen) if any(_holds(name, [each]) for name in wanted)]


def _holds(name: str, experts: Collection[str]) -> bool:
    """Whether a name means one of the experts' weights, under the names that earlier versions of transformers gave them,
    too, where each expert had layers of its own."""
    names = (name, EARLIER.get(name, name))
    return any(_means(one, each) or _means(one, each.rpartition(".")[0]) for each in experts for one in names)


def _means(name: str, layer: str) -> bool:
    if layer == name or layer.endswith(f".{name}"):
        return True
    if not _PATTERN & set(name):
        return False
    try:
        if re.fullmatch(rf"(?:.*\.)?(?:{name})", layer):
            return True
    except re.error:
        # A star alone at the beginning is no expression, but everybody knows what it means.
        pass
    return fnmatch.fnmatchcase(layer, name) or fnmatch.fnmatchcase(layer, f"*.{name}")


def choose_whole(model: PreTrainedModel, wanted: Iterable[str]) -> list[str]:
    """The full names of the modules whose names end like one of `wanted`, as PEFT finds what it trains whole.

    A head that is one with the embedding comes with it, and the other way round. Raises UserError for a name that
    matches nothing, and for weights of few bits, which cannot be trained.
    """
    modules = {name: module for name, module in model.named_modules() if name and _has_weights(module)}
    names = list(dict.fromkeys(wanted))
    found = [each for each in modules if each.endswith(tuple(names))] if names else []
    unknown = [name for name in names if not any(each.endswith(name) for each in modules)]
    if unknown:
        known = ", ".join(sorted(_last(each for each in modules if not re.search(r"\.\d+(\.|$)", each))))
        raise UserError(
            "additional_target_unknown", field="additional_target", names=", ".join(unknown), known=known
        )
    # What lies inside another one is trained with it.
    outer = [each for each in found if not any(each.startswith(f"{other}.") for other in found)]
    for each in outer:
        if not all(parameter.is_floating_point() for parameter in modules[each].parameters()):
            raise UserError("additional_target_few_bits", field="additional_target", name=each)
    return sorted({*outer, *(tied_pair(model) if set(outer) & set(tied_pair(model)) else ())})


def tied_pair(model: PreTrainedModel) -> tuple[str, ...]:
    """The names of the embedding and of a head that shares its weights; empty where each has its own."""
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    if head is None or getattr(head, "weight", None) is not getattr(embedding, "weight", 0):
        return ()
    names = {id(module): name for name, module in model.named_modules()}
    pair = (names.get(id(embedding), ""), names.get(id(head), ""))
    return pair if all(pair) else ()


def _has_weights(module: nn.Module) -> bool:
    return next(module.parameters(), None) is not None


def _last(names: Iterable[str]) -> set[str]:
    return {name.rsplit(".", 1)[-1] for name in names}


def shortest(layers: list[str], every: list[str]) -> list[str]:
    """Last parts of the names where these mean the same layers, else the full names; the former are readable."""
    short = _last(layers)
    reached = [layer for layer in every if layer.rsplit(".", 1)[-1] in short]
    return sorted(short) if len(reached) == len(layers) else sorted(layers)
