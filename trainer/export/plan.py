"""What an export will write, how much room it takes, and all that speaks against it, before anything is written."""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from trainer.config import RunConfig
from trainer.errors import UserError, problems_of
from trainer.events import Note
from trainer.export import adapter, companions, place, quantized
from trainer.export.source import Source
from trainer.model.load import require_known
from trainer.model.memory import free_bytes
from trainer.model.stored import DTYPES

# Settings, tokenizer and receipt beside the weights.
_BESIDE = 16 * 1024 * 1024
# The libraries, a few blocks of rows and the matrices of an adapter.
_LIBRARIES = 800 * 1024 * 1024
# Of a layer that is turned for llama.cpp.
_COPIES = 3
ORDER = ("merged", "adapter", "gguf", "ollama", "quantized")
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
GB = 1e9


class Size(NamedTuple):
    """Bytes of one format; `type` is that of a GGUF or quantised model."""

    format: str
    type: str
    bytes: int


@dataclass(frozen=True)
class Plan:
    """`disk` and `memory` are bytes that are needed and that there are. `problems` must be empty to begin."""

    target: Path
    sizes: tuple[Size, ...]
    disk_needed: int
    disk_free: int
    memory_needed: int
    memory_free: int
    parameters: int
    problems: tuple[UserError, ...]
    notes: tuple[Note, ...]


def formats(config: RunConfig) -> tuple[str, ...]:
    """The formats that are wanted, in the order in which they are written."""
    return tuple(each for each in ORDER if each in config.export.export_format)


def make(config: RunConfig, source: Source, notes: tuple[Note, ...] = ()) -> Plan:
    """The plan of an export. Reads headers and small files only."""
    problems: list[UserError] = []

    def look(check: Callable[[], object]) -> None:
        try:
            check()
        except UserError as error:
            problems.extend(
                each for each in problems_of(error) if each.code not in {p.code for p in problems}
            )

    used = [source.base, *source.adapters, source.folder]
    look(lambda: place.require_target(config, used))
    look(lambda: _require_words(source))
    for format in formats(config):
        look(lambda format=format: _check(config, source, format))  # type: ignore[misc]
    look(lambda: require_repository(config))
    sizes: tuple[Size, ...] = ()
    if not problems:
        sizes = tuple(_sizes(config, source))
        notes = (*notes, *_notes(config, source))
    target = place.target_of(config)
    needed, free = _disk(config, source, sizes), shutil.disk_usage(place.standing(target)).free
    memory, there = _memory(config, source), free_bytes(torch.device("cpu"))
    for code, wanted, has in (("export_no_disk", needed, free), ("export_no_memory", memory, there)):
        if wanted > has:
            values = {"needed": round(wanted / GB, 2), "free": round(has / GB, 2)}
            problems.append(UserError(code, field="export_dir" if code == "export_no_disk" else "", **values))
    return Plan(
        target, sizes, needed, free, memory, there, source.parameters, tuple(problems), notes
    )  # fmt: skip


def _require_words(source: Source) -> None:
    """Raises UserError when the tokenizer's files have words that the embedding has no row for."""
    words = companions.words_of(source)
    rows = source.config.get("vocab_size") or (source.config.get("text_config") or {}).get("vocab_size")
    if isinstance(rows, int) and words > rows:
        raise UserError("export_vocabulary", field="adapter_name_or_path", words=words, rows=rows)
    source.renderer  # noqa: B018  made here, so that a template that does not fit is complained of now


def _check(config: RunConfig, source: Source, format: str) -> None:
    if format in ("merged", "quantized"):
        # Nobody could load it, nor prove it.
        require_known(source.base, source.trust)
    if format == "adapter":
        adapter.check(source)
    elif format == "quantized":
        quantized.check(source, config.export.quantized_type)
    elif format in ("gguf", "ollama"):
        from trainer.export import gguf, ollama

        for kind in gguf_types(config, format):
            gguf.check(source, kind, config.export.llama_cpp_dir)
        if format == "ollama":
            ollama.check(source)


def _notes(config: RunConfig, source: Source) -> list[Note]:
    """What a person should know of files for llama.cpp, each thing once."""
    from trainer.export import gguf

    kinds = {
        kind: None
        for format in ("gguf", "ollama")
        if format in formats(config)
        for kind in gguf_types(config, format)
    }
    found: list[Note] = []
    for kind in kinds:
        for note in gguf.notes(source, kind, config.export.llama_cpp_dir):
            if (note.code, note.values) not in [(each.code, each.values) for each in found]:
                found.append(note)
    return found


def gguf_types(config: RunConfig, format: str) -> tuple[str, ...]:
    """The number formats of the GGUF files of a format; Ollama gets one."""
    wanted = tuple(dict.fromkeys(each.lower() for each in config.export.gguf_type))
    return wanted[:1] if format == "ollama" else wanted


def _sizes(config: RunConfig, source: Source) -> Iterator[Size]:
    for format in formats(config):
        if format == "merged":
            yield Size(format, "", source.nbytes)
        elif format == "adapter":
            yield Size(format, "", adapter.size(source))
        elif format == "quantized":
            bits = config.export.quantized_type
            yield Size(format, bits, quantized.size(source, bits))
        else:
            from trainer.export import gguf

            for kind in gguf_types(config, format):
                yield Size(format, kind, gguf.size(source, kind))


def _disk(config: RunConfig, source: Source, sizes: tuple[Size, ...]) -> int:
    """Bytes that are needed at once; Ollama's file is a second name of the GGUF where both are made of one type."""
    total, seen = 0, set()
    for each in sizes:
        if each.type and each.format != "quantized" and each.type in seen:
            continue
        seen.add(each.type if each.format in ("gguf", "ollama") else "")
        total += each.bytes + _BESIDE
    if "quantized" in formats(config) and "merged" not in formats(config):
        total += source.nbytes
    kinds = [
        kind
        for format in ("gguf", "ollama")
        if format in formats(config)
        for kind in gguf_types(config, format)
    ]
    if any("_k" in kind for kind in kinds):
        # llama-quantize reads a 16-bit file that is written for it.
        total += 2 * source.parameters
    return total


def _memory(config: RunConfig, source: Source) -> int:
    needed = _LIBRARIES
    if {"gguf", "ollama"} & set(formats(config)):
        inner = [each.nbytes for each in source.names() if ".self_attn." in each.name]
        needed += _COPIES * max(inner, default=0)
    if "quantized" in formats(config):
        needed = max(needed, _LIBRARIES + source.parameters * DTYPES["BF16"].itemsize * 2)
    return needed


def require_repository(config: RunConfig) -> None:
    """Raises UserError for a repository that is none, and when the hub's client is missing or knows no token."""
    wanted = config.export.export_hub_model_id.strip()
    if not wanted:
        return
    if not _REPOSITORY.fullmatch(wanted):
        raise UserError("export_hub_name", field="export_hub_model_id", name=wanted[:80])
    if config.model.hub == "modelscope" and importlib.util.find_spec("modelscope") is None:
        raise UserError("hub_missing", field="export_hub_model_id", name=wanted)
    from trainer.export import push

    push.require_token(config.model.hub)
