"""GaLore (https://arxiv.org/abs/2403.03507) and APOLLO (https://arxiv.org/abs/2412.05270): which matrices, how, by which optimiser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
from torch import nn
from torch.optim import Optimizer

from trainer.config import RunConfig
from trainer.errors import UserError
from trainer.model.adapter import LINEAR, linear_layers
from trainer.train import projected
from trainer.train.apollo import Apollo

Method = Literal["GaLore", "APOLLO"]
# What `optim` says beside use_galore or use_apollo -> the optimiser inside.
INNER = {
    "adamw_torch": "adamw", "adamw_torch_fused": "adamw", "adamw_bnb_8bit": "adamw_8bit", "adamw_8bit": "adamw_8bit",
    "paged_adamw_8bit": "adamw_8bit", "adafactor": "adafactor",
}  # fmt: skip
KINDS: dict[str, Callable[[], type[Optimizer]]] = {
    "GaLore adamw": projected.galore_adamw,
    "GaLore adamw_8bit": projected.galore_adamw_8bit,
    "GaLore adafactor": projected.galore_adafactor,
    "APOLLO adamw": lambda: Apollo,
}
# transformers' names for APOLLO mean the package, whose licence excludes commercial use: it is used where it is
# installed.
BY_NAME = "APOLLO"
PACKAGES = {"GaLore": "galore-torch", "APOLLO": "apollo-torch"}
# transformers' own names, whose settings come in optim_args and optim_target_modules, and what they leave out.
NAMED = re.compile(r"(galore|apollo)_(adamw_8bit|adamw|adafactor)(_layerwise)?")
NAMED_DEFAULTS: dict[str, dict[str, Any]] = {
    "GaLore": {"rank": 128, "update_proj_gap": 200, "scale": 0.25, "proj_type": "std"},
    "APOLLO": {
        "rank": 128, "update_proj_gap": 200, "scale": 1.0, "proj_type": "std", "proj": "random", "scale_type": "channel",
    },
}  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """How gradients are projected. `targets` are parts of layers' names, or `all`; `pattern` describes whole names."""

    method: Method
    inner: str
    option: str
    targets: tuple[str, ...] = ()
    pattern: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    scale_front: bool = False
    layerwise: bool = False


def plan_of(config: RunConfig) -> Plan | None:
    """What the options say of GaLore and APOLLO; None when they say nothing. Raises UserError for what does not fit."""
    own, optim = config.optimizer, config.train.optim
    if named := NAMED.fullmatch(optim):
        plan = _named_plan(config, *named.groups())
    elif own.use_galore:
        plan = Plan(
            "GaLore", _inner("GaLore", optim), "galore_target", own.galore_target, "",
            {
                "rank": own.galore_rank, "update_proj_gap": own.galore_update_interval, "scale": own.galore_scale,
                "proj_type": own.galore_proj_type,
            },
            layerwise=own.galore_layerwise,
        )  # fmt: skip
    elif own.use_apollo:
        plan = Plan(
            "APOLLO", _inner("APOLLO", optim), "apollo_target", own.apollo_target, "",
            {
                "rank": own.apollo_rank, "update_proj_gap": own.apollo_update_interval, "scale": own.apollo_scale,
                "proj_type": own.apollo_proj_type, "proj": own.apollo_proj, "scale_type": own.apollo_scale_type,
            },
            scale_front=own.apollo_scale_front, layerwise=own.apollo_layerwise,
        )  # fmt: skip
    else:
        return None
    if config.method.finetuning_type not in ("full", "freeze"):
        raise UserError(
            "low_rank_with_adapter", field="finetuning_type", method=plan.method, value=config.method.finetuning_type
        )  # fmt: skip
    return plan


def _inner(method: Method, optim: str) -> str:
    inner = INNER.get(optim, "")
    if f"{method} {inner}" not in KINDS:
        allowed = [name for name, each in INNER.items() if f"{method} {each}" in KINDS]
        raise UserError(
            "low_rank_optim", field="optim", method=method, name=optim, allowed=", ".join(allowed)
        )
    return inner


def _named_plan(config: RunConfig, method: str, inner: str, layerwise: str | None) -> Plan:
    name: Method = "GaLore" if method == "galore" else "APOLLO"
    wanted = config.extra.get("optim_target_modules")
    if not wanted:
        raise UserError("low_rank_targets_missing", field="extra", name=config.train.optim)
    if isinstance(wanted, str) and wanted.replace("_", "-") == "all-linear":
        wanted, pattern = ["all"], ""
    else:
        wanted, pattern = ([], wanted) if isinstance(wanted, str) else (wanted, "")
    targets = tuple(map(str, wanted))
    settings = {**NAMED_DEFAULTS[name], **_numbers(name, str(config.extra.get("optim_args") or ""))}
    return Plan(name, inner, "extra", targets, pattern, settings, layerwise=bool(layerwise))


def _numbers(method: Method, text: str) -> dict[str, Any]:
    """`rank=8, scale=2` as a mapping. Raises UserError for other words than the method knows."""
    known = NAMED_DEFAULTS[method]
    found: dict[str, Any] = {}
    for each in filter(None, text.replace(" ", "").split(",")):
        name, _, value = each.partition("=")
        try:
            found[name] = type(known[name])(value)
        except (KeyError, ValueError):
            raise UserError(
                "low_rank_args", field="extra", value=each, method=method, known=", ".join(known)
            ) from None
    return found


class _Split(NamedTuple):
    """The trained weights: matrices that are projected, by side, and others with and without weight decay."""

    projected: dict[str, list[nn.Parameter]]
    decayed: list[nn.Parameter]
    plain: list[nn.Parameter]


def make_low_rank(
    model: Any, plan: Plan, settings: dict[str, Any], weight_decay: float, decayed: list[str]
) -> Optimizer:
    """The optimiser for all trained weights of `model`; `decayed` are the names of those with weight decay.

    `settings` are the keyword arguments of the optimiser inside. With `layerwise` every weight is updated, and its
    gradient dropped, as soon as the gradient is there: what comes to the step itself has nothing left to do. Raises
    UserError for layers that there are not, and for a package that is missing.
    """
    try:
        kind = _kind(plan)
    except ImportError as error:
        package = PACKAGES[plan.method]
        raise UserError(
            "low_rank_package", field="optim", method=plan.method, package=package, reason=str(error)[:200]
        ) from error
    split = _split(model, plan, decayed)
    groups = [
        {"params": split.plain, "weight_decay": 0.0},
        {"params": split.decayed, "weight_decay": weight_decay},
    ]
    for side, matrices in split.projected.items():
        groups.append({"params": matrices, "weight_decay": weight_decay, **plan.settings, "proj_type": side})
    own = {name: value for name, value in settings.items() if name != "fused"}
    if plan.inner == "adamw" and kind is not Apollo:
        own["no_deprecation_warning"] = True
    if plan.method == "APOLLO":
        own["scale_front"] = plan.scale_front
    made = kind([group for group in groups if group["params"]], **own)
    if plan.layerwise:
        _update_at_once(made)
    return made


def _kind(plan: Plan) -> type[Optimizer]:
    if plan.method == BY_NAME and plan.option == "extra":
        return projected.apollo_adamw()
    return KINDS[f"{plan.method} {plan.inner}"]()


def _split(model: Any, plan: Plan, decayed: list[str]) -> _Split:
    chosen = {id(each): each for each in _matrices(model, plan)}
    sides: dict[str, list[nn.Parameter]] = {}
    for weight in chosen.values():
        sides.setdefault(_side(weight, plan), []).append(weight)
    rest = [
        (name, each)
        for name, each in model.named_parameters()
        if each.requires_grad and id(each) not in chosen
    ]
    return _Split(
        sides,
        [each for name, each in rest if name in decayed],
        [each for name, each in rest if name not in decayed],
    )


def _matrices(model: Any, plan: Plan) -> Iterator[Any]:
    layers = {name: each.weight for name, each in model.named_modules() if isinstance(each, LINEAR)}
    trained = {name: weight for name, weight in layers.items() if weight.requires_grad}
    if plan.targets == ("all",):
        names = [name for name in linear_layers(model, frozen=()) if name in trained]
    elif plan.pattern:
        names = [name for name in trained if re.fullmatch(plan.pattern, name)]
    else:
        unknown = [each for each in plan.targets if not any(each in name for name in trained)]
        if unknown:
            raise _no_layers(plan, ", ".join(unknown), list(trained))
        names = [name for name in trained if any(each in name for each in plan.targets)]
    if not names:
        raise _no_layers(plan, plan.pattern or ", ".join(plan.targets), list(trained))
    return (trained[name] for name in names)


def _no_layers(plan: Plan, names: str, layers: list[str]) -> UserError:
    known = ", ".join(sorted({name.rsplit(".", 1)[-1] for name in layers})) or "none"
    return UserError(
        "low_rank_target_unknown", field=plan.option, method=plan.method, names=names, known=known
    )


def _side(weight: nn.Parameter, plan: Plan) -> str:
    """From which side the gradient of a matrix is projected: left or right, or full for both.

    Said outright, as GaLore's package guesses wrong from the projected shape when the rank reaches the shorter side.
    APOLLO scales the vectors of the longer side, and can only do so when they are left.
    """
    rows, columns = weight.shape
    std = "right" if rows >= columns else "left"
    choice = str(plan.settings["proj_type"])
    side = {"std": std, "reverse_std": "left" if std == "right" else "right"}.get(choice, choice)
    if plan.method == "APOLLO" and plan.settings["scale_type"] == "channel" and side != std:
        raise UserError("apollo_side", field="apollo_proj_type", value=choice, rows=rows, columns=columns)
    return side


def _update_at_once(optimizer: Optimizer) -> None:
    """Hooks that update a weight when its gradient is whole. The groups are looked up each time: loading replaces them."""

    def updates(number: int) -> Callable[[torch.Tensor], None]:
        def update(weight: torch.Tensor) -> None:
            groups = optimizer.param_groups
            optimizer.param_groups = [{**groups[number], "params": [weight]}]
            try:
                optimizer.step()
            finally:
                optimizer.param_groups = groups
                weight.grad = None

        return update

    for number, group in enumerate(optimizer.param_groups):
        for weight in group["params"]:
            weight.register_post_accumulate_grad_hook(updates(number))
