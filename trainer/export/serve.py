"""The command lines that serve what was exported: vLLM, llama.cpp's server, Ollama, and a few lines of Python."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import NamedTuple

PORT = 8000
# vLLM takes these: https://docs.vllm.ai/en/latest/features/lora.html
_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)


class Command(NamedTuple):
    """A command to type into a shell; `runtime` is the program that it is for."""

    runtime: str
    text: str


def ollama_name(name: str) -> str:
    """The name with only the letters and signs that Ollama takes: https://github.com/ollama/ollama (types/model)."""
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", name)
    return re.sub(r"\.{2,}", ".", plain).strip("-._")[:80].lower() or "tuned-model"


def commands(
    format: str, folder: Path, gguf: str, name: str, context: int, base: str = "", sees: bool = False,
    rank: int = 8,
) -> list[Command]:  # fmt: skip
    """What can be typed for one format that lies in `folder`; `gguf` is the file's name where there is one.

    `name` is what the model is called by its clients, `base` the model that an adapter is put on, `context` its longest
    text in tokens. `sees`: the model reads pictures. `rank` is the largest one of the adapter's layers, 0 for
    one that is no plain LoRA.
    """
    place = shlex.quote(str(folder))
    if format in ("gguf", "ollama"):
        file = shlex.quote(str(folder / gguf))
        served = [
            Command(
                "llama_server", f"llama-server -m {file} --jinja -c {context} --alias {name} --port {PORT}"
            ),
            Command("llama_cli", f"llama-cli -m {file} --jinja -c {context} -cnv"),
        ]
        if format == "gguf":
            return served
        called = ollama_name(name)
        created = f"cd {place} && ollama create {called} -f Modelfile"
        return [Command("ollama_create", created), Command("ollama_run", f"ollama run {called}"), *served]
    if format == "adapter" and not rank:
        return [Command("peft", _on_base(base, folder, sees))]
    if format == "adapter":
        on = shlex.quote(base)
        modules = shlex.quote(f"{name}={folder}")
        most = next((each for each in _RANKS if each >= rank), _RANKS[-1])
        vllm = f"vllm serve {on} --enable-lora --max-lora-rank {most} --lora-modules {modules} --port {PORT}"
        return [Command("vllm", vllm), Command("peft", _on_base(base, folder, sees))]
    vllm = (
        f"vllm serve {place} --served-model-name {shlex.quote(name)} --max-model-len {context} --port {PORT}"
    )
    python = Command("transformers", _python("vision" if sees else "transformers", folder))
    return [Command("vllm", vllm), python]


_CLASSES = {
    "transformers": ("transformers", "AutoModelForCausalLM"),
    "vision": ("transformers", "AutoModelForImageTextToText"),
}


def _python(kind: str, folder: Path) -> str:
    """Loads model and tokenizer, ready to be asked."""
    module, loader = _CLASSES[kind]
    return _asked(f"from {module} import {loader} as M; ", folder, "m = M.from_pretrained(p)")


def _on_base(base: str, folder: Path, sees: bool) -> str:
    """The same for an adapter, which is put on its base."""
    _, loader = _CLASSES["vision" if sees else "transformers"]
    imported = f"from transformers import {loader} as M; from peft import PeftModel as P; "
    on = json.dumps(base, ensure_ascii=False)
    return _asked(imported, folder, f"m = P.from_pretrained(M.from_pretrained({on}), p)")


def _asked(imported: str, folder: Path, loaded: str) -> str:
    # Double quotes inside, so that the shell's single ones can stay as they are.
    code = (
        f"{imported}from transformers import AutoTokenizer as T; "
        f"p = {json.dumps(str(folder), ensure_ascii=False)}; {loaded}; t = T.from_pretrained(p); "
        'x = t.apply_chat_template([{"role": "user", "content": "Hello"}], add_generation_prompt=True, '
        'return_tensors="pt", return_dict=True); print(t.decode(m.generate(**x, max_new_tokens=64)[0]))'
    )
    return f"python -c {shlex.quote(code)}"
