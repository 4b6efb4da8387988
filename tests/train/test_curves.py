"""The curve of a run in other programs: it is all there, on this machine, and never in the way of the run."""

from __future__ import annotations

import json
import sqlite3
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.train import tiny
from tests.train.conftest import Configure
from trainer.errors import UserError
from trainer.events import Evaluated, Finished, Note, Step
from trainer.jobs.launch import QUIET
from trainer.train import curves
from trainer.train.trackers import KINDS, Kind

Points = dict[int, dict[str, float]]
OPTIONS: dict[str, Any] = {
    "val_size": 4,
    "eval_strategy": "steps",
    "eval_steps": 2,
    "run_name": "named",
    "project": "tests",
}


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nobody is logged in anywhere, and the folders of the person who tests are left alone."""
    home = tmp_path_factory.mktemp("home")
    for name in ("HOME", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "NETRC", "SWANLAB_ROOT"):
        monkeypatch.setenv(name, str(home / ("" if name == "HOME" else name.lower())))
    for name in ("WANDB_API_KEY", "WANDB_MODE", "SWANLAB_API_KEY", "MLFLOW_TRACKING_URI", "TRACKIO_SPACE_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)
    yield


def _tensorboard(folder: Path) -> list[Points]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found: Points = {}
    events = EventAccumulator(str(folder / "runs"))
    events.Reload()
    for name in events.Tags()["scalars"]:
        for point in events.Scalars(name):
            found.setdefault(point.step, {})[name] = point.value
    return [found]


def _records(path: Path) -> Iterator[bytes]:
    """The records of a W&B file: pieces in blocks of 32 KiB, each after its checksum, length and kind, as in LevelDB."""
    data, place, whole = path.read_bytes(), 7, b""
    while place + 7 <= len(data):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        size, kind = struct.unpack_from("<HB", data, place + 4)
        piece = data[place + 7 : place + 7 + size]
        place += 7 + size
        # Whole, first, middle, last.
        whole = piece if kind in (1, 2) else whole + piece
        if kind in (1, 4):
            yield whole


def _wandb(folder: Path) -> list[Points]:
    from wandb.proto import wandb_internal_pb2

    runs = []
    for path in sorted((folder / "wandb").glob("offline-run-*/run-*.wandb")):
        found: Points = {}
        for data in _records(path):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            items = {
                each.key or "/".join(each.nested_key): json.loads(each.value_json)
                for each in record.history.item
            }
            if items:
                kept = {name: value for name, value in items.items() if not name.startswith("_")}
                found.setdefault(int(items["_step"]), {}).update(kept)
        runs.append(found)
    return runs


def _mlflow(folder: Path) -> list[Points]:
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=(folder / "mlruns").as_uri())
    experiment = client.get_experiment_by_name("tests")
    assert experiment is not None
    runs = []
    for run in reversed(client.search_runs([experiment.experiment_id])):
        assert (run.info.run_name, run.info.status, run.data.params["lora_rank"]) == (
            "named",
            "FINISHED",
            "3",
        )
        found: Points = {}
        for name in run.data.metrics:
            for point in client.get_metric_history(run.info.run_id, name):
                found.setdefault(point.step, {})[name] = point.value
        runs.append(found)
    return runs


def _trackio(folder: Path) -> list[Points]:
    found: Points = {}
    with sqlite3.connect(next(folder.glob("*.db"))) as database:
        for step, metrics in database.execute("SELECT step, metrics FROM metrics WHERE run_name = 'named'"):
            found.setdefault(step, {}).update(json.loads(metrics))
    return [found]


@pytest.fixture
def trackio_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    import sys

    import trackio  # noqa: F401

    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == "trackio" and hasattr(module, "TRACKIO_DIR"):
            monkeypatch.setattr(module, "TRACKIO_DIR", tmp_path / "trackio")
    return tmp_path / "trackio"


def _equals_events(points: Points, run: tiny.Run) -> None:
    losses = {step: each["train/loss"] for step, each in points.items() if "train/loss" in each}
    rates = {
        step: each["train/learning_rate"] for step, each in points.items() if "train/learning_rate" in each
    }
    evaluated = {step: each["eval/loss"] for step, each in points.items() if "eval/loss" in each}
    assert losses == pytest.approx(run.losses, rel=1e-6)
    assert rates == pytest.approx({each.step: each.lr for each in run.of(Step)}, rel=1e-6)
    assert evaluated == pytest.approx({each.step: each.loss for each in run.of(Evaluated)}, rel=1e-6)


def _in_thread(config: Any) -> tiny.Run:
    """As a server trains."""
    runs: list[tiny.Run] = []
    thread = threading.Thread(target=lambda: runs.append(tiny.train(config)))
    thread.start()
    thread.join(300)
    return runs[0]


READ = {"tensorboard": _tensorboard, "wandb": _wandb, "mlflow": _mlflow, "trackio": _trackio}


@pytest.mark.parametrize("name", READ)
def test_losses_rates_and_evaluations_arrive(
    configure: Configure, name: str, trackio_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("builtins.input", asked.append)
    monkeypatch.setattr("getpass.getpass", asked.append)
    run = _in_thread(configure(report_to=name, lora_rank=3, **OPTIONS))
    assert isinstance(run.end, Finished)
    assert "tracker_failed" not in run.codes
    assert ("tracker_offline" in run.codes) == (name == "wandb")
    (points,) = READ[name](trackio_folder if name == "trackio" else run.folder)
    _equals_events(points, run)
    assert not asked
    # The next run of the same process is another one, and the first one stays as it was.
    again = _in_thread(configure("again", report_to=name, lora_rank=3, learning_rate=0.02, **OPTIONS))
    if name != "trackio":
        _equals_events(READ[name](again.folder)[0], again)
        assert READ[name](run.folder) == [points]


def test_swanlab_keeps_a_run_of_its_own_each_time(configure: Configure) -> None:
    import swanlab

    for name in ("one", "two"):
        run = _in_thread(configure(name, report_to="swanlab", swanlab_mode="cloud", **OPTIONS))
        assert isinstance(run.end, Finished)
        assert "tracker_offline" in run.codes
        assert "tracker_failed" not in run.codes
        (kept,) = (run.folder / "swanlab").glob("run-*/run-*.swanlab")
        written = kept.read_bytes()
        assert b"train/loss" in written
        assert b"eval/loss" in written
        assert not swanlab.has_run()


def test_all_means_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert curves.programs(("all",)) == list(KINDS)
    monkeypatch.setitem(KINDS, "wandb", Kind(KINDS["wandb"].open, "no_such_module", "wandb"))
    assert curves.programs(("all",)) == [name for name in KINDS if name != "wandb"]
    assert curves.programs(("none", "tensorboard", "tensorboard")) == ["tensorboard"]
    with pytest.raises(UserError, match="pip install wandb") as caught:
        curves.programs(("tensorboard", "wandb"))
    assert (caught.value.code, caught.value.field) == ("tracker_missing", "report_to")
    with pytest.raises(UserError, match="wandb, trackio"):
        curves.programs(("visdom",))


class _Failing:
    def __init__(self, at: int, closed: list[str]) -> None:
        self._at = at
        self._closed = closed

    def log(self, values: Any, step: int) -> None:
        if step >= self._at:
            raise SystemExit("no room left")

    def close(self) -> None:
        self._closed.append("closed")
        raise OSError("gone")


@pytest.mark.parametrize("when", ["open", "log", "close"])
def test_one_that_fails_does_not_end_the_run(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    closed: list[str] = []

    def opening(*_: Any) -> _Failing:
        if when == "open":
            raise RuntimeError("no way in")
        return _Failing(2 if when == "log" else 99, closed)

    monkeypatch.setitem(KINDS, "wandb", Kind(opening, "json", "wandb"))
    straight = tiny.train(configure("straight"))
    run = tiny.train(configure(report_to="wandb,tensorboard"))
    assert isinstance(run.end, Finished)
    assert run.losses == straight.losses
    reasons = [note.values["reason"] for note in run.of(Note) if note.code == "tracker_failed"]
    assert reasons == {"open": ["no way in"], "log": ["no room left", "gone"], "close": ["gone"]}[when]
    assert closed == ([] if when == "open" else ["closed"])
    assert _tensorboard(run.folder)[0].keys() == {1, 2, 3, 4}


def test_a_run_that_breaks_off_is_closed_and_goes_on(configure: Configure) -> None:
    """Points behind the checkpoint, written before the run broke off, are taken back."""
    options = {"report_to": "tensorboard", "save_steps": 2, "max_steps": 6}

    def die(event: Any) -> None:
        if isinstance(event, Step) and event.step == 4:
            raise KeyboardInterrupt

    straight = tiny.train(configure("straight", **options))
    with pytest.raises(KeyboardInterrupt):
        tiny.train(configure("broken", **options), emit=die)
    assert not [each for each in threading.enumerate() if "tensorboard" in type(each).__module__]
    resumed = tiny.train(configure("broken", resume_from_checkpoint="true", **options))
    (points,) = _tensorboard(resumed.folder)
    assert {step: each["train/loss"] for step, each in points.items()} == pytest.approx(
        straight.losses, rel=1e-6
    )
