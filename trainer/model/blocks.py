"""The layers of what speaks, one behind the other: where they are, and which of them an option means."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn
from transformers.modeling_utils import PreTrainedModel

from trainer.errors import UserError


class Layers(NamedTuple):
    """The full name of the list of layers, and the list."""

    name: str
    stack: nn.ModuleList

    @property
    def total(self) -> int:
        return len(self.stack)

    def inside(self, name: str) -> tuple[int, str] | None:
        """The number of the layer that a module or parameter lies in, and its name there; None outside of them."""
        if not name.startswith(f"{self.name}."):
            return None
        number, _, rest = name.removeprefix(f"{self.name}.").partition(".")
        return int(number), rest


def layers_of(model: PreTrainedModel) -> Layers:
    """The layers of the language part. Raises UserError for a model that has none."""
    speaking = model.get_decoder()
    names = {id(module): name for name, module in model.named_modules()}
    found = [each for each in speaking.modules() if isinstance(each, nn.ModuleList) and len(each)]
    # Experts of one layer are lists, too: the outermost comes first.
    if not found:
        raise UserError("freeze_no_layers", field="finetuning_type", kind=model.config.model_type)
    return Layers(names[id(found[0])], found[0])


def chosen_layers(count: int, wanted: int, spread: bool = False) -> list[int]:
    """The numbers of `wanted` of `count` layers: the last ones, or with a minus the first ones.

    `spread` takes them at equal distances, each the last of its stretch: where LLaMA-Pro's expansion has put its blocks
    (Wu et al., arXiv 2401.02415). Raises UserError when that does not come out even.
    """
    if spread:
        if wanted <= 0 or count % wanted:
            fitting = ", ".join(str(each) for each in range(1, count + 1) if count % each == 0)
            raise UserError(
                "llama_pro_uneven",
                field="freeze_trainable_layers",
                value=wanted,
                count=count,
                fitting=fitting,
            )
        stride = count // wanted
        return list(range(stride - 1, count, stride))
    return list(range(max(0, count - wanted), count)) if wanted > 0 else list(range(min(-wanted, count)))


def in_expanded(model: PreTrainedModel, names: list[str], wanted: int) -> list[str]:
    """Those of some modules that lie in the `wanted` layers that LLaMA-Pro has put in. Raises UserError likewise."""
    layers = layers_of(model)
    numbers = chosen_layers(layers.total, wanted, spread=True)
    places = {name: layers.inside(name) for name in names}
    return [name for name, place in places.items() if place is not None and place[0] in numbers]
