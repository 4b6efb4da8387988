"""A model for Ollama: its chat template said in Go's language, and the Modelfile around it."""

from __future__ import annotations

from trainer.export.ollama.folder import check, write

__all__ = ["check", "write"]
