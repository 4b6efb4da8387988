"""Rows that share a place do not see each other, whatever the family of the model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

from tests.train import tiny
from tests.train.conftest import Configure
from tests.train.test_equality import _rendered
from trainer.train.attention import by_row, switches
from trainer.train.collation import Flattened
from trainer.train.items import items_of

SMALL: dict[str, Any] = {
    "vocab_size": tiny.VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "initializer_range": 0.2,
    "max_position_embeddings": 256, "pad_token_id": 0, "bos_token_id": None, "eos_token_id": 2,
    "tie_word_embeddings": True,
}  # fmt: skip
# A window is narrower than the rows, so that it ends inside of each.
BOTH = {"sliding_window": 6, "layer_types": ["sliding_attention", "full_attention"]}
FAMILIES: dict[str, Callable[[], PreTrainedConfig]] = {
    "qwen2": lambda: Qwen2Config(**{name: each for name, each in SMALL.items() if name != "head_dim"}),
    "qwen3": lambda: Qwen3Config(**SMALL),
    "llama": lambda: LlamaConfig(**SMALL),
    "mistral": lambda: MistralConfig(**SMALL, sliding_window=6),
    "gemma2": lambda: Gemma2Config(**SMALL, **BOTH, attn_logit_softcapping=3.0, final_logit_softcapping=5.0),
    "gemma3": lambda: Gemma3TextConfig(**SMALL, **BOTH),
}


@pytest.mark.parametrize(
    ("family", "word"), [*((family, "packing") for family in FAMILIES), ("llama", "neat_packing")]
)
def test_packed_rows_train_as_unpacked_ones(
    configure: Configure, tmp_path: Path, family: str, word: str
) -> None:
    """All rows in one step: packing changes which rows share a place, and nothing else."""
    folder = tiny.save_model(tmp_path / "model", FAMILIES[family]())
    common = {
        "model_name_or_path": str(folder), "max_steps": 2, "cutoff_len": 96, "per_device_train_batch_size": 24,
        "learning_rate": 0.003, "finetuning_type": "full",
    }  # fmt: skip
    plain = tiny.train(configure("plain", **common))
    packed = tiny.train(configure("packed", **common, **{word: True}))
    assert not {"padded_batches", "packing_off"} & {*plain.codes, *packed.codes}
    assert packed.losses == pytest.approx(plain.losses, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_row_of_a_place_has_the_loss_that_it_has_alone(
    configure: Configure, tmp_path: Path, family: str
) -> None:
    folder = tiny.save_model(tmp_path / "model", FAMILIES[family]())
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    rows = _rendered(configure(model_name_or_path=str(folder)))[:7]
    place = items_of(rows, 10_000)[0]
    batch = Flattened(0)([place])
    lengths = batch["row_lengths"]
    assert len(lengths) == 7
    assert batch["position_ids"][0].tolist() == [each for length in lengths for each in range(length)]
    with torch.no_grad(), by_row(switches(model)):
        packed = model(
            input_ids=batch["input_ids"], position_ids=batch["position_ids"], row_lengths=lengths
        ).logits[0]
    alone = {tuple(row.input_ids): row for row in rows}
    for ids, logits in zip(batch["input_ids"][0].split(lengths), packed.split(lengths), strict=True):
        row = alone.pop(tuple(ids.tolist()))
        targets = torch.tensor(row.labels[1:])
        with torch.no_grad():
            own = model(input_ids=ids[None]).logits[0]
        losses = [torch.nn.functional.cross_entropy(each[:-1], targets) for each in (logits, own)]
        torch.testing.assert_close(losses[0], losses[1], rtol=1e-5, atol=1e-5)
    assert not alone
