"""What is said of memory: sentences in English for the terminal, and plain values for programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer.errors import Values, tell
from trainer.events import Note
from trainer.model.fit.weighing import Change, Fit

_GB = 1 << 30


def gigabytes(count: int) -> str:
    """Bytes as GB with as many digits as tell something."""
    size = count / _GB
    return f"{size:.0f}" if size >= 100 else f"{size:.1f}" if size >= 0.95 else f"{size:.2f}"


def words(values: Mapping[str, Any]) -> str:
    """Option values as a file would have them."""
    said = {True: "true", False: "false"}
    return ", ".join(
        f"{name}: {said[value] if isinstance(value, bool) else value}" for name, value in values.items()
    )


def lines(found: Fit | None) -> list[str]:
    """What a terminal shows: need and free, the parts, the host, and where it does not fit the changes."""
    if found is None:
        return [tell("fit_unknown", {}).text]
    need, machine = gigabytes(found.need.total), found.machine
    if found.free is None:
        said = [tell("fit_needs_alone", {"need": need}).text]
    else:
        free: Values = {"need": need, "free": gigabytes(found.free), "device": machine.name}
        said = [tell("fit_needs", free).text]
    parts: Values = {name: gigabytes(size) for name, size in found.need.parts().items()}
    said.append(tell("fit_parts", parts).text)
    if found.need.host:
        host: Values = {"need": gigabytes(found.need.host), "free": gigabytes(machine.host)}
        said.append(tell("fit_host", host).text)
    if found.fits is False:
        said += [_change(each) for each in found.changes] or [tell("fit_no_change", {}).text]
    return said


def _change(change: Change) -> str:
    return tell("fit_change", {"values": words(change.values), "need": gigabytes(change.need.total)}).text


def warning(found: Fit) -> Note:
    """The note with which a run begins that does not fit."""
    values: Values = {
        "need": gigabytes(found.need.total),
        "free": gigabytes(found.free or 0),
        "device": found.machine.name,
    }
    if not found.changes:
        return Note(code="fit_much_too_much", values=values, level="warning")
    return Note(code="fit_too_much", values={**values, "changes": all_changes(found)}, level="warning")


def all_changes(found: Fit) -> str:
    """The changes in one line, each with what would be needed."""
    return "; or ".join(f"{words(each.values)} ({gigabytes(each.need.total)} GB)" for each in found.changes)


def facts(found: Fit | None) -> dict[str, Any]:
    """Plain values for JSON: bytes by part, on each device and on the host; null where nobody knows."""
    if found is None:
        return {"known": False}
    need = found.need
    return {
        "known": True,
        "fits": found.fits,
        "need": {**need.parts(), "total": need.total, "host": need.host},
        "free": list(found.machine.free),
        "host_free": found.machine.host,
        "device": found.machine.name,
        "devices": max(1, len(found.machine.free)),
        "engine": found.engine,
        "precision": found.precision,
        "gradient_checkpointing": found.checkpointing,
        "parameters": found.parameters,
        "trained": found.trained,
        "from_files": found.here,
        "changes": [
            {"values": dict(each.values), "total": each.need.total, "host": each.need.host}
            for each in found.changes
        ],
    }
