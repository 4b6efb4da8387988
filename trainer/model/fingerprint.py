"""A short mark of a model's weights, so that an adapter is put on the base it was trained on and on no other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from trainer.model.catalog import weight_files
from trainer.model.stored import Place, gathered

# Pieces of each tensor that are looked at: two models that differ in training differ almost everywhere.
PIECES, PIECE = 8, 64
VERSION = "1"


def fingerprint(folder: Path) -> str:
    """The mark of a model folder: its kind, and of each tensor name, shape, format and some of its bytes.

    The same for copies, links and other divisions into files. Reads a few kilobytes per tensor. Raises UserError for a
    folder without weights that can be read.
    """
    digest = hashlib.sha256()
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    digest.update(str(config.get("model_type", "")).encode())
    found = gathered(weight_files(folder))
    for name in sorted(found):
        place = found[name]
        digest.update(f"\0{name}\0{place.dtype}\0{place.shape}\0".encode())
        for piece in _pieces(place):
            digest.update(piece)
    return f"{VERSION}:{digest.hexdigest()[:32]}"


def _pieces(place: Place) -> Iterator[bytes]:
    length = place.end - place.begin
    with place.file.open("rb", buffering=0) as file:
        for number in range(PIECES):
            file.seek(place.begin + max(0, length - PIECE) * number // (PIECES - 1))
            yield file.read(min(PIECE, length))
