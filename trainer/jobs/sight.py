"""What a run would see of its data, for the page: rows as tokens with their marks, and counts. Nothing is trained."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Any

from trainer.config import RunConfig
from trainer.dataset import doctor
from trainer.jobs import launch
from trainer.jobs.place import locate_data

KEPT = 4


class Sight:
    """Previews for the forms of one server. Keeps the tokenizers that were used last; never downloads."""

    def __init__(self, base: Path, *, trust_remote_code: bool = False) -> None:
        self._base = base
        self._trust = trust_remote_code
        self._lock = Lock()
        self._tokenizers: dict[Path, Any] = {}

    def preview(self, config: RunConfig, page: int, size: int) -> doctor.Page:
        """Page `page` (from 1) of the rows. Raises UserError as training would."""
        ready = self._ready(config)
        return doctor.preview(self._tokenizer(config), ready.data, page, size)

    def count(self, config: RunConfig) -> doctor.Totals:
        """Counts over all rows. Raises UserError as training would."""
        return doctor.count(self._tokenizer(config), self._ready(config))

    def _ready(self, config: RunConfig) -> RunConfig:
        return config.with_values(dataset_dir=locate_data(config.data.dataset_dir, self._base))

    def _tokenizer(self, config: RunConfig) -> Any:
        launch.warm_up()
        from trainer.model import catalog
        from trainer.model.load import load_tokenizer

        path = catalog.resolve_here(config.model.model_name_or_path, config.model.hub)
        with self._lock:
            if path not in self._tokenizers:
                while len(self._tokenizers) >= KEPT:
                    del self._tokenizers[next(iter(self._tokenizers))]
                self._tokenizers[path] = load_tokenizer(path, self._trust)
            return self._tokenizers[path]
