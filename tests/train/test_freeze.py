"""finetuning_type freeze: only the layers and modules that were named move, and the result is a whole model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, MixtralConfig

from tests.train import families, tiny
from tests.train.conftest import Configure
from tests.train.test_equality import _die_at
from trainer.config import RunConfig
from trainer.errors import UserError, UserErrors, problems_of
from trainer.events import Started
from trainer.model.blocks import chosen_layers
from trainer.model.load import PRECISIONS
from trainer.model.parts import parts_of
from trainer.train.prepare import prepare_model

SIZE = {
    "vocab_size": tiny.VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4,
    "num_attention_heads": 4, "num_key_value_heads": 2, "eos_token_id": 2, "pad_token_id": 0, "bos_token_id": None,
    "initializer_range": 0.2,
}  # fmt: skip


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of four layers with a head of its own."""
    return tiny.save_model(
        tmp_path_factory.mktemp("models") / "deep", LlamaConfig(**SIZE, tie_word_embeddings=False)
    )


def moved(before: Path, after: Path) -> set[str]:
    first, then = load_file(before / "model.safetensors"), load_file(after / "model.safetensors")
    assert set(first) == set(then)
    return {name for name, weight in first.items() if not torch.equal(weight.float(), then[name].float())}


def _all(folder: Path, *parts: str) -> set[str]:
    return {
        name for name in load_file(folder / "model.safetensors") if any(f".{part}." in name for part in parts)
    }


WANTED: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({}, ("layers.2", "layers.3")),
    ({"freeze_trainable_layers": -1}, ("layers.0",)),
    ({"freeze_trainable_layers": 1, "freeze_trainable_modules": "self_attn"}, ("layers.3.self_attn",)),
    (
        {"freeze_trainable_modules": "mlp.down_proj,input_layernorm"},
        ("2.mlp.down_proj", "3.mlp.down_proj", "2.input_layernorm", "3.input_layernorm"),
    ),
    ({"freeze_trainable_layers": 1, "freeze_extra_modules": "embed_tokens,norm"}, ("layers.3", "embed_tokens", "norm")),
    ({"freeze_trainable_layers": 99}, ("layers",)),
    ({"freeze_trainable_layers": 2, "use_llama_pro": True}, ("layers.1", "layers.3")),
]  # fmt: skip


@pytest.mark.parametrize(("options", "parts"), WANTED)
def test_only_what_was_named_is_trained(
    configure: Configure, deep: Path, options: dict[str, Any], parts: tuple[str, ...]
) -> None:
    config = configure(model_name_or_path=str(deep), finetuning_type="freeze", **options)
    model = prepare_model(config, deep, PRECISIONS["fp32"]).model
    assert {name for name, each in model.named_parameters() if each.requires_grad} == _all(deep, *parts)


def test_only_that_moves(configure: Configure, deep: Path) -> None:
    run = tiny.train(configure(model_name_or_path=str(deep), finetuning_type="freeze", max_steps=2))
    wanted = _all(deep, "layers.2", "layers.3")
    assert moved(deep, run.folder) == wanted
    weights = load_file(deep / "model.safetensors")
    started = run.of(Started)[0]
    assert started.trainable == sum(weights[name].numel() for name in wanted)
    assert started.parameters == sum(each.numel() for each in weights.values())
    assert "layers_trained" in run.codes
    assert json.loads((run.folder / "manifest.json").read_text())["method"] == "freeze"


def test_the_head_alone_and_the_words_that_are_one_with_it(
    configure: Configure, deep: Path, model_folder: Path
) -> None:
    options = {"finetuning_type": "freeze", "freeze_trainable_layers": 0, "freeze_extra_modules": "lm_head"}
    for folder, wanted in ((deep, "lm_head.weight"), (model_folder, "model.embed_tokens.weight")):
        model = prepare_model(
            configure(model_name_or_path=str(folder), **options), folder, PRECISIONS["fp32"]
        ).model
        assert [name for name, each in model.named_parameters() if each.requires_grad] == [wanted]


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, {"language_model"}),
        ({"freeze_multi_modal_projector": False}, {"language_model", "multi_modal_projector"}),
        ({"freeze_vision_tower": False, "freeze_language_model": True}, {"vision_tower"}),
    ],
)
@pytest.mark.parametrize("family", ["qwen2_vl", "gemma3", "llava"])
def test_of_a_vision_model_the_layers_that_speak(
    configure: Configure, tmp_path: Path, family: str, options: dict[str, Any], wanted: set[str]
) -> None:
    """One of two layers, and the other parts whole where they are not frozen."""
    folder = families.save(family, tmp_path / family)
    config = configure(
        model_name_or_path=str(folder), finetuning_type="freeze", freeze_trainable_layers=1, **options
    )
    prepared = prepare_model(config, folder, PRECISIONS["fp32"])
    parts = parts_of(prepared.model)
    trained = {name for name, each in prepared.model.named_parameters() if each.requires_grad}
    assert {parts.part_of(name) for name in trained} == wanted
    for name, _ in prepared.model.named_parameters():
        if parts.part_of(name) == "language_model":
            assert (name in trained) == ("layers.1." in name and "language_model" in wanted)
        else:
            assert (name in trained) == (parts.part_of(name) in wanted)
    assert "parts_trained" in [note.code for note in prepared.notes]
    with pytest.raises(UserError, match="embed_tokens"):
        extra = configure(
            "extra",
            model_name_or_path=str(folder),
            finetuning_type="freeze",
            freeze_extra_modules="patch_embed",
        )
        prepare_model(extra, folder, PRECISIONS["fp32"])


def test_adapters_of_the_expanded_blocks_alone(configure: Configure, deep: Path) -> None:
    config = configure(
        model_name_or_path=str(deep), use_llama_pro=True, freeze_trainable_layers=2, lora_target="q_proj"
    )
    model = prepare_model(config, deep, PRECISIONS["fp32"]).model
    found = {name.split(".layers.")[1][0] for name, each in model.named_parameters() if each.requires_grad}
    assert found == {"1", "3"}


def test_16_bits_keep_what_rests_in_16_and_train_in_32(configure: Configure, deep: Path) -> None:
    """Saved and loaded again the result answers the same, and checkpoints keep every digit of what is trained."""
    options = {"finetuning_type": "freeze", "compute_type": "bf16", "max_steps": 4, "save_steps": 2}
    straight = tiny.train(configure("straight", model_name_or_path=str(deep), **options))
    weights = load_file(straight.folder / "model.safetensors")
    kinds = {name: weight.dtype for name, weight in weights.items()}
    assert {kinds[name] for name in _all(deep, "layers.3")} == {torch.float32}
    assert {kinds[name] for name in _all(deep, "layers.0")} == {torch.bfloat16}
    with pytest.raises(KeyboardInterrupt):
        tiny.train(configure("broken", model_name_or_path=str(deep), **options), emit=_die_at(3))
    resumed = tiny.train(
        configure("broken", model_name_or_path=str(deep), resume_from_checkpoint="true", **options)
    )
    assert resumed.losses == pytest.approx({step: straight.losses[step] for step in (3, 4)}, rel=1e-6)
    again = load_file(resumed.folder / "model.safetensors")
    assert all(torch.equal(weight, again[name]) for name, weight in weights.items())
    loaded = AutoModelForCausalLM.from_pretrained(straight.folder, dtype=torch.float32)
    assert all(
        torch.equal(loaded.state_dict()[name], weight.float())
        for name, weight in weights.items()
    )  # fmt: skip


@pytest.mark.parametrize("family", ["gpt2", "mixtral"])
def test_other_families_have_their_layers_elsewhere(
    configure: Configure, tmp_path: Path, family: str
) -> None:
    config = {
        "gpt2": lambda: GPT2Config(
            vocab_size=tiny.VOCABULARY, n_embd=32, n_layer=3, n_head=4, n_positions=256, bos_token_id=None,
            eos_token_id=2, initializer_range=0.2,
        ),
        "mixtral": lambda: MixtralConfig(**{**SIZE, "num_hidden_layers": 3}, num_local_experts=4),
    }[family]()  # fmt: skip
    folder = tiny.save_model(tmp_path / family, config)
    run = tiny.train(
        configure(
            model_name_or_path=str(folder), finetuning_type="freeze", freeze_trainable_layers=1, max_steps=3
        )
    )
    found = moved(folder, run.folder)
    part = "h.2." if family == "gpt2" else "layers.2."
    assert found and all(part in name for name in found)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"freeze_trainable_modules": "self_attention"}, ("self_attention", "self_attn", "mlp.down_proj")),
        ({"freeze_extra_modules": "head"}, ("head", "lm_head", "embed_tokens", "norm")),
        ({"freeze_extra_modules": "self_attn"}, ("self_attn", "embed_tokens")),
        ({"freeze_trainable_layers": 3, "use_llama_pro": True}, ("3", "4 layers", "1, 2, 4")),
        ({"freeze_trainable_layers": -2, "use_llama_pro": True}, ("-2",)),
        ({"freeze_trainable_layers": 0}, ("nothing", "freeze_trainable_layers")),
    ],
)
def test_what_does_not_exist_is_refused(
    configure: Configure, deep: Path, options: dict[str, Any], words: tuple[str, ...]
) -> None:
    with pytest.raises(UserError) as caught:
        tiny.train(configure(model_name_or_path=str(deep), finetuning_type="freeze", **options))
    assert all(word in str(caught.value) for word in words)
    assert all(each.field in options for each in problems_of(caught.value))


def test_layers_of_any_depth() -> None:
    assert chosen_layers(32, 2) == [30, 31]
    assert chosen_layers(32, -2) == [0, 1]
    assert chosen_layers(3, 9) == chosen_layers(3, -9) == [0, 1, 2]
    # The blocks that LLaMA-Factory's own expansion of 32 layers by 8 has put in.
    assert chosen_layers(40, 8, spread=True) == [4, 9, 14, 19, 24, 29, 34, 39]


def test_an_adapter_is_refused_beside_it() -> None:
    with pytest.raises(UserErrors, match="trains no adapter"):
        RunConfig.from_flat(
            {
                "model_name_or_path": "Sprout", "dataset": "identity", "output_dir": "x", "finetuning_type": "freeze",
                "adapter_name_or_path": "somewhere",
            }
        )  # fmt: skip
