"""What a GGUF file of a model will hold, tensor by tensor, before a single weight is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from trainer.errors import UserError
from trainer.export.gguf import families, formats, rope
from trainer.export.gguf.families import Family

if TYPE_CHECKING:
    from trainer.export.source import Source

ALIGNMENT = 32


@dataclass(frozen=True)
class Tensor:
    """One tensor of the file. `source` is its name in the model, empty for one that is computed: `value`."""

    name: str
    source: str
    shape: tuple[int, ...]
    type: formats.Type
    value: torch.Tensor | None = None

    @property
    def nbytes(self) -> int:
        return formats.nbytes(self.type, self.shape)

    @property
    def padded(self) -> int:
        """Bytes with the padding behind it."""
        return -(-self.nbytes // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True)
class Layout:
    """`config` is complete: the family's usual values are filled in. `rows` are those of the embedding.

    `kept` weights become f16 because their rows cannot be cut into the blocks of the format.
    """

    family: Family
    config: Any
    tensors: Sequence[Tensor]
    rows: int
    kept: int


def lay_out(source: Source, kind: str, name: str) -> Layout:
    """The layout of `source` as a file of `kind`, one of formats.TYPES; `name` is the model's, for messages.

    Raises UserError for a family that is not written, settings that llama.cpp reads otherwise, and unknown weights.
    """
    family = families.find(source.config, name)
    config = families.read_config(source.config)
    families.check(family, config, name)
    tensors = []
    rows = 0
    named = [(each, _target(family, each.name, name)) for each in source.names()]
    own_head = any(target == "output.weight" for _, target in named)
    if own_head and not family.own_head:
        raise UserError(
            "gguf_setting", field="export_format", name=name, setting="tie_word_embeddings", value="false"
        )
    for each, target in named:
        if not target:
            continue
        if target == "token_embd.weight":
            rows = each.shape[0]
        head = target == ("output.weight" if own_head else "token_embd.weight")
        tensors.append(Tensor(target, each.name, each.shape, formats.tensor_type(kind, each.shape, head)))
    if not rows:
        raise UserError("gguf_tensor", field="export_format", name=name, tensor="embed_tokens")
    width = families.head_size(config)
    stretched = rope.factors(config, rope.of_config(config, "full_attention"), width)
    if stretched is not None:
        tensors.append(Tensor("rope_freqs.weight", "", tuple(stretched.shape), formats.Type.F32, stretched))
    blocks = formats.TYPES[kind] not in formats.PLAIN
    kept = sum(blocks and len(each.shape) > 1 and each.type == formats.Type.F16 for each in tensors)
    return Layout(family, config, tensors, rows, kept)


def _target(family: Family, tensor: str, name: str) -> str:
    try:
        return family.target(tensor)
    except KeyError:
        raise UserError("gguf_tensor", field="export_format", name=name, tensor=tensor) from None
