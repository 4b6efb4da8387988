"""llama.cpp's own programs: its converter for families that are not written here, its quantiser for the k formats.

Both are called with a list of arguments, never through a shell, and end with us. The converter is only called from a checkout
that the person has named; the quantiser is looked for there, in PATH, and in llama-cpp-python.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING
from uuid import uuid4

from trainer.errors import UserError
from trainer.export.gguf import families
from trainer.export.gguf.formats import TYPES
from trainer.export.gguf.layout import lay_out
from trainer.export.gguf.writing import read_vocabulary, write_file
from trainer.paths import REPOSITORY

if TYPE_CHECKING:
    from trainer.export.progress import Progress
    from trainer.export.source import Source

CONVERTER = "convert_hf_to_gguf.py"
QUANTIZER = "llama-quantize"
# What the quantiser is given: nothing of the model is lost before it.
BEFORE = {"bfloat16": "bf16", "float16": "f16", "float32": "f32"}
CONVERTED = ("f32", "f16", "bf16", "q8_0")
# Bits for a weight on average, as llama.cpp's quantiser prints them for models of some billions.
BITS = {
    "f32": 32.0, "f16": 16.0, "bf16": 16.0, "q8_0": 8.5, "q5_1": 6.0, "q5_0": 5.5, "q4_1": 5.0, "q4_0": 4.5,
    "q6_k": 6.57, "q5_k_m": 5.69, "q5_k_s": 5.54, "q4_k_m": 4.87, "q4_k_s": 4.6, "q3_k_l": 4.27, "q3_k_m": 3.92,
    "q3_k_s": 3.5, "q2_k": 3.0,
}  # fmt: skip
LOOKS_EVERY_S = 0.2
# What is left on a disk that a program could not go on writing to: less than it writes at once.
FULL_BYTES = 1024 * 1024
_SHARD_GB = 5.0


def quantised_outside(kind: str) -> bool:
    """Whether llama.cpp's quantiser makes this format."""
    return kind not in TYPES


def converted_outside(source: Source, llama_cpp_dir: str) -> bool:
    """Whether the converter of a named checkout is asked: it is, for all that is refused here."""
    if not llama_cpp_dir:
        return False
    try:
        layout = lay_out(source, "f16", source.base.name)
        read_vocabulary(source, layout.rows, source.base.name)
    except UserError:
        return True
    return False


def known(source: Source) -> bool:
    """Whether the model's family is written here."""
    return str(source.config.get("model_type")) in families.FAMILIES and "vision_config" not in source.config


def size(source: Source, kind: str) -> int:
    """Bytes of the weights in a file, from their shapes: the quantiser keeps the head at six bits and more, and rows that
    it cannot cut into blocks of 256 at about eight.
    """
    bits, infos = BITS[kind], source.names()
    head = "lm_head.weight" if source.has("lm_head.weight") else "model.embed_tokens.weight"
    total = 0.0
    for each in infos:
        wanted = bits
        if len(each.shape) < 2:
            wanted = BITS["f32"]
        elif quantised_outside(kind) and each.shape[-1] % 256:
            wanted = max(bits, BITS["q8_0"])
        elif quantised_outside(kind) and each.name == head:
            wanted = max(bits, BITS["q6_k"])
        total += each.numel * wanted / 8
    return int(total)


def check(source: Source, kind: str, llama_cpp_dir: str) -> None:
    """Raises UserError when the checkout has no converter, or cannot make `kind`."""
    if not (Path(llama_cpp_dir) / CONVERTER).is_file():
        raise UserError("gguf_no_converter", field="llama_cpp_dir", path=llama_cpp_dir, file=CONVERTER)
    if kind not in CONVERTED:
        quantizer(kind, llama_cpp_dir)


def quantizer(kind: str, llama_cpp_dir: str) -> list[str]:
    """The beginning of the command that quantises. Raises UserError when there is no program for it."""
    places = [Path(llama_cpp_dir) / each for each in ("", "build/bin")] if llama_cpp_dir else []
    for each in places:
        if found := shutil.which(QUANTIZER, path=str(each)):
            return [found]
    if found := shutil.which(QUANTIZER):
        return [found]
    if find_spec("llama_cpp"):
        return [sys.executable, "-m", "trainer.export.gguf.quantizer"]
    raise UserError("gguf_no_quantizer", field="gguf_type", kind=kind, program=QUANTIZER)


def write(
    source: Source, path: Path, kind: str, name: str, progress: Progress, llama_cpp_dir: str
) -> list[Path]:
    """As gguf.write, with llama.cpp's programs. What is made on the way lies beside `path` and is removed.

    Raises UserError with their last words when they fail.
    """
    outside = converted_outside(source, llama_cpp_dir)
    direct = outside and kind in CONVERTED
    before = path if direct else path.parent / f".{uuid4().hex[:8]}.gguf"
    try:
        if outside:
            _convert(source, before, kind if direct else BEFORE[source.dtype], progress, llama_cpp_dir)
        else:
            write_file(source, before, BEFORE[source.dtype], name, progress)
        if not direct:
            _run(
                [*quantizer(kind, llama_cpp_dir), str(before), str(path), kind.upper()],
                QUANTIZER,
                path,
                progress,
            )
    finally:
        if before != path:
            before.unlink(missing_ok=True)
    return [path]


def _convert(source: Source, path: Path, kind: str, progress: Progress, llama_cpp_dir: str) -> None:
    from trainer.export import merged

    script = Path(llama_cpp_dir) / CONVERTER
    with tempfile.TemporaryDirectory(prefix=".", dir=path.parent) as folder:
        merged.write(source, Path(folder), _SHARD_GB, progress)
        command = [sys.executable, str(script), folder, "--outfile", str(path), "--outtype", kind]
        _run(command, CONVERTER, path, progress)


def _run(command: Sequence[str], program: str, path: Path, progress: Progress) -> None:
    """Runs a program to its end, or to ours. Raises OSError when it failed on a full disk."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=REPOSITORY
        )
        try:
            while True:
                try:
                    process.wait(LOOKS_EVERY_S)
                    break
                except subprocess.TimeoutExpired:
                    progress.wrote(program, 0)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if process.returncode or not path.is_file():
            if shutil.disk_usage(path.parent).free < FULL_BYTES:
                # The program's own words say nothing of it.
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            raise UserError(
                "gguf_program_failed",
                field="export_format",
                program=program,
                status=process.returncode,
                reason=_last_words(log),
            )
    progress.wrote(program, path.stat().st_size)


def _last_words(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read()[-4000:].decode(errors="replace").strip().splitlines()
    return " ".join(lines[-2:])[:400] or "-"
