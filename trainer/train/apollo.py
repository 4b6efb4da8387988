"""APOLLO, which scales gradients as AdamW would in few dimensions, after its paper: https://arxiv.org/abs/2412.05270"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch.optim import Optimizer

# How much longer than the last one an update may be: the paper's norm-growth limiter.
GROWTH = 1.01
# Numbers of draws that one weight has to itself before it meets those of the next.
DRAWS = 1_000_003


class Apollo(Optimizer):
    """AdamW, and APOLLO for groups with a `rank`.

    Such a group also has `update_proj_gap`, the steps between two choices of directions; `scale`, of which updates are
    multiplied by the square root; `proj`, random or svd; `proj_type`, the side on which directions are multiplied,
    left (r x rows) or right (columns x r); `scale_type`, one factor for each channel or for the tensor. With
    `scale_front` updates are scaled before their growth is limited. Everything remembered is a tensor or a number.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        scale_front: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "scale_front": scale_front,
        }
        super().__init__(list(groups), defaults)
        weights = (weight for group in self.param_groups for weight in group["params"])
        for number, weight in enumerate(weights):
            self.state[weight]["number"] = number

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    state = self.state[weight]
                    update = (_scaled if "rank" in group else _whole)(state, weight.grad, group)
                    weight.mul_(1 - group["lr"] * group["weight_decay"])
                    weight.add_(update, alpha=-group["lr"] * _correction(state, group))
        return loss

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """torch gives all that is loaded the number format of its weight; lengths stay in 32 bits."""
        super().load_state_dict(dict(state_dict))
        for mine, kept in zip(self.param_groups, state_dict["param_groups"], strict=True):
            for weight, place in zip(mine["params"], kept["params"], strict=True):
                length = state_dict["state"].get(place, {}).get("length")
                if length is not None:
                    self.state[weight]["length"] = length.to(weight.device)


def _whole(state: dict[str, Any], gradient: torch.Tensor, group: Mapping[str, Any]) -> torch.Tensor:
    """AdamW's update for a gradient, of the same shape, before `_correction`: https://arxiv.org/abs/1711.05101"""
    if "mean" not in state:
        state |= {"step": 0, "mean": torch.zeros_like(gradient), "square": torch.zeros_like(gradient)}
    state["step"] += 1
    first, second = group["betas"]
    state["mean"].lerp_(gradient, 1 - first)
    state["square"].mul_(second).addcmul_(gradient, gradient, value=1 - second)
    found: torch.Tensor = state["mean"] / state["square"].sqrt().add_(group["eps"])
    return found


def _correction(state: Mapping[str, Any], group: Mapping[str, Any]) -> float:
    """For moments that began at zero. After the limit of growth, which sees the lengths before it."""
    first, second = group["betas"]
    return float((1 - second ** state["step"]) ** 0.5 / (1 - first ** state["step"]))


def _scaled(state: dict[str, Any], gradient: torch.Tensor, group: Mapping[str, Any]) -> torch.Tensor:
    """The gradient m x n, each channel (or all of it) as long as AdamW would make it in the narrow space."""
    if state.get("step", 0) % group["update_proj_gap"] == 0:
        state["directions"] = _directions(state, gradient, group)
    left = group["proj_type"] == "left"
    narrow = state["directions"] @ gradient if left else gradient @ state["directions"]
    update: torch.Tensor = gradient * _factors(narrow, _whole(state, narrow, group), group, left=left)
    scale = float(group["scale"]) ** 0.5
    front, back = (scale, 1.0) if group["scale_front"] else (1.0, scale)
    return _limited(state, update * front).mul_(back)


def _factors(
    narrow: torch.Tensor, wanted: torch.Tensor, group: Mapping[str, Any], *, left: bool
) -> torch.Tensor:
    """How much longer AdamW's step is than the gradient: 1 x n or m x 1 for channels, 1 x 1 for the tensor."""
    across = (0, 1) if group["scale_type"] == "tensor" else (0,) if left else (1,)
    after, before = (
        torch.linalg.vector_norm(each, dim=across, keepdim=True, dtype=torch.float32)
        for each in (wanted, narrow)
    )
    # A channel without a gradient has none to scale.
    found: torch.Tensor = after / before.clamp_min(torch.finfo(torch.float32).tiny)
    return found.to(narrow.dtype)


def _limited(state: dict[str, Any], update: torch.Tensor) -> torch.Tensor:
    """The update, shortened where it is more than `GROWTH` times as long as the last one, whose length is kept."""
    length = torch.linalg.vector_norm(update, dtype=torch.float32)
    last = state.get("length")
    allowed = length if last is None else torch.where(last > 0, torch.minimum(length, GROWTH * last), length)
    state["length"] = allowed
    shortened: torch.Tensor = update * (allowed / length.clamp_min(torch.finfo(torch.float32).tiny)).to(
        update.dtype
    )
    return shortened


def _directions(state: Mapping[str, Any], gradient: torch.Tensor, group: Mapping[str, Any]) -> torch.Tensor:
    """r x m on the left, n x r on the right: drawn with a variance of 1/r, or the strongest ones of the gradient."""
    rows, columns = gradient.shape
    left = group["proj_type"] == "left"
    rank = min(group["rank"], rows, columns)
    if group["proj"] == "svd":
        u, _, v = torch.linalg.svd(gradient.float(), full_matrices=False)
        found = u[:, :rank].T if left else v[:rank].T
    else:
        # On the processor, so that every device draws the same.
        draw = state.get("step", 0) // group["update_proj_gap"]
        chance = torch.Generator().manual_seed(state["number"] * DRAWS + draw)
        shape = (rank, rows) if left else (columns, rank)
        found = torch.randn(shape, generator=chance) / rank**0.5
    directions: torch.Tensor = found.to(gradient.device, gradient.dtype).contiguous()
    return directions
