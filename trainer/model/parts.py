"""The parts of a vision model: what sees, what carries that over, and what speaks. Found in the model, not in a table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from torch import nn
from transformers.modeling_utils import PreTrainedModel

from trainer.model.counting import numbers
from trainer.options import MethodOptions

PartName = Literal["vision_tower", "multi_modal_projector", "language_model"]
PART_NAMES: tuple[PartName, ...] = ("vision_tower", "multi_modal_projector", "language_model")

# PEFT puts its own name before those of the model inside it.
PEFT_PREFIX = "base_model.model."


class Parts(NamedTuple):
    """The full names of the modules at the top of each part; `vision_tower` is empty for a model of text."""

    vision_tower: tuple[str, ...]
    multi_modal_projector: tuple[str, ...]
    language_model: tuple[str, ...]

    def part_of(self, name: str) -> PartName:
        """The part that a module or parameter belongs to, by its full name; what stands alone carries over."""
        best = -1
        found: PartName = "multi_modal_projector" if self.vision_tower else "language_model"
        for part, tops in zip(PART_NAMES, self, strict=True):
            for top in tops:
                if len(top) > best and (name == top or name.startswith(f"{top}.") or not top):
                    best, found = len(top), part
        return found


def parts_of(model: PreTrainedModel) -> Parts:
    """Where the parts of a model begin.

    The language model is transformers' decoder with its head. What sees is a model of its own beside it, made from the
    part of the configuration that says so. Between them lies the projector, or it is what follows the layers inside
    of what sees and gives vectors as wide as the language model's.
    """
    decoder, head = model.get_decoder(), model.get_output_embeddings()
    names = {id(module): name for name, module in model.named_modules()}
    language = tuple(names[id(each)] for each in (decoder, head) if each is not None and id(each) in names)
    if decoder is model or names.get(id(decoder), "") == "":
        return Parts((), (), ("",))
    towers = list(_towers(model, decoder))
    if not towers:
        return Parts((), (), ("",))
    seeing = tuple(name for name, _ in towers)
    parts = Parts(seeing, (), language)
    between = {name for name, _ in model.named_parameters() if parts.part_of(name) == "multi_modal_projector"}
    inner = () if between else tuple(_inside(towers, model.config.get_text_config().hidden_size))
    return Parts(seeing, inner, language)


def _towers(model: PreTrainedModel, decoder: nn.Module) -> Iterator[tuple[str, PreTrainedModel]]:
    """The outermost models beside the decoder."""
    found: list[str] = []
    speaking = {id(each) for each in decoder.modules()}
    for name, module in model.named_modules():
        if not name or id(module) in speaking or not isinstance(module, PreTrainedModel):
            continue
        if decoder in module.modules() or any(name.startswith(f"{outer}.") for outer in found):
            continue
        found.append(name)
        yield name, module


def _inside(towers: list[tuple[str, PreTrainedModel]], width: int) -> Iterator[str]:
    """What comes after the layers of a tower and ends in linear layers of the language model's width."""
    for top, tower in towers:
        children = list(tower.named_children())
        depths = [len(module) if isinstance(module, nn.ModuleList) else 0 for _, module in children]
        after = depths.index(max(depths)) + 1 if any(depths) else len(children)
        for name, module in children[after:]:
            if any(isinstance(each, nn.Linear) and each.out_features == width for each in module.modules()):
                yield f"{top}.{name}"


def frozen_parts(options: MethodOptions) -> frozenset[PartName]:
    """The parts that the options leave as they are."""
    frozen = (
        options.freeze_vision_tower,
        options.freeze_multi_modal_projector,
        options.freeze_language_model,
    )
    return frozenset(name for name, still in zip(PART_NAMES, frozen, strict=True) if still)


class Share(NamedTuple):
    """How many parameters of a part are trained, of how many."""

    trained: int
    all: int


def shares(model: Any, parts: Parts) -> dict[PartName, Share]:
    """Of each part; adapters count where their layers are. `model` may be PEFT's."""
    trained, every = dict.fromkeys(PART_NAMES, 0), dict.fromkeys(PART_NAMES, 0)
    for name, parameter in model.named_parameters():
        part = parts.part_of(name.removeprefix(PEFT_PREFIX))
        every[part] += numbers(parameter)
        trained[part] += numbers(parameter) if parameter.requires_grad else 0
    return {part: Share(trained[part], every[part]) for part in PART_NAMES if every[part]}
