"""What an OFT adapter does to a weight: its columns are rotated block by block, in fp32."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from trainer.model.stored import Place, read


@dataclass(frozen=True)
class Rotated:
    """W·Rᵀ, of an embedding W·R. R has a square block for each row of `place`, which holds what lies above its diagonal.

    `terms` of the Neumann series stand for the inverse in Cayley's map, 0 for the inverse itself. A `shared` block is
    the same for the whole `width`, that of the layer's inputs.
    """

    place: Place
    turned: bool
    terms: int
    width: int | None

    @property
    def size(self) -> int:
        """Of a block: the numbers above the diagonal of a square of n are n(n-1)/2."""
        return (1 + math.isqrt(1 + 8 * self.place.shape[1])) // 2

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether a weight of this shape can be rotated."""
        if len(shape) != 2:
            return False
        return shape[1] % self.size == 0 if self.width is None else shape[1] == self.width

    def open(self, device: torch.device) -> Callable[[torch.Tensor, int], torch.Tensor]:
        turns = _cayley(read(self.place).float().to(device), self.size, self.terms)
        turns = turns.transpose(1, 2) if self.turned else turns

        def rotate(rows: torch.Tensor, first: int) -> torch.Tensor:
            blocks = rows.reshape(len(rows), -1, self.size)
            each = turns.expand(blocks.shape[1], -1, -1)
            return torch.einsum("nbk,bck->nbc", blocks, each).reshape(rows.shape)

        return rotate


def rotated(config: Mapping[str, Any], place: Place, *, embedding: bool) -> Rotated:
    """The change of a layer as an adapter's settings say."""
    terms = int(config.get("num_cayley_neumann_terms", 5)) if config.get("use_cayley_neumann", True) else 0
    change = Rotated(place, embedding, terms, None)
    if config.get("block_share"):
        return change
    return Rotated(place, embedding, terms, place.rows * change.size)


def _cayley(numbers: torch.Tensor, size: int, terms: int) -> torch.Tensor:
    """Rotations (blocks, size, size) of the numbers above the diagonals of skew-symmetric matrices Q.

    Cayley's map is (I - Q)(I + Q)⁻¹ with PEFT's sign; its series I + 2Q + 2Q² + ... ends with a single Qⁿ.
    """
    skew = numbers.new_zeros(len(numbers), size, size)
    rows, columns = torch.triu_indices(size, size, 1, device=numbers.device)
    skew[:, rows, columns] = numbers
    skew = skew - skew.transpose(1, 2)
    one = torch.eye(size, device=numbers.device).expand_as(skew)
    if not terms:
        exact: torch.Tensor = torch.linalg.solve(one + skew, one - skew, left=False)
        return exact
    # PEFT takes three terms for four.
    last = max(terms, 4) - 1 if terms > 2 else terms
    turns, power = one.clone(), one
    for term in range(1, min(terms, 2) if terms <= 2 else last + 1):
        power = power @ skew
        turns += power if term == last else 2 * power
    return turns
