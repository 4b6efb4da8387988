"""What is merged here equals what PEFT merges, and answers as the adapter does: for every kind of LoRA."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import OFTConfig
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from tests.export.tiny import adapted, answers_of, inside, read_json, source_of, write_adapter, write_base
from trainer.errors import UserError
from trainer.export import merged, shards
from trainer.export.progress import Quiet
from trainer.export.source import BLOCK
from trainer.model.fingerprint import fingerprint

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "rslora": {"use_rslora": True},
    "patterns": {
        "rank_pattern": {"down_proj": 2, "layers.0.self_attn.q_proj": 8},
        "alpha_pattern": {"q_proj": 3},
    },
    "dora": {"use_dora": True},
    "bias": {"bias": "all"},
    "bias of LoRA": {"target_modules": ["q_proj"], "lora_bias": True},
    "head": {"modules_to_save": ["lm_head"]},
    "norms": {"modules_to_save": ["norm", "input_layernorm"]},
    "head by LoRA": {"target_modules": ["q_proj", "lm_head"]},
    "embedding by LoRA": {"target_modules": ["q_proj", "embed_tokens"]},
    "embedding": {"modules_to_save": ["embed_tokens"]},
    "both ends": {"modules_to_save": ["embed_tokens", "lm_head"]},
    "tokens": {"trainable_token_indices": [5, 17, 258]},
    "rotated": {"kind": OFTConfig, "oft_block_size": 8},
    "rotated exactly": {"kind": OFTConfig, "oft_block_size": 16, "use_cayley_neumann": False},
    "rotated by one block": {"kind": OFTConfig, "oft_block_size": 8, "block_share": True, "num_cayley_neumann_terms": 3},
    "rotated in two terms": {
        "kind": OFTConfig, "r": 4, "oft_block_size": 0, "num_cayley_neumann_terms": 2, "modules_to_save": ["lm_head"],
    },
    "embedding rotated": {"kind": OFTConfig, "target_modules": ["q_proj", "embed_tokens"], "oft_block_size": 8},
}  # fmt: skip
# These warn that the two ends were one; here they are told apart on purpose.
TIED = pytest.mark.filterwarnings(
    "ignore:.*tie.*:UserWarning",
    "ignore:.*embedding.*:UserWarning",
    # peft 0.21 takes the bias of a LoRA layer for half of a matrix (peft/utils/save_and_load.py).
    "ignore:Adapter 'default'.*invalid shape",
)


@TIED
@pytest.mark.parametrize("tied", [False, True], ids=["two ends", "one end"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_is_merged_as_peft_does_and_answers_the_same(
    tmp_path: Path, kind: str, tied: bool
) -> None:
    base = write_base(tmp_path / "base", tied=tied)
    adapter = write_adapter(tmp_path / "adapter", base, **KINDS[kind])
    source = source_of(base, adapter)
    folder = tmp_path / "merged"
    folder.mkdir()
    merged.write(source, folder, 1, Quiet())
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    assert torch.allclose(answers_of(model), inside(base, adapter), atol=1e-4)
    expected = adapted(base, adapter).state_dict()
    for name, weight in model.state_dict().items():
        # PEFT merges a shared embedding into both ends; the answers above are those of the adapter itself.
        if not (tied and name == "lm_head.weight") and not (
            tied and kind == "head by LoRA" and "embed" in name
        ):
            assert torch.allclose(weight, expected[name], atol=1e-6), name


@pytest.mark.parametrize("height", [1, 3, 1000])
def test_blocks_of_any_height_make_the_same_tensor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, height: int
) -> None:
    base = write_base(tmp_path / "base", tied=True)
    adapters = [
        write_adapter(tmp_path / "one", base, use_dora=True),
        write_adapter(tmp_path / "two", base, seed=8, trainable_token_indices=[3]),
    ]
    source = source_of(base, *adapters, infer_dtype="bfloat16")
    whole = {each.name: source.read(each.name) for each in source.names()}
    monkeypatch.setattr("trainer.export.source.BLOCK", height * 32)
    for name, weight in whole.items():
        blocks = torch.cat([*source.blocks(name)])
        # A product of matrices sums in another order for another height: what lies between two numbers of 16 bits may
        # be rounded to the one or to the other.
        assert torch.allclose(blocks.float(), weight.float(), rtol=2**-7, atol=1e-6)
        assert weight.dtype == torch.bfloat16
    assert BLOCK > 1000


def test_several_adapters_are_merged_one_after_another(tmp_path: Path) -> None:
    base = write_base(tmp_path / "base")
    adapters = [write_adapter(tmp_path / f"adapter {seed}", base, seed=seed) for seed in (1, 2, 3)]
    source, expected = source_of(base, *adapters), adapted(base, *adapters).state_dict()
    for each in source.names():
        assert torch.allclose(source.read(each.name), expected[each.name], atol=1e-5), each.name


def test_layers_that_lie_the_other_way_round(tmp_path: Path) -> None:
    base = write_base(tmp_path / "base", kind="gpt2")
    adapter = write_adapter(
        tmp_path / "adapter", base, target_modules=["c_attn", "c_proj"], fan_in_fan_out=True
    )
    folder = tmp_path / "merged"
    folder.mkdir()
    merged.write(source_of(base, adapter), folder, 1, Quiet())
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    assert torch.allclose(answers_of(model), inside(base, adapter), atol=1e-4)


def test_a_16_bit_base_is_rounded_once(tmp_path: Path) -> None:
    base = write_base(tmp_path / "base", dtype=torch.bfloat16)
    adapter = write_adapter(tmp_path / "adapter", base)
    source, expected = source_of(base, adapter), adapted(base, adapter).state_dict()
    assert source.dtype == "bfloat16"
    for each in source.names():
        # fp32 sums in another order may fall on either side of a rounding step.
        found, exact = source.read_fp32(each.name), expected[each.name].float()
        assert torch.allclose(found, exact, atol=1e-6) and torch.equal(
            found.bfloat16(), source.read(each.name)
        )


def test_new_words_make_the_embedding_longer(tmp_path: Path) -> None:
    base = write_base(tmp_path / "base", tied=True)
    adapter = write_adapter(tmp_path / "adapter", base)
    weights = load_file(adapter / "adapter_model.safetensors")
    longer = torch.cat(
        [AutoModelForCausalLM.from_pretrained(base).model.embed_tokens.weight, torch.ones(4, 32)]
    )
    for name in ("model.embed_tokens", "lm_head"):
        weights[f"base_model.model.{name}.weight"] = longer.detach().clone()
    save_file(weights, adapter / "adapter_model.safetensors")
    source = source_of(base, adapter)
    assert source.config["vocab_size"] == 263 and source.config["tie_word_embeddings"]
    assert not source.has("lm_head.weight")
    assert torch.equal(source.read("model.embed_tokens.weight"), longer)


@pytest.mark.parametrize("limit", [0.00002, 0.00004, 1.0])
def test_files_hold_at_most_what_was_asked(tmp_path: Path, limit: float) -> None:
    base = write_base(tmp_path / "base", dtype=torch.bfloat16)
    source = source_of(base)
    files = shards.write_shards(source, tmp_path, limit, Quiet())
    weights = {
        name: weight
        for file in files
        if file.suffix == ".safetensors"
        for name, weight in load_file(file).items()
    }
    assert weights.keys() == {each.name for each in source.names()}
    assert all(torch.equal(weights[name], source.read(name)) for name in weights)
    for file in files:
        if file.suffix == ".safetensors":
            sizes = [weight.nbytes for weight in load_file(file).values()]
            assert sum(sizes) <= limit * 1e9 or len(sizes) == 1
    assert len(files) == 1 or (tmp_path / shards.INDEX).is_file()


def test_a_mark_is_that_of_the_weights_and_not_of_their_files(tmp_path: Path) -> None:
    base = write_base(tmp_path / "base", dtype=torch.bfloat16)
    copy = tmp_path / "copy"
    copy.mkdir()
    merged.write(source_of(base), copy, 0.00002, Quiet())
    assert fingerprint(copy) == fingerprint(base)
    other = write_base(tmp_path / "other", dtype=torch.bfloat16)
    weights = load_file(other / "model.safetensors")
    weights["model.norm.weight"] = weights["model.norm.weight"] * 1.5
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    assert fingerprint(other) != fingerprint(base)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"peft_type": "IA3"}, "export_adapter_kind"),
        ({"init_lora_weights": "pissa_niter_4"}, "export_adapter_unmergeable"),
        ({"init_lora_weights": "pissa"}, "export_adapter_pissa"),
        ({"peft_type": "OFT", "coft": True}, "export_adapter_unmergeable"),
        ({"layer_replication": [[0, 1], [0, 1]]}, "export_adapter_unmergeable"),
    ],
)
def test_what_cannot_be_merged_is_refused(tmp_path: Path, change: dict[str, Any], code: str) -> None:
    base = write_base(tmp_path / "base")
    adapter = write_adapter(tmp_path / "adapter", base)
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(UserError) as caught:
        source_of(base, adapter)
    assert caught.value.code == code


def test_numbers_that_are_none_or_too_large_are_refused(tmp_path: Path) -> None:
    base = write_base(tmp_path / "base")
    adapter = write_adapter(tmp_path / "adapter", base)
    path = adapter / "adapter_model.safetensors"
    weights = load_file(path)
    name = next(each for each in weights if "lora_B" in each)
    for value, dtype, code in (
        (torch.nan, "auto", "export_not_finite"),
        (1e7, "float16", "export_fp16_overflow"),
    ):
        save_file({**weights, name: torch.full_like(weights[name], value)}, path)
        source = source_of(base, adapter, infer_dtype=dtype)
        with pytest.raises(UserError) as caught:
            for each in source.names():
                source.read(each.name)
        assert caught.value.code == code


def test_an_answer_ends_where_transformers_ends_it(tmp_path: Path) -> None:
    base = write_base(tmp_path / "base")
    config = {**read_json(base / "config.json"), "eos_token_id": 7}
    (base / "config.json").write_text(json.dumps(config))
    (base / "generation_config.json").write_text(json.dumps({"eos_token_id": [9, 257]}))
    loaded = AutoModelForCausalLM.from_pretrained(base).generation_config.eos_token_id
    assert loaded == [9, 257]
    ids = source_of(base).stop_ids
    assert 7 not in ids and {9, 257} <= set(ids)
    (base / "generation_config.json").unlink()
    assert AutoModelForCausalLM.from_pretrained(base).generation_config.eos_token_id == 7
    assert 7 in source_of(base).stop_ids
