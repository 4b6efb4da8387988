"""What a GGUF file says of itself: its header, read without loading a weight.

Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from trainer.errors import UserError

MAGIC = b"GGUF"
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
# Longer lists are walked over, not kept: a vocabulary's merges alone are a hundred thousand words.
_KEPT = 64
_WANTED = ("tokenizer.ggml.tokens", "tokenizer.ggml.token_type")
_MOST_NAME, _MOST_COUNT, _MOST_DIMENSIONS = 1 << 26, 1 << 28, 8
_PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")
# Architectures without a next token to give: encoders, parts that see or hear, and what only makes vectors.
_SILENT = re.compile(r"^clip$|bert|encoder$|^wavtokenizer|embed")


@dataclass(frozen=True)
class Tensor:
    """A tensor's shape (fastest axis first, as in the file), type and place behind the header, both in bytes."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int

    @property
    def count(self) -> int:
        """How many numbers it has."""
        total = 1
        for each in self.shape:
            total *= each
        return total


@dataclass(frozen=True)
class Header:
    """`metadata` by GGUF's own keys, of long lists only the vocabulary's; `data_at` is where the tensors begin."""

    path: Path
    version: int
    metadata: Mapping[str, Any]
    tensors: tuple[Tensor, ...]
    data_at: int

    @property
    def architecture(self) -> str:
        return str(self.metadata.get("general.architecture") or "")

    @property
    def template(self) -> str:
        """The chat template, empty where the file has none."""
        return str(self.metadata.get("tokenizer.chat_template") or "")

    @property
    def type_name(self) -> str:
        """The format of most of its numbers, such as q8_0."""
        from gguf import GGMLQuantizationType

        taken: dict[int, int] = {}
        for tensor in self.tensors:
            taken[tensor.kind] = taken.get(tensor.kind, 0) + tensor.count
        most = max(taken, key=lambda kind: taken[kind], default=0)
        return GGMLQuantizationType(most).name.lower()

    @property
    def control_words(self) -> tuple[str, ...]:
        """The texts of the tokens that stand for no text of a person's (GGUF's type 3), the longest first."""
        words = self.metadata.get("tokenizer.ggml.tokens") or ()
        kinds = self.metadata.get("tokenizer.ggml.token_type") or ()
        found = {word for word, kind in zip(words, kinds, strict=False) if kind == 3}
        return tuple(sorted(found, key=len, reverse=True))

    def word(self, name: str) -> str | None:
        """The text of the token that the metadata call `name`: bos, eos, unknown or padding."""
        words = self.metadata.get("tokenizer.ggml.tokens") or ()
        place = self.metadata.get(f"tokenizer.ggml.{name}_token_id")
        return str(words[place]) if isinstance(place, int) and 0 <= place < len(words) else None

    def number(self, name: str, default: int = 0) -> int:
        """A number of the architecture, such as context_length; a list's largest where each layer has its own."""
        found = self.metadata.get(f"{self.architecture}.{name}", default)
        return max(found, default=default) if isinstance(found, tuple) else int(found)


class _Broken(Exception):
    """What is wrong with a header; the file's sentence is made where its name is known."""


class _Cut(_Broken):
    """The file ends inside its header."""


class _Walk:
    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size

    def take(self, count: int) -> bytes:
        # Asked before reading: a broken length would have room made for it.
        if self._file.tell() + count > self._size:
            raise _Cut
        return self._file.read(count)

    def number(self, code: str) -> Any:
        return struct.unpack(f"<{code}", self.take(struct.calcsize(code)))[0]

    def text(self) -> str:
        length = self.number("Q")
        if length > _MOST_NAME:
            raise _Broken(f"a text of {length} bytes")
        return self.take(length).decode("utf-8", errors="replace")

    def value(self, kind: int, keep: bool) -> Any:
        if kind in _NUMBERS:
            return self.number(_NUMBERS[kind])
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            return self._list(self.number("I"), self.number("Q"), keep)
        raise _Broken(f"a value of the unknown kind {kind}")

    def _list(self, kind: int, count: int, keep: bool) -> Any:
        if count > _MOST_COUNT:
            raise _Broken(f"a list of {count} values")
        if kind in _NUMBERS:
            code = _NUMBERS[kind]
            whole = self.take(count * struct.calcsize(code))
            return struct.unpack(f"<{count}{code}", whole) if keep or count <= _KEPT else ()
        found = tuple(self.value(kind, keep) for _ in range(count))
        return found if keep or count <= _KEPT else ()


def read(path: Path) -> Header:
    """The header of a GGUF file. Raises UserError for a file that is missing, none, cut short or broken."""
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise UserError("gguf_file_none", path=str(path))
        with path.open("rb") as file:
            header = _read(path, _Walk(file, size), file, size)
    except FileNotFoundError:
        raise UserError("gguf_file_missing", path=str(path)) from None
    except OSError as error:
        raise UserError("gguf_file_closed", path=str(path), reason=error.strerror or str(error)) from None
    except _Cut:
        raise UserError("gguf_file_cut", file=path.name, size=_megabytes(size)) from None
    except (_Broken, ValueError, struct.error) as broken:
        raise UserError("gguf_file_broken", file=path.name, reason=str(broken)) from None
    _require_whole(header, size)
    return header


def _read(path: Path, walk: _Walk, file: BinaryIO, size: int) -> Header:
    if not size:
        raise UserError("gguf_file_empty", file=path.name)
    if size < len(MAGIC) or walk.take(len(MAGIC)) != MAGIC:
        raise UserError("gguf_file_other", file=path.name)
    version = walk.number("I")
    if version not in (2, 3):
        # The other byte order turns 3 into 50331648.
        raise UserError("gguf_file_version", file=path.name, version=version)
    tensor_count, value_count = walk.number("Q"), walk.number("Q")
    if max(tensor_count, value_count) > _MOST_COUNT:
        raise _Broken(f"{max(tensor_count, value_count)} entries")
    metadata: dict[str, Any] = {}
    for _ in range(value_count):
        name = walk.text()
        metadata[name] = walk.value(walk.number("I"), name in _WANTED)
    tensors = tuple(_tensor(walk) for _ in range(tensor_count))
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20:
        raise _Broken(f"an alignment of {alignment}")
    return Header(path, version, metadata, tensors, -(-file.tell() // alignment) * alignment)


def _tensor(walk: _Walk) -> Tensor:
    name, dimensions = walk.text(), walk.number("I")
    if dimensions > _MOST_DIMENSIONS:
        raise _Broken(f"{name[:60]} has {dimensions} dimensions")
    shape = tuple(walk.number("Q") for _ in range(dimensions))
    return Tensor(name, shape, walk.number("I"), walk.number("Q"))


def _require_whole(header: Header, size: int) -> None:
    """Raises UserError unless the file is as long as its tensors need it to be."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    end = header.data_at if header.tensors else 0
    for tensor in header.tensors:
        try:
            block, nbytes = GGML_QUANT_SIZES[GGMLQuantizationType(tensor.kind)]
        except (ValueError, KeyError):
            reason = f"{tensor.name} has the unknown format {tensor.kind}"
            raise UserError("gguf_file_broken", file=header.path.name, reason=reason) from None
        end = max(end, header.data_at + tensor.offset + tensor.count // block * nbytes)
    if size < end:
        raise UserError("gguf_file_cut", file=header.path.name, size=_megabytes(size))


def _megabytes(count: int) -> str:
    return f"{count / 1_000_000:.1f}"


def require_speaker(header: Header) -> None:
    """Raises UserError for a GGUF file that is whole and yet gives no answers, or of which a part is missing."""
    name = header.path.name
    split = int(header.metadata.get("split.count", 0))
    if split > 1:
        _require_parts(header.path, split)
    kind = str(header.metadata.get("general.type") or "model")
    if kind != "model" or _SILENT.search(header.architecture):
        what = kind if kind != "model" else header.architecture
        raise UserError("gguf_file_silent", file=name, kind=what)
    if not header.architecture or (not header.tensors and split <= 1):
        raise UserError("gguf_file_hollow", file=name)
    if header.metadata.get("tokenizer.ggml.model") in (None, "none", "no_vocab"):
        raise UserError("gguf_file_wordless", file=name)


def _require_parts(path: Path, count: int) -> None:
    found = _PART.search(path.name)
    if found is None or int(found[1]) != 1:
        stem = path.name[: found.start()] if found else path.stem
        raise UserError("gguf_file_part", file=path.name, first=f"{stem}-00001-of-{count:05d}.gguf")
    stem = path.name[: found.start()]
    names = [f"{stem}-{number:05d}-of-{count:05d}.gguf" for number in range(1, count + 1)]
    missing = [name for name in names if not (path.parent / name).is_file()]
    if missing:
        raise UserError("gguf_file_parts", file=path.name, count=len(missing), name=missing[0])


def parts(path: Path) -> list[Path]:
    """All files of a model that is split over several, or the one."""
    found = _PART.search(path.name)
    if found is None:
        return [path]
    stem, count = path.name[: found.start()], int(found[2])
    return [path.parent / f"{stem}-{number:05d}-of-{found[2]}.gguf" for number in range(1, count + 1)]
