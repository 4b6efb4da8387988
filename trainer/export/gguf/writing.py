"""Writes a GGUF file: the metadata first, then one tensor after the other, never more than one in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import torch
from gguf import GGML_QUANT_VERSION, GGUFWriter

from trainer.export.gguf import families, formats, vocabulary
from trainer.export.gguf.layout import ALIGNMENT, Layout, Tensor, lay_out
from trainer.export.gguf.template import portable
from trainer.export.gguf.vocabulary import Vocabulary

if TYPE_CHECKING:
    from trainer.export.progress import Progress
    from trainer.export.source import Source

# llama.cpp gives these models' special tokens other manners, going by the name of the model alone.
_MISLEADING = ("phi-3", "phi3", "modern-bert")


def read_vocabulary(source: Source, rows: int, name: str) -> Vocabulary:
    """The vocabulary of the model's tokenizer. Raises UserError for one that llama.cpp does not know."""
    return vocabulary.read(source.tokenizer, rows, source.stop_ids, source.template, name)


def write_file(source: Source, path: Path, kind: str, name: str, progress: Progress) -> None:
    """Writes `source` to `path` as `kind`, one of formats.TYPES. Half a file is left when something is raised.

    Raises UserError for what cannot be written, OSError of the disk, and what `progress` raises.
    """
    layout = lay_out(source, kind, name)
    writer = GGUFWriter(path, layout.family.arch)
    try:
        _describe(writer, source, layout, kind, name)
        for each in layout.tensors:
            _announce(writer, each)
        writer.write_header_to_file(path)
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        assert writer.fout is not None
        file = writer.fout[0]
        writer.write_padding(file, file.tell())
        for each in layout.tensors:
            _write_tensor(file, source, layout, each, progress)
    finally:
        writer.close()


def _describe(writer: GGUFWriter, source: Source, layout: Layout, kind: str, name: str) -> None:
    writer.add_type("model")
    if not any(each in name.lower() for each in _MISLEADING):
        writer.add_name(name)
    writer.add_file_type(formats.FILE_TYPES[kind])
    writer.add_quantization_version(GGML_QUANT_VERSION)
    writer.add_vocab_size(layout.rows)
    families.write(writer, layout.family, layout.config)
    vocabulary.write(writer, read_vocabulary(source, layout.rows, name))
    writer.add_chat_template(portable(source.template, source.tokenizer))


def _announce(writer: GGUFWriter, tensor: Tensor) -> None:
    plain = {formats.Type.F32: np.float32, formats.Type.F16: np.float16}
    if number := plain.get(tensor.type):
        writer.add_tensor_info(tensor.name, tensor.shape, np.dtype(number), tensor.nbytes)
        return
    row = formats.nbytes(tensor.type, tensor.shape[-1:])
    writer.add_tensor_info(
        tensor.name, (*tensor.shape[:-1], row), np.dtype(np.uint8), tensor.nbytes, raw_dtype=tensor.type
    )


def _write_tensor(file: BinaryIO, source: Source, layout: Layout, tensor: Tensor, progress: Progress) -> None:
    for rows in _blocks(source, layout, tensor):
        data = formats.encode(rows, tensor.type, tensor.source or tensor.name)
        file.write(data.data.cast("B"))
        progress.wrote(tensor.name, data.nbytes)
    file.write(bytes(-tensor.nbytes % ALIGNMENT))


def _blocks(source: Source, layout: Layout, tensor: Tensor) -> Iterator[torch.Tensor]:
    """The rows of a tensor as llama.cpp wants them, a part at a time."""
    family, config = layout.family, layout.config
    if tensor.value is not None:
        yield tensor.value
    elif family.turns and ".attn_q." in tensor.name:
        yield turn(source.read(tensor.source), config.num_attention_heads)
    elif family.turns and ".attn_k." in tensor.name:
        yield turn(source.read(tensor.source), config.num_key_value_heads or config.num_attention_heads)
    elif family.norm_offset and len(tensor.shape) == 1:
        yield source.read(tensor.source).float() + 1
    else:
        yield from source.blocks(tensor.source)


def turn(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """The rows of queries or keys in another order: the two halves of each head, which transformers keeps one behind
    the other, become pairs of neighbours. Takes (heads * width, columns), or a bias of (heads * width,).
    """
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, -1)
    return halves.transpose(1, 2).reshape(weight.shape)
