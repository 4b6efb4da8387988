"""Attention row by row, for families of models; those that need another kind are padded."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    Qwen3Config,
    Qwen3MoeConfig,
)

from trainer.train.attention import by_row, switches, why_not_by_row

SMALL: dict[str, Any] = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "initializer_range": 0.3, "max_position_embeddings": 64,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
BY_ROW = {
    "llama": LlamaConfig(**SMALL),
    "qwen3": Qwen3Config(**SMALL),
    "moe": Qwen3MoeConfig(**SMALL, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16),
    "window": MistralConfig(**SMALL, sliding_window=4),
    "softcap": Gemma2Config(**SMALL, attn_logit_softcapping=2.0, sliding_window=4),
    "blocks": Gemma3TextConfig(
        **SMALL, sliding_window=4, layer_types=["sliding_attention", "full_attention"]
    ),
    "gpt2": GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=4, n_positions=64, initializer_range=0.3),
}
PADDED = {
    "alibi": BloomConfig(vocab_size=64, hidden_size=32, n_layer=2, n_head=4),
    "state": MambaConfig(vocab_size=64, hidden_size=32, num_hidden_layers=2),
}


def _model(config: Any) -> Any:
    torch.manual_seed(3)
    return AutoModelForCausalLM.from_config(config).eval()


@pytest.mark.parametrize("name", BY_ROW)
def test_rows_flattened_give_what_they_give_alone(name: str) -> None:
    model = _model(BY_ROW[name])
    assert why_not_by_row(model) == ""
    rows = [torch.randint(3, 64, (length,)) for length in (11, 3, 17)]
    with torch.no_grad():
        alone = torch.cat([model(input_ids=row[None]).logits[0] for row in rows])
        with by_row(switches(model)):
            flat = model(
                input_ids=torch.cat(rows)[None],
                position_ids=torch.cat([torch.arange(len(row)) for row in rows])[None],
                row_lengths=tuple(map(len, rows)),
            ).logits[0]
        torch.testing.assert_close(flat, alone, rtol=1e-4, atol=1e-5)
        # Outside, the model is what it was.
        torch.testing.assert_close(model(input_ids=rows[0][None]).logits[0], alone[:11], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", PADDED)
def test_models_that_need_more_say_so(name: str) -> None:
    model = _model(PADDED[name])
    before = torch.get_rng_state()
    assert why_not_by_row(model)
    assert torch.equal(torch.get_rng_state(), before)
    assert not model.training


def test_a_model_whose_rows_would_mix_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    model = _model(BY_ROW["llama"])
    from trainer.train import attention

    monkeypatch.setitem(
        attention.AttentionInterface._global_mapping,
        attention.NAME,
        lambda *args, row_lengths=None, **kwargs: attention.attend_by_row(
            *args, row_lengths=(sum(row_lengths),), **kwargs
        ),
    )
    assert "apart" in why_not_by_row(model)
