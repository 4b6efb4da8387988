"""Which kernels compute: attention as it is installed here, and Liger's fused ones while a run lasts."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, NamedTuple

from trainer import device
from trainer.events import Note
from trainer.model.load import Precision

FLASH = {"fa2": ("flash_attention_2", "flash_attn"), "fa3": ("flash_attention_3", "flash_attn_interface")}
PLAIN = "sdpa"
LIGER = "liger_kernel"


class Attention(NamedTuple):
    """transformers' name of a kernel, and what the person should know where it is not the one that was asked for."""

    name: str
    notes: list[Note]


def choose_attention(choice: str, precision: Precision) -> Attention:
    """The kernel for an option's value, as far as this machine has it.

    A kernel that is missing changes no result, only the time and the memory: torch's own takes its place, and a note
    says so. Files that were written for another machine run here, as they do where they come from.
    """
    if choice == "disabled":
        return Attention("eager", [])
    if choice == "auto":
        name, package = FLASH["fa2"]
        return Attention(PLAIN if _missing(package, precision) else name, [])
    if choice in FLASH:
        name, package = FLASH[choice]
        reason = _missing(package, precision)
        if not reason:
            return Attention(name, [])
        values: dict[str, str | int | float] = {"value": choice, "reason": reason}
        return Attention(PLAIN, [Note(code="attention_instead", values=values, level="warning")])
    return Attention(choice, [])


def attention_note(model: Any) -> Note:
    """Which kernel a loaded model uses: its family may know only some of them."""
    name = str(model.config.get_text_config()._attn_implementation)
    return Note(code="attention_used", values={"name": name})


def _missing(package: str, precision: Precision) -> str:
    """Why a kernel of flash attention cannot be used, or nothing when it can."""
    if not device.is_accelerated():
        return "there is no GPU that it could run on"
    if precision.name == "fp32":
        return "it computes in 16 bits only, and this run in 32"
    if not importlib.util.find_spec(package):
        return f"the package {package} is not installed"
    return ""


def why_not_fused(model: Any) -> str:
    """Why Liger's kernels cannot be used for a model, or nothing when they can."""
    if not device.is_accelerated():
        return "its kernels run on a GPU only"
    if not importlib.util.find_spec(LIGER):
        return "the package liger-kernel is not installed"
    from liger_kernel.transformers.monkey_patch import MODEL_TYPE_TO_APPLY_LIGER_FN

    kind = _base(model).config.model_type
    return "" if kind in MODEL_TYPE_TO_APPLY_LIGER_FN else f"it has no kernels for models of the kind {kind}"


@contextmanager
def fused(model: Any, asked: bool, tell: Callable[[Note], None]) -> Iterator[None]:
    """Inside, `model` computes with Liger's kernels if these were asked for and can be used; what came of it is told.

    Its losses stay off: the trainer computes its own, on the trained tokens alone. What Liger exchanges in
    transformers' modules is put back afterwards, since other models of this process are made from them.
    """
    reason = why_not_fused(model) if asked else ""
    if reason:
        tell(Note(code="liger_without_effect", values={"reason": reason}, level="warning"))
    if reason or not asked:
        yield
        return
    with _restored():
        apply_fused(model)
        tell(Note(code="liger_used", values={"kind": _base(model).config.model_type}))
        yield


def apply_fused(model: Any) -> None:
    """Exchanges norms, positions and feed-forward layers of a model for Liger's, and leaves its loss alone."""
    from liger_kernel.transformers.monkey_patch import (
        MODEL_TYPE_TO_APPLY_LIGER_FN,
        _apply_liger_kernel_to_instance,
    )

    base = _base(model)
    known = inspect.signature(MODEL_TYPE_TO_APPLY_LIGER_FN[base.config.model_type]).parameters
    losses = ("cross_entropy", "fused_linear_cross_entropy")
    _apply_liger_kernel_to_instance(model=base, **{name: False for name in losses if name in known})


def _base(model: Any) -> Any:
    return model.get_base_model() if hasattr(model, "get_base_model") else model


@contextmanager
def _restored() -> Iterator[None]:
    """Puts back what is exchanged inside in the modules of transformers' models, and in the classes that they define."""
    before = {holder: dict(vars(holder)) for module in _modules() for holder in (module, *_classes(module))}
    try:
        yield
    finally:
        for holder, names in before.items():
            for name, value in names.items():
                if vars(holder).get(name) is not value:
                    setattr(holder, name, value)


def _modules() -> list[ModuleType]:
    begin = "transformers.models."
    return [
        each for name, each in list(sys.modules.items()) if name.startswith(begin) and ".modeling_" in name
    ]


def _classes(module: ModuleType) -> list[type]:
    return [
        each for each in vars(module).values() if inspect.isclass(each) and each.__module__ == module.__name__
    ]
