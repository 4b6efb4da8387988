"""Whether a model sees, from its config.json alone: the page asks before torch is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

# Where configurations of transformers keep the part that sees; Qwen's Omni models wrap theirs once more.
PARTS = ("vision_config", "vision_tower", "mm_vision_tower", "img_processor", "vision_model_config")


def is_vision(path: Path) -> bool:
    """Whether the model in a folder takes pictures; False, too, where config.json is missing or broken."""
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and (_sees(config) or _sees(config.get("thinker_config")))


def _sees(config: Any) -> bool:
    return isinstance(config, dict) and any(config.get(part) for part in PARTS)
