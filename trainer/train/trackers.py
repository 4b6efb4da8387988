"""Other programs that keep a run's curve: TensorBoard, Weights & Biases, Trackio, SwanLab, MLflow.

A run is a thread of a server in which others follow, so each of them is opened for this run alone, by its own interface
and not through variables of the process, and is closed whatever way the run ends. Nothing asks for a login, and nothing
is sent unless the person is logged in at that program or has named a server in the environment: without that, what is
kept lies on this machine. None of them ends a run: what fails is told and left alone.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from trainer.errors import Values

# Seconds after which a server that does not answer is given up; the training waits for that.
PATIENCE_S = 30


@dataclass(frozen=True)
class Card:
    """What a program is told of a run. `step` is the optimiser step at which it begins, or goes on."""

    folder: Path
    project: str
    name: str
    settings: Mapping[str, Any]
    step: int = 0
    online: bool = False


Tell = Callable[[str, Values], None]
Point = Mapping[str, float]


class Tracker(Protocol):
    """One program that keeps the curve of one run."""

    def log(self, values: Point, step: int) -> None: ...

    def close(self) -> None: ...


class TensorBoard:
    """Event files in the folder `runs`; points behind a checkpoint that is resumed from are taken back."""

    def __init__(self, card: Card, tell: Tell) -> None:
        from torch.utils.tensorboard import SummaryWriter

        purged = card.step + 1 if card.step else None
        self._writer: Any = SummaryWriter(log_dir=str(card.folder / "runs"), purge_step=purged)  # type: ignore[no-untyped-call]
        self._writer.add_text(
            "options", "\n".join(f"    {name}: {each}" for name, each in card.settings.items())
        )

    def log(self, values: Point, step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class Wandb:
    """A run in the folder `wandb`, sent to the server where the person is logged in; `wandb sync` sends it later."""

    def __init__(self, card: Card, tell: Tell) -> None:
        import wandb
        from wandb.sdk.lib.wbauth.wbnetrc import read_netrc_auth

        own = wandb.setup().settings
        logged_in = own.api_key or own.identity_token_file or read_netrc_auth(host=own.base_url)
        # A mode that the person has set in the environment holds.
        offline = own.mode == "online" and not logged_in
        if offline:
            tell(
                "tracker_offline", {"name": "wandb", "path": str(card.folder / "wandb"), "send": "wandb sync"}
            )
        settings = wandb.Settings(
            silent=True, console="off", init_timeout=PATIENCE_S, finish_timeout=PATIENCE_S, disable_git=True,
            save_code=False,
        )  # fmt: skip
        self._run = wandb.init(
            project=card.project, name=card.name, dir=str(card.folder), config=dict(card.settings),
            mode="offline" if offline else None, reinit="create_new", settings=settings,
        )  # fmt: skip

    def log(self, values: Point, step: int) -> None:
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        self._run.finish()


class Trackio:
    """A run in Trackio's own local database, which its page shows; the name of the run says where it goes on."""

    def __init__(self, card: Card, tell: Tell) -> None:
        import trackio
        from trackio.utils import TRACKIO_DIR

        tell("tracker_local", {"name": "trackio", "path": str(TRACKIO_DIR), "show": "trackio show"})
        self._run = trackio.init(
            project=card.project, name=card.name, config=dict(card.settings), resume="allow" if card.step else "never",
            embed=False, auto_log_cpu=False, auto_log_gpu=False,
        )  # fmt: skip

    def log(self, values: Point, step: int) -> None:
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        self._run.finish()


class SwanLab:
    """A run in the folder `swanlab`; `online` sends it to the cloud where the person is logged in."""

    def __init__(self, card: Card, tell: Tell) -> None:
        import swanlab

        folder = card.folder / "swanlab"
        online = card.online and bool(swanlab.Settings().api_key)
        if card.online and not online:
            tell("tracker_offline", {"name": "swanlab", "path": str(folder), "send": "swanlab sync"})
        # Its own local form needs a further package to show a page, and keeps the same files.
        local = "local" if importlib.util.find_spec("swanboard") else "offline"
        settings = swanlab.Settings(
            interactive=False, terminal=swanlab.Settings.Terminal(proxy_type="none"),
            probe=swanlab.Settings.Probe(monitor=False, git=False),
        )  # fmt: skip
        self._run = swanlab.init(
            project=card.project, name=card.name, log_dir=str(folder), config=dict(card.settings),
            mode="online" if online else local, settings=settings,
        )  # fmt: skip

    def log(self, values: Point, step: int) -> None:
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        self._run.finish()


class MLflow:
    """A run at the server that the environment names, else in the folder `mlruns`."""

    def __init__(self, card: Card, tell: Tell) -> None:
        import mlflow
        from mlflow.entities import Param

        folder = card.folder / "mlruns"
        uri = None if mlflow.tracking.is_tracking_uri_set() else folder.resolve().as_uri()
        self._client = mlflow.MlflowClient(tracking_uri=uri)
        experiment = self._client.get_experiment_by_name(card.project)
        place = experiment.experiment_id if experiment else self._client.create_experiment(card.project)
        self._id = self._client.create_run(place, run_name=card.name).info.run_id
        # Longer values are refused.
        params = [Param(name, str(value)[:500]) for name, value in card.settings.items()]
        self._client.log_batch(self._id, params=params[:100])

    def log(self, values: Point, step: int) -> None:
        import time

        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(
            self._id, metrics=[Metric(name, each, now, step) for name, each in values.items()]
        )

    def close(self) -> None:
        self._client.set_terminated(self._id)


@dataclass(frozen=True)
class Kind:
    """How a program is opened, the module that has to be there, and the package that brings it."""

    open: Callable[[Card, Tell], Tracker]
    module: str
    package: str

    def is_installed(self) -> bool:
        return importlib.util.find_spec(self.module) is not None


KINDS = {
    "tensorboard": Kind(TensorBoard, "tensorboard", "tensorboard"),
    "wandb": Kind(Wandb, "wandb", "wandb"),
    "trackio": Kind(Trackio, "trackio", "trackio"),
    "swanlab": Kind(SwanLab, "swanlab", "swanlab"),
    "mlflow": Kind(MLflow, "mlflow", "mlflow"),
}
