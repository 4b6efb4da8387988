"""Reading, rendering and checking data: rows per second beside a peer, and what a file of a gigabyte takes.

    python benchmarks/data.py [--rows 100000] [--big 1000000] [--rounds 3] [--peer PYTHON] [--parts speed start big]

PYTHON is the interpreter of an environment with LLaMA-Factory; it takes turns with this program, as it comes and with
preprocessing_num_workers of 2. Each measurement is a process of its own, begins with rows nobody has seen, and counts
the seconds from the first byte read to the last row rendered, imports left out. Tables show medians.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "benchmarks")]

SPROUT = REPOSITORY / "models" / "sprout"
WIDE = 151_643
CUTOFF = 2048
Result = dict[str, float]

PEER = """
import json, sys, tempfile, time
from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
from llamafactory.hparams import get_train_args
from llamafactory.model import load_tokenizer
model, folder, workers = sys.argv[1:]
given = dict(stage="sft", do_train=True, finetuning_type="lora", model_name_or_path=model, template="qwen",
             dataset="rows", dataset_dir=folder, cutoff_len=CUTOFF, output_dir=tempfile.mkdtemp(), use_cpu=True,
             report_to="none")
if workers != "0":
    given["preprocessing_num_workers"] = int(workers)
models, data, training, _, _ = get_train_args(given)
parts = load_tokenizer(models)
template = get_template_and_fix_tokenizer(parts["tokenizer"], data)
begun = time.monotonic()
rows = get_dataset(template, models, data, training, stage="sft", **parts)["train_dataset"]
print("measured " + json.dumps({"seconds": time.monotonic() - begun, "rows": len(rows)}))
"""


def options(folder: Path) -> Any:
    from trainer.options import DataOptions

    return DataOptions(dataset=("rows",), dataset_dir=str(folder), cutoff_len=CUTOFF)


def render(model: Path, folder: Path) -> Result:
    """All rows as tokens, from the file or from the cache in `folder/cache`."""
    from trainer.dataset.gather import gather
    from trainer.dataset.render import Renderer
    from trainer.model.load import load_tokenizer

    renderer = Renderer(load_tokenizer(model), "qwen", options(folder))
    begun = time.monotonic()
    found = gather(renderer, options(folder), 42, folder=folder / "cache")
    seconds = time.monotonic() - begun
    return {"seconds": seconds, "rows": len(found.train), "tokens": int(found.train.sizes.sum())}


def start_again(model: Path, folder: Path) -> Result:
    """As `render`, when the rows are in the cache; reading or rendering a single one is an error."""
    from trainer.dataset import load
    from trainer.dataset.render import Renderer

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a row was read or rendered")

    load.read_rows = refuse  # type: ignore[assignment]
    Renderer.render_many = refuse  # type: ignore[assignment, method-assign]
    return render(model, folder)


def check(model: Path, folder: Path) -> Result:
    """Every row of the file looked at."""
    from trainer.dataset.checkup import check as check_rows
    from trainer.dataset.info import choose
    from trainer.dataset.rows import Reading

    told: list[int] = []
    info = choose(folder, ["rows"])[0]
    begun = time.monotonic()
    found = check_rows(info, Reading(), tell=lambda rows, done, total: told.append(100 * done // total))
    seconds = time.monotonic() - begun
    return {"seconds": seconds, "rows": found.rows, "bytes": found.bytes, "told": len(set(told))}


def page(model: Path, folder: Path) -> Result:
    """The first page of the preview."""
    from trainer.dataset.doctor import preview
    from trainer.model.load import load_tokenizer

    tokenizer = load_tokenizer(model)
    begun = time.monotonic()
    found = preview(tokenizer, options(folder))
    return {"seconds": time.monotonic() - begun, "rows": len(found.rows)}


MEASURES: dict[str, Callable[[Path, Path], Result]] = {
    "render": render,
    "again": start_again,
    "check": check,
    "page": page,
}


def measure(name: str, model: Path, folder: Path) -> Result:
    """One measurement in a process of its own, with the most memory it took (MiB)."""
    return run(
        [sys.executable, str(Path(__file__).resolve()), "--measure", name, str(model), str(folder)], folder
    )


def peer(python: str, workers: int, model: Path, folder: Path) -> Result:
    """The peer's seconds for the same rows, with a cache that it has not seen."""
    program = PEER.replace("CUTOFF", str(CUTOFF))
    return run([python, "-c", program, str(model), str(folder), str(workers)], folder)


def run(command: list[str], folder: Path) -> Result:
    fresh = folder / "hub"
    shutil.rmtree(fresh, ignore_errors=True)
    environment = {
        **os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_DATASETS_CACHE": str(fresh),
        "DISABLE_VERSION_CHECK": "1",
    }  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=REPOSITORY, check=False
    )
    line = next((each for each in done.stdout.splitlines() if each.startswith("measured ")), None)
    if line is None:
        sys.exit(f"{command[:3]} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    found: Result = json.loads(line.removeprefix("measured "))
    return found


def write_wide(folder: Path) -> Path:
    """Sprout's tokenizer with as many entries as that of Qwen2.5: what is added is looked through, and never used."""
    import random

    shutil.copytree(SPROUT, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    path = folder / "tokenizer.json"
    whole = json.loads(path.read_text(encoding="utf-8"))
    vocabulary, merges = whole["model"]["vocab"], whole["model"]["merges"]
    taken = {each["content"] for each in whole["added_tokens"]}
    after = 1 + max([*vocabulary.values(), *(each["id"] for each in whole["added_tokens"])])
    words = [each for each in vocabulary if each not in taken]
    chance = random.Random(3)
    while after < WIDE:
        pair = chance.sample(words, 2)
        if (word := "".join(pair)) not in vocabulary and word not in taken:
            vocabulary[word], after = after, after + 1
            merges.append(pair)
    path.write_text(json.dumps(whole, ensure_ascii=False), encoding="utf-8")
    return folder


def compare_speed(folder: Path, rows: int, rounds: int, python: str | None) -> str:
    """Rendered rows per second, ours and the peer's, for two sizes of vocabulary."""
    from rows import write_rows

    write_rows(folder / "rows.jsonl", rows)
    lines = ["| vocabulary | who | rows/s | spread | ours / theirs |", "|---:|---|---:|---:|---:|"]
    for model in (SPROUT, write_wide(folder / "wide")):
        seconds: dict[str, list[float]] = {}
        for _ in range(rounds):
            shutil.rmtree(folder / "cache", ignore_errors=True)
            seconds.setdefault("ours", []).append(measure("render", model, folder)["seconds"])
            for workers in (0, 2) if python else ():
                name = f"peer, {workers} workers" if workers else "peer"
                seconds.setdefault(name, []).append(peer(python or "", workers, model, folder)["seconds"])
        size = len(json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"])
        ours = statistics.median(seconds["ours"])
        for name, found in seconds.items():
            spread = f"{rows / max(found):.0f} to {rows / min(found):.0f}"
            speed = rows / statistics.median(found)
            lines.append(
                f"| {size} | {name} | {speed:.0f} | {spread} | {statistics.median(found) / ours:.2f} |"
            )
    return "\n".join([f"### {rows} alpaca rows", "", *lines]) + "\n"


def show(
    folder: Path, title: str, rows: int, rounds: int, names: tuple[str, ...], longest: int = 1500
) -> str:
    """Seconds and memory of single measurements over one file."""
    from rows import write_rows

    path = folder / "rows.jsonl"
    write_rows(path, rows, longest)
    lines = ["| what | seconds | spread | most memory, MiB | |", "|---|---:|---:|---:|---|"]
    for name in names:
        found = [measure(name, SPROUT, folder) for _ in range(1 if name == "render" else rounds)]
        seconds = [each["seconds"] for each in found]
        spread = f"{min(seconds):.2f} to {max(seconds):.2f}"
        peak = max(each["peak_mib"] for each in found)
        more = f"progress told {found[0]['told']:.0f} times" if "told" in found[0] else ""
        lines.append(f"| {name} | {statistics.median(seconds):.2f} | {spread} | {peak:.0f} | {more} |")
    size = path.stat().st_size / 1e6
    return "\n".join([f"### {title}: {rows} rows, {size:.0f} MB", "", *lines]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--big", type=int, default=1_000_000, help="rows of the big file, a kilobyte each")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", metavar="PYTHON", help="python of an environment with LLaMA-Factory")
    parser.add_argument(
        "--parts", nargs="+", choices=("speed", "start", "big"), default=["speed", "start", "big"]
    )
    parser.add_argument("--render-big", action="store_true", help="render the big file too")
    parser.add_argument("--measure", nargs=3, metavar=("NAME", "MODEL", "FOLDER"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        name, model, folder = given.measure
        result = MEASURES[name](Path(model), Path(folder))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print("measured " + json.dumps({**result, "peak_mib": peak}))
        return
    for part in given.parts:
        with tempfile.TemporaryDirectory() as folder:
            if part == "speed":
                print(compare_speed(Path(folder), given.rows, given.rounds, given.peer), flush=True)
            elif part == "start":
                names = ("render", "again")
                print(show(Path(folder), "A second start", given.rows, given.rounds, names), flush=True)
            else:
                names = ("page", "check", *(("render", "again") if given.render_big else ()))
                print(
                    show(Path(folder), "A big file", given.big, given.rounds, names, longest=1700), flush=True
                )


if __name__ == "__main__":
    main()
