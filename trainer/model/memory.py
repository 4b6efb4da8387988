"""Whether a model fits into memory, before it is loaded, and giving memory back afterwards."""

from __future__ import annotations

import ctypes
import gc
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
import torch

from trainer import device as accelerator
from trainer.errors import UserError
from trainer.model.catalog import weight_files
from trainer.model.exported import gguf_of
from trainer.model.gguf_file import parts
from trainer.model.quantization import Quantization, packed_bytes, stored_method

# Bytes per number in a safetensors header: https://github.com/huggingface/safetensors#format
_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1}
# Room for activations and the cache of keys and values, which grow with the conversation.
_SPARE = 1.15
_MIB = 1024 * 1024
NO_MEMORY = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory")


def needed_bytes(
    folders: Sequence[Path], dtype: torch.dtype, quantization: Quantization | None = None
) -> int:
    """Memory in bytes that the weights of all these folders or GGUF files take in `dtype`, with some room.

    Those that `quantization` squeezes take less.
    """
    return int(sum(_needed(folder, dtype.itemsize, quantization) for folder in folders) * _SPARE)


def _needed(folder: Path, itemsize: int, quantization: Quantization | None) -> int:
    file = gguf_of(folder)
    if file is None:
        # Adapters lie on top as they are, and what is stored in few bits stays so.
        squeezed = quantization if (folder / "config.json").is_file() and not stored_method(folder) else None
        return sum(_stored(each, itemsize, squeezed) for each in weight_files(folder))
    # llama.cpp computes with the numbers as they are stored.
    return sum(part.stat().st_size for part in parts(file) if part.is_file())


def _stored(file: Path, itemsize: int, quantization: Quantization | None) -> int:
    with file.open("rb") as opened:
        header = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
    total = 0
    for name, tensor in header.items():
        if name != "__metadata__":
            begin, end = tensor["data_offsets"]
            # Floating-point weights are converted; everything else stays as it is stored.
            size = (end - begin) * itemsize // _BYTES.get(tensor["dtype"], itemsize)
            total += packed_bytes(name, tuple(tensor["shape"]), size, quantization) if quantization else size
    return total


def free_bytes(device: torch.device) -> int:
    """Memory in bytes that can still be taken on a device: what a run in this process holds does not count."""
    if device.type != "cpu":
        return accelerator.free_memory(device)
    return accelerator.free_ram()


def require_room(
    folders: Sequence[Path],
    device: torch.device,
    dtype: torch.dtype,
    quantization: Quantization | None = None,
) -> None:
    """Raises UserError with both numbers when the weights of `folders` do not fit on `device`."""
    needed, free = needed_bytes(folders, dtype, quantization), free_bytes(device)
    if needed > free:
        raise UserError("chat_no_room", needed=_megabytes(needed), free=_megabytes(free), device=device.type)


def _megabytes(count: int) -> int:
    return -(-count // 1_000_000)


def used_mb(device: torch.device) -> float:
    """The peak memory on a GPU, else what this process holds now, in MiB."""
    if device.type != "cpu":
        return round(accelerator.peak_memory(device) / _MIB, 1)
    return round(psutil.Process().memory_info().rss / _MIB, 1)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory was too small; on a CPU torch says so with a RuntimeError."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in NO_MEMORY)


def give_back() -> None:
    """Returns memory without owner to the device and to the system."""
    gc.collect()
    accelerator.empty_cache()
    if sys.platform == "linux":
        # Small tensors lie in malloc's heap, which keeps what is freed.
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
