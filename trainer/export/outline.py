"""The names that a model's weights have in memory, which adapters speak of, and those that they have in its files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key
from transformers.modeling_utils import PreTrainedModel

from trainer.model.load import outline


@dataclass(frozen=True)
class Names:
    """`files`: parameter -> its name in the files, for all that lie there as they are in memory. `shapes` has every
    parameter. `embedding` and `head` are the parameters of the first and the last layer ("" without one).
    """

    files: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]
    embedding: str
    head: str


def read_names(folder: Path, stored: Iterable[str], trust: bool = False) -> Names:
    """The names of the model in `folder`, whose files hold the tensors `stored`. Raises UserError for an unknown kind."""
    model = outline(folder, trust)
    state = model.state_dict()
    conversions = get_model_conversion_mapping(model)
    renamings = [each for each in conversions if isinstance(each, WeightRenaming)]
    converters = [each for each in conversions if isinstance(each, WeightConverter)]
    files: dict[str, str] = {}
    for name in stored:
        own, converted = rename_source_key(name, renamings, converters, model.base_model_prefix, state)
        if converted is None and own in state:
            files[own] = name
    shapes = {name: tuple(each.shape) for name, each in state.items()}
    return Names(files, shapes, _weight(model, "input"), _weight(model, "output"))


def _weight(model: PreTrainedModel, end: str) -> str:
    layer = model.get_input_embeddings() if end == "input" else model.get_output_embeddings()
    return next(
        (f"{name}.weight" for name, module in model.named_modules() if layer is not None and module is layer),
        "",
    )
