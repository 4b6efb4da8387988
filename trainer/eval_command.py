"""`python -m trainer eval`: an evaluation at the terminal, and what it has found as a table or as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from trainer.config import RunConfig
from trainer.errors import UserError, tell
from trainer.flags import read_flags
from trainer.jobs import launch
from trainer.jobs.work import Run, run_stage
from trainer.paths import RunFolder
from trainer.terminal import watched

JUDGE = ("--judge-url", "--judge-model")
# The sentences that answer whether it is better: first that of the scores.
SAID = ("evaluated_", "judged_")
TASKS = ("do_predict", "do_eval")


def run_eval_command(words: Sequence[str], run: Run) -> int:
    """Evaluates what a file and flags say; returns the exit status. Raises UserError for what cannot be used."""
    as_json = "--json" in words
    (url, model), others = _judge([word for word in words if word != "--json"])
    judge = launch.read_judge(url, model)
    given = read_flags(others)
    if not given:
        raise UserError("evaluate_what")
    # Whatever else the file is for, this command trains nothing.
    config = RunConfig.from_flat(
        {"hub": launch.default_hub(), **given, "do_train": False, "do_export": False}
    )
    if not (config.evaluate.do_predict or config.evaluate.do_eval):
        config = config.with_values(**dict.fromkeys(TASKS, True))
    if judge is not None:
        config, run = config.with_values(judge=True), partial(run_stage, judge=judge)
    status, folder = watched(config, run, sys.stderr if as_json else sys.stdout)
    report = _report(folder)
    if report is not None and as_json:
        print(json.dumps({"folder": str(folder.path), **report}, ensure_ascii=False, indent=2))
    elif report is not None:
        print("\n".join(table(report)))
    return status


def _judge(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The values of the judge's flags, and the other words: what is taken out here never comes into a config."""
    found, others, rest = dict.fromkeys(JUDGE, ""), [], list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        flag = "--" + name.removeprefix("--").replace("_", "-")
        if flag not in JUDGE:
            others.append(word)
            continue
        found[flag] = value if equals else rest.pop(0) if rest and not rest[0].startswith("--") else ""
        if not found[flag]:
            raise UserError("judge_half")
    return list(found.values()), others


def _report(folder: RunFolder) -> dict[str, Any] | None:
    try:
        found = json.loads(folder.report.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def table(report: Mapping[str, Any]) -> list[str]:
    """The scores of both sides with their difference, one score a line, then the verdict."""
    sides = [side for side in ("base", "tuned") if side in report["loss"]]
    rows = {name: [report["sides"][side].get(name) for side in sides] for name in _names(report)}
    for name in ("loss", "perplexity"):
        if any(report[name].get(side) is not None for side in sides):
            rows[name] = [report[name].get(side) for side in sides]
    width = max((len(name) for name in rows), default=0)
    heads = [*sides, "difference"] if len(sides) == 2 else sides
    lines = [
        "",
        f"{report['rows']} of {report['of']} rows".ljust(width) + "".join(f"{each:>12}" for each in heads),
    ]
    for name, values in rows.items():
        cells = [_cell(value) for value in values]
        if len(sides) == 2:
            cells.append(_cell(values[1] - values[0], "+") if None not in values else "-")
        lines.append(
            name.ljust(max(width, len(lines[1]) - 12 * len(heads))) + "".join(f"{each:>12}" for each in cells)
        )
    said = [
        tell(note["code"], note["values"]).text
        for begins in SAID
        for note in report["notes"]
        if note["code"].startswith(begins)
    ]
    return [*lines, *([""] if said else []), *said]


def _names(report: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(name for means in report["sides"].values() for name in means))


def _cell(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.2f}" if abs(value) < 1e6 else f"{value:{sign}.3g}"
