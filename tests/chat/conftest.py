"""Models that are made once, and an engine that is empty before and after each test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.chat.tiny import write_adapter, write_model
from trainer.chat.engine import ChatEngine


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """The models are too small for more, and two test runs on two cores would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_model(tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture(scope="session")
def adapter(base: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_adapter(tmp_path_factory.mktemp("adapters") / "tuned", Path(base)))


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model as a full fine-tune leaves it."""
    return str(write_model(tmp_path_factory.mktemp("whole") / "checkpoint-9", seed=7))


@pytest.fixture
def engine() -> Iterator[ChatEngine]:
    engine = ChatEngine()
    yield engine
    engine.unload()


class Pace:
    """Lets a model compute only as many steps as a test allows: nothing depends on how fast the machine is."""

    def __init__(self) -> None:
        self._steps = threading.Semaphore(0)

    def attach(self, engine: ChatEngine) -> Pace:
        for model in {id(side.model): side.model for side in engine._sides}.values():
            model.register_forward_pre_hook(self._wait)
        return self

    def allow(self, steps: int = 100_000) -> None:
        self._steps.release(steps)

    def _wait(self, *_: Any) -> None:
        assert self._steps.acquire(timeout=120)


@pytest.fixture
def pace() -> Iterator[Callable[[ChatEngine], Pace]]:
    made: list[Pace] = []

    def attach(engine: ChatEngine) -> Pace:
        made.append(Pace().attach(engine))
        return made[-1]

    yield attach
    for each in made:
        each.allow()
