"""LoRA training of a vision model on a CPU: what pictures cost, and tokens per second beside a peer.

    python benchmarks/vision.py [--rounds 3] [--epochs 3] [--peer COMMAND]

First the step time from the second epoch, as it is and with all tensors ready in memory. Then, with a peer's training
command as in benchmarks/training.py, both programs train the same rows, in turns, each at its own defaults.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "benchmarks")]

from command import run  # noqa: E402

# Everything else is each program's default.
COMMON: dict[str, Any] = {
    "stage": "sft", "do_train": True, "finetuning_type": "lora", "lora_rank": 8, "lora_target": "all",
    "template": "qwen2_vl", "dataset": "pictures", "cutoff_len": 1024, "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 2, "learning_rate": 1.0e-4, "overwrite_output_dir": True, "report_to": "none",
    "save_steps": 100000,
}  # fmt: skip


def flat(folder: Path, output: str, **more: Any) -> dict[str, Any]:
    """One run in LLaMA-Factory's words, which both programs read."""
    paths = {
        "model_name_or_path": str(folder / "model"), "dataset_dir": str(folder / "data"),
        "media_dir": str(folder / "data"), "output_dir": str(folder / output),
    }  # fmt: skip
    return {**COMMON, **paths, **more}


class Times(NamedTuple):
    """Seconds on the wall, and of all this process's threads on a processor: those a busy machine does not stretch."""

    wall: float
    busy: float


class Clock:
    """Takes the time of each step; what is put into `away` does not count."""

    def __init__(self) -> None:
        self.away = Times(0.0, 0.0)
        self.steps: list[Times] = []
        self._last: Times | None = None

    def now(self) -> Times:
        return Times(time.perf_counter() - self.away.wall, time.process_time() - self.away.busy)

    def step(self) -> None:
        now = self.now()
        if self._last is not None:
            self.steps.append(Times(now.wall - self._last.wall, now.busy - self._last.busy))
        self._last = now


@contextmanager
def ready_tensors(clock: Clock) -> Iterator[None]:
    """Inside, inputs of pictures are made in the training thread and the time for it does not count."""
    from concurrent.futures import Future

    from trainer.train.seeing import Eyes

    plain = Eyes.later

    def later(eyes: Any, rows: Any, flattened: bool) -> Any:
        begun = clock.now()
        made: Any = Future()
        made.set_result(eyes.inputs(rows, flattened))
        ended = clock.now()
        clock.away = Times(*(a + e - b for a, b, e in zip(clock.away, begun, ended, strict=True)))
        return made

    Eyes.later = later  # type: ignore[method-assign]
    try:
        yield
    finally:
        Eyes.later = plain  # type: ignore[method-assign]


def step_times(folder: Path, epochs: int, ready: bool) -> list[Times]:
    """Seconds of each step from the second epoch."""
    from contextlib import nullcontext

    from trainer.config import RunConfig
    from trainer.events import Event, Started, Step
    from trainer.train.sft import run_sft

    clock, total = Clock(), 0

    def emit(event: Event) -> None:
        nonlocal total
        if isinstance(event, Started):
            total = event.total_steps
        if isinstance(event, Step):
            clock.step()

    config = RunConfig.from_flat(flat(folder, "steps", num_train_epochs=epochs, logging_steps=1))
    with ready_tensors(clock) if ready else nullcontext():
        run_sft(config, emit, lambda: False)
    return clock.steps[total // epochs :]


def compare_steps(folder: Path, rounds: int, epochs: int) -> str:
    """The two take turns; medians over all steps."""
    found: dict[bool, list[Times]] = {True: [], False: []}
    for number in range(rounds):
        for ready in (True, False) if number % 2 else (False, True):
            found[ready] += step_times(folder, epochs, ready)
    lines = [
        f"### Step time from the second epoch, medians of {len(found[True])} steps",
        "",
        "| | tensors ready in memory | as it is | share |",
        "|---|---:|---:|---:|",
    ]
    for place, name in enumerate(("on the wall", "on the processor")):
        ready_s, ours_s = (statistics.median(each[place] for each in found[ready]) for ready in (True, False))
        lines.append(
            f"| {name} | {1000 * ready_s:.1f} ms | {1000 * ours_s:.1f} ms | {ours_s / ready_s:.3f} |"
        )
    return "\n".join(lines) + "\n"


def seconds_of(folder: Path, epochs: int, peer: str) -> float:
    """Seconds of training as the program itself reports them; of this program without `peer`."""
    output = "peer" if peer else "ours"
    values = flat(folder, output, num_train_epochs=epochs, **({"use_cpu": True} if peer else {}))
    path = folder / f"{output}.yaml"
    path.write_text(
        "".join(f"{key}: {json.dumps(value)}\n" for key, value in values.items()), encoding="utf-8"
    )
    if not peer:
        run([sys.executable, "-m", "trainer", "train", str(path)])
        return float(json.loads((folder / output / "train_results.json").read_text())["train_runtime"])
    found = re.search(r"peer_train_s\s+([\d.]+)", run([*shlex.split(peer), str(path)]))
    if not found:
        sys.exit("the peer's command printed no line `peer_train_s SECONDS`")
    return float(found.group(1))


def trained_tokens(folder: Path) -> int:
    """Trained tokens of all rows in one epoch."""
    from trainer.dataset.gather import gather
    from trainer.dataset.render import Renderer
    from trainer.model.load import load_processor
    from trainer.options import DataOptions

    data = DataOptions(dataset=("pictures",), dataset_dir=str(folder / "data"), cutoff_len=1024)
    processor: Any = load_processor(folder / "model")
    return gather(Renderer(processor.tokenizer, "qwen2_vl", data, processor), data, 42).train.trained


def compare_speed(folder: Path, rounds: int, epochs: int, peer: str) -> str:
    found: dict[str, list[float]] = {"": [], peer: []}
    for _ in range(rounds):
        for each in found:
            found[each].append(seconds_of(folder, epochs, each))
    count = trained_tokens(folder) * epochs
    ours, theirs = (count / statistics.median(found[each]) for each in ("", peer))
    return (
        f"### Training: {count} trained tokens in {epochs} epochs, medians of {rounds}\n\n"
        "| ours | peer | share |\n|---:|---:|---:|\n"
        f"| {ours:.0f} tokens/s | {theirs:.0f} tokens/s | {ours / theirs:.2f} |\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=160)
    parser.add_argument(
        "--peer", metavar="COMMAND", default="", help="training command without the YAML file"
    )
    parser.add_argument("--only", choices=("steps", "speed"), help="one of the two")
    given = parser.parse_args()
    from gallery import write_all

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Neither rows nor pixels of an earlier run.
        os.environ["HOME"] = str(folder / "home")
        write_all(folder, given.rows)
        if given.only != "speed":
            print(compare_steps(folder, given.rounds, given.epochs), flush=True)
        if given.peer and given.only != "steps":
            print(compare_speed(folder, given.rounds, given.epochs, given.peer), flush=True)


if __name__ == "__main__":
    main()
