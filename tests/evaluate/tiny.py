"""Tiny models whose answers end at different lengths, rows for them, and a way to evaluate."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, Qwen2ForCausalLM

from tests.chat.tiny import write_model
from trainer.config import RunConfig
from trainer.evaluate.run import run_eval
from trainer.events import Event, Finished, Note, Predicted, Stopped

WORDS = ("red", "green", "blue", "one", "two", "three", "sun", "moon", "star", "tree", "river", "stone")


def write_speaker(folder: Path, seed: int = 0) -> Path:
    """A model that ends some of its answers itself: the end of a turn is louder than other tokens."""
    write_model(folder, seed)
    model = Qwen2ForCausalLM.from_pretrained(folder)
    model.lm_head.weight.data[AutoTokenizer.from_pretrained(folder).eos_token_id] *= 1.6
    model.save_pretrained(folder)
    return folder


def rows(count: int, first: int = 0) -> list[dict[str, Any]]:
    """Alpaca rows of different lengths; the same ones each time."""

    def words(start: int, length: int) -> str:
        return " ".join(WORDS[(start * 5 + place * 7) % len(WORDS)] for place in range(length))

    return [
        {"instruction": f"{row} {words(row, 1 + row % 5)}", "output": words(row + 3, 1 + (row * 3) % 5)}
        for row in range(first, first + count)
    ]


def write_data(folder: Path, **datasets: list[dict[str, Any]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, listed in datasets.items():
        (folder / f"{name}.json").write_text(json.dumps(listed), encoding="utf-8")
    info = {name: {"file_name": f"{name}.json"} for name in datasets}
    (folder / "dataset_info.json").write_text(json.dumps(info), encoding="utf-8")
    return folder


@dataclass
class Run:
    """An evaluation that has ended: how, the events on the way, and its files."""

    folder: Path
    end: Finished | Stopped | None = None
    events: list[Event] = field(default_factory=list)

    @property
    def notes(self) -> dict[str, dict[str, Any]]:
        return {event.code: event.values for event in self.events if isinstance(event, Note)}

    @property
    def progress(self) -> list[Predicted]:
        return [event for event in self.events if isinstance(event, Predicted)]

    def json(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    @property
    def lines(self) -> list[dict[str, Any]]:
        """rows.jsonl as it was written."""
        text = (self.folder / "rows.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """rows.jsonl in the order of the rows."""
        return sorted(self.lines, key=lambda each: int(each["row"]))

    @property
    def said(self) -> list[tuple[str, str | None]]:
        return [(each["predict"], each["base"]) for each in self.rows]


def evaluate(config: RunConfig, stop: Callable[[Run], bool] = lambda _: False) -> Run:
    """Runs `config`; `stop` sees the run so far."""
    run = Run(Path(config.train.output_dir))
    run.end = run_eval(config, run.events.append, lambda: stop(run))
    return run


def after(rows: int) -> Callable[[Run], bool]:
    """Asks to stop once `rows` are done; needs every row told (`EVERY_S` 0).

    Rows are scored in a thread beside the answers, to which tiny models leave no time: each look waits a little.
    """

    def stop(run: Run) -> bool:
        time.sleep(0.1)
        return bool(run.progress) and run.progress[-1].done >= rows

    return stop
