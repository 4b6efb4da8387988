"""Training on a base in few bits: whether it can be done, and how small the base has become."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer.config import RunConfig
from trainer.errors import UserError
from trainer.events import Note
from trainer.model.counting import parameters
from trainer.model.quantization import (
    Quantization,
    is_opened,
    is_quantized,
    require_stored,
    require_usable,
    stored_method,
    wanted,
)
from trainer.options import WHOLE_METHODS

MB = 1_000_000


def chosen_quantization(config: RunConfig, path: Path) -> tuple[Quantization | None, list[Note]]:
    """How the base of a run is squeezed, and what the person should know of it.

    A model that is stored in few bits stays as it is. Raises UserError for a method that trains weights of the base,
    and for what this machine cannot do.
    """
    wish, stored = wanted(config.model), stored_method(path)
    method = config.method.finetuning_type
    if stored:
        require_stored(path)
        if method in WHOLE_METHODS and not is_opened(path):
            raise UserError(
                "quantized_stored_whole",
                field="finetuning_type",
                path=str(path),
                stored=stored,
                method=method,
            )
        ignored = [Note(code="quantized_already", values={"stored": stored}, level="warning")] if wish else []
        return None, ignored
    if wish is None:
        return None, []
    if method in WHOLE_METHODS:
        raise UserError("quantized_method", field="quantization_bit", bits=wish.bits, method=method)
    require_usable(wish)
    return wish, []


def require_no_merge(model: Any, adapters: Sequence[Path]) -> None:
    """Raises UserError when adapters would have to be merged into a base in few bits: their changes would be rounded away."""
    if adapters and is_quantized(model):
        raise UserError("quantized_merges_nothing", field="adapter_name_or_path", path=str(adapters[0]))


def size_note(model: Any) -> list[Note]:
    """How much memory the weights of a squeezed model take, beside that of 16 bits each."""
    if not is_quantized(model):
        return []
    held = sum(each.numel() * each.element_size() for each in model.parameters())
    held += sum(each.numel() * each.element_size() for each in model.buffers())
    values: dict[str, str | int | float] = {
        "mb": round(held / MB, 1), "whole": round(2 * parameters(model) / MB, 1),
    }  # fmt: skip
    return [Note(code="quantized_size", values=values)]
