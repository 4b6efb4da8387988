"""Model folders that can and that cannot be loaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.train import tiny
from trainer.errors import UserError
from trainer.model.load import choose_precision, load_model, load_tokenizer


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_model(tmp_path_factory.mktemp("load") / "whole")


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def _code(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_model(path, torch.float32)
    return caught.value.code


def test_weights_come_in_the_wanted_format(whole: Path) -> None:
    stored = load_file(whole / "model.safetensors")
    for dtype in (torch.float32, torch.bfloat16):
        model = load_model(whole, dtype)
        assert {each.dtype for each in model.parameters()} == {dtype}
        for name, weight in stored.items():
            torch.testing.assert_close(model.state_dict()[name], weight.to(dtype))


def test_folders_that_are_no_model(copy: Path, tmp_path: Path) -> None:
    assert _code(tmp_path) == "model_without_config"
    (copy / "model.safetensors").unlink()
    assert _code(copy) == "model_without_weights"


def test_weights_that_lack_a_tensor_are_not_filled_up(copy: Path) -> None:
    weights = load_file(copy / "model.safetensors")
    gone = sorted(weights)[3]
    del weights[gone]
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=gone.replace(".", r"\.")) as caught:
        load_model(copy, torch.float32)
    assert caught.value.code == "model_weights_missing"


def test_a_kind_that_nobody_knows(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "model_type": "abacus"}))
    with pytest.raises(UserError, match="abacus") as caught:
        load_model(copy, torch.float32)
    assert caught.value.code == "model_unknown_kind"


def test_a_kind_that_is_no_language_model(copy: Path) -> None:
    (copy / "config.json").write_text(json.dumps({"model_type": "vit"}))
    assert _code(copy) == "model_unknown_kind"


def test_a_folder_without_tokenizer(copy: Path) -> None:
    for path in copy.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(UserError) as caught:
        load_tokenizer(copy)
    assert caught.value.code == "tokenizer_missing"


def test_a_contradictory_generation_config_does_not_prevent_saving(copy: Path, tmp_path: Path) -> None:
    (copy / "generation_config.json").write_text(json.dumps({"do_sample": False, "temperature": 0.6}))
    load_model(copy, torch.float32).save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / "model.safetensors").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what holds without a GPU")
def test_precision_without_a_gpu() -> None:
    assert choose_precision("auto").name == "fp32"
    assert choose_precision("bf16").autocast == torch.bfloat16
    assert choose_precision("pure_bf16").autocast is None
    with pytest.raises(UserError, match="fp16"):
        choose_precision("fp16")
