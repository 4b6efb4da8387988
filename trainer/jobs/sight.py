"""What a run would see of its data, for the page: rows as tokens with their marks, and counts. Nothing is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from trainer.config import RunConfig
from trainer.dataset import doctor, gate
from trainer.dataset.info import choose
from trainer.dataset.ingest.task import Progress, Task
from trainer.dataset.lens import kept_folder
from trainer.dataset.statistics import Totals, with_steps
from trainer.errors import UserError
from trainer.jobs import launch
from trainer.jobs.place import locate_data

KEPT = 4
KEPT_COUNTS = 8
# So many rows of each dataset are rendered in about a second.
SAMPLE = 2_000
Counting = Task[Totals]


class _Lens(NamedTuple):
    """What renders the rows for one model; `processor` is None for a model that does not see."""

    tokenizer: Any
    processor: Any


class Sight:
    """Previews and counts for the forms of one server. Never downloads.

    Keeps the tokenizers and processors that were used last, and the counts of the forms that were counted last: as long
    as neither the settings nor the files change, nothing is counted twice.
    """

    def __init__(self, base: Path, *, trust_remote_code: bool = False) -> None:
        self._base = base
        self._trust = trust_remote_code
        self._loading, self._lock = Lock(), Lock()
        self._lenses: dict[Any, _Lens] = {}
        self._samples: dict[Any, Totals] = {}
        self._countings: dict[Any, Counting] = {}

    def preview(self, config: RunConfig, page: int, size: int) -> doctor.Page:
        """Page `page` (from 1) of the rows. Raises UserError as training would."""
        ready, lens = self._ready(config), self._lens(config)
        return doctor.preview(lens.tokenizer, ready.data, page, size, lens.processor, config.model.hub)

    def count(self, config: RunConfig) -> Totals:
        """Counts over all rows, when they are there. Raises UserError as training would."""
        return with_steps(self.counting(config).wait(), config)

    def counted(self, config: RunConfig) -> Totals | None:
        """Counts over all rows, if `counting` has finished them. Raises UserError for an unknown dataset."""
        with self._lock:
            known = self._countings.get(self._key(self._ready(config)))
        return with_steps(known.result, config) if known is not None and known.result is not None else None

    def sample(self, config: RunConfig) -> Totals:
        """Counts over the first rows of each dataset: in about a second, whatever the size. Raises UserError."""
        ready = self._ready(config)
        key = self._key(ready)
        with self._lock:
            if key in self._samples:
                return self._samples[key]
        lens = self._lens(config)
        totals = doctor.count(lens.tokenizer, ready, lens.processor, sample=SAMPLE)
        with self._lock:
            _keep(self._samples, key, totals, KEPT_COUNTS)
        return totals

    def counting(self, config: RunConfig) -> Counting:
        """Counts over all rows, in the background: the same task for the same settings and files, running or done.

        Its result may have the steps of other epochs: `counted` has those of the config. Raises UserError for a dataset that is not registered; the task's error is what is wrong further on.
        """
        ready = self._ready(config)
        key = self._key(ready)

        def work(tell: Callable[[Progress], None], stop: Callable[[], bool]) -> Totals:
            lens = self._lens(config)
            return doctor.count(
                lens.tokenizer, ready, lens.processor, tell=lambda *far: tell(Progress(*far)), stop=stop
            )

        with self._lock:
            known = self._countings.get(key)
            if known is None or (known.done and (known.result is None or known.result.sampled)):
                for old in _keep(self._countings, key, Task(work), KEPT_COUNTS):
                    old.stop()
            return self._countings[key]

    def holds(self, config: RunConfig) -> tuple[gate.Hold, ...]:
        """What speaks against starting, from the count over all rows where there is one, else from the first rows.

        Raises UserError as training would.
        """
        return gate.holds(self.counted(config) or self.sample(config))

    def close(self) -> None:
        """Stops what counts in the background."""
        with self._lock:
            for each in self._countings.values():
                each.stop()

    def _ready(self, config: RunConfig) -> RunConfig:
        return config.with_values(dataset_dir=locate_data(config.data.dataset_dir, self._base))

    def _key(self, ready: RunConfig) -> Any:
        """What the counts depend on: settings, and the files as they are. Raises UserError for an unknown dataset."""
        if kept := kept_folder(ready.data):
            infos, paths = [], [kept]
        else:
            infos = choose(
                ready.data.dataset_dir, (*ready.data.dataset, *ready.data.eval_dataset), ready.data.stage
            )
            paths = [info.path for info in infos if info.hub is None]
        stamps = tuple(stamp for path in paths for stamp in _stamps(path))
        model = (ready.model.model_name_or_path, ready.model.hub, _words_key(ready))
        order = (ready.train.seed, ready.train.per_device_train_batch_size)
        return repr((model, order, ready.data, infos)), stamps

    def _lens(self, config: RunConfig) -> _Lens:
        launch.warm_up()
        from trainer.model import catalog
        from trainer.model.vocabulary import open_words

        path = catalog.resolve_here(config.model.model_name_or_path, config.model.hub)
        key = (path, _words_key(config))
        with self._loading:
            if key not in self._lenses:
                words = open_words(path, config.model, self._trust)
                _keep(self._lenses, key, _Lens(words.tokenizer, words.processor), KEPT)
            return self._lenses[key]


def _words_key(config: RunConfig) -> Any:
    """What beside the model's folder decides which words its tokenizer has."""
    model = config.model
    files = [*(Path(each) / "tokenizer.json" for each in model.adapter_name_or_path)]
    if model.new_special_tokens_config:
        files.append(Path(model.new_special_tokens_config).expanduser())
    stamps = tuple((str(file), file.stat().st_mtime_ns if file.is_file() else 0) for file in files)
    return model.add_tokens, model.add_special_tokens, stamps


def _keep(kept: dict[Any, Any], key: Any, value: Any, most: int) -> list[Any]:
    """Puts `value` last; what is too old leaves and is returned."""
    kept.pop(key, None)
    gone = []
    while len(kept) >= most:
        gone.append(kept.pop(next(iter(kept))))
    kept[key] = value
    return gone


def _stamps(path: Path) -> Iterator[tuple[str, int, int]]:
    """Name, time and size of each file. Raises UserError when they cannot be read."""
    try:
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            stat = file.stat()
            yield file.name, stat.st_mtime_ns, stat.st_size
    except OSError as error:
        raise UserError(
            "file_unreadable", field="dataset", path=str(path)[:200], reason=str(error.strerror)
        ) from None
