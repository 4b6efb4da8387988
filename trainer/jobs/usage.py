"""Which runs need which datasets, so that none is taken away under a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trainer.jobs.job import ACTIVE, Known
from trainer.jobs.place import find_runs, locate_data
from trainer.jobs.queue import Queue


def runs_with(root: Path, data: Path) -> dict[str, tuple[str, ...]]:
    """For each dataset of the folder `data` the ids of the runs below `root` that wait for it or use it now."""
    waiting = Queue(root / "queue").ids() if (root / "queue").is_dir() else []
    found: defaultdict[str, list[str]] = defaultdict(list)
    for run in find_runs(root / "saves"):
        try:
            job = Known(run).job(waiting)
        except OSError:
            continue
        if job.state not in (*ACTIVE, "queued"):
            continue
        options = job.config.data
        if Path(locate_data(options.dataset_dir, root)).resolve() == data.resolve():
            for name in dict.fromkeys((*options.dataset, *options.eval_dataset)):
                found[name].append(job.id)
    return {name: tuple(ids) for name, ids in found.items()}


@contextmanager
def no_new_runs(root: Path) -> Iterator[None]:
    """Nobody submits a run during the block."""
    if (root / "queue").is_dir():
        with Queue(root / "queue").changing():
            yield
    else:
        yield
