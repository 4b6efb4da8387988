"""Optimisers: they learn, remember as much as the method says, and go on where they were."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM
from transformers.training_args import OptimizerNames

from tests.train import tiny
from tests.train.conftest import Configure
from trainer.errors import UserError
from trainer.events import Started, Step
from trainer.train import apollo
from trainer.train.low_rank import make_low_rank, plan_of
from trainer.train.muon import make_muon

FULL: dict[str, Any] = {"finetuning_type": "full", "learning_rate": 0.005}
GALORE = {**FULL, "use_galore": True, "galore_rank": 4, "galore_update_interval": 3, "galore_scale": 1.0}
APOLLO = {**FULL, "use_apollo": True, "apollo_rank": 4, "apollo_update_interval": 3, "apollo_scale": 1.0}
METHODS: dict[str, dict[str, Any]] = {
    "galore": GALORE,
    "galore_reverse": {**GALORE, "galore_proj_type": "reverse_std", "galore_rank": 64},
    "galore_left": {**GALORE, "galore_proj_type": "left", "galore_target": "q_proj,mlp.down"},
    "galore_full": {**GALORE, "galore_proj_type": "full", "optim": "adamw_torch", "weight_decay": 0.1},
    "galore_8bit": {**GALORE, "optim": "adamw_8bit", "weight_decay": 0.1},
    "galore_paged": {**GALORE, "optim": "paged_adamw_8bit"},
    "galore_adafactor": {**GALORE, "optim": "adafactor"},
    "galore_layerwise": {**GALORE, "galore_layerwise": True},
    "galore_8bit_layerwise": {**GALORE, "galore_layerwise": True, "optim": "adamw_bnb_8bit"},
    "galore_freeze": {**GALORE, "finetuning_type": "freeze", "freeze_trainable_layers": 1},
    "apollo": APOLLO,
    "apollo_svd": {**APOLLO, "apollo_proj": "svd", "apollo_scale_front": True},
    "apollo_tensor": {**APOLLO, "apollo_scale_type": "tensor", "apollo_proj_type": "right"},
    "apollo_layerwise": {**APOLLO, "apollo_layerwise": True},
    "muon": {**FULL, "use_muon": True, "weight_decay": 0.1},
    "muon_lora": {"use_muon": True, "learning_rate": 0.01},
    "named": {
        **FULL, "optim": "galore_adamw", "optim_target_modules": ["self_attn", "mlp"],
        "optim_args": "rank=4, scale=1.0, update_proj_gap=3",
    },
    "named_layerwise": {
        **FULL, "optim": "apollo_adamw_layerwise", "optim_target_modules": r".*\.mlp\..*_proj", "optim_args": "rank=4",
    },
    "eight": {**FULL, "optim": "adamw_8bit"},
    "paged": {"optim": "paged_lion_8bit", "learning_rate": 1e-3},
}  # fmt: skip


# One of each kind at once, the others when there is time.
AT_ONCE = ("galore", "galore_8bit", "galore_layerwise", "apollo", "muon", "named")


def _marked(names: Iterable[str], at_once: Iterable[str]) -> list[Any]:
    return [pytest.param(name, marks=() if name in at_once else pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", _marked(METHODS, AT_ONCE))
def test_it_learns_and_a_resumed_run_equals_a_straight_one(configure: Configure, name: str) -> None:
    """Interrupted between two choices of the directions, whose interval is 3: they are part of what is kept."""
    options = {
        "max_steps": 7, "save_steps": 4, "lr_scheduler_type": "cosine", "per_device_train_batch_size": 24, **METHODS[name],
    }  # fmt: skip
    straight = tiny.train(configure("straight", **options))
    assert straight.losses[7] < 0.98 * straight.losses[1]

    def die(event: Any) -> None:
        if isinstance(event, Step) and event.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tiny.train(configure("broken", **options), emit=die)
    # Nothing in it is an object that only its own program could load.
    torch.load(straight.folder / "checkpoint-4" / "optimizer.pt", weights_only=True)
    resumed = tiny.train(configure("broken", resume_from_checkpoint="true", **options))
    assert resumed.of(Started)[0].resumed_from == 4
    assert resumed.losses == pytest.approx({step: straight.losses[step] for step in (5, 6, 7)}, rel=1e-6)
    assert ("layerwise_no_norm" in straight.codes) == ("layerwise" in name)


@pytest.mark.parametrize("method", [GALORE, APOLLO, {**GALORE, "optim": "adafactor"}])
def test_layer_by_layer_is_the_same_where_gradients_are_not_shortened(
    configure: Configure, method: dict[str, Any]
) -> None:
    name = "galore" if "use_galore" in method else "apollo"
    whole = tiny.train(configure("whole", max_grad_norm=0, **method))
    layers = tiny.train(configure("layers", **method, **{f"{name}_layerwise": True}))
    assert layers.losses == pytest.approx(whole.losses, rel=1e-6)


def _bytes(values: Iterable[Any]) -> int:
    """Of all tensors of an optimiser's state, wherever they hide; single numbers do not count."""
    total = 0
    for value in values:
        if isinstance(value, torch.Tensor):
            total += value.numel() * value.element_size() if value.ndim else 0
        elif isinstance(value, dict):
            total += _bytes(value.values())
        elif isinstance(value, (list, tuple)):
            total += _bytes(value)
        elif hasattr(value, "ortho_matrix"):
            total += _bytes([value.ortho_matrix])
    return total


def _trained(folder: Path) -> Any:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model(input_ids=torch.arange(12)[None], labels=torch.arange(12)[None]).loss.backward()
    return model


def _matrices(model: Any) -> list[nn.Parameter]:
    return [
        weight
        for name, weight in model.named_parameters()
        if weight.ndim == 2 and not name.endswith("embed_tokens.weight")
    ]


@pytest.mark.parametrize("method", [GALORE, APOLLO])
@pytest.mark.parametrize("rank", [2, 8])
def test_the_state_is_as_small_as_the_method_says(
    configure: Configure, model_folder: Path, method: dict[str, Any], rank: int
) -> None:
    """AdamW keeps two numbers for each weight; a projected m x n matrix two times r x max(m, n), and r x min(m, n)."""
    model = _trained(model_folder)
    name = "galore_rank" if "use_galore" in method else "apollo_rank"
    plan = plan_of(configure(**{**method, name: rank}))
    assert plan is not None
    optimizer = make_low_rank(model, plan, {"lr": 1e-3}, 0.1, [])
    optimizer.step()
    matrices = _matrices(model)
    assert len(matrices) == 14
    inside = {id(each) for each in matrices}
    others = sum(each.numel() for each in model.parameters() if id(each) not in inside)
    narrow = sum(2 * rank * max(each.shape) + rank * min(each.shape) for each in matrices)
    assert _bytes(optimizer.state.values()) == 4 * (narrow + 2 * others)
    whole = torch.optim.AdamW(model.parameters())
    whole.step()
    assert _bytes(whole.state.values()) == 4 * 2 * sum(each.numel() for each in model.parameters())
    assert narrow < 0.6 * 2 * sum(each.numel() for each in matrices)


def test_muon_takes_the_matrices_and_adamw_the_rest(model_folder: Path) -> None:
    """With updates of matrices that are as large as AdamW's: a fifth of the rate in the mean square."""
    ours, plain = _trained(model_folder), _trained(model_folder)
    chance = torch.Generator().manual_seed(1)
    for mine, other in zip(ours.parameters(), plain.parameters(), strict=True):
        mine.grad = torch.randn(mine.shape, generator=chance)
        other.grad = mine.grad.clone()
    before = {name: weight.detach().clone() for name, weight in ours.named_parameters()}
    decayed = ["model.embed_tokens.weight"]
    make_muon(ours, 0.01, 0.1, {"betas": (0.9, 0.999), "eps": 1e-8}, decayed).step()
    matrices = _matrices(plain)
    torch.optim.Muon(matrices, lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw").step()
    inside = {id(each) for each in matrices}
    for decay in (0.0, 0.1):
        rest = [
            each
            for name, each in plain.named_parameters()
            if id(each) not in inside and (name in decayed) == bool(decay)
        ]
        torch.optim.AdamW(rest, lr=0.01, weight_decay=decay).step()
    for (name, weight), other in zip(ours.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(weight, other, msg=name)
        if id(other) in inside:
            moved = (weight - 0.999 * before[name]).detach()
            assert 0.7 < float(moved.pow(2).mean().sqrt()) / 0.002 < 1.1, name


def test_only_the_named_layers_are_projected(configure: Configure, model_folder: Path) -> None:
    """A scale of 0 leaves the projected matrices as they are, and only those."""
    options = {**GALORE, "galore_scale": 0.0, "galore_target": "down_proj,self_attn.q"}
    run = tiny.train(configure(**options, max_steps=2))
    trained = AutoModelForCausalLM.from_pretrained(run.folder)
    first = AutoModelForCausalLM.from_pretrained(model_folder)
    still = {
        name
        for (name, a), b in zip(trained.named_parameters(), first.parameters(), strict=True)
        if a.equal(b)
    }
    assert still == {
        f"model.layers.{layer}.{name}.weight"
        for layer in (0, 1)
        for name in ("mlp.down_proj", "self_attn.q_proj")
    }


def test_galore_is_its_package_to_the_letter(model_folder: Path, configure: Configure) -> None:
    """Where the sides need no guess the package's own optimiser, given the same groups, does the same."""
    from galore_torch import GaLoreAdamW

    plan = plan_of(configure(**GALORE))
    assert plan is not None
    ours, plain = _trained(model_folder), _trained(model_folder)
    matrices = _matrices(plain)
    inside = {id(each) for each in matrices}
    rest = [each for each in plain.parameters() if id(each) not in inside]
    groups = [{"params": rest}, {"params": matrices, **plan.settings}]
    theirs = GaLoreAdamW(groups, lr=0.01, no_deprecation_warning=True)
    mine = make_low_rank(ours, plan, {"lr": 0.01}, 0.0, [])
    for _ in range(4):
        mine.step()
        theirs.step()
    for a, b in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("shape", [(8, 20), (20, 8)])
@pytest.mark.parametrize("scaling", ["channel", "tensor"])
@pytest.mark.parametrize("directions", ["svd", "random"])
def test_apollo_computes_what_the_authors_package_computes(
    monkeypatch: pytest.MonkeyPatch, directions: str, scaling: str, shape: tuple[int, int]
) -> None:
    """With gradients that grow and shrink; of random directions it is given those that the package has drawn."""
    from apollo_torch import APOLLOAdamW

    chance = torch.Generator().manual_seed(1)
    mine = nn.Parameter(torch.randn(shape, generator=chance))
    other = nn.Parameter(mine.detach().clone())
    group = {
        "rank": 4, "update_proj_gap": 3 if directions == "svd" else 100, "scale": 4.0, "proj": directions,
        "proj_type": "left" if shape[0] < shape[1] else "right", "scale_type": scaling,
    }  # fmt: skip
    ours = apollo.Apollo([{"params": [mine], **group}], lr=0.01, eps=1e-6)
    theirs = APOLLOAdamW([{"params": [other], **group}], lr=0.01, eps=1e-6)
    for factor in (0.1, 0.15, 0.2, 0.001, 0.3, 0.35):
        other.grad = factor * torch.randn(shape, generator=chance)
        mine.grad = other.grad.clone()
        theirs.step()
        if directions == "random":
            drawn = theirs.state[other]["projector"].ortho_matrix
            drawn = drawn.T if (drawn.shape[0] == 4) != (group["proj_type"] == "left") else drawn
            monkeypatch.setattr(apollo, "_directions", lambda *given, drawn=drawn: drawn)
        ours.step()
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({**GALORE, "finetuning_type": "lora"}, "low_rank_with_adapter", "finetuning_type"),
    ({**GALORE, "use_apollo": True}, "optimizers_exclude", "use_apollo"),
    ({**GALORE, "galore_layerwise": True, "gradient_accumulation_steps": 2}, "layerwise_accumulates", "gradient_accumulation_steps"),
    ({**GALORE, "galore_layerwise": True, "nproc_per_node": 2}, "layerwise_processes", "nproc_per_node"),
    ({**GALORE, "ds_stage": "3"}, "optimizer_engine", "use_galore"),
    ({**FULL, "use_muon": True, "optim": "sgd"}, "muon_optim", "optim"),
    ({"use_muon": True, "loraplus_lr_ratio": 4}, "optimizers_exclude", "loraplus_lr_ratio"),
    ({"early_stopping_steps": 2}, "early_without_eval", "early_stopping_steps"),
    ({"use_dft_loss": True, "label_smoothing_factor": 0.1}, "dft_with_smoothing", "use_dft_loss"),
    ({**GALORE, "optim": "sgd"}, "low_rank_optim", "optim"),
    ({**APOLLO, "optim": "adamw_8bit"}, "low_rank_optim", "optim"),
    ({**GALORE, "galore_target": "nothing"}, "low_rank_target_unknown", "galore_target"),
    ({**APOLLO, "apollo_proj_type": "left"}, "apollo_side", "apollo_proj_type"),
    ({**FULL, "optim": "galore_adamw"}, "low_rank_targets_missing", "extra"),
    ({**FULL, "optim": "galore_adamw", "optim_target_modules": "all-linear", "optim_args": "rank=x"}, "low_rank_args", "extra"),
    ({**FULL, "optim_args": "rank=4"}, "optim_reads_none", "extra"),
    ({**FULL, "optim": "sgd", "optim_target_modules": "all-linear"}, "optim_reads_none", "extra"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "code", "place"), REFUSED)
def test_what_does_not_go_together_is_a_sentence(
    configure: Configure, options: dict[str, Any], code: str, place: str
) -> None:
    with pytest.raises(UserError) as caught:
        tiny.train(configure(**{"max_steps": 1, **options}))
    (found,) = getattr(caught.value, "problems", (caught.value,))
    assert (found.code, found.field) == (code, place)


EVERY = [each.value for each in OptimizerNames]
QUICK = (
    "adamw_torch", "adafactor", "adagrad", "adamw_bnb_8bit", "paged_lion_32bit", "galore_adafactor_layerwise",
    "apollo_adamw", "lomo", "stable_adamw", "adamw_anyprecision",
)  # fmt: skip
# What each of them needs, in the words of its sentence.
NEEDS = {
    "adamw_torch_xla": "torch_xla",
    "adamw_torch_npu_fused": "torch_npu",
    "adamw_anyprecision": "torchdistx",
    "lomo": "lomo-optim",
    "adalomo": "lomo-optim",
    "grokadamw": "grokadamw",
    "schedule_free_radam": "schedulefree",
    "schedule_free_adamw": "schedulefree",
    "schedule_free_sgd": "schedulefree",
    "stable_adamw": "torch-optimi",
}


@pytest.mark.parametrize("name", _marked(EVERY, QUICK))
def test_every_name_of_transformers_trains_or_says_what_it_needs(configure: Configure, name: str) -> None:
    options: dict[str, Any] = {
        "finetuning_type": "full",
        "optim": name,
        "max_steps": 2,
        "learning_rate": 1e-3,
    }
    if name.startswith(("galore", "apollo")):
        options |= {"optim_target_modules": "all-linear", "optim_args": "rank=4"}
    if name in NEEDS:
        with pytest.raises(UserError, match=NEEDS[name]) as caught:
            tiny.train(configure(**options))
        assert (caught.value.code, caught.value.field) == ("optim_package", "optim")
        return
    run = tiny.train(configure(**options))
    assert run.end.step == 2
    assert run.losses[2] != run.losses[1]


def test_arguments_of_an_optimiser_arrive(configure: Configure) -> None:
    plain = tiny.train(configure("plain", optim="sgd"))
    more = tiny.train(configure("more", optim="sgd", optim_args="momentum=0.9"))
    assert plain.losses[1] == more.losses[1]
    assert plain.losses[4] != more.losses[4]
