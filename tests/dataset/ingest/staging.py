"""Files staged for a test."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from trainer.dataset.ingest.archive import Limits
from trainer.dataset.ingest.shape import Shape
from trainer.dataset.ingest.sniff import sniff
from trainer.dataset.ingest.unpack import Staged, stage


def picture(colour: str = "red", size: tuple[int, int] = (32, 24)) -> bytes:
    """A small PNG."""
    written = io.BytesIO()
    Image.new("RGB", size, colour).save(written, "PNG")
    return written.getvalue()


def jsonl(rows: Sequence[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def pack(path: Path, files: Mapping[str, bytes]) -> Path:
    """A zip with these files."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def staged(tmp_path: Path, name: str, data: bytes, limits: Limits | None = None) -> Staged:
    """A file with this content, staged."""
    given = tmp_path / "given"
    given.mkdir(exist_ok=True)
    (given / name).write_bytes(data)
    folder = tmp_path / "staging"
    folder.mkdir(exist_ok=True)
    return stage(given / name, folder / f"upload{len(list(folder.iterdir()))}", limits=limits)


def shape_of(tmp_path: Path, name: str, data: bytes) -> Shape:
    return sniff(staged(tmp_path, name, data), (), Limits())
