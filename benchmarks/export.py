"""How quickly a model is exported, against the least that could be done with the same tensors.

    python benchmarks/export.py [--rounds 5] [--millions 550]

Merging: LoRA on four layers of seven of a random Qwen2 in bf16, against a bare loop that reads each tensor, adds B·A in
fp32 and writes it. GGUF in f16: against reading the same weights and writing them as numpy arrays in float16. Both sides
take turns in this process and read files that are in the page cache; the table shows medians of seconds.
"""

from __future__ import annotations

import argparse
import json
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

import numpy as np  # noqa: E402
import torch  # noqa: E402
from safetensors import safe_open  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from setting import write_tokenizer  # noqa: E402
from transformers import Qwen2Config, Qwen2ForCausalLM  # noqa: E402

from trainer.config import RunConfig  # noqa: E402
from trainer.export import gguf, merged  # noqa: E402
from trainer.export.progress import Quiet  # noqa: E402
from trainer.export.source import Source, open_source  # noqa: E402

HIDDEN, WIDE, WORDS, RANK, SCALE = 1024, 4096, 100_000, 16, 2.0
LAYERS = {"self_attn.q_proj": (HIDDEN, HIDDEN), "self_attn.o_proj": (HIDDEN, HIDDEN), "mlp.up_proj": (HIDDEN, WIDE),
          "mlp.down_proj": (WIDE, HIDDEN)}  # fmt: skip


def write_base(folder: Path, millions: int) -> int:
    """A random Qwen2 in bf16; returns how many layers it has."""
    layers = max(1, round((millions * 1e6 - WORDS * HIDDEN) / (2.6 * HIDDEN * HIDDEN + 3 * HIDDEN * WIDE)))
    config = Qwen2Config(
        vocab_size=WORDS, hidden_size=HIDDEN, intermediate_size=WIDE, num_hidden_layers=layers, num_attention_heads=16,
        num_key_value_heads=4, max_position_embeddings=2048, tie_word_embeddings=True, eos_token_id=2, bos_token_id=None,
    )  # fmt: skip
    with torch.device("meta"):
        model = Qwen2ForCausalLM(config)
    model = model.to(torch.bfloat16).to_empty(device="cpu")
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.02)
    model.save_pretrained(folder, max_shard_size="5GB")
    write_tokenizer(folder)
    return layers


def write_adapter(folder: Path, layers: int) -> None:
    weights = {}
    for layer in range(layers):
        for name, (inner, outer) in LAYERS.items():
            key = f"base_model.model.model.layers.{layer}.{name}"
            weights[f"{key}.lora_A.weight"] = torch.randn(RANK, inner) * 0.02
            weights[f"{key}.lora_B.weight"] = torch.randn(outer, RANK) * 0.02
    folder.mkdir()
    save_file(weights, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": RANK, "lora_alpha": SCALE * RANK, "base_model_name_or_path": "base"}
    (folder / "adapter_config.json").write_text(json.dumps(config))


def bare_merge(base: Path, adapter: Path, target: Path) -> None:
    """Reads, adds and writes, and nothing else."""
    with (
        safe_open(base / "model.safetensors", "pt") as weights,
        safe_open(adapter / "adapter_model.safetensors", "pt") as changes,
        target.open("wb") as out,
    ):
        known = set(changes.keys())
        for name in weights.keys():  # noqa: SIM118  safe_open is no mapping
            weight = weights.get_tensor(name)
            key = f"base_model.model.{name.removesuffix('.weight')}"
            if f"{key}.lora_A.weight" in known:
                a, b = (changes.get_tensor(f"{key}.lora_{side}.weight") for side in "AB")
                weight = (weight.float() + SCALE * (b @ a)).to(torch.bfloat16)
            out.write(weight.view(torch.uint8).numpy().data)


def bare_copy(base: Path, target: Path) -> None:
    """The weights as numpy arrays in float16, one after the other."""
    with safe_open(base / "model.safetensors", "pt") as weights, target.open("wb") as out:
        for name in weights.keys():  # noqa: SIM118  safe_open is no mapping
            array: np.ndarray[Any, Any] = weights.get_tensor(name).to(torch.float16).numpy()
            array.tofile(out)


def source_of(base: Path, *adapters: Path) -> Source:
    source = open_source(
        RunConfig.from_flat(
            {
                "do_export": True,
                "model_name_or_path": str(base),
                "adapter_name_or_path": [str(each) for each in adapters],
            }
        )
    )
    # Tokenizer and template are no part of what is compared.
    assert source.template
    return source


def seconds(work: Callable[[Path], object], folder: Path) -> float:
    """Of one piece of work that writes into an empty folder."""
    folder.mkdir()
    begun = time.perf_counter()
    work(folder)
    spent = time.perf_counter() - begun
    shutil.rmtree(folder)
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--millions", type=int, default=550, help="parameters of the model")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base, adapter = folder / "base", folder / "adapter"
        write_adapter(adapter, write_base(base, given.millions))
        tuned, plain = source_of(base, adapter), source_of(base)
        works: dict[str, tuple[Callable[[Path], object], Callable[[Path], object]]] = {
            "merge": (
                lambda at: merged.write(tuned, at, 5, Quiet()),
                lambda at: bare_merge(base, adapter, at / "bare"),
            ),
            "gguf f16": (
                lambda at: gguf.write(plain, at / "m.gguf", "f16", Quiet()),
                lambda at: bare_copy(base, at / "bare"),
            ),
        }
        print(f"{plain.nbytes / 1e9:.2f} GB, {torch.get_num_threads()} threads, {given.rounds} rounds")
        print(f"{'':<10}{'here, s':>10}{'bare, s':>10}{'ratio':>8}")
        for what, (ours, bare) in works.items():
            spent: dict[str, list[float]] = {"ours": [], "bare": []}
            # One round for the page cache.
            for each in range(given.rounds + 1):
                for side, work in (("ours", ours), ("bare", bare)):
                    took = seconds(work, folder / side)
                    if each:
                        spent[side].append(took)
            here, least = (statistics.median(spent[side]) for side in ("ours", "bare"))
            print(f"{what:<10}{here:>10.2f}{least:>10.2f}{here / least:>8.2f}", flush=True)


if __name__ == "__main__":
    main()
