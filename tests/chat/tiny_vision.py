"""Tiny models with random weights that see: real classes, and processors of the same family."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForImageTextToText, GenerationConfig

from tests.dataset.processors import processor

WORDS: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 1024, "initializer_range": 0.3, "tie_word_embeddings": False,
    "bos_token_id": None, "eos_token_id": 0, "pad_token_id": 0,
}  # fmt: skip


def _ids(family: str) -> dict[str, int]:
    words = processor(family).tokenizer
    names = {"image_token_id": "<|image_pad|>", "video_token_id": "<|video_pad|>"}
    names |= {"vision_start_token_id": "<|vision_start|>", "vision_end_token_id": "<|vision_end|>"}
    return {name: words.convert_tokens_to_ids(word) for name, word in names.items()}


def _config(family: str) -> Any:
    made = processor(family)
    text = {**WORDS, "vocab_size": len(made.tokenizer)}
    if family == "qwen2_vl":
        eyes = {
            "depth": 2,
            "embed_dim": 32,
            "hidden_size": 32,
            "num_heads": 2,
            "mlp_ratio": 2,
            "initializer_range": 0.3,
        }
        text["rope_parameters"] = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}
        return AutoConfig.for_model("qwen2_vl", text_config=text, vision_config=eyes, **_ids(family))
    if family == "gemma3":
        text |= {"head_dim": 8, "sliding_window": 64}
        eyes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
                "image_size": 32, "patch_size": 4, "vision_use_head": False}  # fmt: skip
        words = made.tokenizer
        return AutoConfig.for_model(
            "gemma3", text_config=text, vision_config=eyes, mm_tokens_per_image=16, initializer_range=0.3,
            boi_token_index=words.convert_tokens_to_ids("<start_of_image>"),
            eoi_token_index=words.convert_tokens_to_ids("<end_of_image>"),
            image_token_index=words.convert_tokens_to_ids("<image_soft_token>"),
        )  # fmt: skip
    eyes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
            "image_size": 28, "patch_size": 14, "initializer_range": 0.3}  # fmt: skip
    if family == "llava_next":
        return AutoConfig.for_model(
            "llava_next", text_config={**text, "model_type": "llama"}, vision_config={**eyes, "model_type": "clip_vision_model"},
            image_token_index=made.image_token_id, image_grid_pinpoints=made.image_processor.image_grid_pinpoints,
        )  # fmt: skip
    assert family == "idefics3"
    return AutoConfig.for_model(
        "idefics3", text_config={**text, "model_type": "llama"}, scale_factor=1,
        vision_config={**eyes, "size": {"longest_edge": 28}}, image_token_id=made.image_token_id,
    )  # fmt: skip


def write_vision_model(folder: Path, family: str = "qwen2_vl", seed: int = 0) -> Path:
    """A model folder as a hub has it: config, weights, processor with its tokenizer."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForImageTextToText.from_config(_config(family))
        # Families begin with weights of their own size, some with all eyes at zero; noise that is loud tells pictures apart.
        for name, weight in model.named_parameters():
            if weight.dim() > 1:
                torch.nn.init.normal_(weight, std=0.3)
            elif "bias" in name:
                torch.nn.init.zeros_(weight)
    model.generation_config = GenerationConfig()
    model.save_pretrained(folder)
    processor(family).save_pretrained(folder)
    return folder


def write_vision_adapter(folder: Path, base: Path, targets: str | list[str], seed: int = 1) -> Path:
    """An adapter that changes a lot; `targets` as PEFT takes them."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        settings = LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=targets)
        model = get_peft_model(AutoModelForImageTextToText.from_pretrained(base), settings)
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.5)
    model.save_pretrained(folder)
    return folder
