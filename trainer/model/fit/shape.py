"""The sizes of a model, read from its config.json: what decides how much memory its training takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Families whose attention and MLP differ from Llama's in what they keep; by the text part's model_type.
_BIASED = ("qwen2", "qwen2_moe", "qwen2_vl", "qwen2_5_vl")
_HEAD_NORMS = ("qwen3", "qwen3_moe", "qwen3_vl", "gemma3")
_FOUR_NORMS = ("gemma2", "gemma3", "glm4")
_TIED = ("gemma", "gemma2", "gemma3")
# Attention with a cap on its scores is computed step by step, with all scores in memory.
_CAPPED = ("gemma2",)


@dataclass(frozen=True)
class Experts:
    """A mixture of experts: how many there are, how many see a token, their inner width, that of the one all tokens see."""

    count: int
    active: int
    inner: int
    shared: int = 0


@dataclass(frozen=True)
class Eyes:
    """The part of a model that sees. `cells` patches become one token of the language model, after `depth` layers."""

    kind: str
    width: int
    inner: int
    depth: int
    heads: int
    patch: int
    merge: int
    frames: int
    channels: int
    gated: bool
    biased: bool
    out: int
    positions: int = 0
    taps: int = 0
    quick: bool = False

    @property
    def cells(self) -> int:
        return self.merge * self.merge

    @property
    def pixels(self) -> int:
        """Pixels of a picture for each token of the language model."""
        return self.cells * self.patch * self.patch


@dataclass(frozen=True)
class Shape:
    """A model's sizes; widths in numbers per token."""

    kind: str
    hidden: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    head: int
    vocabulary: int
    tied: bool
    biased: bool = False
    output_biased: bool = False
    mlp_biased: bool = False
    head_norms: bool = False
    norms: int = 2
    gated: bool = True
    fused: bool = False
    capped: bool = False
    experts: Experts | None = None
    dense: frozenset[int] = frozenset()
    eyes: Eyes | None = None
    window: int = 0

    @property
    def queries(self) -> int:
        return self.heads * self.head

    @property
    def keys(self) -> int:
        return self.kv_heads * self.head

    def is_sparse(self, layer: int) -> bool:
        """Whether a layer's MLP is a mixture of experts."""
        return self.experts is not None and layer not in self.dense


def read_shape(config: Mapping[str, Any]) -> Shape:
    """The sizes in a config.json. Raises KeyError, TypeError or ValueError where one that is needed is missing."""
    inner_config = config.get("thinker_config") or config
    text = inner_config.get("text_config") or inner_config.get("llm_config") or inner_config
    text = {**_DEFAULTS.get(str(text.get("model_type", "")), {}), **text}
    kind = str(text.get("model_type") or config.get("model_type", "")).removesuffix("_text")
    hidden = int(_first(text, "hidden_size", "n_embd", "d_model"))
    heads = int(_first(text, "num_attention_heads", "n_head", "num_heads"))
    tied = inner_config.get("tie_word_embeddings", text.get("tie_word_embeddings"))
    experts = _experts(text, kind)
    layers = int(_first(text, "num_hidden_layers", "n_layer", "num_layers"))
    return Shape(
        kind=kind,
        hidden=hidden,
        inner=int(_first(text, "intermediate_size", "n_inner", "ffn_dim", default=0) or 4 * hidden),
        layers=layers,
        heads=heads,
        kv_heads=int(_first(text, "num_key_value_heads", "multi_query_group_num", default=0) or heads),
        head=int(_first(text, "head_dim", default=0) or hidden // heads),
        vocabulary=int(_first(text, "vocab_size", "padded_vocab_size")),
        tied=bool(tied if tied is not None else kind in _TIED),
        biased=bool(text.get("qkv_bias", text.get("attention_bias", kind in _BIASED)) or kind in _BIASED),
        output_biased=bool(text.get("attention_bias")) and kind not in (*_BIASED, "glm4"),
        mlp_biased=bool(text.get("mlp_bias")),
        head_norms=kind in _HEAD_NORMS,
        norms=4 if kind in _FOUR_NORMS else 2,
        gated=kind not in ("gpt2", "gpt_neox", "phi", "opt", "falcon", "starcoder2"),
        fused=kind in ("phi3", "phi4"),
        capped=kind in _CAPPED,
        experts=experts,
        dense=_dense(text, layers) if experts else frozenset(),
        eyes=_eyes(inner_config, hidden),
        window=int(text.get("sliding_window") or 0) if text.get("use_sliding_window", True) else 0,
    )


# transformers' own values where a config.json leaves a size out.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "gemma": {"head_dim": 256},
    "gemma2": {"head_dim": 256},
    "gemma3_text": {
        "head_dim": 256, "num_attention_heads": 8, "num_key_value_heads": 4, "vocab_size": 262208,
        "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
    },
    "mixtral": {"num_local_experts": 8, "num_experts_per_tok": 2},
    "qwen3": {"head_dim": 128},
    "qwen3_vl_text": {"head_dim": 128},
    "qwen2_moe": {"num_experts_per_tok": 4},
    "qwen3_moe": {"num_experts_per_tok": 8},
}  # fmt: skip


def _first(values: Mapping[str, Any], *names: str, default: Any = None) -> Any:
    for name in names:
        if values.get(name) is not None:
            return values[name]
    if default is None:
        raise KeyError(names[0])
    return default


def _experts(text: Mapping[str, Any], kind: str) -> Experts | None:
    usual = {"qwen2_moe": 60, "qwen3_moe": 128}.get(kind, 0)
    count = int(_first(text, "num_experts", "num_local_experts", "n_routed_experts", default=usual))
    if not count:
        return None
    inner = int(_first(text, "moe_intermediate_size", "intermediate_size"))
    shared = int(text.get("shared_expert_intermediate_size") or 0) if kind == "qwen2_moe" else 0
    shared = shared or inner * int(text.get("n_shared_experts") or 0)
    return Experts(count, int(_first(text, "num_experts_per_tok", default=2)), inner, shared)


def _dense(text: Mapping[str, Any], layers: int) -> frozenset[int]:
    """Layers with an ordinary MLP among those with experts."""
    step = int(text.get("decoder_sparse_step") or 1)
    named = set(text.get("mlp_only_layers") or ())
    first = int(text.get("first_k_dense_replace") or 0)
    return frozenset(
        layer for layer in range(layers) if layer in named or (layer + 1) % step or layer < first
    )


def _eyes(config: Mapping[str, Any], hidden: int) -> Eyes | None:
    seen = config.get("vision_config")
    if not isinstance(seen, Mapping):
        return None
    kind = str(seen.get("model_type") or config.get("model_type", ""))
    early = "qwen2_vl" in kind
    width = int(
        _first(seen, "embed_dim", "hidden_size")
        if early
        else _first(seen, "hidden_size", "embed_dim", default=1024)
    )
    default_inner = int(width * float(seen.get("mlp_ratio") or 4))
    siglip = not kind.startswith(("qwen", "glm"))
    patch = _side(seen.get("patch_size")) or (16 if "qwen3" in kind else 14)
    positions = int(seen.get("num_position_embeddings") or 0)
    if siglip:
        positions = (_side(seen.get("image_size") or 224) // patch) ** 2
    merge = _merge(config, seen, positions) if siglip else int(seen.get("spatial_merge_size") or 2)
    return Eyes(
        kind=kind,
        width=width,
        inner=default_inner if early else int(seen.get("intermediate_size") or default_inner),
        depth=int(_first(seen, "depth", "num_hidden_layers", default=24)),
        heads=int(_first(seen, "num_heads", "num_attention_heads", default=16)),
        patch=patch,
        merge=merge,
        frames=1 if siglip else int(seen.get("temporal_patch_size") or 2),
        channels=int(_first(seen, "in_channels", "in_chans", "num_channels", default=3)),
        gated="qwen2_5" in kind,
        biased=True,
        out=int(_first(seen, "out_hidden_size", default=hidden)) if not siglip else hidden,
        positions=positions,
        taps=len(seen.get("deepstack_visual_indexes") or ()),
        quick=str(seen.get("hidden_act") or ("quick_gelu" if early else "")) == "quick_gelu",
    )


def _side(value: Any) -> int:
    """Some configs name both sides of a square."""
    first: Any = value[0] if isinstance(value, (list, tuple)) else value
    return int(first or 0)


def _merge(config: Mapping[str, Any], seen: Mapping[str, Any], positions: int) -> int:
    """Patches on each side that become one token, for towers in the way of CLIP and SigLIP."""
    if config.get("mm_tokens_per_image") and positions:
        side: float = (positions / int(config["mm_tokens_per_image"])) ** 0.5
        return max(1, round(side))
    if config.get("scale_factor"):
        return int(config["scale_factor"])
    if config.get("downsample_ratio"):
        return max(1, round(1 / float(config["downsample_ratio"])))
    return int(seen.get("spatial_merge_size") or 1)
