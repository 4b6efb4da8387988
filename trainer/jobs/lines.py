"""Events as plain lines of text, for log.txt and the terminal."""

from __future__ import annotations

import math

from trainer.events import (
    Evaluated,
    Event,
    Failed,
    Finished,
    Note,
    Predicted,
    Sample,
    Saved,
    Started,
    Step,
    Stopped,
    Written,
)


def clock(seconds: float) -> str:
    """`1:02` or `1:00:02`."""
    whole = max(0, round(seconds))
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def line(event: Event) -> str:
    """One event in one line; an answer's line breaks become spaces."""
    match event:
        case Started() if event.task == "eval":
            again = f", {event.resumed_from} of them done before" if event.resumed_from else ""
            return f"{event.rows} rows to answer on {event.device} in {event.precision}{again}"
        case Started() if event.task == "export":
            return f"{event.parameters:,} numbers to write in {event.precision}, merged on {event.device}"
        case Started():
            again = f", resumed from step {event.resumed_from}" if event.resumed_from else ""
            rows = (
                f"{event.rows} rows, {event.trained_tokens} trained tokens"
                if event.rows
                else "a stream of rows"
            )
            return (
                f"{rows}, {event.total_steps} steps on {event.device}"
                f" in {event.precision}; {event.trainable:,} of {event.parameters:,} parameters are trained{again}"
            )
        case Step():
            return _step(event)
        case Predicted():
            return _predicted(event)
        case Written():
            return _written(event)
        case Evaluated():
            parts = ", ".join(f"{name} {loss:.4f}" for name, loss in event.parts.items())
            # A loss beyond all reason has no perplexity that could be told.
            said = f"evaluation loss {event.loss:.4f}, perplexity {math.exp(min(event.loss, 700)):.4g}"
            return f"step {event.step}  {said}" + (f"  ({parts})" if parts else "")
        case Sample():
            asked = event.question or event.prompt
            return f"step {event.step}  {asked!r} -> {' '.join(event.answer.split())!r}"
        case Saved():
            return f"step {event.step}  saved {event.path}"
        case Note():
            return event.text
        case Finished():
            loss = "" if event.loss is None else f", mean loss {event.loss:.4f}"
            return f"finished: {event.step} steps in {clock(event.seconds)}{loss} -> {event.path}"
        case Stopped():
            after = f"stopped after {event.step} steps in" if event.step else "stopped after"
            where = f" -> {event.path}" if event.path else ", nothing saved"
            return f"{after} {clock(event.seconds)}{where}"
        case Failed():
            return f"failed: {event.text}"
        case _:
            return type(event).__name__


def _written(event: Written) -> str:
    share = 100 * event.done_bytes // max(event.total_bytes, 1)
    done, total = event.done_bytes / 1e6, event.total_bytes / 1e6
    parts = [f"{event.format}  {done:,.1f} of {total:,.1f} MB ({share} %)", event.tensor]
    return "  ".join([*parts, f"{clock(event.elapsed_s)} elapsed", f"{clock(event.eta_s)} left"])


def _predicted(event: Predicted) -> str:
    means = [
        f"{score} {' '.join(f'{side} {by_side[score]:.2f}' for side, by_side in event.scores.items())}"
        for score in dict.fromkeys(name for each in event.scores.values() for name in each)
    ]
    parts = [f"row {event.done}/{event.total}", *means, f"{event.rows_per_s:.1f} rows/s"]
    return "  ".join([*parts, f"{clock(event.elapsed_s)} elapsed", f"{clock(event.eta_s)} left"])


def _step(event: Step) -> str:
    parts = [f"step {event.step}/{event.total_steps}", f"epoch {event.epoch:.2f}"]
    if event.loss is not None:
        parts.append(f"loss {event.loss:.4f}")
    if event.lr is not None:
        parts.append(f"lr {event.lr:.3g}")
    if event.tokens_per_s is not None:
        parts.append(f"{event.tokens_per_s:.0f} trained tokens/s")
    parts += [f"{clock(event.elapsed_s)} elapsed", f"{clock(event.eta_s)} left"]
    return "  ".join(parts)
