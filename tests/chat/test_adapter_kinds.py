"""Every kind of adapter answers in the chat beside its base, in one batch or one after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, OFTConfig, PeftModel, get_peft_model
from transformers import Qwen2ForCausalLM

from tests.chat.test_engine import QUESTIONS, ask
from tests.chat.tiny import write_model
from trainer.chat.engine import ChatEngine

# Whether the kind can answer in one batch with the base; pissa and several of different kinds change the base itself.
KINDS: dict[str, tuple[bool, type[Any], dict[str, Any]]] = {
    "rslora": (True, LoraConfig, {"use_rslora": True}),
    "dora": (False, LoraConfig, {"use_dora": True}),
    "pissa": (True, LoraConfig, {"init_lora_weights": "pissa"}),
    "whole": (True, LoraConfig, {"modules_to_save": ["lm_head"]}),
    "head": (True, LoraConfig, {"target_modules": ["lm_head", "embed_tokens"]}),
    "oft": (False, OFTConfig, {"oft_block_size": 8}),
}


def write_adapter(folder: Path, base: Path, kind: str, seed: int = 1) -> Path:
    """An adapter that changes a lot."""
    _, config, changes = KINDS[kind]
    own: dict[str, Any] = {"r": 4} if config is LoraConfig else {}
    settings = {**own, "target_modules": ["q_proj", "v_proj", "down_proj"], **changes}
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        model = get_peft_model(
            Qwen2ForCausalLM.from_pretrained(base), config(task_type="CAUSAL_LM", **settings)
        )
        for name, weight in model.named_parameters():
            if weight.requires_grad:
                weight.copy_(weight * 0.9 if "magnitude" in name else weight + torch.randn_like(weight) * 0.3)
    model.save_pretrained(folder, save_embedding_layers=False)
    return folder


def generated(base: Path, adapters: list[Path], engine: ChatEngine, question: str) -> str:
    """What PEFT and transformers say by themselves."""
    from trainer.dataset.conversation import message

    model: Any = Qwen2ForCausalLM.from_pretrained(base, dtype=torch.float32)
    for adapter in adapters:
        model = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    side = engine._sides[0]
    ids = torch.tensor([side.renderer.prompt([message("user", question)])])
    out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=16, do_sample=False)
    return str(side.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True))


@pytest.mark.parametrize(
    "kinds",
    [("dora",), ("pissa",), ("whole",), ("head",), ("oft",), ("oft", "rslora"), ("rslora", "head")],
    ids="-".join,
)
def test_base_and_tuned_answer_beside_each_other(kinds: tuple[str, ...], tmp_path: Path) -> None:
    base = write_model(tmp_path / "base")
    adapters = [write_adapter(tmp_path / f"{at}", base, kind, at + 1) for at, kind in enumerate(kinds)]
    engine = ChatEngine()
    try:
        loaded = engine.load(str(base), [str(each) for each in adapters], "compare")
        for question in QUESTIONS[:2]:
            said = ask(engine, question, max_new_tokens=16)
            assert said["base"] == generated(base, [], engine, question)
            assert said["tuned"] == generated(base, adapters, engine, question)
        mixed = len(kinds) == 1 and KINDS[kinds[0]][0] and kinds != ("pissa",)
        apart = kinds in (("pissa",), ("oft", "rslora"))
        first, second = engine._sides
        assert (first.model is second.model) == (not apart)
        assert first.adapters_off == (not apart and not mixed and kinds != ("rslora", "head"))
        in_turn = [note.code for note in loaded.notes if note.code == "adapter_in_turn"]
        assert len(in_turn) == first.adapters_off
    finally:
        engine.unload()
