"""One batched generation: many prompts, each with its own side, draw and ending, streamed row by row."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessor, StoppingCriteria
from transformers.generation.streamers import BaseStreamer

from trainer.dataset.conversation import Media
from trainer.model.decoder import Decoder
from trainer.model.voices import Ending


@dataclass(frozen=True)
class Draw:
    """How the next token is chosen: the likeliest at temperature 0, else drawn with a generator of `seed`."""

    temperature: float
    top_p: float
    seed: int


@dataclass(frozen=True)
class Row:
    """One prompt of a batch. `adapter` names PEFT's adapter for this row, "" for the model as it stands.

    `media` are the pictures and videos whose tokens stand in the prompt, in order.
    """

    prompt: tuple[int, ...]
    adapter: str
    draw: Draw
    max_new_tokens: int
    media: tuple[Media, ...] = ()


@dataclass(frozen=True)
class Progress:
    """A row's answer so far; `tokens` counts generated tokens without the one that ended it."""

    row: int
    text: str
    tokens: int
    tokens_per_s: float
    ending: Ending = ""


@dataclass(frozen=True)
class Seen:
    """What a model takes of a batch's pictures: `pixels` by the names of its arguments, and the kind of each token.

    `kinds` are the arguments (none, for many models) that take 0 for a token of text, 1 of a picture, 2 of a video;
    `kind_of` tells them for rows of ids.
    """

    pixels: Mapping[str, Any]
    kinds: tuple[str, ...] = ()
    kind_of: Callable[[list[list[int]]], list[list[int]]] = lambda rows: [[0] * len(row) for row in rows]

    def inputs(self, ids: torch.Tensor) -> dict[str, Any]:
        """All arguments beside `ids` (batch, width), on their device."""
        kinds = torch.tensor(self.kind_of(ids.tolist()), device=ids.device) if self.kinds else None
        return {**self.pixels, **dict.fromkeys(self.kinds, kinds)}


class _Drawing(LogitsProcessor):
    """Chooses every row's token itself and leaves the others no chance.

    transformers' own sampling uses the process-wide generator: it would disturb a training run in this process, and a
    row's answer would depend on its neighbours in the batch.
    """

    def __init__(self, rows: Sequence[Row], device: torch.device) -> None:
        self._draws = [row.draw for row in rows]
        self._generators = [torch.Generator(device).manual_seed(row.draw.seed) for row in rows]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        chosen = [
            scores[row].argmax() if draw.temperature == 0 else self._sample(scores[row], draw, generator)
            for row, (draw, generator) in enumerate(zip(self._draws, self._generators, strict=True))
        ]
        only = torch.full_like(scores, -torch.inf)
        return only.scatter_(1, torch.stack(chosen).view(-1, 1), 0.0)

    @staticmethod
    def _sample(scores: torch.Tensor, draw: Draw, generator: torch.Generator) -> torch.Tensor:
        """One token from the smallest set of likeliest tokens that together reach top_p."""
        probabilities, tokens = torch.softmax(scores / draw.temperature, dim=-1).sort(descending=True)
        before = probabilities.cumsum(-1) - probabilities
        probabilities = probabilities.masked_fill(before >= draw.top_p, 0.0)
        return tokens[torch.multinomial(probabilities, 1, generator=generator)[0]]


class _Stop(StoppingCriteria):
    """Ends the whole batch when asked to, and each row at its own length."""

    def __init__(self, stop: threading.Event, rows: Sequence[Row], width: int) -> None:
        self._stop = stop
        self._most = torch.tensor([width + row.max_new_tokens for row in rows])

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        if self._stop.is_set():
            return torch.ones(len(input_ids), dtype=torch.bool, device=input_ids.device)
        return (input_ids.shape[1] >= self._most).to(input_ids.device)


class _Rows(BaseStreamer):
    """Turns the batch's tokens into each row's progress; a row that has ended is silent from then on."""

    def __init__(
        self,
        rows: Sequence[Row],
        tokenizer: Any,
        stop_ids: frozenset[int],
        report: Callable[[Progress], None],
    ) -> None:
        self._rows = rows
        self._decoders = [Decoder(tokenizer) for _ in rows]
        self._open = set(range(len(rows)))
        self._stop_ids = stop_ids
        self._report = report
        self._began = time.monotonic()
        self._prompt_seen = False

    def put(self, value: torch.Tensor) -> None:
        if not self._prompt_seen:
            self._prompt_seen = True
            return
        for row, token in enumerate(value.view(-1).tolist()):
            if row not in self._open:
                continue
            if token in self._stop_ids:
                self._finish(row, "end")
                continue
            decoder = self._decoders[row]
            text = decoder.push(token)
            if decoder.tokens >= self._rows[row].max_new_tokens:
                self._finish(row, "length")
            else:
                self._tell(row, text)

    def end(self) -> None:
        """Called after the last step: what is still open was stopped."""
        for row in sorted(self._open):
            self._finish(row, "stopped")

    def _finish(self, row: int, ending: Ending) -> None:
        self._open.discard(row)
        self._tell(row, self._decoders[row].finish(), ending)

    def _tell(self, row: int, text: str, ending: Ending = "") -> None:
        tokens = self._decoders[row].tokens
        seconds = max(time.monotonic() - self._began, 1e-6)
        self._report(Progress(row, text, tokens, tokens / seconds, ending))


def generate(
    model: Any,
    tokenizer: Any,
    rows: Sequence[Row],
    stop_ids: frozenset[int],
    stop: threading.Event,
    report: Callable[[Progress], None],
    *,
    adapters_off: bool = False,
    seen: Seen | None = None,
) -> None:
    """Answers all rows in one batch and reports every new token of each; the last report of a row has an ending.

    Rows of different length are padded on the left. `adapters_off` answers with the base of a model with adapters.
    `seen` is what the model takes of the rows' pictures beside their tokens.
    Returns when every row has ended or `stop` is set; raises what the model raises.
    """
    device = model.device
    width = max(len(row.prompt) for row in rows)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else min(stop_ids, default=0)
    ids = torch.tensor([[pad] * (width - len(row.prompt)) + list(row.prompt) for row in rows], device=device)
    mask = torch.tensor(
        [[0] * (width - len(row.prompt)) + [1] * len(row.prompt) for row in rows], device=device
    )
    pixels = seen.inputs(ids) if seen else {}
    mixed = {"adapter_names": [row.adapter for row in rows]} if any(row.adapter for row in rows) else {}
    off = model.disable_adapter() if adapters_off else contextlib.nullcontext()
    with torch.inference_mode(), off, no_leftovers(model):
        model.generate(
            input_ids=ids,
            attention_mask=mask,
            generation_config=settings(rows, stop_ids, pad),
            logits_processor=[_Drawing(rows, device)],
            stopping_criteria=[_Stop(stop, rows, width)],
            streamer=_Rows(rows, tokenizer, stop_ids, report),
            **mixed,
            **pixels,
        )


@contextlib.contextmanager
def no_leftovers(model: torch.nn.Module) -> Iterator[None]:
    """Takes away the hooks that PEFT leaves behind when a mixed batch fails (peft 0.21, `_enable_peft_forward_hooks`).

    With them, every later answer would be given by the failed batch's adapters.
    """
    before = {module: set(module._forward_pre_hooks) for module in model.modules()}
    try:
        yield
    except BaseException:
        for module, known in before.items():
            for key in set(module._forward_pre_hooks) - known:
                del module._forward_pre_hooks[key]
                module._forward_pre_hooks_with_kwargs.pop(key, None)
        raise


def settings(rows: Sequence[Row], stop_ids: frozenset[int], pad: int) -> GenerationConfig:
    """Everything that could be taken from the model's own file is set: it must not change what was asked for."""
    return GenerationConfig(
        max_new_tokens=max(row.max_new_tokens for row in rows),
        do_sample=False,
        num_beams=1,
        temperature=1.0,
        top_p=1.0,
        top_k=50,
        repetition_penalty=1.0,
        no_repeat_ngram_size=0,
        eos_token_id=sorted(stop_ids) or None,
        pad_token_id=pad,
        use_cache=True,
    )
