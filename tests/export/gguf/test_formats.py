"""The number formats: near to the weights, read alike by llama.cpp, and refused where they cannot hold them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGML_QUANT_SIZES, GGUFReader
from gguf.quants import dequantize
from safetensors.torch import load_file, save_file

from tests.export.gguf import tiny
from trainer.errors import UserError
from trainer.export import gguf
from trainer.export.gguf import formats
from trainer.export.gguf.writing import turn
from trainer.export.progress import ExportStopped, Progress
from trainer.paths import MODELS

KINDS = list(formats.TYPES)


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_stay_near(kind: str) -> None:
    weight = torch.randn(33, 96, generator=torch.Generator().manual_seed(3)).to(torch.bfloat16)
    wanted = formats.TYPES[kind]
    packed = formats.encode(weight, wanted, "w")
    assert packed.nbytes == formats.nbytes(wanted, weight.shape)
    back = dequantize(packed.view(np.uint8) if kind == "bf16" else packed, wanted).reshape(weight.shape)
    steps = {"f32": 0, "f16": 0, "bf16": 0, "q8_0": 254, "q5_1": 31, "q5_0": 31, "q4_1": 15, "q4_0": 15}[kind]
    blocks = weight.float().numpy().reshape(-1, 32)
    reach = 2 * np.abs(blocks).max(1, keepdims=True) * (1 / steps if steps else 1e-3)
    assert (np.abs(back.reshape(-1, 32) - blocks) <= reach).all()


@pytest.mark.parametrize("kind", KINDS)
def test_too_large_and_broken_numbers_are_refused(kind: str) -> None:
    wanted = formats.TYPES[kind]
    broken = torch.ones(2, 64)
    broken[1, 5] = float("nan")
    with pytest.raises(UserError) as caught:
        formats.encode(broken, wanted, "layer.weight")
    assert caught.value.code == "gguf_not_finite"
    assert "layer.weight" in caught.value.text
    huge = torch.full((2, 64), 1e38)
    huge[0, 0] = -1e38
    if kind in ("f32", "bf16"):
        assert np.isfinite(
            formats.encode(huge, wanted, "w").view(np.float32 if kind == "f32" else np.int16)
        ).all()
        return
    with pytest.raises(UserError) as caught:
        formats.encode(huge, wanted, "w")
    assert (caught.value.code, caught.value.field) == ("gguf_too_large", "gguf_type")


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_near_nothing_become_nothing(kind: str) -> None:
    wanted = formats.TYPES[kind]
    weight = torch.tensor([0.0, 1e-40, -1e-38, 3e-37, -2e-31, 0.0, 1e-44, -0.0]).repeat(3, 8)
    packed = formats.encode(weight, wanted, "w")
    back = dequantize(packed.view(np.uint8) if kind == "bf16" else packed, wanted)
    assert np.abs(back).max() < 1e-30


def test_the_head_of_a_coarse_file_is_finer_and_odd_rows_are_half_precision() -> None:
    assert formats.tensor_type("q4_0", (10, 64), head=True) == formats.Type.Q8_0
    assert formats.tensor_type("q4_0", (10, 64), head=False) == formats.Type.Q4_0
    assert formats.tensor_type("q4_0", (10, 40), head=False) == formats.Type.F16
    assert formats.tensor_type("q8_0", (64,), head=False) == formats.Type.F32


@pytest.mark.parametrize("kind", KINDS)
def test_sprout_is_read_alike_by_llama_cpp(kind: str, tmp_path: Path) -> None:
    """The weights as dequantised here, put into transformers, give llama.cpp's scores."""
    source = tiny.opened(MODELS / "sprout")
    (path,) = gguf.write(source, tmp_path / f"sprout-{kind}.gguf", kind, tiny.Quiet())
    assert abs(gguf.size(source, kind) / path.stat().st_size - 1) < 0.05
    names = {each.name: each for each in GGUFReader(path).tensors}
    back = {}
    for info in source.names():
        tensor = names[_target(info.name)]
        assert tensor.data.nbytes == formats.nbytes(tensor.tensor_type, info.shape)
        back[info.name] = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy()).reshape(
            info.shape
        )
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((MODELS / "sprout" / name).read_bytes())
    save_file(back, folder / "model.safetensors", metadata={"format": "pt"})
    said = source.tokenizer.apply_chat_template(
        [{"role": "user", "content": "Who are you?"}], add_generation_prompt=True, tokenize=False
    )
    ids = source.tokenizer(said).input_ids
    wanted, scores = tiny.answers(folder, ids, 32)
    model = tiny.loaded(path)
    found = model.logits_of([*ids, *wanted[:-1]], len(ids) - 1)
    # llama.cpp rounds the states between two matrices to the format of the weights.
    near = {"f32": 1e-3, "f16": 0.05, "bf16": 0.5, "q8_0": 1.0}.get(kind, 2.0)
    assert np.abs(found - scores).max() < near
    if kind in ("f32", "f16"):
        assert model.greedy(ids, 32, ends=False) == wanted


def _target(name: str) -> str:
    from trainer.export.gguf.families import FAMILIES

    return FAMILIES["qwen2"].target(name)


def test_rows_are_turned_as_the_angles_of_pairs_want_it() -> None:
    weight = torch.arange(8.0).repeat_interleave(3).reshape(8, 3)
    assert turn(weight, 2)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]
    assert turn(weight[:, 0], 1).tolist() == [0, 4, 1, 5, 2, 6, 3, 7]


def test_a_weight_too_large_for_half_precision_stops_the_file(tmp_path: Path) -> None:
    folder = tiny.write_model(tmp_path / "model", "qwen2", tiny.byte_level("bytes"))
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][3, 4] = 1e6
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    source = tiny.opened(folder)
    with pytest.raises(UserError) as caught:
        gguf.write(source, tmp_path / "m-f16.gguf", "f16", tiny.Quiet())
    assert caught.value.values["tensor"] == "model.layers.1.mlp.up_proj.weight"
    assert "bf16" in caught.value.hint
    gguf.write(source, tmp_path / "m-bf16.gguf", "bf16", tiny.Quiet())


def test_it_tells_every_byte_and_stops_between_tensors(tmp_path: Path) -> None:
    source = tiny.opened(tiny.write_model(tmp_path / "model", "gemma", tiny.pieces("gemma")))

    class Told(tiny.Quiet):
        seen: list[str]

        def wrote(self, tensor: str, nbytes: int) -> None:
            self.seen = [*getattr(self, "seen", []), tensor]
            super().wrote(tensor, nbytes)

    told = Told()
    (path,) = gguf.write(source, tmp_path / "m-q8_0.gguf", "q8_0", told)
    tensors = GGUFReader(path).tensors
    assert told.seen == [each.name for each in tensors]
    assert told.done == sum(each.n_bytes for each in tensors)
    stopped = Progress(1, lambda event: None, lambda: stopped.done > 2000)
    with pytest.raises(ExportStopped):
        gguf.write(source, tmp_path / "n-q8_0.gguf", "q8_0", stopped)


def test_block_sizes_are_those_of_the_formats() -> None:
    for kind, halves in formats.HALVES.items():
        block, size = GGML_QUANT_SIZES[kind]
        assert block == 32
        assert 2 * halves < size
