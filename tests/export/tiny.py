"""Tiny models with adapters of every kind, and a short way to export them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, GPT2Config, Qwen2Config
from transformers.modeling_utils import PreTrainedModel

from tests.chat.tiny import CONTEXT, write_tokenizer
from trainer.config import RunConfig
from trainer.events import Event, Finished, Stopped
from trainer.export.run import run_export
from trainer.export.source import Source, open_source

WORDS = 259
IDS = torch.arange(1, 33).unsqueeze(0) * 7 % WORDS


def write_base(
    folder: Path, *, tied: bool = False, dtype: torch.dtype = torch.float32, kind: str = "qwen2"
) -> Path:
    """A base of two layers."""
    config: Any
    if kind == "gpt2":
        config = GPT2Config(
            vocab_size=WORDS, n_positions=CONTEXT, n_embd=32, n_layer=2, n_head=2, initializer_range=0.1,
            bos_token_id=None, eos_token_id=257,
        )  # fmt: skip
    else:
        config = Qwen2Config(
            vocab_size=WORDS, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=1, max_position_embeddings=CONTEXT, tie_word_embeddings=tied, initializer_range=0.1,
        )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = AutoModelForCausalLM.from_config(config).to(dtype)
    model.save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def write_adapter(
    folder: Path, base: Path, seed: int = 5, kind: type[Any] = LoraConfig, **settings: Any
) -> Path:
    """An adapter of which every number is random, those of replaced weights too."""
    own: dict[str, Any] = {"r": 4, "lora_alpha": 6} if kind is LoraConfig else {}
    wanted = {**own, "target_modules": ["q_proj", "v_proj", "down_proj"], **settings}
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), kind(task_type="CAUSAL_LM", **wanted)
    )
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        for name, weight in model.named_parameters():
            if weight.requires_grad:
                noise = torch.randn_like(weight) * 0.1
                weight.copy_(weight.abs() + noise.abs() if "magnitude" in name else weight + noise)
    model.save_pretrained(folder)
    return folder


def adapted(base: Path, *adapters: Path) -> PreTrainedModel:
    """The base with adapters merged by PEFT, in fp32, one after another."""
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    for path in adapters:
        model = PeftModel.from_pretrained(model, str(path)).merge_and_unload()
    merged: PreTrainedModel = model.eval()
    return merged


def answers_of(model: Any) -> torch.Tensor:
    """The logits for the same ids each time."""
    with torch.inference_mode():
        found: torch.Tensor = model(input_ids=IDS).logits.float()
    return found


def inside(base: Path, adapter: Path) -> torch.Tensor:
    """The logits of the base with an adapter that is not merged, as the page asks it."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    return answers_of(PeftModel.from_pretrained(model, str(adapter)).eval())


def settings(base: Path, *adapters: Path, **values: Any) -> RunConfig:
    return RunConfig.from_flat(
        {
            "do_export": True,
            "model_name_or_path": str(base),
            "adapter_name_or_path": [str(each) for each in adapters],
            **values,
        }
    )


def source_of(base: Path, *adapters: Path, **values: Any) -> Source:
    return open_source(settings(base, *adapters, **values))


@dataclass
class Told:
    """An export in a folder of its own: its ending and what it told."""

    folder: Path
    stop: Callable[[], bool] = lambda: False
    events: list[Event] = field(default_factory=list)

    def export(self, base: Path, *adapters: Path, **values: Any) -> Finished | Stopped:
        self.folder.mkdir(parents=True, exist_ok=True)
        config = settings(base, *adapters, output_dir=str(self.folder), **values)
        return run_export(config, self.events.append, self.stop)

    def of(self, kind: type[Event]) -> list[Any]:
        return [each for each in self.events if isinstance(each, kind)]


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
