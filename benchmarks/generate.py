"""Answers per second of an evaluation on a CPU: base and tuned together, tuned alone, a bare loop, and a peer if one is given.

    python benchmarks/generate.py [--rounds 3] [--rows 200] [--models sprout random] [--peer COMMAND]

COMMAND is a peer's training command as in benchmarks/training.py; given `do_predict` it has to write
predict_results.json into the output folder. All take turns, and each reports its own seconds of answering; the table
shows medians. Everybody answers greedily, at most 64 tokens, and takes its own batch size but for the pair with a fixed one.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
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

MODELS = ("sprout", "random")
NEW_TOKENS, BATCH = 64, 64
COMMON: dict[str, Any] = {
    "stage": "sft", "finetuning_type": "lora", "template": "qwen", "cutoff_len": 1024, "overwrite_output_dir": True,
    "report_to": "none",
}  # fmt: skip
Measure = Callable[[Path, int], float]


def write_yaml(folder: Path, name: str, **values: Any) -> Path:
    """Settings in LLaMA-Factory's words, which both programs read."""
    path = folder / f"{name}.yaml"
    paths = {
        "model_name_or_path": str(folder / "model"), "dataset_dir": str(folder / "data"),
        "output_dir": str(folder / name),
    }  # fmt: skip
    lines = [f"{key}: {json.dumps(value)}\n" for key, value in {**COMMON, **paths, **values}.items()]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def write_parts(folder: Path, model: str) -> None:
    """`folder/model`, `folder/data` and a briefly tuned adapter in `folder/adapter`."""
    if model == "random":
        from setting import write_all

        write_all(folder)
    else:
        shutil.copytree(REPOSITORY / "models" / "sprout", folder / "model")
        (folder / "data").mkdir()
        shutil.copyfile(REPOSITORY / "data" / "ner_demo.json", folder / "data" / "rows.json")
        (folder / "data" / "dataset_info.json").write_text('{"rows": {"file_name": "rows.json"}}')
    tuned = {
        "do_train": True,
        "dataset": "rows",
        "max_steps": 20,
        # A model of random weights must not learn to be brief: sides whose answers differ in length cannot be compared.
        "learning_rate": 2.0e-3 if model == "sprout" else 1.0e-6,
        "save_steps": 100000,
    }
    run([sys.executable, "-m", "trainer", "train", str(write_yaml(folder, "adapter", lora_rank=8, **tuned))])


def predicting(folder: Path, rows: int, **more: Any) -> dict[str, Any]:
    return {
        "adapter_name_or_path": str(folder / "adapter"), "do_predict": True, "predict_with_generate": True,
        "eval_dataset": "rows", "max_samples": rows, "max_new_tokens": NEW_TOKENS, "do_sample": False, **more,
    }  # fmt: skip


def seconds_in(folder: Path) -> float:
    results = json.loads((folder / "predict_results.json").read_text(encoding="utf-8"))
    return float(results["predict_runtime"])


def ours(name: str, **more: Any) -> Measure:
    def measure(folder: Path, rows: int) -> float:
        shutil.rmtree(folder / name, ignore_errors=True)
        run(
            [
                sys.executable,
                "-m",
                "trainer",
                "eval",
                str(write_yaml(folder, name, **predicting(folder, rows), **more)),
            ]
        )
        return seconds_in(folder / name)

    return measure


def peer(command: str) -> Measure:
    def measure(folder: Path, rows: int) -> float:
        shutil.rmtree(folder / "peer", ignore_errors=True)
        path = write_yaml(folder, "peer", **predicting(folder, rows, use_cpu=True))
        # The command looks for the seconds of a training, and may complain that there are none.
        run([*shlex.split(command), str(path)], folder / "peer" / "predict_results.json")
        return seconds_in(folder / "peer")

    return measure


def bare(folder: Path, rows: int) -> float:
    """Seconds of the loop below, in a process of its own, over the batches of the evaluation with a fixed batch size."""
    return float(run([sys.executable, str(Path(__file__).resolve()), "--bare", str(folder)]).split()[-1])


def bare_loop(folder: Path) -> float:
    """`generate` over the same prompts, the longest first, with the adapter beside the model as it was trained."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder / "model", padding_side="left")
    base = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32)
    model = PeftModel.from_pretrained(base, str(folder / "adapter")).eval()
    lines = (folder / "fixed" / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    prompts = [json.loads(line)["prompt"] for line in lines]
    encoded = sorted(tokenizer(prompts, add_special_tokens=False)["input_ids"], key=len, reverse=True)
    begun = time.monotonic()
    with torch.inference_mode():
        for at in range(0, len(encoded), BATCH):
            batch = tokenizer.pad({"input_ids": encoded[at : at + BATCH]}, return_tensors="pt")
            out = model.generate(**batch, max_new_tokens=NEW_TOKENS, do_sample=False)
            tokenizer.batch_decode(out[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
    return time.monotonic() - begun


def compare(folder: Path, model: str, rows: int, rounds: int, others: dict[str, Measure]) -> str:
    """One table: median answers per second of each, and their seconds as a multiple of tuned alone."""
    seconds: dict[str, list[float]] = {each: [] for each in others}
    for _ in range(rounds):
        for each, measure in others.items():
            seconds[each].append(measure(folder, rows))
    medians = {each: statistics.median(found) for each, found in seconds.items()}
    alone = medians["tuned alone"]
    lines = [
        f"### {model}: {rows} rows, medians of {rounds}",
        "",
        "| who | rows/s | seconds | spread | seconds / tuned alone |",
        "|---|---:|---:|---:|---:|",
    ]
    for each, found in seconds.items():
        spread = f"{min(found):.2f} to {max(found):.2f}"
        middle = medians[each]
        lines.append(f"| {each} | {rows / middle:.1f} | {middle:.2f} | {spread} | {middle / alone:.2f} |")
    lines += [
        "",
        f"Of the bare loop's rows per second: {medians['bare loop'] / medians[f'batches of {BATCH}']:.2f}",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--peer", metavar="COMMAND", help="training command of a peer, without the YAML file")
    parser.add_argument("--bare", metavar="FOLDER", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.bare:
        print(bare_loop(given.bare))
        return
    others: dict[str, Measure] = {
        "tuned alone": ours("alone", compare_base=False),
        "base and tuned": ours("both"),
        f"batches of {BATCH}": ours("fixed", compare_base=False, per_device_eval_batch_size=BATCH),
        "bare loop": bare,
    }
    if given.peer:
        others["peer"] = peer(given.peer)
    for model in given.models:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_parts(folder, model)
            print(compare(folder, model, given.rows, given.rounds, others), flush=True)


if __name__ == "__main__":
    main()
