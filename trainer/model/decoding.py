"""Whole answers of many prompts: one batch, from which rows leave as they end. Nothing is decoded on the way."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from trainer.model.generation import Row, Seen, settings
from trainer.model.mixed import Untouched
from trainer.model.voices import Ending

# A look at what has ended waits for a GPU; tokens after the end are thrown away.
GPU_STEPS = 4
# How often somebody may be asked whether to stop, in seconds.
LOOK_S = 0.1
# Rows that have ended are computed along until they are this share of the batch: leaving costs a copy of the cache.
LEAVING = 0.25
Report = Callable[[int, list[int], Ending], None]


class GrowingLayer(DynamicLayer):
    """Keys and values in buffers with room for more, so that a step does not copy those of all steps before it."""

    spare = 64

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self._length = 0
            self._keys, self._values = (_room(each, self.spare) for each in (key_states, value_states))
        end = self._length + key_states.shape[-2]
        if end > self._keys.shape[-2]:
            spare = end + max(self.spare, end // 2)
            self._keys, self._values = (
                _grown(each, spare, self._length) for each in (self._keys, self._values)
            )
        self._keys[:, :, self._length : end] = key_states
        self._values[:, :, self._length : end] = value_states
        self._length = end
        return self._show()

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        self._keys, self._values = self._keys[indices], self._values[indices]
        self._show()

    def _show(self) -> tuple[torch.Tensor, torch.Tensor]:
        shown = self._keys[:, :, : self._length], self._values[:, :, : self._length]
        self.keys, self.values = shown
        return shown


def _room(states: torch.Tensor, spare: int) -> torch.Tensor:
    rows, heads, length, width = states.shape
    return states.new_empty((rows, heads, length + spare, width))


def _grown(buffer: torch.Tensor, length: int, used: int) -> torch.Tensor:
    rows, heads, _, width = buffer.shape
    larger = buffer.new_empty((rows, heads, length, width))
    larger[:, :, :used] = buffer[:, :, :used]
    return larger


@dataclass
class _Batch:
    """The rows that are still in the batch: their places among those given, and their tokens so far."""

    rows: Sequence[Row]
    stop_ids: frozenset[int]
    stop: Callable[[], bool]
    report: Report
    untouched: Untouched
    device: torch.device
    leave: bool
    steps: int = 0
    over: bool = False
    places: list[int] = field(default_factory=list)
    open: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        count, most = len(self.rows), max(row.max_new_tokens for row in self.rows)
        self.places, self.open = list(range(count)), set(range(count))
        self._tokens = torch.empty((count, most), dtype=torch.long, device=self.device)
        self._ended = torch.zeros(count, dtype=torch.bool, device=self.device)
        self._most = torch.tensor([row.max_new_tokens for row in self.rows], device=self.device)
        self._ids = torch.tensor(sorted(self.stop_ids), device=self.device)
        self._drawing = Drawing.of(self.rows, most, self.device)
        self._every = 1 if self.device.type == "cpu" else GPU_STEPS
        self._bases = self.untouched.rows
        self._looked = time.monotonic()

    def choose(self, logits: torch.Tensor) -> torch.Tensor:
        """The next token of each row (rows,) from its logits (rows, vocabulary)."""
        tokens = self._drawing.choose(logits, self.steps) if self._drawing else logits.argmax(-1)
        self._tokens[:, self.steps] = tokens
        self.steps += 1
        self._ended |= torch.isin(tokens, self._ids) | (self.steps >= self._most)
        return tokens

    def leaving(self) -> torch.Tensor | None:
        """Reports rows that have ended; which rows stay in the batch where some shall leave it."""
        if self.steps % self._every and self.steps < self._tokens.shape[1]:
            return None
        ended = self._ended.tolist()
        for at, place in enumerate(self.places):
            if ended[at] and place in self.open:
                self._finish(at, place)
        now = time.monotonic()
        if now - self._looked >= LOOK_S:
            self._looked = now
            self.over = self.stop()
        self.over = self.over or not self.open
        gone = len(self.places) - len(self.open)
        if self.over or not self.leave or gone < max(1, LEAVING * len(self.places)):
            return None
        stay = [at for at, place in enumerate(self.places) if place in self.open]
        kept = torch.tensor(stay, device=self.device)
        self.places = [self.places[at] for at in stay]
        self.untouched.rows = sum(place < self._bases for place in self.places)
        self._tokens, self._ended, self._most = self._tokens[kept], self._ended[kept], self._most[kept]
        if self._drawing:
            self._drawing = self._drawing.of_rows(kept)
        return kept

    def _finish(self, at: int, place: int) -> None:
        self.open.discard(place)
        ids = self._tokens[at, : min(self.steps, self.rows[place].max_new_tokens)].tolist()
        end = next((number for number, each in enumerate(ids) if each in self.stop_ids), None)
        self.report(place, ids if end is None else ids[:end], "length" if end is None else "end")


@dataclass(frozen=True)
class Drawing:
    """Draws each row's tokens with numbers of its own: a neighbour, or another batch, changes nothing.

    `chances` (rows, steps) are between 0 and 1; `temperature` and `top_p` (rows, 1). Temperature 0 takes the likeliest.
    """

    chances: torch.Tensor
    temperature: torch.Tensor
    top_p: torch.Tensor

    @classmethod
    def of(cls, rows: Sequence[Row], steps: int, device: torch.device) -> Drawing | None:
        """None when every row takes the likeliest token."""
        if all(row.draw.temperature == 0 for row in rows):
            return None
        # On the CPU, so that a seed means the same on every device.
        chances = [torch.rand(steps, generator=torch.Generator().manual_seed(row.draw.seed)) for row in rows]
        columns = ([[row.draw.temperature] for row in rows], [[row.draw.top_p] for row in rows])
        return cls(torch.stack(chances).to(device), *(torch.tensor(each, device=device) for each in columns))

    def of_rows(self, kept: torch.Tensor) -> Drawing:
        return Drawing(self.chances[kept], self.temperature[kept], self.top_p[kept])

    def choose(self, logits: torch.Tensor, step: int) -> torch.Tensor:
        """One token from the smallest set of likeliest tokens that together reach top_p, for each row."""
        scaled = logits.float() / self.temperature.clamp(min=1e-5)
        probabilities, tokens = torch.softmax(scaled, dim=-1).sort(descending=True, stable=True)
        reached = probabilities.cumsum(-1)
        kept = reached - probabilities < self.top_p
        whole = (probabilities * kept).sum(-1, keepdim=True)
        place = (reached < self.chances[:, step, None] * whole).sum(-1, keepdim=True)
        drawn = tokens.gather(1, place.clamp(max=tokens.shape[1] - 1)).squeeze(1)
        return torch.where(self.temperature.squeeze(1) == 0, logits.argmax(-1), drawn)


def decode(
    model: Any,
    rows: Sequence[Row],
    pad: int,
    stop_ids: frozenset[int],
    stop: Callable[[], bool],
    report: Report,
    untouched: Untouched,
    seen: Seen | None = None,
    *,
    fixed: bool = False,
) -> None:
    """Answers all rows in one batch; `report` hears of each row as it ends: its place, its tokens, and how it ended.

    Rows of different length are padded on the left. The first `untouched.rows` rows are the base's where the model has
    adapters (see `mixed`). `fixed` keeps all rows in the batch to its end: models that see hold facts about its rows
    inside themselves. `stop` is asked now and then; rows that are open then are not reported. Raises what the model
    raises.
    """
    own = model.get_base_model() if hasattr(model, "get_base_model") else model
    device = own.device
    width = max(len(row.prompt) for row in rows)
    ids = torch.tensor([[pad] * (width - len(row.prompt)) + list(row.prompt) for row in rows], device=device)
    mask = torch.tensor(
        [[0] * (width - len(row.prompt)) + [1] * len(row.prompt) for row in rows], device=device
    )
    cache = None if fixed else _cache(own)
    batch = _Batch(rows, stop_ids, stop, report, untouched, device, leave=cache is not None)
    with torch.inference_mode():
        own.generate(
            input_ids=ids,
            attention_mask=mask,
            generation_config=settings(rows, stop_ids, pad),
            custom_generate=_loop(batch),
            **({"past_key_values": cache} if cache is not None else {}),
            **(seen.inputs(ids) if seen else {}),
        )


def _cache(model: Any) -> DynamicCache | None:
    """An empty cache from which rows can leave; None where the model keeps anything else than keys and values."""
    with contextlib.suppress(Exception):
        cache = DynamicCache(config=model.config)
        if cache.layers and all(type(each) is DynamicLayer for each in cache.layers):
            cache.layers = [GrowingLayer() for _ in cache.layers]
            return cache
    return None


def _loop(batch: _Batch) -> Callable[..., torch.Tensor]:
    """The steps after everything was made ready by transformers' `generate`."""

    def loop(model: Any, input_ids: torch.Tensor, generation_config: Any, **given: Any) -> torch.Tensor:
        for name in ("logits_processor", "stopping_criteria"):
            given.pop(name, None)
        outputs = model._prefill(input_ids, generation_config, given)
        with model._optimize_model_for_decode():
            while True:
                given = model._update_model_kwargs_for_generation(outputs, given, is_encoder_decoder=False)
                tokens = batch.choose(outputs.logits[:, -1])
                del outputs
                input_ids = torch.cat([input_ids, tokens[:, None]], dim=-1)
                kept = batch.leaving()
                if batch.over:
                    return input_ids
                if kept is not None:
                    _keep(given, kept, len(input_ids))
                    input_ids = input_ids[kept]
                inputs = model.prepare_inputs_for_generation(input_ids, next_sequence_length=1, **given)
                outputs = model(**inputs, return_dict=True)

    return loop


def _keep(given: dict[str, Any], kept: torch.Tensor, rows: int) -> None:
    """Takes those of the `rows` that have left out of the cache and of whatever has a line for each row."""
    for name, value in given.items():
        if isinstance(value, torch.Tensor) and value.ndim > 1 and len(value) == rows:
            given[name] = value[kept]
    given["past_key_values"].batch_select_indices(kept)
