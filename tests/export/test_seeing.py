"""Models that see: their layers are called otherwise in the files than in memory, and every one of them is merged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForImageTextToText

from tests.export.tiny import settings
from tests.train import families
from trainer.export import companions, shards
from trainer.export.progress import Quiet
from trainer.export.source import Source
from trainer.export.subject import subject_of
from trainer.model.adapter import linear_layers


def write_adapter(folder: Path, base: Path) -> Path:
    """Random LoRA on all linear layers, those of the eye too, and a head that was trained whole."""
    model: Any = AutoModelForImageTextToText.from_pretrained(base, dtype=torch.float32)
    layers = linear_layers(model, frozen=())
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=layers, task_type="CAUSAL_LM"))
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(4)
        for weight in adapted.parameters():
            if weight.requires_grad:
                weight.normal_(std=0.1)
    adapted.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", families.CONFIGS)
def test_every_layer_of_a_model_that_sees_is_merged(tmp_path: Path, name: str) -> None:
    base = families.save(name, tmp_path / "base")
    adapter = write_adapter(tmp_path / "adapter", base)
    config = settings(base, adapter)
    source = Source(config, subject_of(config))
    target = tmp_path / "merged"
    target.mkdir()
    shards.write_shards(source, target, 1, Quiet())
    companions.write_model_settings(source, target)
    found = AutoModelForImageTextToText.from_pretrained(target).state_dict()
    model: Any = AutoModelForImageTextToText.from_pretrained(base, dtype=torch.float32)
    before = {key: weight.clone() for key, weight in model.state_dict().items()}
    expected = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload().state_dict()
    assert found.keys() == expected.keys()
    for key, weight in expected.items():
        assert torch.allclose(found[key], weight, atol=1e-5), key
    changed = [key for key in before if not torch.equal(before[key], found[key])]
    assert len(changed) > 10 and any("vis" in key for key in changed)
