"""Training on an accelerator: tokens per second, use of its peak, and memory, for LoRA, QLoRA and full fine-tuning.

    python benchmarks/gpu.py [--shapes 0.5B 1.5B 7B] [--methods lora qlora full] [--tokens 4096] [--steps 12] [--write]

Models have the shapes of Qwen2.5 and random weights, made here: nothing is fetched. Each case is a process of its own
that runs `run_sft` on rows of so many tokens, nearly all trained, in bf16, with flash attention and Liger's kernels where
they are installed, and as many rows at once as are estimated to fit. The first steps are not counted. Use of the peak is
4 (LoRA: the frozen weights need no gradient) or 6 (full) floating-point operations for each parameter and token, over
what the maker names as dense peak. `--write` puts the table into docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "benchmarks")]

from setting import write_tokenizer  # noqa: E402

DOCUMENT = REPOSITORY / "docs" / "performance.md"
BEGIN, END = "<!-- gpu -->", "<!-- /gpu -->"
COMMON: dict[str, Any] = {
    "max_position_embeddings": 32768,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "bos_token_id": None,
}
SHAPES: dict[str, dict[str, Any]] = {
    "0.5B": {
        "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14,
        "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": True,
    },
    "1.5B": {
        "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28, "num_attention_heads": 12,
        "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": True,
    },
    "7B": {
        "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
        "num_key_value_heads": 4, "vocab_size": 152064, "tie_word_embeddings": False,
    },
    "tiny": {
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "vocab_size": 8192, "tie_word_embeddings": True,
    },
}  # fmt: skip
METHODS: dict[str, dict[str, Any]] = {
    "lora": {"finetuning_type": "lora", "lora_rank": 8, "lora_target": "all", "compute_type": "bf16"},
    "qlora": {"finetuning_type": "lora", "lora_rank": 8, "quantization_bit": "4", "compute_type": "bf16"},
    "full": {"finetuning_type": "full", "compute_type": "pure_bf16"},
}
OPERATIONS = {"lora": 4, "qlora": 4, "full": 6}
# Dense 16-bit peak in 10^12 operations a second, as the makers' data sheets name it; the first that fits the name.
PEAKS = (
    ("B200", 2250.0), ("H100 PCIe", 756.0), ("H100 NVL", 835.0), ("H100", 989.0), ("H200", 989.0), ("H800", 989.0),
    ("H20", 148.0), ("GH200", 989.0), ("A100", 312.0), ("A800", 312.0), ("L40S", 362.0), ("L40", 181.0), ("L4", 121.0),
    ("A10G", 70.0), ("A10", 125.0), ("A40", 150.0), ("A6000", 155.0), ("RTX 4090", 165.0), ("RTX 3090", 71.0),
    ("V100", 125.0), ("T4", 65.0), ("MI300X", 1307.0), ("Ascend910B", 376.0),
)  # fmt: skip
SIZES = (8, 4, 2, 1)


@dataclass(frozen=True)
class Result:
    """One case. Speeds in tokens a second, memory in bytes; `use` is a share of the peak, None where none is known."""

    shape: str
    method: str
    rows: int
    parameters: int
    speed: float
    use: float | None
    memory: int
    estimated: int


def peak_of(name: str) -> float | None:
    """Operations a second that the maker names for a device; None for one that stands in no table here."""
    return next((peak * 1e12 for each, peak in PEAKS if each.lower() in name.lower()), None)


def write_model(folder: Path, shape: str) -> Path:
    """A random Qwen2 of a shape, in bf16, with a tokenizer."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM
    from transformers.utils import logging

    from trainer import device

    logging.disable_progress_bar()
    torch.manual_seed(0)
    config = Qwen2Config(**COMMON, **SHAPES[shape], dtype=torch.bfloat16)
    with torch.device(device.current()):
        model = Qwen2ForCausalLM(config)
    model.to(torch.bfloat16).save_pretrained(folder)
    del model
    device.empty_cache()
    write_tokenizer(folder)
    return folder


def write_rows(folder: Path, model: Path, tokens: int, count: int) -> Path:
    """Rows of at most `tokens` tokens and few less: a question of one word, and an answer of as many words as fit."""
    from setting import words
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(model))
    known = words()

    def length(row: dict[str, str]) -> int:
        said = [
            {"role": "user", "content": row["instruction"]},
            {"role": "assistant", "content": row["output"]},
        ]
        return len(tokenizer(tokenizer.apply_chat_template(said, tokenize=False))["input_ids"])

    rows = []
    for number in range(count):
        answer = [known[(number * 37 + at * 7) % len(known)] for at in range(tokens)]
        row = {"instruction": known[number], "output": " ".join(answer)}
        while (over := length(row) - tokens) > 0:
            del answer[-max(1, over // 3) :]
            row["output"] = " ".join(answer)
        rows.append(row)
    (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    (folder / "dataset_info.json").write_text('{"rows": {"file_name": "rows.json"}}', encoding="utf-8")
    return folder


def config_of(folder: Path, method: str, tokens: int, steps: int, rows: int) -> Any:
    """The settings of a case."""
    import importlib.util

    from trainer import device
    from trainer.config import RunConfig

    liger = device.is_accelerated() and importlib.util.find_spec("liger_kernel") is not None
    return RunConfig.from_flat({
        **METHODS[method], "model_name_or_path": str(folder / "model"), "dataset": "rows",
        "dataset_dir": str(folder / "data"), "output_dir": str(folder / "run"), "overwrite_output_dir": True,
        "cutoff_len": tokens, "per_device_train_batch_size": rows, "max_steps": steps, "logging_steps": 1,
        "include_num_input_tokens_seen": True,
        "save_steps": 1_000_000, "learning_rate": 1e-5, "enable_liger_kernel": liger, "template": "",
    })  # fmt: skip


def fitting(folder: Path, method: str, tokens: int, steps: int) -> tuple[Any, int]:
    """The settings with the most rows at once that are estimated to fit, and the bytes that these need.

    Raises SystemExit when not even one row fits.
    """
    from trainer.model.fit import fit

    for rows in SIZES:
        config = config_of(folder, method, tokens, steps, rows)
        found = fit(config)
        assert found is not None
        if found.fits:
            return config, found.need.total
    raise SystemExit("does not fit")


def measure(shape: str, method: str, tokens: int, steps: int, folder: Path) -> Result:
    """Trains one case in this process; the first third of the steps is not counted."""
    from trainer import device
    from trainer.events import Event, Started, Step
    from trainer.train.sft import run_sft

    for name in ("model", "data"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    write_model(folder / "model", shape)
    write_rows(folder / "data", folder / "model", tokens, 2 * SIZES[0])
    config, estimated = fitting(folder, method, tokens, steps)
    events: list[Event] = []
    device.reset_peak()
    run_sft(config, events.append, lambda: False)
    done = [each for each in events if isinstance(each, Step) and each.loss is not None]
    (started,) = [each for each in events if isinstance(each, Started)]
    first, last = done[len(done) // 3], done[-1]
    rows = config.train.per_device_train_batch_size
    speed = seen(folder / "run", first.step, last.step) / (last.elapsed_s - first.elapsed_s)
    adapter = started.trainable if method != "full" else 0
    parameters = started.parameters - adapter
    peak = peak_of(device.name())
    use = OPERATIONS[method] * parameters * speed / peak if peak else None
    memory = int(max(each.memory_mb for each in done) * 2**20)
    return Result(shape, method, rows, parameters, speed, use, memory, estimated)


def seen(run: Path, first: int, last: int) -> int:
    """Tokens that were trained on between two steps, as the run's log counts them."""
    lines = [
        json.loads(line) for line in (run / "trainer_log.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    counted = {line["current_steps"]: line["total_tokens"] for line in lines}
    return int(counted[last] - counted[first])


def apart(shape: str, method: str, tokens: int, steps: int) -> Result | str:
    """The same in a process of its own; what it said last when it failed."""
    command = [sys.executable, str(Path(__file__).resolve()), "--case", shape, method]
    done = subprocess.run(
        [*command, "--tokens", str(tokens), "--steps", str(steps)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["failed"])[-1][:120]
    return Result(**json.loads(done.stdout.strip().splitlines()[-1]))


def table(results: list[Result | tuple[str, str, str]], device: str, tokens: int) -> str:
    """The results in Markdown."""
    lines = [
        f"Measured on {time.strftime('%Y-%m-%d')} on {device}: rows of {tokens} tokens, bf16, random weights.",
        "",
        "| shape | method | rows at once | trained tokens/s | use of the peak | peak memory (GB) | estimated (GB) |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for each in results:
        if isinstance(each, tuple):
            lines.append(f"| {each[0]} | {each[1]} | | {each[2]} | | | |")
            continue
        use = f"{100 * each.use:.1f} %" if each.use is not None else "peak not known"
        sizes = f"{each.memory / 2**30:.1f} | {each.estimated / 2**30:.1f}"
        lines.append(f"| {each.shape} | {each.method} | {each.rows} | {each.speed:,.0f} | {use} | {sizes} |")
    return "\n".join(lines) + "\n"


def write(text: str, document: Path = DOCUMENT) -> None:
    """Puts a table into the document, between its marks."""
    before = document.read_text(encoding="utf-8")
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    document.write_text(pattern.sub(f"{BEGIN}\n{text}{END}", before), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["0.5B", "1.5B", "7B"])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(asdict(measure(*given.case, given.tokens, given.steps, Path(folder)))))
        return
    from trainer import device

    if not device.is_accelerated():
        sys.exit("There is no accelerator here; benchmarks/training.py measures a processor.")
    results: list[Result | tuple[str, str, str]] = []
    for shape in given.shapes:
        for method in given.methods:
            found = apart(shape, method, given.tokens, given.steps)
            results.append(found if isinstance(found, Result) else (shape, method, found))
            print(results[-1], flush=True)
    text = table(results, device.name(), given.tokens)
    print(text)
    if given.write:
        write(text)


if __name__ == "__main__":
    main()
