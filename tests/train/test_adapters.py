"""Runs with each kind of adapter: a resume changes nothing, and the folder answers as the run did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel

from tests.train import tiny
from tests.train.conftest import Configure
from trainer.errors import UserError
from trainer.events import Evaluated, Started
from trainer.model.adapter import quiet
from trainer.model.load import load_model

KINDS: dict[str, dict[str, Any]] = {
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True},
    "pissa": {"pissa_init": True, "pissa_iter": -1},
    "pissa_quick": {"pissa_init": True, "use_dora": True},
    "pissa_convert": {"pissa_init": True, "pissa_convert": True, "additional_target": "norm"},
    "loraplus": {"loraplus_lr_ratio": 4, "lora_target": "q_proj,embed_tokens,lm_head"},
    "whole": {"additional_target": "embed_tokens,lm_head", "lora_target": "v_proj"},
    "oft": {"finetuning_type": "oft", "oft_block_size": 16, "module_dropout": 0.3},
    "oft_rank": {
        "finetuning_type": "oft",
        "oft_rank": 4,
        "oft_target": "q_proj",
        "additional_target": "lm_head",
    },
}


def by_peft(model: Path, folder: Path) -> Any:
    with quiet():
        return PeftModel.from_pretrained(load_model(model, torch.float32), str(folder)).eval()


SLOW = ("rslora", "oft_rank", "whole", "pissa")


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow) if kind in SLOW else kind for kind in KINDS]
)
def test_a_resume_is_the_same_as_going_straight_through(
    kind: str, configure: Configure, model_folder: Path
) -> None:
    options = {"save_steps": 2, "learning_rate": 0.003, **KINDS[kind]}
    straight = tiny.train(configure("straight", **options))
    half = tiny.train(configure("half", **{**options, "max_steps": 2}))
    checkpoint = half.folder / "checkpoint-2"
    resumed = tiny.train(configure("half", **options, resume_from_checkpoint=str(checkpoint)))
    for step in (3, 4):
        assert resumed.losses[step] == pytest.approx(straight.losses[step], abs=1e-6)
    one, other = tiny.adapter(straight.folder), tiny.adapter(resumed.folder)
    assert one.keys() == other.keys()
    for name, weight in one.items():
        assert torch.allclose(weight, other[name], atol=1e-6), name
    # A checkpoint and the result are the same adapter, whatever form they are saved in.
    ids = torch.arange(1, 25).reshape(2, 12)
    with torch.no_grad():
        results = [
            by_peft(model_folder, folder)(input_ids=ids).logits
            for folder in (straight.folder, straight.folder / "checkpoint-4")
        ]
    assert torch.allclose(*results, atol=5e-5)


def test_what_pissa_leaves(configure: Configure, model_folder: Path) -> None:
    forms = {"pissa": (8, "pissa", "pissa_left"), "pissa_quick": (16, True, "pissa_quick_converted"),
             "pissa_convert": (16, True, "pissa_converted")}  # fmt: skip
    for kind, (rank, start, code) in forms.items():
        run = tiny.train(configure(kind, **KINDS[kind], max_steps=1, lora_target="q_proj"))
        config = json.loads((run.folder / "adapter_config.json").read_text())
        assert (config["r"], config["init_lora_weights"]) == (rank, start)
        assert code in run.codes
        # It can be trained further, as what it is.
        further = tiny.train(configure(f"{kind}-on", adapter_name_or_path=str(run.folder), max_steps=1))
        assert tiny.adapter(further.folder).keys() == tiny.adapter(run.folder).keys()
        assert json.loads((further.folder / "adapter_config.json").read_text())["r"] == rank


@pytest.mark.parametrize("kind", ["pissa_convert", "whole", pytest.param("oft", marks=pytest.mark.slow)])
def test_the_best_checkpoint_is_the_result(kind: str, configure: Configure) -> None:
    run = tiny.train(
        configure(
            **KINDS[kind], val_size=6, eval_strategy="steps", eval_steps=1, save_steps=1,
            load_best_model_at_end=True, greater_is_better=True, learn_prompts="red", learn_steps=2, max_new_tokens=3,
        )
    )  # fmt: skip
    losses = {event.step: event.loss for event in run.of(Evaluated) if event.step}
    best = max(losses, key=lambda step: losses[step])
    assert best < 4, losses
    result = tiny.adapter(run.folder)
    for name, weight in tiny.adapter(run.folder / f"checkpoint-{best}").items():
        assert torch.equal(weight, result[name])


def test_adapters_on_embeddings_have_a_rate_of_their_own(configure: Configure) -> None:
    options = {"loraplus_lr_ratio": 2, "lora_target": "q_proj,embed_tokens", "max_steps": 2}
    for rate, moves in ((0.0, False), (0.01, True)):
        run = tiny.train(configure(str(rate), **options, loraplus_lr_embedding=rate))
        weights = tiny.adapter(run.folder)
        side = next(each for name, each in weights.items() if "lora_embedding_A" in name)
        other = next(each for name, each in weights.items() if "lora_B" in name)
        assert (bool(side.any()), bool(other.any())) == (moves, True)


@pytest.mark.parametrize("compute_type", ["bf16", pytest.param("pure_bf16", marks=pytest.mark.slow)])
def test_whole_modules_and_rotations_in_half_precision(configure: Configure, compute_type: str) -> None:
    for options in (
        {"additional_target": "embed_tokens,norm", "lora_target": "q_proj,lm_head", "pissa_init": True},
        {"finetuning_type": "oft", "additional_target": "lm_head"},
    ):
        name = str(options.get("finetuning_type", "lora"))
        run = tiny.train(configure(name, **options, compute_type=compute_type, max_steps=2))
        exact = tiny.train(configure(f"{name}-exact", **options, max_steps=2))
        for step, loss in exact.losses.items():
            assert run.losses[step] == pytest.approx(loss, abs=0.03)


def test_all_but_the_last_are_merged(configure: Configure, model_folder: Path) -> None:
    oft = tiny.train(configure("oft", finetuning_type="oft", max_steps=2)).folder
    dora = tiny.train(
        configure("dora", use_dora=True, adapter_name_or_path=str(oft), create_new_adapter=True, max_steps=2)
    )
    assert dora.codes.count("adapter_merged") == 1
    both = f"{oft},{dora.folder}"
    on = tiny.train(configure("on", adapter_name_or_path=both, max_steps=1))
    assert on.codes.count("adapter_merged") == 1
    assert {"adapter_continued"} <= set(on.codes)
    assert tiny.adapter(on.folder).keys() == tiny.adapter(dora.folder).keys()
    new = tiny.train(configure("new", adapter_name_or_path=both, create_new_adapter=True, max_steps=1))
    assert new.codes.count("adapter_merged") == 2
    # Both begin where the second has ended.
    assert on.losses[1] == pytest.approx(new.losses[1], abs=1e-5)
    started = on.of(Started)[0]
    assert started.trainable == sum(each.numel() for each in tiny.adapter(on.folder).values())
    again = tiny.train(configure("again", finetuning_type="oft", adapter_name_or_path=str(oft), max_steps=1))
    assert "adapter_continued_oft" in again.codes


def test_a_head_with_an_adapter_learns(configure: Configure) -> None:
    run = tiny.train(configure(lora_target="lm_head", max_steps=2))
    assert all(weight.any() for weight in tiny.adapter(run.folder).values())
    with pytest.raises(UserError, match="additional_target"):
        tiny.train(configure("wrong", additional_target="nowhere"))


def test_a_checkpoint_of_another_kind_is_refused(configure: Configure) -> None:
    run = tiny.train(configure(save_steps=1, max_steps=1))
    checkpoint = str(run.folder / "checkpoint-1")
    for at, options in enumerate(
        ({"finetuning_type": "oft"}, {"use_dora": True}, {"additional_target": "norm"})
    ):
        with pytest.raises(UserError) as caught:
            tiny.train(configure(str(at), **options, resume_from_checkpoint=checkpoint))
        assert caught.value.code == "checkpoint_does_not_fit"
        assert "missing" in str(caught.value.values["reason"])
