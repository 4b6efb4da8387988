"""A model folder that every program reads: weights with the adapters in them, settings, tokenizer, card."""

from __future__ import annotations

from pathlib import Path

from trainer.export import card, companions, shards
from trainer.export.progress import Progress
from trainer.export.source import Source


def write(source: Source, folder: Path, limit_gb: float, progress: Progress) -> list[Path]:
    """Writes the folder, with weight files of at most `limit_gb` GB. Returns its files.

    Raises ExportStopped, OSError, and UserError for numbers that cannot be written.
    """
    shards.write_shards(source, folder, limit_gb, progress)
    companions.write_model_settings(source, folder)
    companions.write_voice(source, folder)
    card.write(source, folder, "merged")
    return sorted(path for path in folder.iterdir() if path.is_file())
