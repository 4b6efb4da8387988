"""A model of more than a gigabyte is merged in little memory, and the result is that of PEFT."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from tests.chat.tiny import write_tokenizer
from tests.export.tiny import read_json
from trainer.paths import REPOSITORY

pytestmark = pytest.mark.slow

GB = 1_000_000_000
SHARD_GB = 0.4
# Merges in a process of its own and prints the most memory that it ever had, in bytes.
MERGE = """
import json, sys
from pathlib import Path
from trainer.config import RunConfig
from trainer.export import merged
from trainer.export.progress import Quiet
from trainer.export.source import open_source
base, adapter, target, size = sys.argv[1:]

def most():
    # Of this program alone; what getrusage says begins with the memory of the process that started it.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))

source = open_source(RunConfig.from_flat({
    "do_export": True, "model_name_or_path": base, "adapter_name_or_path": [adapter],
}))
source.renderer
before = most()
merged.write(source, Path(target), float(size), Quiet())
print(json.dumps([before, most(), source.nbytes]))
"""


def write_large(folder: Path) -> Path:
    """A Qwen2 of 550 million random numbers in bf16, 1.1 GB."""
    config = Qwen2Config(
        vocab_size=100_000, hidden_size=1024, intermediate_size=4096, num_hidden_layers=29, num_attention_heads=16,
        num_key_value_heads=4, max_position_embeddings=256, tie_word_embeddings=True,
    )  # fmt: skip
    torch.manual_seed(1)
    with torch.device("meta"):
        model = Qwen2ForCausalLM(config)
    model = model.to(torch.bfloat16).to_empty(device="cpu")
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.02)
    model.save_pretrained(folder, max_shard_size="600MB")
    write_tokenizer(folder)
    return folder


def write_adapter(folder: Path, base: Path) -> Path:
    """LoRA on every linear layer, written by hand: the base need not be in memory for it."""
    from safetensors.torch import save_file

    sizes = {
        "q_proj": (1024, 1024),
        "v_proj": (1024, 256),
        "up_proj": (1024, 4096),
        "down_proj": (4096, 1024),
    }
    weights = {}
    for layer in range(29):
        for name, (inner, outer) in sizes.items():
            part = "self_attn" if name in ("q_proj", "v_proj") else "mlp"
            key = f"base_model.model.model.layers.{layer}.{part}.{name}"
            weights[f"{key}.lora_A.weight"] = torch.randn(16, inner) * 0.02
            weights[f"{key}.lora_B.weight"] = torch.randn(outer, 16) * 0.02
    folder.mkdir()
    save_file(weights, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 16, "lora_alpha": 32, "base_model_name_or_path": str(base)}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def test_a_gigabyte_is_merged_in_the_memory_of_a_few_blocks(tmp_path: Path) -> None:
    from safetensors import safe_open

    base = write_large(tmp_path / "base")
    adapter = write_adapter(tmp_path / "adapter", base)
    target = tmp_path / "merged"
    target.mkdir()
    words = [sys.executable, "-c", MERGE, str(base), str(adapter), str(target), str(SHARD_GB)]
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=800)
    before, peak, size = json.loads(done.stdout.strip().splitlines()[-1])
    shards = sorted(target.glob("model-*.safetensors"))
    largest = max(each.stat().st_size for each in shards)
    assert size >= GB and len(shards) >= 3 and largest <= SHARD_GB * GB * 1.001
    assert peak <= largest + 2 * GB
    # The libraries aside, a few blocks and the matrices of an adapter.
    assert peak - before < 0.5 * GB
    names = read_json(target / "model.safetensors.index.json")["weight_map"]
    name = "model.layers.7.mlp.up_proj"
    with safe_open(target / names[f"{name}.weight"], "pt") as file:
        found = file.get_tensor(f"{name}.weight")
    files = read_json(base / "model.safetensors.index.json")["weight_map"]
    with safe_open(base / files[f"{name}.weight"], "pt") as file:
        weight = file.get_tensor(f"{name}.weight").float()
    with safe_open(adapter / "adapter_model.safetensors", "pt") as file:
        a, b = (file.get_tensor(f"base_model.model.{name}.lora_{side}.weight") for side in "AB")
    assert torch.allclose(found.float(), weight + 2 * (b @ a), rtol=2**-7, atol=1e-5)
