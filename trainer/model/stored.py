"""Tensors as they lie in safetensors files: found by the headers, read in pieces, never mapped into memory.

Layout: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from trainer.errors import UserError

DTYPES: dict[str, torch.dtype] = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
}  # fmt: skip
FLOATING = ("F64", "F32", "F16", "BF16")
WORDS = {kind: word for word, kind in DTYPES.items()}
# A header of more bytes than this is none.
_LONGEST_HEADER = 100_000_000


@dataclass(frozen=True)
class Place:
    """Where a tensor lies: bytes `begin` to `end` of `file`, row after row. `dtype` is one of safetensors' words."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def rows(self) -> int:
        """The length of the first dimension; 1 for a single number."""
        return self.shape[0] if self.shape else 1

    @property
    def row_bytes(self) -> int:
        return (self.end - self.begin) // max(self.rows, 1)


def places(file: Path) -> dict[str, Place]:
    """The tensors of one file, in the order in which they lie. Raises UserError for a file that is broken or cut short."""
    try:
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            header = json.loads(opened.read(length)) if 0 < length < _LONGEST_HEADER else {}
            size = os.fstat(opened.fileno()).st_size
        found = {
            name: Place(file, each["dtype"], tuple(each["shape"]), *(8 + length + at for at in each["data_offsets"]))
            for name, each in header.items()
            if name != "__metadata__"
        }  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError("weights_unreadable", path=str(file), reason=str(error)[:200]) from None
    if not found or size < max(place.end for place in found.values()):
        raise UserError("weights_unreadable", path=str(file), reason="it is cut short")
    unknown = sorted({place.dtype for place in found.values()} - set(DTYPES))
    if unknown:
        raise UserError("weights_unreadable", path=str(file), reason=f"the number format {unknown[0]}")
    return dict(sorted(found.items(), key=lambda each: each[1].begin))


def gathered(files: Sequence[Path]) -> dict[str, Place]:
    """The tensors of several files, file after file."""
    found: dict[str, Place] = {}
    for file in files:
        found.update(places(file))
    return found


def read(place: Place, first: int = 0, last: int | None = None) -> torch.Tensor:
    """Rows `first` to `last` (all of them) of a tensor, as they are stored. Raises OSError, EOFError."""
    last = place.rows if last is None else min(last, place.rows)
    shape = (last - first, *place.shape[1:]) if place.shape else ()
    data = torch.empty((last - first) * place.row_bytes, dtype=torch.uint8)
    if data.numel():
        with place.file.open("rb", buffering=0) as file:
            file.seek(place.begin + first * place.row_bytes)
            view = memoryview(data.numpy().data)
            while view:
                count = file.readinto(view)
                if not count:
                    raise EOFError(f"{place.file} is cut short")
                view = view[count:]
    return data.view(DTYPES[place.dtype]).view(shape)


def numel(shape: Sequence[int]) -> int:
    return math.prod(shape)
