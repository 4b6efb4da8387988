"""The number formats of GGUF files: what each tensor becomes, its size, and the numbers themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, LlamaFileType
from gguf.quants import quantize

from trainer.errors import UserError

Type = GGMLQuantizationType

TYPES = {
    "f32": Type.F32, "f16": Type.F16, "bf16": Type.BF16, "q8_0": Type.Q8_0,
    "q5_1": Type.Q5_1, "q5_0": Type.Q5_0, "q4_1": Type.Q4_1, "q4_0": Type.Q4_0,
}  # fmt: skip
FILE_TYPES = {
    "f32": LlamaFileType.ALL_F32, "f16": LlamaFileType.MOSTLY_F16, "bf16": LlamaFileType.MOSTLY_BF16,
    "q8_0": LlamaFileType.MOSTLY_Q8_0, "q5_1": LlamaFileType.MOSTLY_Q5_1, "q5_0": LlamaFileType.MOSTLY_Q5_0,
    "q4_1": LlamaFileType.MOSTLY_Q4_1, "q4_0": LlamaFileType.MOSTLY_Q4_0,
}  # fmt: skip
PLAIN = (Type.F32, Type.F16, Type.BF16)
# The head decides between thousands of words: llama.cpp's own quantiser keeps it at more bits than the rest, too.
COARSE = (Type.Q5_1, Type.Q5_0, Type.Q4_1, Type.Q4_0)
# How many half-precision numbers stand at the beginning of each block: its scale, and for the _1 formats its least value.
HALVES = {Type.Q8_0: 1, Type.Q5_0: 1, Type.Q4_0: 1, Type.Q5_1: 2, Type.Q4_1: 2}
# Below it the quantisers divide by a scale that is too small for fp32 and get garbage; such numbers are nothing in fp16.
NOTHING = 1e-30
# So many numbers are turned and looked at while they lie in the processor's cache.
CACHED = 256 * 1024


def tensor_type(kind: str, shape: Sequence[int], head: bool) -> Type:
    """What a tensor of `shape` becomes in a file of `kind`. Vectors stay f32, as llama.cpp wants them.

    `head`: it turns the last state into words. Rows that cannot be cut into blocks of 32 become f16.
    """
    if len(shape) < 2:
        return Type.F32
    wanted = TYPES[kind]
    if wanted in COARSE and head:
        wanted = Type.Q8_0
    return wanted if shape[-1] % GGML_QUANT_SIZES[wanted][0] == 0 else Type.F16


def nbytes(kind: Type, shape: Sequence[int]) -> int:
    """Bytes of a tensor, without the padding behind it."""
    count = 1
    for each in shape:
        count *= each
    block, size = GGML_QUANT_SIZES[kind]
    return count // block * size


def encode(rows: torch.Tensor, kind: Type, name: str) -> npt.NDArray[np.generic]:
    """Rows of a weight, as they lie in the file. `name` is for the message.

    Raises UserError for numbers that are no numbers, and for those that the format cannot hold.
    """
    rows = rows.contiguous()
    if kind in PLAIN:
        return _plain(rows, kind, name)
    numbers: npt.NDArray[np.float32] = rows.float().numpy()
    _require_finite(rows, name)
    small = np.abs(numbers) < NOTHING
    if small.any():
        numbers = np.where(small, np.float32(0), numbers)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        packed = quantize(numbers, kind)
    size = GGML_QUANT_SIZES[kind][1]
    scales = packed.reshape(-1, size)[:, : 2 * HALVES[kind]].copy().view(np.float16)
    if not np.isfinite(scales).all():
        raise _too_large(kind, name)
    return packed


def _plain(rows: torch.Tensor, kind: Type, name: str) -> npt.NDArray[np.generic]:
    target = {Type.F32: torch.float32, Type.F16: torch.float16, Type.BF16: torch.bfloat16}[kind]
    given = rows.flatten()
    found = given if given.dtype == target else torch.empty(given.shape, dtype=target)
    for first in range(0, len(given), CACHED):
        part, turned = given[first : first + CACHED], found[first : first + CACHED]
        if found is not given:
            # From bf16 to f16 by way of fp32 is several times faster than directly.
            turned.copy_(part.float())
        if not _finite(turned):
            _require_finite(part, name)
            raise _too_large(kind, name)
    whole = found.reshape(rows.shape)
    plain: npt.NDArray[np.generic] = (whole.view(torch.int16) if kind == Type.BF16 else whole).numpy()
    return plain


def _finite(numbers: torch.Tensor) -> bool:
    """Whether all are numbers: the least and the largest of them are, as neither overlooks what is none."""
    if not numbers.numel():
        return True
    least, largest = torch.aminmax(numbers)
    return math.isfinite(least.item()) and math.isfinite(largest.item())


def _require_finite(rows: torch.Tensor, name: str) -> None:
    if not _finite(rows):
        raise UserError("gguf_not_finite", field="export_format", tensor=name)


def _too_large(kind: Type, name: str) -> UserError:
    return UserError("gguf_too_large", field="gguf_type", tensor=name, kind=kind.name.lower())
