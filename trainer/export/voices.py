"""Models that are asked in a proof, each through its own runtime: transformers, or llama.cpp."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from trainer.errors import UserError
from trainer.model import llama
from trainer.model.load import load_model
from trainer.model.memory import free_bytes, give_back, needed_bytes
from trainer.model.sides import attach


class Voice(Protocol):
    """A loaded model that says what comes next."""

    def logits(self, ids: Sequence[int], said: Sequence[int]) -> torch.Tensor:
        """The scores (len(said), vocabulary) in fp32 on the CPU, from which each of `said` after `ids` is chosen."""
        ...

    def greedy(self, ids: Sequence[int], count: int) -> list[int]:
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
    gpu = [torch.device("cuda")] if torch.cuda.is_available() else []
    cpu = torch.device("cpu")
    half = torch.bfloat16
    for device, dtype in [*((each, torch.float32) for each in (*gpu, cpu)), *((each, half) for each in (*gpu, cpu))]:
        if needed_bytes(folders, dtype) <= free_bytes(device):
            return Desk(device, dtype)
    needed, free = (count // 1_000_000 for count in (needed_bytes(folders, half), free_bytes(cpu)))
    raise UserError("receipt_no_room", needed=needed, free=free)


class TransformersVoice:
    """A model in transformers, with or without PEFT."""

    def __init__(self, model: Any) -> None:
        self.model = model.eval().requires_grad_(False)
        own = model.get_base_model() if hasattr(model, "get_base_model") else model
        self._device = own.device
        # Without it the scores of a long question take more room than the model.
        self._keeps = "logits_to_keep" in inspect.signature(own.forward).parameters

    def logits(self, ids: Sequence[int], said: Sequence[int]) -> torch.Tensor:
        given = torch.tensor([[*ids, *said[:-1]]], device=self._device)
        kept = {"logits_to_keep": len(said)} if self._keeps else {}
        with torch.inference_mode():
            found: torch.Tensor = self.model(input_ids=given, use_cache=False, **kept).logits
        return found[0, -len(said) :].float().cpu()

    def greedy(self, ids: Sequence[int], count: int) -> list[int]:
        said: list[int] = []
        given, cache = torch.tensor([list(ids)], device=self._device), None
        kept = {"logits_to_keep": 1} if self._keeps else {}
        with torch.inference_mode():
            while len(said) < count:
                output = self.model(input_ids=given, past_key_values=cache, use_cache=True, **kept)
                cache = output.past_key_values
                said.append(int(output.logits[0, -1].argmax()))
                given = torch.tensor([said[-1:]], device=self._device)
        return said


class LlamaVoice:
    """A GGUF file in llama.cpp."""

    def __init__(self, model: llama.Model) -> None:
        self.model = model

    def logits(self, ids: Sequence[int], said: Sequence[int]) -> torch.Tensor:
        return torch.from_numpy(self.model.logits_of([*ids, *said[:-1]], len(ids) - 1)).float()

    def greedy(self, ids: Sequence[int], count: int) -> list[int]:
        return self.model.greedy(ids, count, ends=False)


@contextmanager
def in_transformers(folder: Path, adapters: Sequence[Path], desk: Desk, trust: bool) -> Iterator[TransformersVoice]:
    """The model of a folder with adapters acting on it; its memory is given back at the end.

    Raises UserError for a folder that cannot be loaded.
    """
    model: Any = load_model(folder, desk.dtype, trust=trust)
    if next(model.parameters()).device.type != desk.device.type:
        torch.nn.Module.to(model, desk.device)
    voice = TransformersVoice(attach(model, adapters) if adapters else model)
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

    voice = TransformersVoice(
        AutoModelForCausalLM.from_pretrained(
            str(folder), dtype=torch.bfloat16, device_map=desk.device.type, local_files_only=True, use_safetensors=True
        )
    )
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
