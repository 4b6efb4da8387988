"""GaLore and APOLLO as their packages compute them, with a state that can be kept and loaded.

The packages keep the directions of a matrix in an object inside the optimiser's state. Written down that would be a
pickled object, which nobody may load: here it is kept as plain numbers and tensors. GaLore's 8-bit form is put together
from bitsandbytes' own optimiser, as the one of its package hands over arguments that bitsandbytes has since moved.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch.optim import Optimizer

KEPT = "projector"


class Portable:
    """For an optimiser whose state holds projectors: `state_dict` has their values, `load_state_dict` makes them again."""

    state: Any
    param_groups: list[dict[str, Any]]

    def state_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = super().state_dict()  # type: ignore[misc]
        found["state"] = {place: _plain(state) for place, state in found["state"].items()}
        return found

    def load_state_dict(self, state_dict: Mapping[str, Any], **others: Any) -> None:
        super().load_state_dict(state_dict, **others)  # type: ignore[misc]
        for group in self.param_groups:
            for weight in group["params"]:
                state = self.state.get(weight, {})
                if isinstance(state.get(KEPT), dict):
                    state[KEPT] = _projector(state[KEPT], group, weight.device)


# What a projector learns on the way; the rest of it stands in the options of its group.
LEARNED = ("ortho_matrix", "seed", "svd_count")


def _plain(state: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {each: getattr(value, each) for each in LEARNED if hasattr(value, each)}
        if name == KEPT
        else value
        for name, value in state.items()
    }


def _projector(values: Mapping[str, Any], group: Mapping[str, Any], device: torch.device) -> Any:
    """The object that `_plain` took apart."""
    if group.get("proj") == "random":
        from apollo_torch.random_projector import GradientProjector as Kind
    elif group.get("proj") == "svd":
        from apollo_torch.svd_projector import GaLoreProjector as Kind
    else:
        from galore_torch.galore_projector import GaLoreProjector as Kind
    made = Kind(
        group["rank"],
        update_proj_gap=group["update_proj_gap"],
        scale=group["scale"],
        proj_type=group["proj_type"],
    )
    vars(made).update({name: _moved(value, device) for name, value in values.items()})
    return made


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, (list, tuple)):
        return [_moved(each, device) for each in value]
    return value.to(device) if isinstance(value, torch.Tensor) else value


@cache
def galore_adamw() -> type[Optimizer]:
    """GaLore in AdamW. Raises ImportError when galore-torch is not installed."""
    from galore_torch import GaLoreAdamW

    return type("GaLoreAdamW", (Portable, GaLoreAdamW), {})


@cache
def galore_adafactor() -> type[Optimizer]:
    """GaLore in Adafactor. Raises ImportError when galore-torch is not installed."""
    from galore_torch import GaLoreAdafactor

    return type("GaLoreAdafactor", (Portable, GaLoreAdafactor), {})


@cache
def apollo_adamw() -> type[Optimizer]:
    """APOLLO in AdamW. Raises ImportError when apollo-torch is not installed."""
    from apollo_torch import APOLLOAdamW

    return type("APOLLOAdamW", (Portable, APOLLOAdamW), {})


@cache
def galore_adamw_8bit() -> type[Optimizer]:
    """GaLore in bitsandbytes' AdamW, which also computes on a CPU. Raises ImportError when a package is missing."""
    from bitsandbytes.optim.adamw import AdamW
    from galore_torch.galore_projector import GaLoreProjector

    class GaLoreAdamW8bit(Portable, AdamW):  # type: ignore[misc, valid-type]
        @torch.no_grad()
        def step(self, closure: Any = None) -> Any:
            with self._narrow():
                return super().step(closure)

        @contextmanager
        def _narrow(self) -> Iterator[None]:
            """Inside, projected weights are zeros of the narrow shape, to which a step adds what is projected back."""
            whole: list[tuple[dict[str, Any], torch.Tensor, torch.Tensor]] = []
            for place, group in enumerate(self.param_groups):
                for number, weight in enumerate(group["params"]):
                    if "rank" in group and weight.grad is not None:
                        whole.append((group, weight, weight.data))
                        self._project(group, weight, place, number)
            yield
            for group, weight, data in whole:
                data.add_(self.state[weight][KEPT].project_back(weight.data))
                data.mul_(1 - group["lr"] * group["weight_decay"])
                weight.grad, weight.data = None, data

        def _project(self, group: dict[str, Any], weight: torch.Tensor, place: int, number: int) -> None:
            state = self.state[weight]
            if KEPT not in state:
                state[KEPT] = GaLoreProjector(
                    group["rank"], update_proj_gap=group["update_proj_gap"], scale=group["scale"],
                    proj_type=group["proj_type"],
                )  # fmt: skip
            narrow = state[KEPT].project(weight.grad, state.get("step", 0)).contiguous()
            weight.grad = None
            weight.data = torch.zeros_like(narrow)
            weight.grad = narrow
            if "state1" not in state:
                self.init_state(group, weight, place, number)

    return GaLoreAdamW8bit
