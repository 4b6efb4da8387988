"""What all tests of training share: a tiny model and rows, made once, and short configs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train.tiny import save_data, save_model
from trainer.config import RunConfig

Configure = Callable[..., RunConfig]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    # Tiny matrices are not worth sharing out, and sums keep their order.
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Rendered rows are kept here, not in the home of whoever runs the tests."""
    folder = tmp_path_factory.getbasetemp() / "rows"
    monkeypatch.setattr("trainer.dataset.cache.default_folder", lambda: folder)
    return folder


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def configure(model_folder: Path, data_folder: Path, tmp_path: Path) -> Configure:
    """Makes the config of a short fp32 run on the CPU; option names change it, `name` its folder."""

    def make(name: str = "run", **changes: Any) -> RunConfig:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        flat: dict[str, Any] = {
            "model_name_or_path": str(model_folder), "dataset": "rows", "dataset_dir": str(data_folder),
            "output_dir": str(folder), "cutoff_len": 128, "per_device_train_batch_size": 4,
            "gradient_accumulation_steps": 1, "max_steps": 4, "logging_steps": 1, "learning_rate": 0.01,
            "lr_scheduler_type": "constant", "compute_type": "fp32",
        }  # fmt: skip
        return RunConfig.from_flat({**flat, **changes})

    return make
