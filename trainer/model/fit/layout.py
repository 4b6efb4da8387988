"""Every weight of a model by name and shape: from the headers of its files, or from its sizes where it has none."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from trainer.model.fit.shape import Eyes, Shape

Kind = Literal["linear", "embedding", "head", "norm", "bias", "other"]
PartName = Literal["vision_tower", "multi_modal_projector", "language_model"]

_LAYER = re.compile(r"(?:^|\.)(?:layers|blocks|h|block|resblocks)\.(\d+)\.")
_SEES = re.compile(r"(?:^|\.)(?:visual|vision_tower|vision_model|vision_encoder|img_processor)\.")
# Inside what sees: what hands over to the language model.
_HANDS_OVER = re.compile(
    r"(?:^|\.)(?:visual\.(?:merger|deepstack_merger_list)|multi_modal_projector|connector|mlp1)\."
)
_EMBEDDING = re.compile(r"(?:embed_tokens|wte|word_embeddings|tok_embeddings|embed_in)\.weight$")
_HEAD = re.compile(r"(?:^|\.)(?:lm_head|embed_out|output)\.weight$")
_NORM = re.compile(r"norm|\.ln_|layernorm|\.ln\d?\.|ln_q")
# transformers keeps all experts of a layer in two tensors, and the choice among them is no linear layer.
_EXPERT = re.compile(r"\.experts\.")
_ROUTER = re.compile(r"\.(?:mlp|block_sparse_moe)\.gate\.weight$")
# In files of some models; computed anew when a model is loaded.
_COMPUTED = re.compile(r"inv_freq$|rotary_emb\.|\.masked_bias$|\.attn\.bias$")


class Weight(NamedTuple):
    """A weight; `layer` is -1 outside of layers."""

    name: str
    shape: tuple[int, ...]
    kind: Kind
    part: PartName
    layer: int

    @property
    def numbers(self) -> int:
        return math.prod(self.shape)

    @property
    def module(self) -> str:
        """The last part of its module's name, such as q_proj."""
        return self.name.rsplit(".", 2)[-2] if "." in self.name else ""


Layout = tuple[Weight, ...]


def weight_of(name: str, shape: tuple[int, ...], seeing: bool) -> Weight:
    """A weight with what its name says of it; `seeing` says that the model sees."""
    part: PartName = "language_model"
    if seeing and _HANDS_OVER.search(name):
        part = "multi_modal_projector"
    elif seeing and _SEES.search(name):
        part = "vision_tower"
    found = _LAYER.search(name)
    return Weight(name, shape, _kind(name, shape), part, int(found[1]) if found else -1)


def _kind(name: str, shape: tuple[int, ...]) -> Kind:
    if name.endswith("bias"):
        return "bias"
    if _EMBEDDING.search(name):
        return "embedding"
    if _HEAD.search(name):
        return "head"
    if len(shape) < 2 or _NORM.search(name):
        return "norm"
    if _EXPERT.search(name) or _ROUTER.search(name) or len(shape) != 2 or not name.endswith(".weight"):
        return "other"
    return "other" if re.search(r"pos(ition)?_embed|patch_embed|class_embed", name) else "linear"


def stored_layout(files: list[Path], shape: Shape) -> Layout:
    """The weights in safetensors files, by their headers. Raises OSError and ValueError for broken ones."""
    found: dict[str, Weight] = {}
    for file in files:
        with file.open("rb") as opened:
            header: dict[str, Any] = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
        for name, tensor in header.items():
            if name != "__metadata__" and not _COMPUTED.search(name):
                found[name] = weight_of(name, tuple(tensor["shape"]), shape.eyes is not None)
    weights = list(found.values())
    # Files of models whose head is the embedding hold it once or twice.
    return tuple(each for each in weights if not (shape.tied and each.kind == "head"))


def computed_layout(shape: Shape) -> Layout:
    """The weights of a model with these sizes, in the families of Llama and Qwen and their kin."""
    seeing = shape.eyes is not None
    text = list(_text(shape))
    eyes = list(_eyes(shape.eyes, shape.hidden)) if shape.eyes else []
    return tuple(weight_of(name, size, seeing) for name, size in [*eyes, *text])


_Named = Iterator[tuple[str, tuple[int, ...]]]


def _text(shape: Shape) -> _Named:
    hidden = shape.hidden
    yield "model.embed_tokens.weight", (shape.vocabulary, hidden)
    for layer in range(shape.layers):
        start = f"model.layers.{layer}."
        yield from ((start + name, size) for name, size in _attention(shape))
        if shape.is_sparse(layer):
            yield from ((start + name, size) for name, size in _experts(shape))
        else:
            yield from ((start + name, size) for name, size in _mlp(shape))
        for number in range(shape.norms):
            yield f"{start}norm{number}.weight", (hidden,)
    yield "model.norm.weight", (hidden,)
    if not shape.tied:
        yield "lm_head.weight", (shape.vocabulary, hidden)


def _attention(shape: Shape) -> _Named:
    hidden, queries, keys = shape.hidden, shape.queries, shape.keys
    sizes = {"q_proj": queries, "k_proj": keys, "v_proj": keys}
    if shape.fused:
        sizes = {"qkv_proj": queries + 2 * keys}
    for name, size in sizes.items():
        yield f"self_attn.{name}.weight", (size, hidden)
        if shape.biased:
            yield f"self_attn.{name}.bias", (size,)
    yield "self_attn.o_proj.weight", (hidden, queries)
    if shape.output_biased:
        yield "self_attn.o_proj.bias", (hidden,)
    if shape.head_norms:
        yield "self_attn.q_norm.weight", (shape.head,)
        yield "self_attn.k_norm.weight", (shape.head,)


def _mlp(shape: Shape, name: str = "mlp", inner: int = 0) -> _Named:
    hidden, inner = shape.hidden, inner or shape.inner
    sizes = {"gate_proj": (inner, hidden), "up_proj": (inner, hidden)}
    if shape.fused or shape.kind == "glm4":
        sizes = {"gate_up_proj": (2 * inner, hidden)}
    elif not shape.gated:
        sizes = {"up_proj": (inner, hidden)}
    for each, size in {**sizes, "down_proj": (hidden, inner)}.items():
        yield f"{name}.{each}.weight", size
        if shape.mlp_biased:
            yield f"{name}.{each}.bias", size[:1]


def _experts(shape: Shape) -> _Named:
    experts = shape.experts
    assert experts is not None
    yield "mlp.gate.weight", (experts.count, shape.hidden)
    yield "mlp.experts.gate_up_proj", (experts.count, 2 * experts.inner, shape.hidden)
    yield "mlp.experts.down_proj", (experts.count, shape.hidden, experts.inner)
    if experts.shared:
        yield from _mlp(shape, "mlp.shared_expert", experts.shared)
        if shape.kind == "qwen2_moe":
            yield "mlp.shared_expert_gate.weight", (1, shape.hidden)


def _eyes(eyes: Eyes, hidden: int) -> _Named:
    width = eyes.width
    if not eyes.kind.startswith(("qwen", "glm")):
        yield from _siglip(eyes, hidden)
        return
    yield "visual.patch_embed.proj.weight", (width, eyes.channels, eyes.frames, eyes.patch, eyes.patch)
    third = eyes.kind.startswith("qwen3")
    if third:
        yield "visual.patch_embed.proj.bias", (width,)
        yield "visual.pos_embed.weight", (eyes.positions or 2304, width)
    for block in range(eyes.depth):
        start = f"visual.blocks.{block}."
        for name, size in (("attn.qkv", (3 * width, width)), ("attn.proj", (width, width)), *_eye_mlp(eyes)):
            yield f"{start}{name}.weight", size
            yield f"{start}{name}.bias", size[:1]
        for norm in ("norm1", "norm2"):
            yield f"{start}{norm}.weight", (width,)
            if not eyes.gated:
                yield f"{start}{norm}.bias", (width,)
    yield from _merger("visual.merger", eyes, width, hidden if not third else eyes.out)
    for tap in range(eyes.taps):
        yield from _merger(f"visual.deepstack_merger_list.{tap}", eyes, width * eyes.cells, eyes.out)


def _eye_mlp(eyes: Eyes) -> tuple[tuple[str, tuple[int, int]], ...]:
    up, down = (eyes.inner, eyes.width), (eyes.width, eyes.inner)
    if eyes.gated:
        return ("mlp.gate_proj", up), ("mlp.up_proj", up), ("mlp.down_proj", down)
    return ("mlp.fc1", up), ("mlp.fc2", down)


def _merger(name: str, eyes: Eyes, normed: int, out: int) -> _Named:
    wide = eyes.width * eyes.cells
    yield f"{name}.ln_q.weight", (normed,)
    if not eyes.gated:
        yield f"{name}.ln_q.bias", (normed,)
    for each, size in (("mlp.0", (wide, wide)), ("mlp.2", (out, wide))):
        yield f"{name}.{each}.weight", size
        yield f"{name}.{each}.bias", size[:1]


def _siglip(eyes: Eyes, hidden: int) -> _Named:
    """CLIP's and SigLIP's way; what hands over to the language model is Gemma 3's, or much alike in size."""
    width = eyes.width
    yield "vision_tower.embeddings.patch_embedding.weight", (width, eyes.channels, eyes.patch, eyes.patch)
    yield "vision_tower.embeddings.patch_embedding.bias", (width,)
    yield "vision_tower.embeddings.position_embedding.weight", (eyes.positions, width)
    for block in range(eyes.depth):
        start = f"vision_tower.layers.{block}."
        square = (width, width)
        linear = {f"self_attn.{name}": square for name in ("q_proj", "k_proj", "v_proj", "out_proj")}
        for name, size in {**linear, **dict(_eye_mlp(eyes))}.items():
            yield f"{start}{name}.weight", size
            yield f"{start}{name}.bias", size[:1]
        for norm in ("layer_norm1", "layer_norm2"):
            yield f"{start}{norm}.weight", (width,)
            yield f"{start}{norm}.bias", (width,)
    yield "vision_tower.post_layernorm.weight", (width,)
    yield "vision_tower.post_layernorm.bias", (width,)
    yield "multi_modal_projector.mm_input_projection_weight", (width, hidden)
    yield "multi_modal_projector.mm_soft_emb_norm.weight", (width,)


def total(layout: Layout) -> int:
    """How many parameters there are."""
    return sum(each.numbers for each in layout)


def from_names(shapes: Mapping[str, tuple[int, ...]], seeing: bool) -> Layout:
    """The layout of a model in memory, from its parameters' names and shapes."""
    return tuple(weight_of(name, size, seeing) for name, size in shapes.items())
