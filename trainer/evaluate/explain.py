"""Why scores are as low as they are, in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from trainer.evaluate.scores import Kind
from trainer.events import Note


def notes(
    rows: Iterable[Mapping[str, Any]], kind: Kind, means: Mapping[str, Mapping[str, float]]
) -> list[Note]:
    """`means` by side: {"tuned": {score: mean}, "base": {...}}."""
    raise NotImplementedError
