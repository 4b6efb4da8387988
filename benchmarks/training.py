"""Tokens per second of LoRA training on a CPU: this program, a bare PyTorch loop, and a peer if one is given.

    python benchmarks/training.py [--rounds 3] [--settings default packed] [--peer COMMAND]

COMMAND is a peer's training command to which a YAML file in LLaMA-Factory's words is added; it has to print a line
`peer_train_s SECONDS`. All take turns, so that a busy machine is unfair to nobody; the table shows medians.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "benchmarks")]

from command import run  # noqa: E402

COMMON: dict[str, Any] = {
    "stage": "sft", "do_train": True, "finetuning_type": "lora", "lora_rank": 8, "lora_target": "all",
    "template": "qwen", "dataset": "rows", "cutoff_len": 1024, "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 2, "learning_rate": 1.0e-4, "num_train_epochs": 1.0, "logging_steps": 10,
    "save_steps": 100000, "overwrite_output_dir": True, "report_to": "none",
}  # fmt: skip
SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "packed": {"bf16": True, "neat_packing": True, "disable_gradient_checkpointing": True},
}


def settings(folder: Path, name: str, output: str) -> dict[str, Any]:
    """One run in LLaMA-Factory's words, which both programs read."""
    paths = {
        "model_name_or_path": str(folder / "model"),
        "dataset_dir": str(folder / "data"),
        "output_dir": str(folder / output),
    }
    return {**COMMON, **SETTINGS[name], **paths}


def write_yaml(folder: Path, name: str, output: str) -> Path:
    path = folder / f"{output}.yaml"
    lines = [f"{key}: {json.dumps(value)}\n" for key, value in settings(folder, name, output).items()]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def ours(folder: Path, name: str) -> float:
    """Seconds that `python -m trainer train` trains, as its results say."""
    path = write_yaml(folder, name, "ours")
    run([sys.executable, "-m", "trainer", "train", str(path)])
    results = json.loads((folder / "ours" / "train_results.json").read_text(encoding="utf-8"))
    return float(results["train_runtime"])


def bare(folder: Path, name: str) -> float:
    """Seconds of the loop below, in a process of its own."""
    said = run([sys.executable, str(Path(__file__).resolve()), "--bare", str(folder), "--settings", name])
    return float(said.split()[-1])


def peer(command: str) -> Callable[[Path, str], float]:
    def measure(folder: Path, name: str) -> float:
        path = write_yaml(folder, name, "peer")
        # transformers takes bf16 without a GPU only when it is told that none is meant.
        path.write_text(path.read_text(encoding="utf-8") + "use_cpu: true\n", encoding="utf-8")
        found = re.search(r"peer_train_s\s+([\d.]+)", run([*shlex.split(command), str(path)]))
        if not found:
            sys.exit("the peer's command printed no line `peer_train_s SECONDS`")
        return float(found.group(1))

    return measure


def bare_loop(folder: Path, name: str) -> float:
    """The quickest loop over the same rows that plain PyTorch allows: flattened batches, attention row by row."""
    import torch
    from transformers import get_linear_schedule_with_warmup

    from trainer.options import LoraOptions

    packed = name == "packed"
    model, items = _bare_parts(folder, packed, LoraOptions())
    learned = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=1e-4, weight_decay=0.0, fused=True)
    size, steps = 4, 2
    order = torch.randperm(len(items), generator=torch.Generator().manual_seed(42)).tolist()
    batches = [[items[place] for place in order[at : at + size]] for at in range(0, len(order), size)]
    groups = [batches[at : at + steps] for at in range(0, len(batches), steps)]
    schedule = get_linear_schedule_with_warmup(optimizer, 0, len(groups))
    model.train()
    begun = time.monotonic()
    for group in groups:
        trained = sum(label >= 0 for batch in group for item in batch for label in item["labels"])
        for batch in group:
            with torch.autocast("cpu", torch.bfloat16, enabled=packed):
                loss = _bare_loss(model, batch, 256 if packed else 1) / trained
            loss.backward()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return time.monotonic() - begun


def _bare_parts(folder: Path, packed: bool, options: Any) -> tuple[Any, list[Any]]:
    import torch

    from trainer.dataset.load import load_rows
    from trainer.dataset.render import Renderer, render_all
    from trainer.model.adapter import new_adapter
    from trainer.model.load import load_model, load_tokenizer
    from trainer.options import DataOptions
    from trainer.train.attention import NAME
    from trainer.train.items import items_of

    data = DataOptions(dataset=("rows",), dataset_dir=str(folder / "data"), cutoff_len=1024)
    renderer = Renderer(load_tokenizer(folder / "model"), "qwen", data)
    rows = render_all(renderer, load_rows(data, 42).train).rows
    torch.manual_seed(42)
    model = load_model(folder / "model", torch.bfloat16 if packed else torch.float32)
    adapted = new_adapter(model, options, torch.float32)
    model.config._attn_implementation = NAME
    return adapted, items_of(rows, 1024 if packed else None)


def _bare_loss(model: Any, batch: list[Any], multiple: int) -> Any:
    import torch
    from torch.nn.functional import cross_entropy

    ids = [token for item in batch for token in item["input_ids"]]
    labels = [label for item in batch for label in item["labels"]]
    lengths = [length for item in batch for length in item["seq_lengths"]]
    if spare := -len(ids) % multiple:
        ids, labels, lengths = ids + [0] * spare, labels + [-100] * spare, [*lengths, spare]
    positions = torch.cat([torch.arange(length) for length in lengths])[None]
    targets = torch.tensor(labels[1:])
    keep = (targets >= 0).nonzero().squeeze(1)
    logits = model(
        input_ids=torch.tensor([ids]), position_ids=positions, row_lengths=tuple(lengths), logits_to_keep=keep,
        use_cache=False,
    ).logits  # fmt: skip
    return cross_entropy(logits[0].float(), targets[keep], reduction="sum")


def tokens(folder: Path) -> int:
    """Tokens of all rows, padding not counted."""
    from trainer.dataset.load import load_rows
    from trainer.dataset.render import Renderer, render_all
    from trainer.model.load import load_tokenizer
    from trainer.options import DataOptions

    data = DataOptions(dataset=("rows",), dataset_dir=str(folder / "data"), cutoff_len=1024)
    renderer = Renderer(load_tokenizer(folder / "model"), "qwen", data)
    return sum(len(row.input_ids) for row in render_all(renderer, load_rows(data, 42).train).rows)


def compare(folder: Path, name: str, rounds: int, others: dict[str, Callable[[Path, str], float]]) -> str:
    """One table: median tokens per second of each, and this program's share of it."""
    seconds: dict[str, list[float]] = {each: [] for each in others}
    for _ in range(rounds):
        for each, measure in others.items():
            seconds[each].append(measure(folder, name))
    count = tokens(folder)
    speed = {each: count / statistics.median(found) for each, found in seconds.items()}
    lines = [
        f"### {name}: {count} tokens, medians of {rounds}",
        "",
        "| who | tokens/s | spread | ours / theirs |",
    ]
    lines.append("|---|---:|---:|---:|")
    for each, found in seconds.items():
        spread = f"{count / max(found):.0f} to {count / min(found):.0f}"
        lines.append(f"| {each} | {speed[each]:.0f} | {spread} | {speed['ours'] / speed[each]:.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--peer", metavar="COMMAND", help="training command of a peer, without the YAML file")
    parser.add_argument("--bare", metavar="FOLDER", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.bare:
        print(bare_loop(given.bare, given.settings[0]))
        return
    from setting import write_all

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_all(folder)
        others: dict[str, Callable[[Path, str], float]] = {"ours": ours, "bare loop": bare}
        if given.peer:
            others["peer"] = peer(given.peer)
        for each in given.settings:
            print(compare(folder, each, given.rounds, others), flush=True)


if __name__ == "__main__":
    main()
