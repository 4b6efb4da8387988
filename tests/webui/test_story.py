"""A page's knowledge of a run: the same whatever the portions, bounded, and true after a resume."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from trainer.events import (
    Evaluated,
    Event,
    EventLog,
    Finished,
    Note,
    Predicted,
    Sample,
    Saved,
    Started,
    Step,
    Stopped,
)
from webui.evaluate_head import counts
from webui.i18n import say
from webui.story import Cursor, Story, answers_by_prompt, follow, told


def started(resumed_from: int = 0, total: int = 100) -> Started:
    return Started(
        total_steps=total, rows=9, trained_tokens=90, parameters=1000, trainable=10, device="CPU", precision="fp32",
        resumed_from=resumed_from,
    )  # fmt: skip


def step(number: int, loss: float | None = 1.0, total: int = 100) -> Step:
    return Step(
        step=number, total_steps=total, epoch=number / 10, elapsed_s=float(number), eta_s=float(total - number),
        loss=loss, lr=1e-3, grad_norm=0.5, tokens_per_s=100.0, memory_mb=64.0,
    )  # fmt: skip


def answered(done: int, elapsed_s: float) -> Predicted:
    return Predicted(
        done=done, total=100, elapsed_s=elapsed_s, eta_s=1.0, rows_per_s=2.0, scores={}, memory_mb=64.0
    )


def run_events(count: int, seed: int = 0) -> list[Event]:
    dice = random.Random(seed)
    events: list[Event] = [Note(code="phase_rows"), Note(code="note_neat_packing"), started(total=count)]
    for number in range(1, count + 1):
        events.append(step(number, None if number % 3 == 0 else dice.random(), count))
        if number % 10 == 0:
            events += [
                Evaluated(step=number, epoch=1.0, loss=dice.random()),
                Sample(step=number, prompt="Who?", answer=f"I am {dice.choice('abc')}"),
                Saved(step=number, path=f"checkpoint-{number}"),
            ]
    return [*events, Finished(step=count, seconds=5.0, path="there", loss=0.5)]


@pytest.mark.parametrize("seed", range(4))
def test_portions_do_not_matter(tmp_path: Path, seed: int) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    dice = random.Random(seed)
    cursor = Cursor()
    for event in run_events(dice.choice([0, 7, 150]), seed):
        log.append(event)
        if dice.random() < 0.3:
            cursor = follow(cursor, log)
    assert follow(cursor, log).story == follow(Cursor(), log).story


def test_nothing_new_is_the_same_object(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    for event in run_events(5):
        log.append(event)
    cursor = follow(Cursor(), log)
    assert follow(cursor, log) is cursor


def test_a_long_run_stays_small_and_keeps_its_ends() -> None:
    events = run_events(6000)
    whole = told(Story(), events)
    halves = told(told(Story(), events[:4321]), events[4321:])
    assert whole == halves
    for line in (whole.loss, whole.smooth, whole.lr, whole.grad_norm, whole.evaluation):
        assert len(line) <= 1200
    assert whole.loss[0].x == 1 and whole.loss[-1].x == 5999
    assert whole.count == 4000
    assert len(whole.answers) <= 25 and whole.answers[0].step == 10 and whole.answers[-1].step == 6000


def test_a_resume_undoes_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    before: list[Event] = [
        started(),
        *(step(n, 5.0) for n in range(1, 9)),
        Stopped(step=8, seconds=8.0, path="x"),
    ]
    after: list[Event] = [started(resumed_from=6), *(step(n, 1.0) for n in range(7, 10))]
    cursor = Cursor()
    for event in before:
        log.append(event)
    cursor = follow(cursor, log)
    assert isinstance(cursor.story.final, Stopped)
    for event in after:
        log.append(event)
        cursor = follow(cursor, log)
    story = cursor.story
    assert story.final is None
    assert [(p.x, p.y) for p in story.loss] == [(float(n), 5.0 if n <= 6 else 1.0) for n in range(1, 10)]
    assert story == follow(Cursor(), log).story


def test_a_run_that_began_anew_in_its_folder_is_read_from_the_start(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    for event in run_events(50):
        log.append(event)
    cursor = follow(Cursor(), log)
    log.path.unlink()
    for event in (started(), step(1, 7.0)):
        log.append(event)
    story = follow(cursor, log).story
    assert [p.y for p in story.loss] == [7.0] and story.final is None


def test_phases_are_told_apart_from_notes_and_repeated_notes_are_one() -> None:
    dropped = Note(
        code="rows_dropped", values={"count": 1, "total": 2, "dataset": "d", "row": 1, "reason": "r"}
    )
    story = told(
        Story(), [Note(code="phase_rows"), dropped, Note(code="phase_model", values={"name": "M"}), dropped]
    )
    assert [note.code for note in story.notes] == ["rows_dropped"]
    assert story.phase is not None and story.phase.code == "phase_model"


def test_what_is_said_of_the_first_rows_ends_when_the_others_are_answered() -> None:
    first = [
        replace(started(), task="eval"), answered(60, elapsed_s=43.0), Note(code="evaluate_seen"),
        Note(code="evaluate_stopped", values={"done": 60, "total": 100}),
        Note(code="answers_empty", values={"side": "base", "count": 9, "rows": 60}),
    ]  # fmt: skip
    stopped = told(Story(), [*first, Stopped(step=60, seconds=43.0, path="there")])
    assert len(stopped.notes) == 3 and stopped.earlier_s == 0
    again = replace(started(resumed_from=60), task="eval")
    whole = told(Story(), [*first, again, answered(80, elapsed_s=5.0)])
    assert [note.code for note in whole.notes] == ["evaluate_seen"] and whole.earlier_s == 43
    third = told(whole, [replace(started(resumed_from=80), task="eval"), answered(100, elapsed_s=2.0)])
    assert third.earlier_s == 48
    ended = told(third, [Finished(step=100, seconds=2.0, path="there")])
    assert say("live.elapsed", "en", time="0:50") in counts(ended, False, "en", 0.0)


def test_answers_are_grouped_by_prompt_in_the_order_of_asking() -> None:
    answers = [Sample(step=s, prompt=p, answer=f"{p}{s}") for s in (0, 20) for p in ("b", "a")]
    assert {p: [a.step for a in each] for p, each in answers_by_prompt(answers).items()} == {
        "b": [0, 20],
        "a": [0, 20],
    }


def test_each_dataset_has_a_line_of_its_own() -> None:
    """In whatever portions the evaluations come."""
    events = [
        Evaluated(
            step=at, epoch=0.1, loss=1.0, parts={"a": at / 10, "b": 2.0, **({"c": 3.0} if at > 5 else {})}
        )
        for at in (5, 10)
    ]
    story = told(told(Story(), events[:1]), events[1:])
    assert story == told(Story(), events)
    lines = {name: [(point.x, point.y) for point in points] for name, points in story.parts}
    assert lines == {"a": [(5, 0.5), (10, 1.0)], "b": [(5, 2.0), (10, 2.0)], "c": [(10, 3.0)]}
