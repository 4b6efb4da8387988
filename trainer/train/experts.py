"""Mixtures of experts: the loss that keeps all of them at work, beside that of the tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from trainer.events import Note


class RouterLoss:
    """How unevenly a router has sent the tokens of a batch to its experts, weighted by `coefficient`.

    A model counts that itself when it is asked for the numbers of its routers (Fedus et al., arXiv 2101.03961, equation
    4); the balance is that of a micro-batch, and the mean over those of a step counts.
    """

    def __init__(self, coefficient: float) -> None:
        self.coefficient = coefficient
        self._found: torch.Tensor | None = None

    @property
    def asking(self) -> dict[str, bool]:
        """What the model is asked with."""
        return {"output_router_logits": True}

    def keep(self, outputs: Any) -> None:
        """Remembers what a forward pass has counted."""
        self._found = getattr(outputs, "aux_loss", None)

    def take(self, steps: int) -> torch.Tensor | float:
        """The loss of the last forward pass as its part of a step of `steps` micro-batches."""
        found, self._found = self._found, None
        return 0.0 if found is None else self.coefficient * found / steps


def router_loss(model: Any, coefficient: float | None, tell: Callable[[Note], None]) -> RouterLoss | None:
    """The loss of a model's routers, where it has any and the option asks for it."""
    if not coefficient:
        return None
    if not has_routers(model):
        tell(Note(code="router_none", values={"kind": model.config.model_type}, level="warning"))
        return None
    tell(Note(code="router_loss", values={"coefficient": coefficient}))
    return RouterLoss(coefficient)


def has_routers(model: Any) -> bool:
    """Whether a model tells the numbers of its routers: transformers' families say so in their configuration."""
    return hasattr(model.config.get_text_config(), "output_router_logits")


class Kept:
    """The settings of a model's routers, which TRL's trainer writes over and a saved model shall keep."""

    NAMES = ("output_router_logits", "router_aux_loss_coef")

    def __init__(self, model: Any) -> None:
        self._config = model.config.get_text_config()
        self._values = {
            name: getattr(self._config, name) for name in self.NAMES if hasattr(self._config, name)
        }

    def put_back(self) -> None:
        for name, value in self._values.items():
            setattr(self._config, name, value)
