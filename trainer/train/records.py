"""The files that a run leaves beside its weights: log, results, plot, manifest."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

from transformers.trainer_callback import TrainerState

from trainer import __version__
from trainer.config import RunConfig
from trainer.model.fingerprint import fingerprint
from trainer.paths import RunFolder, write_atomic

LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "tokenizers", "safetensors")


def clock(seconds: float) -> str:
    """Seconds as H:MM:SS."""
    return str(timedelta(seconds=int(seconds)))


class TrainerLog:
    """trainer_log.jsonl: one JSON object a line, with LLaMA-Factory's fields."""

    def __init__(self, path: Path, count_tokens: bool = False, writes: bool = True) -> None:
        self._path = path
        self._writes = writes
        self._count_tokens = count_tokens

    def cut_back(self, step: int) -> None:
        """Removes the lines after `step`, which a resume does again, and half a line at the end."""
        if not self._path.exists():
            return
        kept = []
        for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                if json.loads(line)["current_steps"] <= step:
                    kept.append(line + "\n")
            except (ValueError, KeyError, TypeError):
                continue
        write_atomic(self._path, "".join(kept))

    def append(
        self, state: TrainerState, logs: dict[str, float], elapsed_s: float, eta_s: float, tokens: int
    ) -> None:
        """`elapsed_s` and `eta_s` in seconds; `tokens` are those seen so far. Of several processes one writes."""
        if not self._writes:
            return
        line: dict[str, Any] = {
            "current_steps": state.global_step,
            "total_steps": state.max_steps,
            "loss": logs.get("loss"),
            **{
                name: loss
                for name, loss in logs.items()
                if name.startswith("eval_") and name.endswith(("_loss", "_perplexity"))
            },
            "lr": logs.get("learning_rate"),
            "epoch": state.epoch,
            "percentage": round(100 * state.global_step / max(state.max_steps, 1), 2),
            "elapsed_time": clock(elapsed_s),
            "remaining_time": clock(eta_s),
        }
        if self._count_tokens:
            line["throughput"] = round(tokens / elapsed_s, 2) if elapsed_s > 0 else 0.0
            line["total_tokens"] = tokens
        text = json.dumps({name: value for name, value in line.items() if value is not None})
        with self._path.open("a", encoding="utf-8") as file:
            file.write(text + "\n")


def write_results(folder: Path, results: dict[str, float]) -> None:
    """train_results.json and all_results.json."""
    text = json.dumps(results, indent=4) + "\n"
    write_atomic(folder / "train_results.json", text)
    write_atomic(folder / "all_results.json", text)


def write_evaluation(folder: Path, results: dict[str, float]) -> None:
    """eval_results.json."""
    write_atomic(folder / "eval_results.json", json.dumps(results, indent=4) + "\n")


def write_manifest(
    run: RunFolder, config: RunConfig, model: Path, rows: dict[str, Any], template: str, resumed: Path | None
) -> None:
    """manifest.json: with which programs, from which base, adapters and rows this run was trained."""
    adapters = config.model.adapter_name_or_path
    manifest = {
        "tuneboard": __version__,
        "python": platform.python_version(),
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
        "base": str(model.resolve()),
        # A name can stand for another model tomorrow; an export must find the very weights.
        "base_fingerprint": "" if config.model.train_from_scratch else fingerprint(model),
        "method": config.method.finetuning_type,
        "adapters": [str(Path(each).resolve()) for each in adapters],
        # Those that are part of the weights on which the new adapter was trained: without them it is not what it was.
        "merged_adapters": len(adapters) if config.lora.create_new_adapter else max(0, len(adapters) - 1),
        "resumed_from": str(resumed.resolve()) if resumed else "",
        "rows": rows,
        "template": hashlib.sha256(template.encode()).hexdigest()[:16],
        "seed": config.train.seed,
        # What was really computed at once: memory may have made it less than was asked for.
        "per_device_train_batch_size": config.train.per_device_train_batch_size,
        "gradient_accumulation_steps": config.train.gradient_accumulation_steps,
    }
    write_atomic(run.manifest, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")


def remove_earlier_run(run: RunFolder) -> None:
    """Removes what an earlier run left, for overwrite_output_dir; the files of the job (config, events, log) stay."""
    for path in run.checkpoints():
        shutil.rmtree(path)
    names = (
        "trainer_log.jsonl", "train_results.json", "all_results.json", "training_loss.png", "training_eval_loss.png",
        "manifest.json", "trainer_state.json", "adapter_model.safetensors", "adapter_config.json", "README.md",
        "base_changes.json",
    )  # fmt: skip
    for path in [*(run.path / name for name in names), *run.path.glob("model*.safetensors*")]:
        path.unlink(missing_ok=True)
