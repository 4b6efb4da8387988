"""Datasets and files of the hubs, through the hubs' own libraries, which are imported when they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from trainer.dataset.entry import DatasetInfo, Hub, HubSource
from trainer.dataset.files import Item

ROWS = 256


def read_hub(info: DatasetInfo, source: HubSource, hub: Hub) -> Iterator[Item]:
    raise NotImplementedError


def fetch_file(repo: str, name: str) -> Path:
    raise NotImplementedError
