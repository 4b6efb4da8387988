"""Where an export goes: a folder beside the target that takes its name at the end, so that nobody sees half of one."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path

import psutil

from trainer.config import RunConfig
from trainer.errors import UserError

FILES = "files"
_PART = ".part-"
# The start of a process is counted in ticks since boot, whose own time may be corrected by a second.
_SAME_START_S = 2.0
# What exports write, ours and LLaMA-Factory's; a folder with anything else is not cleared.
_WRITTEN = (
    "receipt.json", "*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json", "tokenizer*",
    "vocab.*", "merges.txt", "special_tokens_map.json", "added_tokens.json", "*.tiktoken", "*.model", "chat_template.*",
    "*processor_config.json", "adapter_config.json", "base_changes.json", "manifest.json", "README.md", "Modelfile", "*.gguf", "*.py",
    "tekken.json", ".gitattributes", "pytorch_model*.bin", "*.txt", "*.sh", "*.md",
    "adapter", "merged", "gguf", "ollama", "quantized",
)  # fmt: skip


def target_of(config: RunConfig) -> Path:
    """The folder that the files will lie in."""
    wanted = config.export.export_dir.strip()
    return (
        Path(wanted).expanduser().absolute() if wanted else Path(config.train.output_dir).absolute() / FILES
    )


def require_target(config: RunConfig, used: Sequence[Path]) -> None:
    """Raises UserError when the target cannot be written, holds something, or is one of the folders that are `used`."""
    target = target_of(config)
    for path in used:
        needed, wanted = path.resolve(), target.resolve()
        if needed == wanted or wanted in needed.parents:
            raise UserError("export_dir_needed", field="export_dir", folder=str(target), path=str(path))
    if any(ord(sign) < 32 for sign in str(target)) or any(len(part.encode()) > 200 for part in target.parts):
        raise UserError("export_dir_name", field="export_dir", folder=str(target)[:80])
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise UserError("export_dir_file", field="export_dir", folder=str(target))
    if target.is_mount():
        # It cannot be given another name, and what is written beside it lies on another disk.
        reason = "a disk is mounted there; name a folder inside of it"
        raise UserError("export_dir_unwritable", field="export_dir", folder=str(target), reason=reason)
    if target.is_dir() and any(target.iterdir()):
        if not config.train.overwrite_output_dir:
            raise UserError("export_dir_filled", field="export_dir", folder=str(target))
        foreign = sorted(each.name for each in target.iterdir() if not _is_ours(each.name))
        if foreign:
            names = ", ".join(foreign[:5])
            raise UserError("export_dir_foreign", field="export_dir", folder=str(target), names=names)
    parent = standing(target)
    if not os.access(parent, os.W_OK | os.X_OK):
        raise UserError("export_dir_readonly", field="export_dir", folder=str(parent))


def standing(target: Path) -> Path:
    """The nearest folder above `target` that is there."""
    return next(each for each in target.absolute().parents if each.is_dir())


def _is_ours(name: str) -> bool:
    return any(fnmatch(name, own) for own in _WRITTEN)


@contextmanager
def part_folder(target: Path) -> Iterator[Path]:
    """An empty folder beside `target` for the block to write into; it is gone after the block unless it was `settled`.

    Raises UserError when it cannot be made. What killed exports left beside the target is removed first.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_left(target, own=True)
        started = int(psutil.Process().create_time())
        path = target.with_name(f".{target.name}{_PART}{os.getpid()}-{started}-{secrets.token_hex(2)}")
        path.mkdir()
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            "export_dir_unwritable", field="export_dir", folder=str(target), reason=reason
        ) from error
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def settle(part: Path, target: Path) -> None:
    """Gives a written folder its name; what a confirmed target held before is removed. Raises OSError."""
    old = part.with_name(f"{part.name}.old")
    if target.exists():
        target.rename(old)
    try:
        part.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def remove_left(target: Path, own: bool = False) -> None:
    """Removes what exports to `target` left whose processes are gone, and with `own` those of this process, too."""
    for path in target.parent.glob(f".{_literal(target.name)}{_PART}*"):
        if _is_left(path.name.rpartition(_PART)[2], own):
            if path.name.endswith(".old") and not target.exists():
                # The process was killed between the two renames: this is what the target held.
                with suppress(OSError):
                    path.rename(target)
                    continue
            shutil.rmtree(path, ignore_errors=True)


def _literal(name: str) -> str:
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in name)


def _is_left(mark: str, own: bool) -> bool:
    pid, _, rest = mark.partition("-")
    started = rest.partition("-")[0]
    if not (pid.isdigit() and started.isdigit()):
        return False
    if int(pid) == os.getpid():
        return own
    try:
        return abs(psutil.Process(int(pid)).create_time() - int(started)) > _SAME_START_S
    except psutil.Error:
        return True
