"""The folder in which the processes of a run talk to the one that started them; it is gone when the run has ended."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.config import RunConfig
from trainer.errors import UserError, problems_of
from trainer.events import Event, EventLog, Failed, Finished, Stopped, decode, encode, now
from trainer.jobs.guard import Starter
from trainer.paths import RunFolder, write_atomic

NAME = ".ranks"


@dataclass(frozen=True)
class Exchange:
    """The files between a run's processes and their starter."""

    path: Path

    @classmethod
    def of(cls, folder: RunFolder) -> Exchange:
        """That of a run."""
        return cls(folder.path / NAME)

    @property
    def failures(self) -> Path:
        """What torchrun has seen of processes that ended badly."""
        return self.path / "failure.json"

    @property
    def events(self) -> EventLog:
        """What the first process tells on the way."""
        return EventLog(self.path / "events.jsonl")

    def untold(self, log: EventLog) -> list[Event]:
        """What the first process of an attempt before has told when nobody listened any more; `log` is the run's."""
        told = {encode(each) for each in log.read().events}
        return [each for each in self.events.read().events if encode(each) not in told]

    @property
    def starter(self) -> Starter:
        """The process that waits for the others. Raises OSError or ValueError when it has not written itself down."""
        return Starter.read((self.path / "starter").read_text(encoding="utf-8"))

    def open(self, config: RunConfig, starter: Starter) -> None:
        """Empties the folder and writes down what the processes need."""
        self.close()
        self.path.mkdir(parents=True)
        write_atomic(self.path / "starter", str(starter))
        write_atomic(self.path / "config.json", json.dumps(config.to_flat()))

    def config(self) -> RunConfig:
        """The settings to train with."""
        return RunConfig.from_flat(json.loads((self.path / "config.json").read_text(encoding="utf-8")))

    def close(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self.path, ignore_errors=True)

    def write_ending(self, ending: Finished | Stopped) -> None:
        """How the first process ended."""
        write_atomic(self.path / "ending.json", encode(ending))

    def ending(self) -> Finished | Stopped | None:
        """How the first process ended; None when it did not come to that."""
        try:
            found: Event = decode((self.path / "ending.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, (Finished, Stopped)) else None

    def write_reason(self, rank: int, failed: Failed) -> None:
        """Why a process cannot go on; the first word of each process counts."""
        path = self.path / f"reason-{rank}.json"
        if not path.exists():
            write_atomic(path, encode(failed))

    def reasons(self) -> list[tuple[int, Failed]]:
        """What processes have said before they ended, the earliest first."""
        found = []
        for path in self.path.glob("reason-*.json"):
            try:
                event = decode(path.read_text(encoding="utf-8"))
                rank = int(path.stem.removeprefix("reason-"))
            except (OSError, ValueError):
                continue
            if isinstance(event, Failed):
                found.append((rank, event))
        return sorted(found, key=lambda each: each[1].at)

    def seen(self) -> list[dict[str, Any]]:
        """The processes that torchrun saw ending badly: rank, code, and the name of a signal."""
        try:
            found = json.loads(self.failures.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        return found if isinstance(found, list) else []


def failed(error: UserError) -> Failed:
    """The event for a mistake of the person."""
    first = problems_of(error)[0]
    return Failed(code=first.code, values=first.values, at=now())
