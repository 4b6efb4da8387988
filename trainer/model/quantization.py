"""The frozen base of a run in few bits: what a person may ask for, and what a model brings along.

torch is imported when a model is loaded, never with this module. Facts on the packages: the `transformers.quantizers`
of 5.23, and https://huggingface.co/docs/bitsandbytes for what runs on a CPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer import device
from trainer.contradictions_of_methods import BITS
from trainer.errors import UserError
from trainer.model.exported import quantization_of

if TYPE_CHECKING:
    import torch

    from trainer.options import ModelOptions

# transformers fetches EETQ's kernels with `kernels`, and computes with them on a GPU only.
_PACKAGES = {"bnb": "bitsandbytes", "hqq": "hqq", "eetq": "kernels"}
_GPU_ONLY = ("eetq",)
# By which packages models are read that were stored in few bits, under the names of their config.json.
_STORED = {
    "bitsandbytes": ("bitsandbytes",), "gptq": ("optimum", "gptqmodel"), "awq": ("gptqmodel",), "hqq": ("hqq",),
    "aqlm": ("aqlm",), "torchao": ("torchao",), "eetq": ("kernels",), "compressed-tensors": ("compressed_tensors",),
    "quanto": ("optimum",), "auto-round": ("auto_round",), "vptq": ("vptq",), "spqr": ("spqr_quant",),
    "bitnet": (), "fp8": (), "mxfp4": (),
}  # fmt: skip
# Formats of 8 and 4 bits that are turned back into ordinary weights when they are loaded: adapters need those.
_OPENED = ("fp8", "mxfp4")
# Bytes of a packed number with its scales: blocks of 64 for 4 bits, one scale a row for 8.
_OVERHEAD = 1.13
# Names of weights that stay as they are: words, head, and what sees.
_KEPT = ("embed", "lm_head", "visual", "vision")


@dataclass(frozen=True)
class Quantization:
    """How weights are squeezed: into how many bits, by which package; for bitsandbytes' 4 bits into which values."""

    bits: int
    method: str = "bnb"
    kind: str = "nf4"
    double: bool = True


def wanted(options: ModelOptions) -> Quantization | None:
    """What the options ask for; None for weights as they are."""
    if options.quantization_bit == "none":
        return None
    return Quantization(
        int(options.quantization_bit), options.quantization_method, options.quantization_type,
        options.double_quantization,
    )  # fmt: skip


def require_usable(wish: Quantization) -> None:
    """Raises UserError for bits that a method does not have, and for a method that this machine cannot run."""
    allowed = BITS[wish.method]
    if str(wish.bits) not in allowed:
        raise UserError(
            "quantized_bits", field="quantization_bit", name=wish.method, bits=wish.bits,
            allowed=", ".join(allowed),
        )  # fmt: skip
    package = _PACKAGES[wish.method]
    if find_spec(package) is None:
        raise UserError("quantized_package", field="quantization_method", method=wish.method, package=package)
    if wish.method in _GPU_ONLY and not device.is_accelerated():
        raise UserError("quantized_gpu", field="quantization_method", method=wish.method)


def stored_method(path: Path) -> str:
    """The method in which a model's weights were stored, such as gptq, awq, bitsandbytes; empty for ordinary ones."""
    settings = quantization_of(path)
    return str(settings.get("quant_method") or ("bitsandbytes" if settings else ""))


def is_opened(path: Path) -> bool:
    """Whether a model is stored in few bits that become ordinary weights when it is loaded."""
    return stored_method(path) in _OPENED


def require_stored(path: Path) -> None:
    """Raises UserError when a model was stored in few bits by a package that is not there."""
    method = stored_method(path)
    for package in _STORED.get(method, ()):
        if find_spec(package) is None:
            raise UserError(
                "quantized_stored_package", field="model_name_or_path", path=str(path), method=method,
                package=package,
            )  # fmt: skip


def settings_for(
    path: Path, wish: Quantization | None, dtype: torch.dtype, skipped: list[str]
) -> dict[str, Any]:
    """What `from_pretrained` is told; `skipped` are the full names of modules that stay as they are.

    A model that is stored in few bits is read as it is. Raises UserError for what cannot be done on this machine.
    """
    stored = stored_method(path)
    if stored:
        require_stored(path)
        return {"quantization_config": _opening(stored)} if stored in _OPENED else {}
    if wish is None:
        return {}
    require_usable(wish)
    found: dict[str, Any] = {"quantization_config": _made(wish, dtype, skipped)}
    # Squeezed on the device itself: nothing of full width has to be moved afterwards.
    if device.is_accelerated():
        found["device_map"] = {"": device.current()}
    return found


def _made(wish: Quantization, dtype: torch.dtype, skipped: list[str]) -> Any:
    from transformers import BitsAndBytesConfig, EetqConfig, HqqConfig

    if wish.method == "hqq":
        return HqqConfig(nbits=wish.bits, axis=0, skip_modules=skipped)
    if wish.method == "eetq":
        return EetqConfig(modules_to_not_convert=skipped)
    if wish.bits == 8:
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=skipped)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_compute_dtype=dtype, bnb_4bit_quant_type=wish.kind,
        bnb_4bit_use_double_quant=wish.double, llm_int8_skip_modules=skipped,
    )  # fmt: skip


def _opening(method: str) -> Any:
    from transformers.utils.quantization_config import FineGrainedFP8Config, Mxfp4Config

    return FineGrainedFP8Config(dequantize=True) if method == "fp8" else Mxfp4Config(dequantize=True)


def keep_layout(model: Any) -> None:
    """Keeps bitsandbytes from repacking 4-bit weights of a CPU at the first look in evaluation mode.

    The other layout (of processors with AVX512-BF16) passes no gradients on, and nothing turns it back when training
    goes on: https://github.com/bitsandbytes-foundation/bitsandbytes, nn/modules.py, Linear4bit.forward.
    """
    for module in model.modules():
        if getattr(module, "support_avx512bf16_for_cpu", False):
            module.support_avx512bf16_for_cpu = False


def is_quantized(model: Any) -> bool:
    """Whether a loaded model holds weights in few bits."""
    return bool(getattr(model, "is_quantized", False) or getattr(model, "hf_quantizer", None) is not None)


def packed_bytes(name: str, shape: tuple[int, ...], size: int, wish: Quantization) -> int:
    """Bytes that a weight of `size` bytes takes when a model is squeezed, by estimate."""
    if len(shape) != 2 or any(word in name for word in _KEPT):
        return size
    return int(shape[0] * shape[1] * wish.bits / 8 * _OVERHEAD)
