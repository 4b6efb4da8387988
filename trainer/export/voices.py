"""Models that are asked in a proof, each through its own runtime: transformers, or llama.cpp."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from trainer import device as accelerator
from trainer.dataset.conversation import Media
from trainer.dataset.render import Renderer
from trainer.errors import UserError
from trainer.model import llama
from trainer.model.decoding import decode
from trainer.model.generation import Draw, Row, Seen
from trainer.model.load import load_model, no_progress_bar
from trainer.model.memory import free_bytes, give_back, needed_bytes
from trainer.model.mixed import Untouched
from trainer.model.reshaped import of_all
from trainer.model.seeing import look
from trainer.model.sides import attach

# No token has this number: an answer in a proof goes on to its length.
_NEVER = frozenset({1 << 30})


class Voice(Protocol):
    """A loaded model that says what comes next. `media` are the pictures whose tokens stand in `ids`."""

    def logits(self, ids: Sequence[int], said: Sequence[int], media: Sequence[Media] = ()) -> torch.Tensor:
        """The scores (len(said), vocabulary) in fp32 on the CPU, from which each of `said` after `ids` is chosen."""
        ...

    def greedy(self, ids: Sequence[int], count: int, media: Sequence[Media] = ()) -> list[int]:
        """The `count` likeliest tokens after `ids`, whatever they are."""
        ...


@dataclass(frozen=True)
class Desk:
    """Where and in which number format models are computed in a proof."""

    device: torch.device
    dtype: torch.dtype


def choose_desk(folders: Sequence[Path]) -> Desk:
    """A GPU before the CPU, fp32 before the half formats, as far as the weights of `folders` fit.

    Raises UserError with the numbers when there is no room anywhere.
    """
    gpu = [accelerator.current()] if accelerator.is_accelerated() else []
    cpu = torch.device("cpu")
    half = torch.bfloat16
    for device, dtype in [
        *((each, torch.float32) for each in (*gpu, cpu)),
        *((each, half) for each in (*gpu, cpu)),
    ]:
        if needed_bytes(folders, dtype) <= free_bytes(device):
            return Desk(device, dtype)
    needed, free = (count // 1_000_000 for count in (needed_bytes(folders, half), free_bytes(cpu)))
    raise UserError("receipt_no_room", needed=needed, free=free)


class TransformersVoice:
    """A model in transformers, with or without PEFT. `renderer` makes a model's inputs of pictures."""

    def __init__(self, model: Any, renderer: Renderer | None = None) -> None:
        self.model = model.eval().requires_grad_(False)
        self._renderer = renderer
        own = model.get_base_model() if hasattr(model, "get_base_model") else model
        self._device = own.device
        # Without it the scores of a long question take more room than the model.
        self._keeps = "logits_to_keep" in inspect.signature(own.forward).parameters

    def logits(self, ids: Sequence[int], said: Sequence[int], media: Sequence[Media] = ()) -> torch.Tensor:
        given = torch.tensor([[*ids, *said[:-1]]], device=self._device)
        kept = {"logits_to_keep": len(said)} if self._keeps else {}
        seen = self._seen(ids, len(said), media)
        for module in self.model.modules() if seen else ():
            if getattr(module, "rope_deltas", None) is not None:
                # Where the tokens after a picture stand, kept for the next word of an answer before.
                module.rope_deltas = None
        with torch.inference_mode():
            inputs = seen.inputs(given) if seen else {}
            found: torch.Tensor = self.model(input_ids=given, use_cache=False, **kept, **inputs).logits
        return found[0, -len(said) :].float().cpu()

    def greedy(self, ids: Sequence[int], count: int, media: Sequence[Media] = ()) -> list[int]:
        said: list[int] = []

        def take(_: int, tokens: list[int], ending: str) -> None:
            said.extend(tokens)

        decode(
            self.model, [self._row(ids, count, media)], 0, _NEVER, lambda: False, take, Untouched(),
            self._seen(ids, count, media), fixed=bool(media),
        )  # fmt: skip
        return said

    def _seen(self, ids: Sequence[int], count: int, media: Sequence[Media]) -> Seen | None:
        return (
            look(self._renderer, self.model, [self._row(ids, count, media)])
            if media and self._renderer
            else None
        )

    @staticmethod
    def _row(ids: Sequence[int], count: int, media: Sequence[Media]) -> Row:
        return Row(tuple(ids), "", Draw(0.0, 1.0, 0), count, tuple(media))


class LlamaVoice:
    """A GGUF file in llama.cpp, which is asked without pictures."""

    def __init__(self, model: llama.Model) -> None:
        self.model = model

    def logits(self, ids: Sequence[int], said: Sequence[int], media: Sequence[Media] = ()) -> torch.Tensor:
        return torch.from_numpy(self.model.logits_of([*ids, *said[:-1]], len(ids) - 1)).float()

    def greedy(self, ids: Sequence[int], count: int, media: Sequence[Media] = ()) -> list[int]:
        return self.model.greedy(ids, count, ends=False)


@contextmanager
def in_transformers(
    folder: Path, adapters: Sequence[Path], desk: Desk, trust: bool, renderer: Renderer | None = None
) -> Iterator[TransformersVoice]:
    """The model of a folder with the last adapter acting on it and those before merged; its memory is given back.

    Raises UserError for a folder that cannot be loaded.
    """
    model: Any = load_model(folder, desk.dtype, trust=trust, shape=of_all(adapters).shape)
    if next(model.parameters()).device.type != desk.device.type:
        torch.nn.Module.to(model, desk.device)
    for path in adapters[:-1]:
        model = attach(model, [path]).merge_and_unload()
    voice = TransformersVoice(attach(model, adapters[-1:]) if adapters else model, renderer)
    del model
    try:
        yield voice
    finally:
        voice.model = None
        del voice
        give_back()


@contextmanager
def in_few_bits(folder: Path, desk: Desk) -> Iterator[TransformersVoice]:
    """A quantised model as others load it: by transformers, with what its config.json says. Raises what that raises."""
    from transformers import AutoModelForCausalLM

    with no_progress_bar():
        model = AutoModelForCausalLM.from_pretrained(
            str(folder),
            dtype=torch.bfloat16,
            device_map=desk.device.type,
            local_files_only=True,
            use_safetensors=True,
        )
    voice = TransformersVoice(model)
    del model
    try:
        yield voice
    finally:
        voice.model = None
        give_back()


@contextmanager
def in_llama(file: Path, context: int) -> Iterator[LlamaVoice]:
    """The model of a GGUF file for texts of up to `context` tokens. Raises UserError for a file that is not loaded."""
    model = llama.open_model(file, context, exact=True)
    try:
        yield LlamaVoice(model)
    finally:
        model.close()
