"""The eyes of Sprout-VL: all pictures of a batch at once, and first lessons that need no words.

From answers alone eyes learn colours in a minute and shapes only after an hour: a word about a shape is one token among
many, and says nothing of where it is. So each patch is first asked what thing and what colour lies there, and whether a
thing has its middle there; the same questions go on beside the talks. The heads that answer them are thrown away.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from drawing import COLOURS, SHAPES, Marks
from pieces import PIECES
from PIL import Image
from torch import nn
from torch.nn import functional
from transformers import Qwen2VLForConditionalGeneration
from transformers.models.qwen2_vl.modeling_qwen2_vl import apply_rotary_pos_emb_vision

PATCH, MERGE, FRAMES_A_PATCH = 14, 2, 2
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
KINDS = (1 + len(SHAPES) + len(PIECES), 1 + len(COLOURS), 2)
MOST = 6
UNKNOWN = -100


def patchify(pixels: torch.Tensor) -> tuple[torch.Tensor, tuple[int, int]]:
    """uint8 [pictures, frames, height, width, 3] -> patches [pictures, times, tokens, values] and the grid."""
    count, frames, height, width, _ = pixels.shape
    x = (pixels.float() / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
    high, wide = height // PATCH, width // PATCH
    x = x.reshape(
        count, frames // FRAMES_A_PATCH, FRAMES_A_PATCH, high // MERGE, MERGE, PATCH, wide // MERGE, MERGE, PATCH, 3
    )  # fmt: skip
    x = x.permute(0, 1, 3, 6, 4, 7, 9, 2, 5, 8)
    return x.reshape(count, frames // FRAMES_A_PATCH, high * wide, -1), (high, wide)


def ordered(places: torch.Tensor) -> torch.Tensor:
    """[..., high, wide] -> [..., high x wide] in the order of patches: squares of 2 x 2 stay together."""
    *rest, high, wide = places.shape
    squares = places.reshape(*rest, high // MERGE, MERGE, wide // MERGE, MERGE)
    return squares.transpose(-3, -2).flatten(-4)


def look(model: Qwen2VLForConditionalGeneration, pixels: torch.Tensor) -> torch.Tensor:
    """What the eyes make of each patch of pictures of one size: [pictures x times x patches, width of the eyes].

    The same as the model's own tower, which goes through pictures one by one, for all of them at once.
    """
    tower = model.model.visual
    patches, (high, wide) = patchify(pixels)
    count, times, tokens, _ = patches.shape
    x = tower.patch_embed(patches.flatten(0, 2))
    rows, columns = torch.meshgrid(torch.arange(high), torch.arange(wide), indexing="ij")
    cos, sin = tower.rotary_pos_emb(x, torch.stack([ordered(rows), ordered(columns)], dim=-1))
    for block in tower.blocks:
        y = block.norm1(x).view(count * times, tokens, -1)
        heads = block.attn.num_heads
        q, k, v = block.attn.qkv(y).reshape(count * times, tokens, 3, heads, -1).permute(2, 0, 1, 3, 4)
        q, k = apply_rotary_pos_emb_vision(q, k, cos, sin)
        mixed = functional.scaled_dot_product_attention(*(each.transpose(1, 2) for each in (q, k, v)))
        x = x + block.attn.proj(mixed.transpose(1, 2).reshape(count * times * tokens, -1))
        x = x + block.mlp(block.norm2(x))
    return x


# Steps (down, right) at which the heads of the first layers look, one each; the heads of the others look everywhere.
NEAR = tuple((down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right)
GLANCES = (NEAR, NEAR, tuple((2 * down, 2 * right) for down, right in NEAR if not down or not right))
# How strongly, for the two highest of the rotary frequencies: the first tells neighbours apart, the second far from near.
PULL = (4.9, 5.7)


@torch.no_grad()
def open_eyes(model: Qwen2VLForConditionalGeneration) -> None:
    """Lets heads look at neighbours from the start, as convolutions do.

    Places come in by rotary angles only, and random heads look everywhere alike: shapes were not found in half an hour.
    A bias of the keys, and the same turned by an angle as a bias of the queries, makes a head look one step aside.
    """
    tower = model.model.visual
    for block, glances in zip(tower.blocks, GLANCES, strict=False):
        heads = block.attn.num_heads
        q, k, _ = block.attn.qkv.bias.view(3, heads, -1)
        half = q.shape[-1] // 2
        per_axis = half // 2
        rates = [10000 ** (-2 * i / half) for i in range(len(PULL))]
        for head, glance in enumerate(glances):
            for axis, away in enumerate(glance):
                for i, (rate, pull) in enumerate(zip(rates, PULL, strict=True)):
                    at = axis * per_axis + i
                    k[head, at] = pull
                    q[head, at], q[head, at + half] = (
                        pull * math.cos(rate * away),
                        pull * math.sin(rate * away),
                    )


def hand_over(model: Qwen2VLForConditionalGeneration, seen: torch.Tensor, pictures: int) -> torch.Tensor:
    """Tokens for the language model [pictures, tokens, its width] from what was seen of the patches."""
    return model.model.visual.merger(seen).view(pictures, -1, model.config.text_config.hidden_size)


class Lessons(nn.Module):
    """What thing, what colour and whether a middle, for each patch; how many things, for each picture."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.patches = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, sum(KINDS)))
        self.whole = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, MOST + 1))

    def forward(self, seen: torch.Tensor, places: torch.Tensor, counts: torch.Tensor) -> list[torch.Tensor]:
        """The losses of the four. `seen` [pictures x patches, width], `places` [pictures, 3, patches], `counts` [pictures]."""
        said = self.patches(seen).float().split(KINDS, dim=-1)
        losses = []
        for k, each in enumerate(said):
            # Paper is everywhere and middles are few.
            rare = torch.ones(KINDS[k])
            rare[0] = 0.15
            losses.append(functional.cross_entropy(each, places[:, k].flatten(), rare, ignore_index=UNKNOWN))
        pooled = seen.view(len(counts), -1, seen.shape[-1]).mean(dim=1)
        losses.append(functional.cross_entropy(self.whole(pooled).float(), counts, ignore_index=UNKNOWN))
        return losses


def targets(marks: list[Marks | None], grid: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Classes of all patches [pictures, 3, patches] in the order of patches, and numbers of things [pictures]."""
    high, wide = grid
    places = np.full((len(marks), 3, high, wide), UNKNOWN, dtype=np.int64)
    counts = np.full(len(marks), UNKNOWN, dtype=np.int64)
    for k, each in enumerate(marks):
        if each is None:
            continue
        for row, image in enumerate((each.what, each.colour)):
            places[k, row] = np.asarray(image.resize((wide, high), Image.Resampling.NEAREST))
        places[k, 2] = 0
        for x, y in each.middles:
            places[k, 2, min(high - 1, int(y * high)), min(wide - 1, int(x * wide))] = 1
        counts[k] = min(MOST, len(each.middles))
    return ordered(torch.from_numpy(places)).numpy(), counts
