"""What a model is shown of the pictures of a row, made once and kept in files below ~/.cache/tuneboard/pixels.

A row's entry is found by what its pictures show, by the processor and by the pixel settings. An entry that is broken,
cut short or gone is made again; a disk that is full or read-only costs speed and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import threading
import time
import zlib
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from trainer.dataset.album import content_key
from trainer.dataset.conversation import Media
from trainer.dataset.expand import Expander

KEPT_BYTES = 20 * 1024**3
# Entries written between two looks at how much lies in the folder.
LOOK_EVERY = 64
FORMAT = "1"
SUFFIX = ".safetensors"
# Nobody writes an entry for so long.
STALE_S = 3600
Features = dict[str, Any]


def default_folder() -> Path:
    """Where pixels lie unless a caller says otherwise."""
    return Path.home() / ".cache" / "tuneboard" / "pixels"


class Pixels:
    """The inputs of rows' pictures for one processor, with numbers in `dtype`. Threads may share it.

    At most `kept_bytes` lie in `folder`; what was not used for the longest time goes first.
    """

    def __init__(
        self, expander: Expander, dtype: torch.dtype, folder: Path | None = None, kept_bytes: int = KEPT_BYTES
    ) -> None:
        self._expander = expander
        self._dtype = dtype
        self._folder = folder or default_folder()
        self._kept_bytes = kept_bytes
        self._settings = hashlib.sha256(repr((FORMAT, str(dtype), expander.fingerprint)).encode()).hexdigest()
        self._keys: dict[tuple[Media, ...], str] = {}
        self._sound: set[str] = set()
        self._written = 0
        self._lock = threading.Lock()

    def of(self, media: tuple[Media, ...]) -> Features:
        """What the model takes beside the ids of a row with these media; tensors on the CPU.

        Raises Unusable when a file cannot be read any more.
        """
        if not media:
            return {}
        key = self._key(media)
        path = self._folder / f"{key}{SUFFIX}"
        found = _read(path, whole=key not in self._sound)
        if found is None:
            found = _in_format(self._expander.inputs(media), self._dtype)
            self._keep(path, found)
        self._sound.add(key)
        return found

    def _key(self, media: tuple[Media, ...]) -> str:
        if media not in self._keys:
            shown = [(each.kind, content_key(each)) for each in media]
            self._keys[media] = hashlib.sha256(repr((self._settings, shown)).encode()).hexdigest()
        return self._keys[media]

    def _keep(self, path: Path, features: Features) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            _write(path, features)
            with self._lock:
                self._written += 1
                look = self._written % LOOK_EVERY == 1
            if look:
                prune(self._folder, self._kept_bytes)
        except OSError:
            return


def _in_format(features: Features, dtype: torch.dtype) -> Features:
    return {
        name: value.to(dtype) if isinstance(value, torch.Tensor) and value.is_floating_point() else value
        for name, value in features.items()
    }


def _write(path: Path, features: Features) -> None:
    """Raises OSError. Nobody sees half an entry."""
    tensors = {name: each.contiguous() for name, each in features.items() if isinstance(each, torch.Tensor)}
    plain = {name: each for name, each in features.items() if name not in tensors}
    about = {"about": json.dumps({"plain": plain, "crc": _checksum(tensors)})}
    handle, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
    os.close(handle)
    try:
        save_file(tensors, part, metadata=about)
        Path(part).replace(path)
    except SafetensorError as error:
        raise OSError(str(error)) from None
    finally:
        Path(part).unlink(missing_ok=True)


def _read(path: Path, whole: bool) -> Features | None:
    """An entry, its numbers in the file until they are used; None without a sound one. `whole` looks at every byte."""
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()["about"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no mapping
        if whole and _checksum(tensors) != about["crc"]:
            return None
        if whole:
            os.utime(path)
        return {**tensors, **about["plain"]}
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None


def _checksum(tensors: dict[str, torch.Tensor]) -> int:
    value = 0
    for name in sorted(tensors):
        value = zlib.crc32(tensors[name].contiguous().flatten().view(torch.uint8).numpy().data, value)
    return value


def prune(folder: Path, kept_bytes: int) -> None:
    """Removes entries not used for the longest time, beyond so many bytes, and what a kill left. Raises OSError."""
    for part in folder.glob("*.part"):
        if time.time() - part.stat().st_mtime > STALE_S:
            part.unlink(missing_ok=True)
    found = [(each, each.stat()) for each in folder.glob(f"*{SUFFIX}")]
    left = kept_bytes
    for path, facts in sorted(found, key=lambda each: each[1].st_mtime, reverse=True):
        left -= facts.st_size
        if left < 0:
            path.unlink(missing_ok=True)
