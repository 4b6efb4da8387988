"""What the files of an export are called."""

from __future__ import annotations

import re
from pathlib import Path

from trainer.config import RunConfig

LONGEST = 60
_STEP = re.compile(r"checkpoint-\d+")


def model_name(config: RunConfig) -> str:
    """The name of the exported model: the base's, and the run's for a tuned one. Letters of every script stay."""
    names = [Path(config.model.model_name_or_path.strip().rstrip("/")).name]
    for each in config.model.adapter_name_or_path[-1:]:
        path = Path(each)
        run = path.parent.name if _STEP.fullmatch(path.name) else path.name
        names.append(f"{run}-{path.name.removeprefix('checkpoint-')}" if run != path.name else run)
    return safe_name("-".join(names))


def safe_name(text: str) -> str:
    """`text` with nothing but letters, digits, dots, hyphens and underscores: for file names, Ollama and shells."""
    plain = re.sub(r"[^\w.-]+", "-", text).strip("-._")
    return plain.encode()[: LONGEST * 2].decode(errors="ignore")[:LONGEST].strip("-._") or "model"
