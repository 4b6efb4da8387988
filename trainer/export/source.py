"""The model that is exported, tensor by tensor: a base with its adapters merged, or a model as it is.

Nothing is held in memory but the tensor, or the block of rows, that is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import torch

from trainer import device
from trainer.config import RunConfig
from trainer.dataset.render import Renderer
from trainer.errors import UserError
from trainer.export import settings
from trainer.export.lora import Replaced, Step
from trainer.export.recipe import Recipe, recipes
from trainer.export.subject import Subject
from trainer.export.template import exported
from trainer.model.load import PROCESSORS, load_processor, read_tokenizer
from trainer.model.reshaped import of_all
from trainer.model.stored import DTYPES, FLOATING, WORDS, numel, read

# Rows are read, changed and written in pieces of about this many numbers: 4 MB in fp32 stay in a processor's cache and
# in memory that is used again, which made exports up to twice as quick as pieces of 64 MB.
BLOCK = 1024 * 1024


class TensorInfo(NamedTuple):
    """A tensor as it is written; `dtype` is one of safetensors' words, such as BF16."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def numel(self) -> int:
        return numel(self.shape)

    @property
    def nbytes(self) -> int:
        return self.numel * DTYPES[self.dtype].itemsize


class Source:
    """The model that `config` names. Opening it reads headers and small files only.

    Raises UserError for a model or an adapter that cannot be exported: see `Subject` and `recipes`.
    """

    def __init__(self, config: RunConfig, subject: Subject) -> None:
        self.run_config = config
        self.base, self.adapters, self.folder = subject.model, subject.adapters, subject.voice
        self.trust = config.model.trust_remote_code
        self.device = torch.device(device.kind() if config.export.export_device == "auto" else "cpu")
        self._wanted = (
            None if config.export.infer_dtype == "auto" else getattr(torch, config.export.infer_dtype)
        )
        self._recipes: Mapping[str, Recipe]
        self._recipes, self._untied = recipes(self.base, self.adapters, self.trust)
        settings.require_castable(self.base, self._wanted is not None or bool(self.adapters))
        self._infos = {name: self._described(name, each) for name, each in self._recipes.items()}

    # What there is

    def names(self) -> list[TensorInfo]:
        """Every tensor that is written, in the order of the model's own files; a tied head is absent."""
        return list(self._infos.values())

    def has(self, name: str) -> bool:
        return name in self._infos

    def info(self, name: str) -> TensorInfo:
        """Raises KeyError for a tensor that there is not."""
        return self._infos[name]

    @property
    def parameters(self) -> int:
        return sum(each.numel for each in self._infos.values())

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors as they are written."""
        return sum(each.nbytes for each in self._infos.values())

    @property
    def dtype(self) -> str:
        """The format in which most of the weights are written: bfloat16, float16 or float32."""
        sizes: dict[str, int] = {}
        for each in self._infos.values():
            if each.dtype in FLOATING:
                sizes[each.dtype] = sizes.get(each.dtype, 0) + each.numel
        most = max(sizes, key=lambda word: sizes[word], default="F32")
        return str(DTYPES[most]).removeprefix("torch.")

    # The numbers

    def read(self, name: str) -> torch.Tensor:
        """One tensor, merged, in the format in which it is written, on the CPU.

        Raises UserError when its numbers are broken or too large for the format, and OSError.
        """
        info = self.info(name)
        whole = torch.empty(info.shape, dtype=DTYPES[info.dtype])
        filled = 0
        for block in self.blocks(name):
            if not info.shape:
                return block
            whole[filled : filled + len(block)] = block
            filled += len(block)
        return whole

    def blocks(self, name: str) -> Iterator[torch.Tensor]:
        """The same in blocks of whole rows, of about 4 MB in fp32."""
        recipe, info = self._recipes[name], self.info(name)
        target = DTYPES[info.dtype]
        steps = [change.open(self.device) for change in recipe.changes]
        rows = info.shape[0] if info.shape else 1
        height = max(1, BLOCK * rows // max(info.numel, 1))
        for first in range(0, rows, height):
            last = min(first + height, rows)
            block = self._original(recipe, first, last)
            yield self._worked(block, steps, first, target, name) if steps or block.dtype != target else block

    def read_fp32(self, name: str) -> torch.Tensor:
        """One tensor, merged and not rounded to the format in which it is written."""
        recipe, info = self._recipes[name], self.info(name)
        rows = info.shape[0] if info.shape else 1
        block = self._original(recipe, 0, rows).float().to(self.device)
        for change in recipe.changes:
            block = change.open(self.device)(block, 0)
        return block.cpu()

    def _original(self, recipe: Recipe, first: int, last: int) -> torch.Tensor:
        if recipe.changes and isinstance(recipe.changes[0], Replaced):
            return torch.empty((last - first, *recipe.shape[1:]), dtype=torch.float32)
        return read(recipe.place, first, last)

    def _worked(
        self, block: torch.Tensor, steps: list[Step], first: int, target: torch.dtype, name: str
    ) -> torch.Tensor:
        if steps:
            block = block.to(self.device).float()
            for step in steps:
                block = step(block, first)
            # One number that is none makes the sum one that is none.
            if not torch.isfinite(block.sum()):
                raise UserError("export_not_finite", tensor=name)
        turned = block.to(target)
        if target == torch.float16 and not torch.isfinite(turned).all():
            raise UserError("export_fp16_overflow", field="infer_dtype", tensor=name)
        return turned.cpu()

    def _described(self, name: str, recipe: Recipe) -> TensorInfo:
        floating = recipe.dtype in FLOATING
        word = WORDS[self._wanted] if self._wanted is not None and floating else recipe.dtype
        return TensorInfo(name, recipe.shape, word)

    # What comes with the numbers

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer, with the template that is exported. Raises UserError when there is none."""
        found: Any = self.processor.tokenizer if self.processor else read_tokenizer(self.folder, self.trust)
        return found

    @cached_property
    def processor(self) -> Any:
        """What turns pictures into inputs; None for a model of text. Raises UserError for a broken one."""
        has = any((self.folder / name).is_file() for name in PROCESSORS)
        return load_processor(
            self.folder if has and (self.folder / "config.json").is_file() else self.base, self.trust
        )

    @cached_property
    def renderer(self) -> Renderer:
        """The house's renderer. Raises UserError for a model without template, and a template that does not fit."""
        data = self.run_config.data
        renderer = Renderer(self.tokenizer, data.template, data, self.processor)
        template = exported(renderer, self.tokenizer, data)
        for each in (self.tokenizer, self.processor):
            if each is not None:
                each.chat_template = template
        return renderer

    @property
    def template(self) -> str:
        """The chat template that is exported: it needs no options to write what was trained."""
        return exported(self.renderer, self.tokenizer, self.run_config.data)

    @cached_property
    def stop_ids(self) -> tuple[int, ...]:
        """Every id that ends an answer."""
        return settings.stop_ids(self.base, self.renderer.stop_ids, self.tokenizer.eos_token_id)

    @cached_property
    def config(self) -> dict[str, Any]:
        """config.json as it is exported."""
        found = settings.model_config(self.base, self.dtype, self._untied, self._words())
        return of_all(self.adapters).written_into(found)

    @cached_property
    def generation(self) -> dict[str, Any]:
        """generation_config.json as it is exported."""
        return settings.generation_config(self.base, self.stop_ids, self.tokenizer.pad_token_id)

    def _words(self) -> int | None:
        """The rows of the embedding where an adapter has changed their number."""
        return next(
            (each.shape[0] for each in self._recipes.values() if each.resized and len(each.shape) == 2), None
        )


def open_source(config: RunConfig) -> Source:
    """The source that a config names. Raises UserError for what cannot be exported."""
    from trainer.export.subject import subject_of

    return Source(config, subject_of(config))
