"""Weights in few bits: made and loaded again where the libraries are installed and can, refused where not."""

from __future__ import annotations

import errno
import importlib.util
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors import SafetensorError, safe_open

from tests.export.tiny import Told, read_json, source_of
from trainer.errors import UserError
from trainer.export import quantized, receipt
from trainer.paths import MODELS

KINDS = ("bnb_nf4", "bnb_int8", "torchao_int8", "torchao_int4")


def refusal(kind: str) -> str:
    """The code of the sentence with which this machine refuses a kind; empty when it can make it."""
    if importlib.util.find_spec(quantized.package_of(kind)) is None:
        return "export_needs_package"
    return "export_int4_gpu" if kind == "torchao_int4" and not torch.cuda.is_available() else ""


@pytest.mark.parametrize("kind", KINDS)
def test_what_this_machine_can_it_makes_and_the_rest_it_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(receipt, "make", lambda *given: {"ready": True, "formats": []})
    # A matrix of a tiny model is smaller than the pieces into which the libraries divide it.
    base = MODELS / "sprout"
    told = Told(tmp_path / "run")
    wanted: dict[str, Any] = {"export_format": "quantized", "quantized_type": kind}
    if code := refusal(kind):
        with pytest.raises(UserError) as caught:
            told.export(base, **wanted)
        assert caught.value.problems[0].code == code  # type: ignore[attr-defined]
        assert not (told.folder / "files").exists()
        return
    told.export(base, **wanted)
    folder = told.folder / "files"
    assert "quantization_config" in read_json(folder / "config.json")
    ends = read_json(folder / "generation_config.json")["eos_token_id"]
    assert tuple(ends) == source_of(base).stop_ids
    with safe_open(folder / "model.safetensors", "pt") as file:
        names = " ".join(file.keys())
    assert "q_proj" in names and not (folder / ".merged").exists()
    estimated = quantized.size(source_of(base), kind)
    assert 0.9 < (folder / "model.safetensors").stat().st_size / estimated < 1.1


def test_the_eye_is_not_made_coarse(tmp_path: Path) -> None:
    base = tmp_path / "seeing"
    shutil.copytree(MODELS / "sprout-vl", base)
    source = source_of(base)
    for kind in KINDS:
        with pytest.raises(UserError) as caught:
            quantized.check(source, kind)
        assert caught.value.code in (refusal(kind), "export_quantized_vision")


def test_a_full_disk_is_told_as_such(tmp_path: Path) -> None:
    def full(*given: Any, **values: Any) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    with pytest.raises(OSError) as caught:
        quantized._save(SimpleNamespace(save_pretrained=full), tmp_path)
    assert caught.value.errno == errno.ENOSPC
