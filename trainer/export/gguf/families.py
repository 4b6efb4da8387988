"""The families of models that are written: their tensors' names, what changes in them, and their settings.

Facts of llama.cpp: which names its loader asks for, in which order it wants the rows of queries and keys, what it adds to
norms, and which settings it reads. tests/export/gguf loads every family there and compares the answers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gguf import GGUFWriter

from trainer.errors import UserError
from trainer.export.gguf import rope

_LAYER = re.compile(r"(?:model\.)?layers\.(?P<number>\d+)\.(?P<part>.+)\.(?P<what>weight|bias)")
_OUTER = {
    "embed_tokens.weight": "token_embd.weight",
    "norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
_PARTS = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip
_HEAD_NORMS = {"self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm"}
_FOUR_NORMS = {
    "post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}  # fmt: skip
_QKV = frozenset({"attn_q", "attn_k", "attn_v"})
# Angles that old checkpoints carry along; every program computes them.
_IGNORED = re.compile(r".*rotary_emb\.inv_freq")


@dataclass(frozen=True)
class Family:
    """`biases`: the parts for which llama.cpp loads a bias. `turns`: it wants the two halves of each head of queries and
    keys interleaved. `norm_offset`: its norms multiply by the weight itself, the original by 1 + weight.
    """

    arch: str
    parts: Mapping[str, str]
    biases: frozenset[str]
    ropes: tuple[str, ...]
    activations: tuple[str, ...] = ("silu",)
    turns: bool = False
    norm_offset: bool = False
    own_head: bool = True
    square: bool = False

    def target(self, name: str) -> str:
        """The tensor's name in the file; empty for one that is left out. Raises KeyError for an unknown one."""
        if _IGNORED.fullmatch(name):
            return ""
        outer = name.removeprefix("model.")
        if outer in _OUTER:
            return _OUTER[outer]
        found = _LAYER.fullmatch(name)
        if not found:
            raise KeyError(name)
        part = self.parts[found["part"]]
        if found["what"] == "bias" and part not in self.biases:
            raise KeyError(name)
        return f"blk.{found['number']}.{part}.{found['what']}"


_LLAMA_BIASES = _QKV | {"attn_output", "ffn_gate", "ffn_up", "ffn_down"}
_GELU = ("gelu_pytorch_tanh",)
FAMILIES = {
    "qwen2": Family("qwen2", _PARTS, _QKV, ("default", "linear", "yarn"), square=True),
    "qwen3": Family("qwen3", _PARTS | _HEAD_NORMS, _QKV, ("default", "linear", "yarn")),
    "llama": Family("llama", _PARTS, _LLAMA_BIASES, ("default", "linear", "yarn", "llama3"), turns=True),
    "mistral": Family("llama", _PARTS, frozenset(), ("default", "linear", "yarn", "llama3"), turns=True),
    "gemma": Family(
        "gemma",
        _PARTS,
        frozenset(),
        ("default", "linear"),
        (*_GELU, "gelu"),
        norm_offset=True,
        own_head=False,
    ),
    "gemma2": Family(
        "gemma2", _PARTS | _FOUR_NORMS, frozenset(), ("default",), _GELU, norm_offset=True, own_head=False
    ),
    "gemma3_text": Family(
        "gemma3",
        _PARTS | _FOUR_NORMS | _HEAD_NORMS,
        frozenset(),
        ("default", "linear"),
        _GELU,
        norm_offset=True,
    ),
}
NAMES = "Qwen2, Qwen2.5, Qwen3, Llama, Mistral, Gemma 1-3"
# The largest models of two families divide attention by another number; llama.cpp knows them by their layers.
_LARGEST = {"gemma2": 46, "gemma3_text": 62}


def find(config: Mapping[str, Any], name: str) -> Family:
    """The family of a config.json. Raises UserError for one that is not written; `name` is the model's."""
    kind = str(config.get("model_type", "?"))
    if "vision_config" in config or kind.endswith("_vl"):
        raise UserError("gguf_vision", field="export_format", name=name, kind=kind)
    if kind not in FAMILIES:
        raise UserError("gguf_family", field="export_format", name=name, kind=kind, families=NAMES)
    return FAMILIES[kind]


def read_config(config: Mapping[str, Any]) -> Any:
    """config.json with everything filled in that it leaves to the family's usual values."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    return CONFIG_MAPPING[str(config["model_type"])].from_dict(dict(config))


def check(family: Family, config: Any, name: str) -> None:
    """Raises UserError for a setting that llama.cpp would read otherwise than transformers."""
    # The first Gemma has both words, and transformers goes by hidden_act.
    own = "hidden_act" if config.model_type == "gemma" else "hidden_activation"
    activation = str(getattr(config, own, None) or config.hidden_act)
    if activation not in family.activations:
        raise _setting(name, "hidden_act", activation)
    if family.square and head_size(config) * config.num_attention_heads != config.hidden_size:
        raise _setting(name, "head_dim", head_size(config))
    if getattr(config, "quantization_config", None):
        raise _setting(name, "quantization_config", "…")
    rope.check(rope.of_config(config, "full_attention"), name, family.ropes)
    if family.arch in ("gemma2", "gemma3"):
        _check_gemma(config, name)


def _check_gemma(config: Any, name: str) -> None:
    scale = config.hidden_size // config.num_attention_heads
    if config.num_hidden_layers != _LARGEST[config.model_type]:
        scale = head_size(config)
    if config.query_pre_attn_scalar != scale:
        raise _setting(name, "query_pre_attn_scalar", config.query_pre_attn_scalar)
    kinds = layer_kinds(config)
    if config.model_type == "gemma2":
        if not config.attn_logit_softcapping or not config.final_logit_softcapping:
            raise _setting(name, "attn_logit_softcapping", "null")
        if kinds != [index % 2 == 0 for index in range(len(kinds))]:
            raise _setting(name, "layer_types", "…")
    else:
        near = rope.of_config(config, "sliding_attention")
        if config.attn_logit_softcapping:
            raise _setting(name, "attn_logit_softcapping", config.attn_logit_softcapping)
        if getattr(config, "use_bidirectional_attention", False):
            raise _setting(name, "use_bidirectional_attention", "true")
        if near.kind != "default":
            raise UserError("gguf_rope", field="export_format", name=name, kind=near.kind)


def layer_kinds(config: Any) -> list[bool]:
    """Of each layer whether it looks back only as far as the sliding window."""
    return [each == "sliding_attention" for each in getattr(config, "layer_types", None) or ()]


def head_size(config: Any) -> int:
    """Numbers of one head of attention."""
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def window(config: Any) -> int | None:
    """The sliding window in tokens, of a family for which llama.cpp knows none; None when all layers see everything."""
    size = getattr(config, "sliding_window", None)
    if config.model_type.startswith("gemma") or not size or size >= config.max_position_embeddings:
        return None
    kinds = getattr(config, "layer_types", None)
    return int(size) if kinds is None or "sliding_attention" in kinds else None


def write(writer: GGUFWriter, family: Family, config: Any) -> None:
    """The settings of the architecture, as metadata."""
    # Beyond the window the answers would differ, so that is how far the file goes.
    writer.add_context_length(window(config) or int(config.max_position_embeddings))
    writer.add_embedding_length(int(config.hidden_size))
    writer.add_block_count(int(config.num_hidden_layers))
    writer.add_feed_forward_length(int(config.intermediate_size))
    writer.add_head_count(int(config.num_attention_heads))
    writer.add_head_count_kv(int(config.num_key_value_heads or config.num_attention_heads))
    writer.add_key_length(head_size(config))
    writer.add_value_length(head_size(config))
    writer.add_rope_dimension_count(head_size(config))
    writer.add_layer_norm_rms_eps(float(config.rms_norm_eps))
    rope.write(writer, rope.of_config(config, "full_attention"))
    if family.arch in ("gemma2", "gemma3"):
        _write_gemma(writer, config)


def _write_gemma(writer: GGUFWriter, config: Any) -> None:
    kinds = layer_kinds(config)
    if any(kinds):
        writer.add_sliding_window(int(config.sliding_window))
    if config.attn_logit_softcapping:
        writer.add_attn_logit_softcapping(float(config.attn_logit_softcapping))
    if config.final_logit_softcapping:
        writer.add_final_logit_softcapping(float(config.final_logit_softcapping))
    if config.model_type == "gemma3_text":
        writer.add_rope_freq_base_swa(rope.of_config(config, "sliding_attention").theta)
        usual = [(index + 1) % 6 != 0 for index in range(len(kinds))]
        if any(kinds) and kinds != usual:
            writer.add_sliding_window_pattern(kinds)


def _setting(name: str, setting: str, value: object) -> UserError:
    return UserError("gguf_setting", field="export_format", name=name, setting=setting, value=str(value))
