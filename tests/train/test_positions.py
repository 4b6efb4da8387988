"""rope_scaling and train_from_scratch: the base is another one before anything is trained, and stays so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    Qwen2VLConfig,
)
from transformers.configuration_utils import PretrainedConfig

from tests.train import tiny
from tests.train.conftest import Configure
from trainer.config import RunConfig
from trainer.errors import UserError
from trainer.export.source import open_source
from trainer.model.load import load_model
from trainer.model.reshaped import reshaped
from trainer.model.rope import reach, stretch
from trainer.model.sides import Loader, plan
from trainer.options import DataOptions

KINDS = ("linear", "dynamic", "yarn", "llama3")


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that takes 32 tokens."""
    return tiny.save_model(tmp_path_factory.mktemp("models") / "short", tiny.qwen(max_position_embeddings=32))


@pytest.fixture
def stretched(configure: Configure, short: Path) -> Configure:
    def make(name: str = "run", **changes: Any) -> RunConfig:
        return configure(
            name, **{"model_name_or_path": str(short), "cutoff_len": 80, "max_steps": 2, **changes}
        )

    return make


def _config(kind: str, length: int = 80, **changes: Any) -> Any:
    config = tiny.qwen(max_position_embeddings=32, **changes)
    return config, stretch(config, kind, length)


@pytest.mark.parametrize("kind", KINDS)
def test_the_factor_is_how_often_the_model_s_length_goes_into_the_rows(kind: str) -> None:
    config, note = _config(kind)
    assert config.rope_parameters["rope_type"] == kind
    assert config.rope_parameters["factor"] == 3.0
    assert reach(config) == 96
    assert note.values["factor"] == 3
    config.validate_rope()
    if kind == "llama3":
        names = ("low_freq_factor", "high_freq_factor", "original_max_position_embeddings")
        assert [config.rope_parameters[name] for name in names] == [1.0, 4.0, 32]


def test_rows_that_the_model_takes_change_nothing() -> None:
    config, note = _config("yarn", 32)
    assert note.code == "rope_not_needed"
    assert config.to_dict() == tiny.qwen(max_position_embeddings=32).to_dict()


def test_other_families_are_stretched_where_they_see_far() -> None:
    gemma = Gemma3TextConfig(max_position_embeddings=64, num_hidden_layers=6)
    local = dict(gemma.rope_parameters["sliding_attention"])
    stretch(gemma, "yarn", 128)
    assert gemma.rope_parameters["sliding_attention"] == local
    assert gemma.rope_parameters["full_attention"]["rope_type"] == "yarn"
    theta = gemma.rope_parameters["full_attention"]["rope_theta"]
    assert theta == Gemma3TextConfig().rope_parameters["full_attention"]["rope_theta"]
    again = LlamaConfig(
        max_position_embeddings=1024,
        rope_parameters={
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 128, "rope_theta": 500000.0,
        },
    )  # fmt: skip
    stretch(again, "llama3", 2000)
    assert (again.rope_parameters["factor"], again.max_position_embeddings) == (16.0, 2048)
    seeing = Qwen2VLConfig(text_config={"max_position_embeddings": 64})
    sections = seeing.text_config.rope_parameters.get("mrope_section")
    stretch(seeing, "yarn", 100)
    assert seeing.text_config.rope_parameters.get("mrope_section") == sections
    assert seeing.text_config.max_position_embeddings == 128


def test_a_family_without_such_positions_says_so(stretched: Configure, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gpt2"):
        stretch(GPT2Config(), "linear", 4096)


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_model_keeps_its_stretch(stretched: Configure, kind: str) -> None:
    run = tiny.train(stretched(finetuning_type="full", rope_scaling=kind))
    found = json.loads((run.folder / "config.json").read_text())
    assert found["rope_parameters"]["rope_type"] == kind
    model = AutoModelForCausalLM.from_pretrained(run.folder)
    assert reach(model.config) == 96


def test_who_loads_an_adapter_gets_the_model_that_was_trained(stretched: Configure, short: Path) -> None:
    run = tiny.train(stretched(rope_scaling="yarn", max_steps=3))
    assert reshaped(run.folder).positions == 96
    ids = torch.arange(50)[None] % 300
    before, after = Loader("", False, DataOptions()).load(plan(short, [run.folder], "compare"))
    plain = AutoModelForCausalLM.from_pretrained(short)
    torch.testing.assert_close(before.model(input_ids=ids).logits, plain(input_ids=ids).logits)
    assert (before.context, after.context) == (32, 96)

    def stretch_it(config: PretrainedConfig) -> None:
        stretch(config, "yarn", 80)

    from peft import PeftModel

    wanted = PeftModel.from_pretrained(load_model(short, torch.float32, shape=stretch_it), run.folder)
    ours = after.model(input_ids=ids).logits
    torch.testing.assert_close(ours, wanted(input_ids=ids).logits)
    unstretched = PeftModel.from_pretrained(plain, run.folder)(input_ids=ids).logits
    assert float((ours - unstretched).detach().abs().max()) > 1e-3
    source = open_source(
        RunConfig.from_flat(
            {"model_name_or_path": str(short), "adapter_name_or_path": str(run.folder), "do_export": True}
        )
    )
    folder = run.folder.parent / "merged"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(source.config))
    save_file(
        {info.name: source.read(info.name) for info in source.names()},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    merged = AutoModelForCausalLM.from_pretrained(folder)
    torch.testing.assert_close(merged(input_ids=ids).logits, ours, rtol=1e-4, atol=1e-4)


def test_an_adapter_that_is_trained_further_keeps_its_stretch(stretched: Configure) -> None:
    first = tiny.train(stretched("first", rope_scaling="linear"))
    second = tiny.train(stretched("second", adapter_name_or_path=str(first.folder)))
    assert reshaped(second.folder) == reshaped(first.folder)


def test_rows_within_reach_train_the_model_as_it_is(stretched: Configure) -> None:
    plain = tiny.train(stretched("plain", cutoff_len=32))
    run = tiny.train(stretched(rope_scaling="yarn", cutoff_len=32))
    assert run.losses == pytest.approx(plain.losses)
    assert "rope_not_needed" in run.codes
    assert not reshaped(run.folder)


def test_from_scratch_nothing_of_the_old_weights_is_left(configure: Configure, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    tiny.save_tokenizer(bare)
    tiny.qwen().save_pretrained(bare)
    settings = {"finetuning_type": "full", "train_from_scratch": True, "model_name_or_path": str(bare)}
    run = tiny.train(configure(max_steps=1, learning_rate=1e-9, **settings))
    assert "scratch_begun" in run.codes
    again = tiny.train(configure("again", max_steps=1, learning_rate=1e-9, **settings))
    one, other = (load_file(each.folder / "model.safetensors") for each in (run, again))
    assert all(torch.equal(one[name], other[name]) for name in one)
    third = tiny.train(configure("third", max_steps=1, seed=7, **settings))
    name = "model.layers.0.self_attn.q_proj.weight"
    assert not torch.equal(load_file(third.folder / "model.safetensors")[name], one[name])
