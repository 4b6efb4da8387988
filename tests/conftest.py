"""What every test runs under: no network, no telemetry. Set before any library is imported."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.jobs.fake import FakeRun
    from trainer.jobs.jobs import Jobs

os.environ.update(
    HF_HUB_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    GRADIO_ANALYTICS_ENABLED="False",
    TOKENIZERS_PARALLELISM="false",
    # Charts are drawn without a screen.
    MPLBACKEND="Agg",
)

# The same examples everywhere, and no word on how quick they are: the machines are shared and noisy.
settings.register_profile(
    "steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")


@pytest.fixture
def run() -> FakeRun:
    """A run that trains nothing and does as it is told."""
    from tests.jobs.fake import FakeRun

    return FakeRun()


@pytest.fixture
def jobs(tmp_path: Path, run: FakeRun) -> Iterator[Jobs]:
    """The queue of an empty workspace over `run`, closed at the end."""
    from tests.jobs.fake import register_data
    from trainer.jobs.jobs import Jobs

    register_data(tmp_path)
    made = Jobs(tmp_path, run=run)
    yield made
    run.gate.set()
    made.close()
