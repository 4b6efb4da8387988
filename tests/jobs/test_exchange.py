"""What processes have told when their starter was gone is told later, once."""

from __future__ import annotations

from pathlib import Path

from trainer.events import EventLog, Saved, Step
from trainer.jobs.exchange import Exchange
from trainer.paths import RunFolder


def step(number: int) -> Step:
    return Step(step=number, total_steps=9, epoch=0.0, elapsed_s=1.0, eta_s=1.0, loss=1.0)


def test_steps_that_nobody_has_heard_are_told_by_the_next_attempt(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    exchange, log = Exchange.of(folder), EventLog(folder.events)
    assert exchange.untold(log) == []
    exchange.path.mkdir()
    for event in (step(1), step(2), Saved(step=2, path="checkpoint-2")):
        exchange.events.append(event)
    log.append(exchange.events.read().events[0])
    missed = exchange.untold(log)
    assert [type(each) for each in missed] == [Step, Saved]
    for event in missed:
        log.append(event)
    assert exchange.untold(log) == []
