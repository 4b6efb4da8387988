"""Tiny vision models of several families with random weights, each beside a processor that fits it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForImageTextToText,
    CLIPVisionConfig,
    Gemma3Config,
    Idefics3Config,
    InternVLConfig,
    LlavaConfig,
    LlavaNextConfig,
    LlavaOnevisionConfig,
    Qwen2_5_VLConfig,
    Qwen2VLConfig,
    Qwen3VLConfig,
    SmolVLMConfig,
)

from tests.dataset import processors

TEXT: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 2048, "initializer_range": 0.2, "bos_token_id": None,
    "head_dim": 8, "tie_word_embeddings": True,
}  # fmt: skip


def _words(processor: Any, kind: str, **changes: Any) -> dict[str, Any]:
    eos = processor.tokenizer.eos_token_id
    own = {"model_type": kind, "vocab_size": len(processor.tokenizer), "eos_token_id": eos, "pad_token_id": 0}
    return {**TEXT, **own, **changes}


def _id(processor: Any, token: str) -> int:
    return int(processor.tokenizer.convert_tokens_to_ids(token))


def _qwen_marks(processor: Any) -> dict[str, int]:
    names = ("vision_start", "vision_end", "image_pad", "video_pad")
    keys = ("vision_start_token_id", "vision_end_token_id", "image_token_id", "video_token_id")
    return {key: _id(processor, f"<|{name}|>") for key, name in zip(keys, names, strict=True)}


ROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}


def qwen2_vl(processor: Any) -> Any:
    eyes = {"depth": 2, "embed_dim": 16, "num_heads": 2, "mlp_ratio": 2, "hidden_size": 32, "patch_size": 14}
    words = _words(processor, "qwen2_vl_text", rope_parameters=ROPE)
    return Qwen2VLConfig(
        text_config=words, vision_config=eyes, **_qwen_marks(processor), tie_word_embeddings=True
    )


def qwen2_5_vl(processor: Any) -> Any:
    eyes = {
        "depth": 2, "hidden_size": 16, "num_heads": 2, "intermediate_size": 24, "out_hidden_size": 32, "patch_size": 14,
        "window_size": 56, "fullatt_block_indexes": [1],
    }  # fmt: skip
    words = _words(processor, "qwen2_5_vl_text", rope_parameters=ROPE)
    return Qwen2_5_VLConfig(
        text_config=words, vision_config=eyes, **_qwen_marks(processor), tie_word_embeddings=True
    )


def qwen3_vl(processor: Any) -> Any:
    eyes = {
        "depth": 2, "hidden_size": 16, "num_heads": 2, "intermediate_size": 24, "out_hidden_size": 32, "patch_size": 16,
        "num_position_embeddings": 16, "deepstack_visual_indexes": [0],
    }  # fmt: skip
    words = _words(processor, "qwen3_vl_text", rope_parameters={**ROPE, "mrope_interleaved": True})
    return Qwen3VLConfig(
        text_config=words, vision_config=eyes, **_qwen_marks(processor), tie_word_embeddings=True
    )


CLIP: dict[str, Any] = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 14,
    "image_size": 28, "projection_dim": 16,
}  # fmt: skip


def gemma3(processor: Any) -> Any:
    eyes = {
        "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 4,
        "image_size": 32,
    }  # fmt: skip
    words = _words(
        processor, "gemma3_text", sliding_window=16, layer_types=["sliding_attention", "full_attention"]
    )
    marks = {
        "image_token_id": _id(processor, "<image_soft_token>"), "boi_token_id": _id(processor, "<start_of_image>"),
        "eoi_token_id": _id(processor, "<end_of_image>"),
    }  # fmt: skip
    return Gemma3Config(text_config=words, vision_config=eyes, mm_tokens_per_image=16, **marks)


def llava(processor: Any) -> Any:
    return LlavaConfig(
        text_config=_words(processor, "llama"), vision_config=CLIPVisionConfig(**CLIP),
        image_token_id=_id(processor, "<image>"), vision_feature_layer=-1,
    )  # fmt: skip


def llava_next(processor: Any) -> Any:
    return LlavaNextConfig(
        text_config=_words(processor, "llama"), vision_config=CLIPVisionConfig(**CLIP),
        image_token_id=_id(processor, "<image>"), vision_feature_layer=-1,
        image_grid_pinpoints=processor.image_processor.image_grid_pinpoints,
    )  # fmt: skip


def llava_onevision(processor: Any) -> Any:
    eyes = {**CLIP, "model_type": "siglip_vision_model"}
    eyes.pop("projection_dim")
    return LlavaOnevisionConfig(
        text_config=_words(processor, "qwen2"), vision_config=eyes, image_token_id=_id(processor, "<image>"),
        video_token_id=_id(processor, "<video>"), vision_feature_layer=-1,
        image_grid_pinpoints=processor.image_processor.image_grid_pinpoints,
    )  # fmt: skip


def internvl(processor: Any) -> Any:
    eyes = {
        "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
        "patch_size": [7, 7], "image_size": [28, 28],
    }  # fmt: skip
    return InternVLConfig(
        text_config=_words(processor, "qwen2"), vision_config=eyes, image_token_id=_id(processor, "<IMG_CONTEXT>"),
        image_seq_length=4,
    )  # fmt: skip


IDEFICS: dict[str, Any] = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 7,
    "image_size": 28,
}  # fmt: skip


def idefics3(processor: Any) -> Any:
    return Idefics3Config(
        text_config=_words(processor, "llama"), vision_config=IDEFICS, image_token_id=_id(processor, "<image>"),
        scale_factor=2, pad_token_id=0,
    )  # fmt: skip


def smolvlm(processor: Any) -> Any:
    return SmolVLMConfig(
        text_config=_words(processor, "llama"), vision_config=IDEFICS, image_token_id=_id(processor, "<image>"),
        scale_factor=2, pad_token_id=0,
    )  # fmt: skip


CONFIGS: dict[str, Callable[[Any], Any]] = {
    each.__name__: each
    for each in (
        qwen2_vl, qwen2_5_vl, qwen3_vl, gemma3, llava, llava_next, llava_onevision, internvl, idefics3, smolvlm,
    )
}  # fmt: skip


def model(name: str, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    made = AutoModelForImageTextToText.from_config(CONFIGS[name](processors.processor(name)))
    for each in made.parameters():
        # Gemma's projector begins with zeros: it would hand over nothing.
        if each.ndim > 1 and not each.any():
            torch.nn.init.normal_(each, std=0.2)
    return made


def save(name: str, folder: Path) -> Path:
    """A model folder: weights, configuration, processor."""
    made = model(name)
    made.save_pretrained(folder)
    processors.processor(name).save_pretrained(folder)
    return folder
