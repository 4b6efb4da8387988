"""What a person decided about something staged."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.dataset.ingest.mapping import Mapping


@dataclass(frozen=True)
class Plan:
    """Which tables become the dataset, what their columns mean, and which repairs mend rows that are none."""

    tables: tuple[str, ...]
    mapping: Mapping
    repairs: tuple[str, ...] = ()
