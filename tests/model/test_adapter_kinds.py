"""Each kind of adapter: how many parameters it has, that only they move, and that it answers the same when loaded again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import nn
from transformers import GPT2Config, Qwen3MoeConfig

from tests.train import tiny
from trainer.errors import UserError
from trainer.model import oft
from trainer.model.adapter import check_adapter, merge, new_adapter, old_adapter, quiet
from trainer.model.layers import choose_layers, choose_whole
from trainer.model.load import load_model
from trainer.model.sides import attach
from trainer.options import LoraOptions
from trainer.train.adapters import save_adapter

IDS = torch.arange(1, 33).reshape(2, 16) * 7 % tiny.VOCABULARY
RANK = 4
# Inputs and outputs of the linear layers of a tiny Qwen2 of two layers of 32, with 4 heads and 2 of keys and values.
LAYERS = [(32, 32), (32, 16), (32, 16), (32, 32), (32, 64), (32, 64), (64, 32)] * 2
WORDS = (tiny.VOCABULARY, 32)


@dataclass(frozen=True)
class Case:
    """A kind of adapter on a tiny base: the number of its parameters, and whether base and head are one."""

    count: int
    options: dict[str, Any] = field(default_factory=dict)
    kind: str = "lora"
    tied: bool = True
    base: str = "qwen2"


def lora(*sizes: tuple[int, int], rank: int = RANK) -> int:
    return sum(rank * (inputs + outputs) for inputs, outputs in sizes)


def rotations(size: int, layers: list[tuple[int, int]]) -> int:
    """Of blocks of `size`: the numbers above each block's diagonal."""
    return sum(inputs // size * (size * (size - 1) // 2) for inputs, _ in layers)


GPT2 = [(32, 96), (32, 32), (32, 128), (128, 32)] * 2
CASES: dict[str, Case] = {
    "plain": Case(lora(*LAYERS)),
    "rslora": Case(lora(*LAYERS), {"use_rslora": True}),
    "dora": Case(lora(*LAYERS) + sum(outputs for _, outputs in LAYERS), {"use_dora": True}),
    "pissa": Case(lora(*LAYERS), {"pissa_init": True, "pissa_iter": -1}),
    "pissa_quick": Case(lora(*LAYERS), {"pissa_init": True}),
    "pissa_convert": Case(
        lora(*LAYERS), {"pissa_init": True, "pissa_iter": -1, "pissa_convert": True, "use_rslora": True}
    ),
    "pissa_dora": Case(
        lora(*LAYERS) + sum(outputs for _, outputs in LAYERS), {"pissa_init": True, "use_dora": True}
    ),
    "embedding": Case(
        lora(*[(32, 32), (32, 16)] * 2, WORDS), {"lora_target": ("q_proj", "v_proj", "embed_tokens")}
    ),
    "head": Case(
        lora(WORDS, WORDS), {"lora_target": ("embed_tokens", "lm_head"), "pissa_init": True}, tied=False
    ),
    "gpt2": Case(lora(*GPT2), {}, base="gpt2"),
    "gpt2_pissa": Case(lora(*GPT2), {"pissa_init": True}, base="gpt2"),
    "whole_tied": Case(lora(*LAYERS) + WORDS[0] * WORDS[1], {"additional_target": ("embed_tokens",)}),
    "whole": Case(
        lora(*LAYERS) + 2 * WORDS[0] * WORDS[1] + 32,
        {"additional_target": ("embed_tokens", "lm_head", "model.norm"), "pissa_init": True},
        tied=False,
    ),
    # In each of two layers: attention with heads of 8, two of them for keys and values; four experts of 16.
    "experts": Case(
        lora(*[(32, 32), (32, 32)] * 2) + 2 * 4 * lora((32, 32), (16, 32)),
        {"lora_target": ("q_proj", "o_proj", "experts")}, base="qwen3_moe",
    ),
    "oft": Case(rotations(16, LAYERS), {"oft_block_size": 16}, "oft"),
    "oft_rank": Case(
        sum(4 * ((inputs // 4) * (inputs // 4 - 1) // 2) for inputs, _ in LAYERS), {"oft_rank": 4, "oft_block_size": 0}, "oft"
    ),
    "oft_whole": Case(
        rotations(32, LAYERS) + 2 * WORDS[0] * WORDS[1], {"additional_target": ("embed_tokens",)}, "oft"
    ),
    "oft_embedding": Case(
        rotations(32, [(32, 0)]), {"oft_target": ("embed_tokens",)}, "oft", tied=False
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Case], Path]:
    made: dict[tuple[str, bool], Path] = {}

    def folder(case: Case) -> Path:
        key = (case.base, case.tied)
        if key not in made:
            config: Any = tiny.qwen(tie_word_embeddings=case.tied)
            if case.base == "gpt2":
                config = GPT2Config(
                    vocab_size=tiny.VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=64,
                    initializer_range=0.2, bos_token_id=None, eos_token_id=2,
                )  # fmt: skip
            if case.base == "qwen3_moe":
                config = Qwen3MoeConfig(
                    **tiny.qwen(tie_word_embeddings=True).to_diff_dict(), num_experts=4, num_experts_per_tok=4,
                    moe_intermediate_size=16, head_dim=8,
                )  # fmt: skip
            made[key] = tiny.save_model(tmp_path_factory.mktemp("base") / "model", config)
        return made[key]

    return folder


def adapt(folder: Path, case: Case) -> PeftModel:
    torch.manual_seed(1)
    options = LoraOptions(lora_rank=RANK, **case.options)
    model = load_model(folder, torch.float32)
    return new_adapter(model, options, torch.float32, kind=case.kind)  # type: ignore[arg-type]


def logits(model: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.eval()(input_ids=IDS).logits
    return found


def by_peft(base: Path, adapter: Path) -> PeftModel:
    with quiet():  # it warns of adapters on tied embeddings
        return PeftModel.from_pretrained(load_model(base, torch.float32), str(adapter))


def learn(model: PeftModel, steps: int = 3) -> None:
    optimizer = torch.optim.SGD([each for each in model.parameters() if each.requires_grad], lr=0.1)
    model.train()
    for _ in range(steps):
        model(input_ids=IDS, labels=IDS).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("name", CASES)
def test_a_kind_of_adapter(name: str, folders: Callable[[Case], Path], tmp_path: Path) -> None:
    case = CASES[name]
    base = folders(case)
    untouched = logits(load_model(base, torch.float32))
    adapted = adapt(base, case)
    trained = {key for key, each in adapted.named_parameters() if each.requires_grad}
    assert sum(adapted.get_parameter(key).numel() for key in trained) == case.count
    assert torch.allclose(logits(adapted), untouched, atol=2e-5)
    before = {key: each.clone() for key, each in adapted.named_parameters()}
    learn(adapted)
    moved = {key for key, each in adapted.named_parameters() if not torch.equal(each, before[key])}
    assert moved == trained
    answers = logits(adapted)
    assert not torch.allclose(answers, untouched, atol=1e-3)
    save_adapter(adapted, tmp_path, last=True)
    # By PEFT alone, by our loaders, merged, and once more after it was trained further.
    for load in (
        lambda: by_peft(base, tmp_path),
        lambda: old_adapter(load_model(base, torch.float32), tmp_path, torch.float32, trainable=True),
        lambda: attach(load_model(base, torch.float32), [tmp_path]),
        lambda: merge(load_model(base, torch.float32), tmp_path),
    ):
        assert torch.allclose(logits(load()), answers, atol=5e-5)
    further = old_adapter(load_model(base, torch.float32), tmp_path, torch.float32, trainable=True)
    learn(further, 1)
    save_adapter(further, tmp_path / "further", last=True)
    assert torch.allclose(logits(by_peft(base, tmp_path / "further")), logits(further), atol=5e-5)


@pytest.mark.parametrize("name", ["dora", "whole_tied", "oft", "oft_whole", "pissa_convert"])
def test_a_kind_of_adapter_on_another_base_is_refused(
    name: str, folders: Callable[[Case], Path], tmp_path: Path
) -> None:
    case = CASES[name]
    save_adapter(adapt(folders(case), case), tmp_path, last=True)
    check_adapter(load_model(folders(case), torch.float32), tmp_path)
    wider = tiny.save_model(tmp_path / "wider", tiny.qwen(hidden_size=64, head_dim=8))
    with pytest.raises(UserError) as caught:
        check_adapter(load_model(wider, torch.float32), tmp_path)
    assert caught.value.code == "adapter_other_base"
    assert "64" in str(caught.value.values["reason"])


def test_layers_are_named_in_many_ways(folders: Callable[[Case], Path]) -> None:
    model = load_model(folders(CASES["plain"]), torch.float32)
    queries = [f"model.layers.{at}.self_attn.q_proj" for at in (0, 1)]
    for way in (
        ".*q_proj",
        "*q_proj",
        r"model\.layers\.\d+\.self_attn\.q_proj",
        "layers.[01].*q_proj",
        "q_*",
    ):
        assert choose_layers(model, (way,)) == queries
    assert choose_layers(model, ("layers.1.*(q|v)_proj", "embed_tokens", "lm_head")) == [
        "model.embed_tokens", queries[1], "model.layers.1.self_attn.v_proj", "lm_head",
    ]  # fmt: skip
    assert len(choose_layers(model, ("all", "lm_head"))) == 15
    assert choose_layers(model, ("all-linear",)) == choose_layers(model, ("all",))
    with pytest.raises(UserError, match=r"oft_target nothing.*") as caught:
        choose_layers(model, ("q_proj", "nothing.*"), field="oft_target")
    assert "embed_tokens" in caught.value.hint


def test_modules_are_found_by_the_ends_of_their_names(folders: Callable[[Case], Path]) -> None:
    model = load_model(folders(CASES["plain"]), torch.float32)
    assert choose_whole(model, ("lm_head",)) == ["lm_head", "model.embed_tokens"]
    assert len(choose_whole(model, ("norm",))) == 5
    assert choose_whole(model, ("mlp", "up_proj")) == ["model.layers.0.mlp", "model.layers.1.mlp"]
    with pytest.raises(UserError, match="additional_target score") as caught:
        choose_whole(model, ("norm", "score"))
    assert "embed_tokens" in caught.value.hint
    # A layer inside of what is trained whole gets no adapter, too.
    adapted = new_adapter(
        model, LoraOptions(additional_target=("layers.0.mlp",)), torch.float32, whole=("model.norm",)
    )
    trained = {name for name, each in adapted.named_parameters() if each.requires_grad}
    assert not any("layers.0.mlp" in name and "lora" in name for name in trained)
    assert any("layers.1.mlp.up_proj.lora_A" in name for name in trained)
    assert any("model.norm.modules_to_save" in name for name in trained)


def test_what_is_trained_lies_in_the_format_of_the_training(folders: Callable[[Case], Path]) -> None:
    for options in ({"additional_target": ("lm_head",), "pissa_init": True}, {"use_dora": True}):
        for dtype in (torch.float32, torch.bfloat16):
            model = load_model(folders(CASES["plain"]), torch.bfloat16)
            adapted = new_adapter(model, LoraOptions(**options), dtype)  # type: ignore[arg-type]
            assert {each.dtype for each in adapted.parameters() if each.requires_grad} == {dtype}


def test_blocks_that_do_not_divide_a_width_are_rounded_and_told(folders: Callable[[Case], Path]) -> None:
    def made(**options: Any) -> PeftModel:
        model = load_model(folders(CASES["oft"]), torch.float32)
        return new_adapter(model, LoraOptions(**options), torch.float32, kind="oft")

    assert oft.notes(made()) == []
    told = oft.notes(made(oft_block_size=24, oft_target=("q_proj", "down_proj")))
    assert [(note.values["width"], note.values["used"], note.values["layers"]) for note in told] == [
        (32, 16, "q_proj"), (64, 16, "down_proj"),
    ]  # fmt: skip
    (told_rank,) = oft.notes(made(oft_rank=5, oft_block_size=0, oft_target=("q_proj",)))
    assert (told_rank.code, told_rank.values["used"]) == ("oft_rank_rounded", 4)
    for options in ({"oft_rank": 4, "oft_block_size": 8}, {"oft_block_size": 0}):
        with pytest.raises(UserError) as caught:
            made(**options)
        assert caught.value.code == "oft_size"
    with pytest.raises(UserError) as caught:
        new_adapter(
            load_model(folders(CASES["gpt2"]), torch.float32), LoraOptions(), torch.float32, kind="oft"
        )
    assert caught.value.code == "oft_layer_kind"


def test_blocks_are_left_out_in_training_only(folders: Callable[[Case], Path], tmp_path: Path) -> None:
    model = load_model(folders(CASES["oft"]), torch.float32)
    base = logits(model)
    adapted = new_adapter(model, LoraOptions(module_dropout=0.5, oft_block_size=8), torch.float32, kind="oft")
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            nn.init.normal_(parameter, std=0.3)
    whole = logits(adapted)
    seen = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        with torch.no_grad():
            seen.append(adapted.train()(input_ids=IDS).logits)
    assert not torch.allclose(seen[0], seen[1], atol=1e-3)
    assert torch.equal(logits(adapted), whole)
    # Without a block nothing is rotated.
    for module in adapted.modules():
        for hook in getattr(module, "_forward_hooks", {}).values():
            hook.share = 1.0
    with torch.no_grad():
        assert torch.allclose(adapted.train()(input_ids=IDS).logits, base, atol=1e-5)


def test_pissa_takes_the_strongest_directions(folders: Callable[[Case], Path]) -> None:
    case = CASES["pissa"]
    weight = load_model(folders(case), torch.float32).get_submodule("model.layers.0.mlp.down_proj").weight
    strengths = torch.linalg.svdvals(weight)
    adapted: Any = adapt(folders(case), case)
    rest = adapted.base_model.model.model.layers[0].mlp.down_proj.base_layer.weight
    assert torch.allclose(torch.linalg.svdvals(rest)[: len(strengths) - RANK], strengths[RANK:], atol=1e-5)
    with pytest.raises(UserError) as caught:
        new_adapter(
            load_model(folders(case), torch.float32),
            LoraOptions(pissa_init=True, lora_rank=24),
            torch.float32,
        )
    assert (caught.value.code, caught.value.values["width"]) == ("pissa_rank", 16)


def test_several_adapters_act_as_one(folders: Callable[[Case], Path], tmp_path: Path) -> None:
    base = folders(CASES["plain"])
    kinds = {"rslora": CASES["rslora"], "plain": CASES["plain"], "oft": CASES["oft"], "dora": CASES["dora"]}
    for name, case in kinds.items():
        adapted = adapt(base, case)
        learn(adapted)
        save_adapter(adapted, tmp_path / name, last=True)
    for names in (("rslora", "plain"), ("oft", "plain"), ("plain", "oft"), ("dora", "rslora")):
        paths = [tmp_path / name for name in names]
        one_by_one: Any = load_model(base, torch.float32)
        for path in paths:
            one_by_one = merge(one_by_one, path)
        assert torch.allclose(
            logits(attach(load_model(base, torch.float32), paths)), logits(one_by_one), atol=5e-5
        )
