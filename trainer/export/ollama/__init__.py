"""A model for Ollama: its chat template said in Go's language, and the Modelfile around it."""

from __future__ import annotations

from trainer.export.ollama.folder import check, notes, write

__all__ = ["check", "notes", "write"]
