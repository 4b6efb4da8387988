"""How long the table of an evaluation's rows takes: its first page, all of it, filters and search, after a new start, exports.

    python benchmarks/table.py [--rows 100000] [--rounds 3]

The rows are those of benchmarks/rows.py, answered twice. A new start is a new Table on the same file, as in a server
that was started again. Times are medians in seconds.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "benchmarks")]

from rows import alpaca_rows  # noqa: E402

from trainer.evaluate.kept import NAME  # noqa: E402
from trainer.evaluate.shown import Wish  # noqa: E402
from trainer.evaluate.table import Table  # noqa: E402

SCORES = (
    "rouge-l",
    "rouge-1",
    "rouge-2",
    "bleu-4",
    "rouge1",
    "rouge2",
    "rougeL",
    "sacrebleu",
    "chrf",
    "exact",
    "normalised",
)
WISHES = {
    "dataset order": Wish(),
    "worse first": Wish("worse"),
    "changed only": Wish(only="changed"),
    "worse first, of one score, last page": Wish("worse", "worse", score="bleu-4"),
}
WAIT_S = 600


def write_answers(path: Path, count: int) -> None:
    chance = random.Random(2)
    with path.open("w", encoding="utf-8") as file:
        for number, given in enumerate(alpaca_rows(count, longest=600)):
            label, asked = given["output"], f"{given['instruction']}\n{given['input']}".strip()
            tuned = label if chance.random() < 0.2 else label[: chance.randint(1, len(label))]
            base = tuned if chance.random() < 0.2 else label[chance.randint(0, len(label) - 1) :]
            sides = ("tuned", "base")
            row: dict[str, Any] = {
                "row": number, "dataset": "rows", "number": number + 1, "system": "", "question": asked, "turns": 1,
                "media": [], "prompt": f"<|im_start|>user\n{asked}<|im_end|>\n<|im_start|>assistant\n", "label": label,
                "predict": tuned, "base": base, "ending": dict.fromkeys(sides, "end"), "tokens": dict.fromkeys(sides, 50),
                "loss": {side: round(chance.uniform(0.5, 3), 6) for side in sides}, "label_tokens": len(label) // 4,
                "scores": {side: {name: round(chance.uniform(0, 100), 4) for name in SCORES} for side in sides},
            }  # fmt: skip
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def timed(do: Callable[[], object]) -> float:
    begun = time.perf_counter()
    do()
    return time.perf_counter() - begun


def kept_at(path: Path, before: int) -> None:
    """Waits until the index is written anew."""
    index = path.with_name(NAME)
    until = time.monotonic() + WAIT_S
    while not (index.exists() and index.stat().st_ino != before):
        if time.monotonic() > until:
            raise TimeoutError("no index was kept")
        time.sleep(0.01)


def measure(path: Path) -> dict[str, float]:
    """One round: without an index, then with the one that was left."""
    found: dict[str, float] = {}
    path.with_name(NAME).unlink(missing_ok=True)
    first = Table(path)
    found["first page, no index yet"] = timed(lambda: first.page(Wish()))
    found["all rows, no index yet"] = timed(first.columns) + found["first page, no index yet"]
    kept_at(path, 0)
    again = Table(path)
    found["first page, new start"] = timed(lambda: again.page(Wish()))
    for name, wish in WISHES.items():
        found[f"page, {name}"] = timed(lambda wish=wish: again.page(wish, 10**9))
    found["counts"] = timed(again.counts)
    words = first.page(Wish()).rows[7].question.split()
    for name, search in {
        "rare word": words[1], "common word": "a", "two words": " ".join(words[:2]), "nothing": "nowhere to be found",
    }.items():  # fmt: skip
        found[f"search, {name}"] = timed(lambda search=search: again.page(Wish(search=search)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "rows.jsonl"
        write_answers(path, given.rows)
        rounds = [measure(path) for _ in range(given.rounds)]
        sizes = [path.stat().st_size / 1e6, path.with_name(NAME).stat().st_size / 1e6]
    print(f"### {given.rows:,} rows, {sizes[0]:.0f} MB, index {sizes[1]:.0f} MB, medians of {given.rounds}\n")
    print("| what | seconds |\n|---|---:|")
    for each in rounds[0]:
        print(f"| {each} | {statistics.median(found[each] for found in rounds):.3f} |")


if __name__ == "__main__":
    main()
