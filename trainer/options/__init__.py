"""Every option of TuneBoard, declared once.

From one line here come the flag, the YAML key (LLaMA-Factory's spelling), the range check, the control on the page,
its help and English label, and its row in docs/options.md. Translations add one line per language.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import Field, fields
from functools import cache
from typing import Any, get_type_hints

from trainer.options.data import DataOptions
from trainer.options.declare import PANELS, OptionInfo
from trainer.options.distributed import DistributedOptions
from trainer.options.evaluate import EvaluateOptions
from trainer.options.export import EXPORT_FORMATS, GGUF_TYPES, ExportOptions
from trainer.options.generate import GenerateOptions
from trainer.options.lora import LoraOptions
from trainer.options.method import WHOLE_METHODS, MethodOptions
from trainer.options.model import ModelOptions
from trainer.options.optimizer import OptimizerOptions
from trainer.options.train import TrainOptions

__all__ = [
    "EXPORT_FORMATS",
    "GGUF_TYPES",
    "PANELS",
    "SECTIONS",
    "WHOLE_METHODS",
    "DataOptions",
    "DistributedOptions",
    "EvaluateOptions",
    "ExportOptions",
    "GenerateOptions",
    "LoraOptions",
    "MethodOptions",
    "ModelOptions",
    "OptimizerOptions",
    "OptionInfo",
    "TrainOptions",
    "options",
]

SECTIONS: dict[str, type[Any]] = {
    "model": ModelOptions,
    "data": DataOptions,
    "method": MethodOptions,
    "lora": LoraOptions,
    "train": TrainOptions,
    "optimizer": OptimizerOptions,
    "distributed": DistributedOptions,
    "generate": GenerateOptions,
    "evaluate": EvaluateOptions,
    "export": ExportOptions,
}


def _info(section: str, each: Field[Any], kind: Any) -> OptionInfo:
    facts = each.metadata
    form = each.default if facts["form"] is None else facts["form"]
    return OptionInfo(
        each.name, section, kind, each.default, form, facts["help"], facts["label"], facts["min"], facts["max"],
        facts["step"], facts["choices"], facts["panel"], facts["when"],
    )  # fmt: skip


def _walk() -> Iterator[OptionInfo]:
    for section, kind in SECTIONS.items():
        hints = get_type_hints(kind)
        for each in fields(kind):
            yield _info(section, each, hints[each.name])


@cache
def options() -> dict[str, OptionInfo]:
    """All options by name, in the order in which they are declared. Raises ValueError for a name declared twice."""
    found: dict[str, OptionInfo] = {}
    for info in _walk():
        if info.name in found:
            raise ValueError(f"the option {info.name!r} is declared twice")
        found[info.name] = info
    return found
