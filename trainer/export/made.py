"""What an export has written, format by format."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Made:
    """One format. `type` is that of a GGUF or quantised model, else empty. Paths are seen from the export's folder.

    `folder` is empty where the files lie in the export's folder itself.
    """

    format: str
    type: str
    folder: str
    files: tuple[str, ...]
