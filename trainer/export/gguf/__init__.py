"""A model as one GGUF file, for llama.cpp and what is built on it.

Everything that these programs need lies in the file: weights, tokenizer, chat template, the ends of an answer.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trainer.events import Note

if TYPE_CHECKING:
    from trainer.export.progress import Progress
    from trainer.export.source import Source


def check(source: Source, kind: str, llama_cpp_dir: str = "") -> None:
    """Raises UserError when `source` cannot become a GGUF file of `kind`; reads no weights.

    `llama_cpp_dir`: a checkout of llama.cpp, for families that are not written here and for the k formats.
    """
    from trainer.export.gguf import outside
    from trainer.export.gguf.layout import lay_out
    from trainer.export.gguf.writing import read_vocabulary

    if outside.converted_outside(source, llama_cpp_dir):
        outside.check(source, kind, llama_cpp_dir)
        return
    layout = lay_out(source, _before(source, kind), source.base.name)
    read_vocabulary(source, layout.rows, source.base.name)
    if outside.quantised_outside(kind):
        outside.quantizer(kind, llama_cpp_dir)


def notes(source: Source, kind: str, llama_cpp_dir: str = "") -> list[Note]:
    """What llama.cpp does otherwise in rare cases, and what is kept finer than asked for; for one that `check` lets pass."""
    from trainer.export.gguf import families, outside
    from trainer.export.gguf.layout import lay_out
    from trainer.export.gguf.writing import read_vocabulary

    if outside.converted_outside(source, llama_cpp_dir):
        return [Note(code="gguf_converter", values={"path": llama_cpp_dir})]
    layout = lay_out(source, _before(source, kind), source.base.name)
    told = read_vocabulary(source, layout.rows, source.base.name).notes
    found = [Note(code=code, values=values) for code, values in told]
    if window := families.window(layout.config):
        found.append(Note(code="gguf_window", values={"window": window}))
    if layout.kept:
        found.append(Note(code="gguf_kept", values={"count": layout.kept, "kind": kind}))
    return found


def size(source: Source, kind: str) -> int:
    """Bytes of the file, within a few percent. Raises UserError when `check` does for a family that is written here."""
    from trainer.export.gguf import outside
    from trainer.export.gguf.layout import lay_out

    # Each word with its length, kind and score, and about as much for the merges; then the names of the tensors.
    words = sum(len(word.encode()) + 16 for word in source.tokenizer.get_vocab()) * 2
    beside = words + 64 * len(source.names()) + 4096
    if outside.quantised_outside(kind) or not outside.known(source):
        return outside.size(source, kind) + beside
    return sum(each.padded for each in lay_out(source, kind, source.base.name).tensors) + beside


def write(source: Source, path: Path, kind: str, progress: Progress, llama_cpp_dir: str = "") -> list[Path]:
    """Writes the file and returns what was written. Leaves half a file behind when something is raised.

    Raises UserError for what cannot be written, OSError of the disk, and what `progress` raises.
    """
    from trainer.export.gguf import outside
    from trainer.export.gguf.writing import write_file

    name = path.stem.removesuffix(f"-{kind}") or source.base.name
    if outside.quantised_outside(kind) or outside.converted_outside(source, llama_cpp_dir):
        return outside.write(source, path, kind, name, progress, llama_cpp_dir)
    write_file(source, path, kind, name, progress)
    return [path]


def _before(source: Source, kind: str) -> str:
    """The format that is written here: `kind` itself, or what the quantiser is given."""
    from trainer.export.gguf import outside

    return outside.BEFORE[source.dtype] if outside.quantised_outside(kind) else kind
