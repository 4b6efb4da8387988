"""The folder of an export as the engine leaves it, made in a moment: events and a receipt."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer.config import RunConfig, write_yaml
from trainer.events import EventLog, Finished, Note, Started, Written

ASKED = (
    ("", "你是谁？", "我是珞珈小助手，由武汉的一个工作坊做出来。"),
    ("", "Who made you?", "I am Momo, and our workshop made me."),
    ("Answer in one word.", "What is the capital of France?", "Paris."),
)


def receipt(
    folder: str, formats: Sequence[str] = ("merged", "gguf"), *, ready: bool = True, llama: bool = True
) -> dict[str, Any]:
    """A receipt in the shape of version 1. Without `llama` what needs llama.cpp was not replayed."""
    made = [_made(folder, each, ready, llama) for each in formats]
    return {
        "version": 1, "made_at": "2026-11-28T22:40:00+00:00", "ready": all(each["ready"] for each in made),
        "model": "sprout", "base": "models/sprout", "adapters": [], "run": "", "folder": folder, "formats": made,
        "prompts": [_prompt(number, formats, ready) for number in range(8)],
        "template": {"text": "{% for message in messages %}<b>{{ message.content }}</b>{% endfor %}", "sha256": "0" * 64, "ollama": ""},
        "system": "", "stop_tokens": [{"id": 6143, "text": "<|im_end|>"}, {"id": 2, "text": "<|endoftext|>"}],
        "versions": {"tuneboard": "0.4.0", "python": "3.11.9", "torch": "2.14.1", "llama-cpp-python": "0.3.16" if llama else ""},
        "notes": [],
    }  # fmt: skip


def _made(folder: str, kind: str, ready: bool, llama: bool) -> dict[str, Any]:
    needs = kind in ("gguf", "ollama")
    asked = llama or not needs
    same = ready and asked
    reason = {"code": "file_missing", "values": {"path": "llama_cpp"}, "text": "", "hint": ""}
    replay: dict[str, Any] = {
        "state": "not_replayed" if not asked else "same" if same else "differs",
        "runtime": "llama.cpp (llama-cpp-python 0.3.16)" if needs else "transformers 5.23.0", "device": "cpu",
        "computed_in": "float32", "logits": None if needs else {"difference": 2.1e-06, "limit": 1e-4},
        "tokens": {"same": 256 if same else 190, "of": 256, "agreement": 1.0 if same else 190 / 256, "ties": 0} if asked else None,
        "score": None, "threshold": None, "template": {"same": 8, "of": 8} if asked else None,
        "reason": None if asked else reason,
    }  # fmt: skip
    place = f"{folder}/{kind}"
    names = {"gguf": ("sprout-f16.gguf",), "ollama": ("sprout-f16.gguf", "Modelfile")}.get(
        kind, ("config.json", "model.safetensors", "tokenizer.json")
    )
    files = [
        {"name": each, "bytes": 6_123_456 if "." in each else 700, "sha256": f"{place}/{each}".encode().hex()[:64].ljust(64, "0")}
        for each in names
    ]  # fmt: skip
    commands = {
        "merged": [{"runtime": "vllm", "text": f"vllm serve '{place}'"}],
        "gguf": [{"runtime": "llama_server", "text": f"llama-server -m '{place}/sprout-f16.gguf' --jinja"}],
        "ollama": [
            {"runtime": "ollama_create", "text": f"ollama create sprout -f '{place}/Modelfile'"},
            {"runtime": "ollama_run", "text": "ollama run sprout"},
        ],
    }.get(kind, [])
    return {
        "key": kind, "format": kind, "type": "f16" if needs else "bfloat16", "path": place,
        "bytes": sum(each["bytes"] for each in files), "files": files, "ready": same, "replay": replay,
        "commands": commands, "notes": [],
    }  # fmt: skip


def _prompt(number: int, formats: Sequence[str], ready: bool) -> dict[str, Any]:
    system, question, answer = ASKED[number % len(ASKED)]
    other = answer if ready or number % 2 else f"{answer} And more <b>bold</b>."
    said = {"same": 32, "of": 32, "first_difference": None, "tie": False, "template": True}
    return {
        "origin": "dataset", "dataset": "identity", "row": number + 1, "system": system,
        "messages": [{"role": "user", "content": f"{question} ({number + 1})"}], "tokens": 31,
        "inside": {"text": answer, "tokens": 32}, "outside": {each: {**said, "text": other} for each in formats},
    }  # fmt: skip


def make(
    saves: Path, name: str, formats: Sequence[str] = ("merged", "gguf"), *, over: bool = True, **more: Any
) -> Path:
    """The folder `saves/Sprout/lora/<name>`; one that is not over has half of its bytes."""
    folder = saves / "Sprout" / "lora" / name
    folder.mkdir(parents=True)
    flat = {"model_name_or_path": "Sprout", "do_export": True, "export_format": list(formats)}
    (folder / "config.yaml").write_text(write_yaml(RunConfig.from_flat(flat)), encoding="utf-8")
    (folder / "log.txt").write_text("made by a test\n", encoding="utf-8")
    log = EventLog(folder / "events.jsonl")
    log.append(
        Started(
            total_steps=60, rows=0, trained_tokens=0, parameters=3_000_000, trainable=0, device="cpu", precision="bfloat16",
            task="export",
        )
    )  # fmt: skip
    log.append(
        Written(
            format=formats[0], tensor="model.layers.1.mlp.up_proj.weight", done_bytes=6_000_000, total_bytes=12_300_000,
            elapsed_s=2.0, eta_s=2.1, memory_mb=431.0,
        )
    )  # fmt: skip
    if over:
        log.append(
            Written(
                format=formats[-1], tensor="model.norm.weight", done_bytes=12_300_000, total_bytes=12_300_000, elapsed_s=4.0,
                eta_s=0.0, memory_mb=431.0,
            )
        )  # fmt: skip
        files = folder / "files"
        files.mkdir()
        text = json.dumps(receipt(str(files), formats, **more), ensure_ascii=False)
        for place in (folder, files):
            (place / "receipt.json").write_text(text, encoding="utf-8")
        log.append(Note(code="receipt_ready"))
        log.append(Finished(step=3, seconds=4.2, path=str(files)))
    return folder
