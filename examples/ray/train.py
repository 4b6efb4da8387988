"""A run on a Ray cluster: python examples/ray/train.py FILE.yaml WORKERS (pip install "ray[train]").

Ray starts one process for each worker and tells it about the others; each of them then trains as one of torchrun's would.
The output folder of the file must lie where all machines can write.
"""

from __future__ import annotations

import sys
from pathlib import Path

from trainer.config import RunConfig, read_file
from trainer.events import Event, EventLog
from trainer.jobs.place import ready, write_settings
from trainer.jobs.rank import train_as_rank
from trainer.jobs.sharing import settle_engine
from trainer.paths import RunFolder


def train(given: dict[str, object]) -> None:
    """What each worker does; the first one writes the run's events."""
    import ray.train

    config = RunConfig.from_flat(given)
    folder = RunFolder(Path(config.train.output_dir).absolute())
    first = ray.train.get_context().get_world_rank() == 0
    log = EventLog(folder.events)
    if first:
        folder.path.mkdir(parents=True, exist_ok=True)
        write_settings(folder, config)

    def emit(event: Event) -> None:
        if first:
            log.append(event)

    settled = settle_engine(ready(config, folder, Path.cwd()), emit)
    emit(train_as_rank(settled, emit, folder.stop.exists))


def main(file: str, workers: int) -> None:
    """Trains the file on `workers` GPUs, wherever in the cluster they are."""
    from ray.train import ScalingConfig
    from ray.train.torch import TorchTrainer

    TorchTrainer(
        train,
        train_loop_config=read_file(Path(file)),
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=True),
    ).fit()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
