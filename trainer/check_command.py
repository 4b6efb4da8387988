"""`python -m trainer check`: what a file of settings comes to, as words or as JSON (keys: `trainer.check_report`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.check_report import Place, Planned, as_json, look, unreadable
from trainer.config import RunConfig
from trainer.errors import UserError, problems_of
from trainer.flags import FILES, read_flags
from trainer.jobs import launch
from trainer.terminal import DONE, FAILED

# Mistakes of the command line itself, and a file that is not there.
_ARGUMENTS = ("flag_unknown", "flag_two_files", "file_missing")
_WIDTH = 12
_WHY = {
    "off": "switched off",
    "speed": "decides only how fast",
    "device": "the machine decides",
    "files": "decides only where files lie",
    "report": "decides only what is told",
    "measures": "an evaluation while training measures the loss; do_predict answers the rows",
    "settled": "settled by the run itself",
}


def run_check(words: Sequence[str], planned: Planned | None = None) -> int:
    """Says what the file and flags `words` come to; returns the exit status: 0, or 1 when something is refused or wrong.

    Raises UserError for wrong arguments and for a file that is not there.
    """
    given = [word for word in words if word != "--json"]
    if not given:
        raise UserError("check_what")
    file = next((word for word in given if Path(word).suffix.lower() in FILES and "=" not in word), None)
    try:
        values = {"hub": launch.default_hub(), **read_flags(given)}
        report = look(values, file, Path.cwd(), planned or place_of)
    except UserError as error:
        if any(problem.code in _ARGUMENTS for problem in problems_of(error)):
            raise
        report = unreadable(file, error)
    print(as_json(report) if "--json" in words else "\n".join(lines(report)))
    return DONE if report["ok"] else FAILED


def place_of(config: RunConfig) -> Place:
    """By what this machine would run `config`. Raises UserError for devices and numbers that there are not."""
    plan = launch.plan(config)
    return Place(plan.engine, plan.processes, plan.nodes)


def lines(report: Mapping[str, Any]) -> Iterator[str]:
    """The report for people."""
    if "task" in report:
        yield from _facts(report)
        yield from _words(report)
    for kind in ("refused", "wrong"):
        for each in report[kind]:
            yield f"{kind}: {each['text']}"
            if each["hint"]:
                yield f"  hint: {each['hint']}"
    for each in report["warnings"]:
        yield f"warning: {each['text']}" + (f" {each['hint']}" if each["hint"] else "")
    count = len(report["refused"]) + len(report["wrong"])
    yield (
        "This file can be run."
        if report["ok"]
        else f"This file cannot be run: {count} settings need another look."
    )


def _facts(report: Mapping[str, Any]) -> Iterator[str]:
    if report["file"]:
        yield _line("file", report["file"])
    yield _line("task", f"{report['task']}, stage {report['stage']}, method {report['method']}")
    model = report["model"]
    if model["given"]:
        place = "" if model["place"] == model["given"] else f" ({model['from']}: {model['place']})"
        yield _line("model", f"{model['given']}{place}, {_here(model)}")
    for each in report["adapters"]:
        yield _line("adapter", f"{each['place']}, {_here(each)}")
    for each in report["datasets"]:
        rows = "" if each["rows"] is None else f", {each['rows']} rows"
        yield _line("dataset", f"{each['name']} ({each['use']}){rows}, {_here(each)}")
    yield _line("template", report["template"] or "the model's own")
    if report["task"] == "train":
        yield from _training(report)
    for title in ("settings", "arguments"):
        if report[title]:
            yield title
            yield from (f"  {name}: {value}" for name, value in report[title].items())


def _training(report: Mapping[str, Any]) -> Iterator[str]:
    run, batch, steps = report["run"], report["batch"], report["steps"]
    where = f" on each of {run['nodes']} machines" if run["nodes"] > 1 else ""
    engine = "" if run["engine"] == "one" else f", {run['engine']}"
    yield _line("processes", f"{run['processes']}{where}{engine}")
    parts = f"{batch['per_device']} x {batch['accumulation']} x {batch['processes']}"
    yield _line("step", f"{batch['together']} rows ({parts})")
    if steps["total"] is not None:
        yield _line("steps", str(steps["total"]) if steps["exact"] else f"about {steps['total']}")


def _words(report: Mapping[str, Any]) -> Iterator[str]:
    for each in report["renamed"]:
        yield _line("renamed", f"{each['name']} is read as {each['option']}: {each['value']}")
    for each in report["harmless"]:
        why = _WHY.get(each["why"], f"belongs to {each['why']}")
        yield _line("harmless", f"{each['name']} ({why})")


def _line(title: str, text: str) -> str:
    return f"{title:<{_WIDTH}}{text}"


def _here(facts: Mapping[str, Any]) -> str:
    return "here" if facts["here"] else "not on this machine"
