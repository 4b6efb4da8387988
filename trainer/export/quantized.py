"""Weights in 4 or 8 bits by bitsandbytes or torchao, loaded again to prove that they can be."""

from __future__ import annotations

import gc
import importlib.util
import os
import re
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from trainer import device
from trainer.errors import UserError
from trainer.export import card, companions
from trainer.export.progress import Progress
from trainer.export.source import Source
from trainer.model.eyes import is_vision
from trainer.model.load import no_progress_bar

# Bytes per number in the linear layers, with scales.
_BYTES = {"bnb_nf4": 0.54, "bnb_int8": 1.02, "torchao_int8": 1.02, "torchao_int4": 0.56}
_PACKAGES = {"bnb": "bitsandbytes", "torchao": "torchao"}
# Numbers that share a scale; every width of a layer in use is a multiple of it.
_GROUP = 32
_SYSTEM_ERROR = re.compile(r"\(os error (\d+)\)")


def package_of(kind: str) -> str:
    return _PACKAGES[kind.partition("_")[0]]


def check(source: Source, kind: str) -> None:
    """Raises UserError when the library is not installed, or the model sees: what sees is too fine for few bits."""
    package = package_of(kind)
    if importlib.util.find_spec(package) is None:
        raise UserError("export_needs_package", field="quantized_type", kind=kind, package=package)
    if kind == "torchao_int4" and not device.is_accelerated():
        raise UserError("export_int4_gpu", field="quantized_type")
    if is_vision(source.base):
        raise UserError("export_quantized_vision", field="export_format")


def size(source: Source, kind: str) -> int:
    """Bytes of the weights, by estimate: matrices of layers in few bits, all others as they are."""
    total = 0.0
    for each in source.names():
        layer = len(each.shape) == 2 and "embed" not in each.name and "lm_head" not in each.name
        total += each.numel * (_BYTES[kind] if layer else each.nbytes / max(each.numel, 1))
    return int(total)


def write(source: Source, merged: Path, folder: Path, kind: str, progress: Progress) -> list[Path]:
    """Makes the quantised model from the `merged` folder and writes it. Returns its files.

    Raises ExportStopped, OSError, and UserError when the library cannot do it on this machine.
    """
    progress.check()
    try:
        with warnings.catch_warnings(), no_progress_bar():
            # What the libraries say of numbers that are cast on the way is no news: that is what was asked for.
            warnings.simplefilter("ignore")
            model = _load(merged, _settings(kind))
            _save(model, folder)
            del model
            gc.collect()
            progress.wrote(kind, sum(each.stat().st_size for each in folder.glob("*.safetensors")))
            _require_loads(folder)
    except (
        ImportError,
        RuntimeError,
        ValueError,
        NotImplementedError,
        AttributeError,
        TypeError,
        AssertionError,
    ) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300].rstrip(". ")
        raise UserError(
            "export_quantizing_failed",
            field="quantized_type",
            kind=kind,
            package=package_of(kind),
            reason=reason,
        ) from error
    companions.write_voice(source, folder)
    companions.write_generation(source, folder)
    card.write(source, folder, "quantized")
    return sorted(path for path in folder.iterdir() if path.is_file())


def _save(model: Any, folder: Path) -> None:
    try:
        model.save_pretrained(str(folder), max_shard_size="5GB")
    except SafetensorError as error:
        # It hides the disk's own error in its text: "I/O error: No space left on device (os error 28)".
        found = _SYSTEM_ERROR.search(str(error))
        if found is None:
            raise
        raise OSError(int(found[1]), os.strerror(int(found[1]))) from error


def _settings(kind: str) -> Any:
    if kind.startswith("bnb"):
        from transformers import BitsAndBytesConfig

        if kind == "bnb_int8":
            return BitsAndBytesConfig(load_in_8bit=True)
        return BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
        )
    from torchao.quantization import Int4WeightOnlyConfig, Int8WeightOnlyConfig
    from transformers import TorchAoConfig

    if kind == "torchao_int8":
        return TorchAoConfig(Int8WeightOnlyConfig())
    # The packing whose kernels come with torch itself.
    return TorchAoConfig(Int4WeightOnlyConfig(group_size=_GROUP, int4_packing_format="tile_packed_to_4d"))


def _load(folder: Path, settings: Any = None) -> Any:
    from transformers import AutoModelForCausalLM

    place = device.kind()
    given = {} if settings is None else {"quantization_config": settings}
    return AutoModelForCausalLM.from_pretrained(
        str(folder),
        dtype=torch.bfloat16,
        device_map=place,
        local_files_only=True,
        use_safetensors=True,
        **given,
    )


def _require_loads(folder: Path) -> None:
    """Raises ValueError when the written model cannot be loaded, or answers with numbers that are none."""
    model = _load(folder)
    with torch.inference_mode():
        found = model(input_ids=torch.zeros((1, 4), dtype=torch.long, device=model.device)).logits
    if not torch.isfinite(found).all():
        raise ValueError("the written model computes numbers that are none")
