"""Muon (https://kellerjordan.github.io/posts/muon/) for the matrices inside of a model, AdamW for everything else."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import nn
from torch.optim import AdamW, Muon, Optimizer


class MuonWithAdamW(Optimizer):
    """Two optimisers of torch as one, with one learning rate: updates of matrices are as large as AdamW's would be.

    That is the scale of https://arxiv.org/abs/2502.16982, under which both share rate and weight decay.
    """

    def __init__(
        self, matrices: list[dict[str, Any]], others: list[dict[str, Any]], adamw: dict[str, Any], lr: float
    ) -> None:
        self._count = len(matrices)
        self._inner: list[Optimizer] = []
        super().__init__([*matrices, *others], {"lr": lr})
        if matrices:
            self._inner.append(Muon(self.param_groups[: self._count], lr=lr, adjust_lr_fn="match_rms_adamw"))
        if others:
            self._inner.append(AdamW(self.param_groups[self._count :], lr=lr, **adamw))
        self._share()

    def _share(self) -> None:
        """Both work on these groups and this state, so that whoever looks or changes here does so there."""
        start = 0
        for inner in self._inner:
            end = start + len(inner.param_groups)
            inner.param_groups, inner.state = self.param_groups[start:end], self.state
            start = end

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._share()

    def step(self, closure: Any = None) -> Any:
        loss = None if closure is None else closure()
        for inner in self._inner:
            inner.step()
        return loss


def make_muon(
    model: Any, lr: float, weight_decay: float, adamw: dict[str, Any], decayed: Collection[str]
) -> MuonWithAdamW:
    """The optimiser for all trained weights of `model`; `decayed` are the names of AdamW's with weight decay.

    `adamw` has its betas and eps. Embeddings and the head are matrices, too, but their rows are learned one by one.
    """
    apart = {
        id(each.weight)
        for each in (model.get_input_embeddings(), model.get_output_embeddings(), *model.modules())
        if isinstance(each, nn.Embedding) or each is model.get_output_embeddings()
        if getattr(each, "weight", None) is not None
    }
    matrices: list[nn.Parameter] = []
    others: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for name, weight in model.named_parameters():
        if not weight.requires_grad:
            continue
        if weight.ndim == 2 and id(weight) not in apart and "lora_embedding" not in name:
            matrices.append(weight)
        else:
            others[name in decayed].append(weight)
    rest = [
        {"params": weights, "weight_decay": weight_decay if decays else 0.0}
        for decays, weights in others.items()
        if weights
    ]
    whole = [{"params": matrices, "weight_decay": weight_decay}] if matrices else []
    return MuonWithAdamW(whole, rest, adamw, lr)
