"""A model's tensors as safetensors files of limited size, written while they are read: one block is in memory.

Layout: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch

from trainer.export.progress import Progress
from trainer.export.source import Source, TensorInfo
from trainer.model.stored import DTYPES
from trainer.paths import write_atomic

GB = 1_000_000_000
SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
# What transformers writes; readers ask for it.
_METADATA = {"format": "pt"}


def divide(tensors: Sequence[TensorInfo], limit: int) -> list[list[TensorInfo]]:
    """The tensors in files of at most `limit` bytes, in order; one that is larger has a file of its own."""
    shards: list[list[TensorInfo]] = []
    size = 0
    for tensor in tensors:
        if not shards or size + tensor.nbytes > limit:
            shards.append([])
            size = 0
        shards[-1].append(tensor)
        size += tensor.nbytes
    return shards


def write_shards(source: Source, folder: Path, limit_gb: float, progress: Progress) -> list[Path]:
    """Writes all tensors and, for more than one file, their index. Returns the files; see Source.blocks for errors."""
    shards = divide(source.names(), int(limit_gb * GB))
    count = len(shards)
    files = [
        folder / (SINGLE if count == 1 else f"model-{at + 1:05}-of-{count:05}.safetensors")
        for at in range(count)
    ]
    for file, tensors in zip(files, shards, strict=True):
        _write(source, file, tensors, progress)
    if count == 1:
        return files
    index = {
        "metadata": {"total_parameters": source.parameters, "total_size": source.nbytes},
        "weight_map": {
            each.name: file.name for file, tensors in zip(files, shards, strict=True) for each in tensors
        },
    }
    write_atomic(folder / INDEX, json.dumps(index, indent=2) + "\n")
    return [*files, folder / INDEX]


def _write(source: Source, file: Path, tensors: Sequence[TensorInfo], progress: Progress) -> None:
    # Wide numbers first, so that each tensor begins at a multiple of its own width.
    ordered = sorted(tensors, key=lambda each: -DTYPES[each.dtype].itemsize)
    with file.open("wb", buffering=0) as opened:
        _all(opened.write, memoryview(_header(ordered)))
        for tensor in ordered:
            for block in source.blocks(tensor.name):
                _all(opened.write, _raw(block))
                progress.wrote(tensor.name, block.nbytes)


def _header(tensors: Sequence[TensorInfo]) -> bytes:
    header: dict[str, object] = {"__metadata__": _METADATA}
    at = 0
    for each in tensors:
        header[each.name] = {
            "dtype": each.dtype, "shape": list(each.shape), "data_offsets": [at, at + each.nbytes],
        }  # fmt: skip
        at += each.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _raw(block: torch.Tensor) -> memoryview:
    flat = (
        block.contiguous().view(-1).view(torch.uint8) if block.dim() else block.reshape(1).view(torch.uint8)
    )
    return memoryview(flat.numpy().data)


def _all(write: object, view: memoryview) -> None:
    """An unbuffered file takes at most 2 GB at once, and says how much it took."""
    while view:
        taken = write(view)  # type: ignore[operator]
        view = view[taken:]
