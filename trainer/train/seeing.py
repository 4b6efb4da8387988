"""What a vision model takes beside the ids of a batch: its pictures, and where in time and space each token stands.

It is prepared by threads while the model computes the batch before; the training takes it when it is there.
"""

from __future__ import annotations

import ctypes
import inspect
import io
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch

from trainer.dataset.chat_template import Unusable
from trainer.dataset.conversation import Media
from trainer.dataset.expand import Expander
from trainer.dataset.inputs import merge
from trainer.errors import UserError
from trainer.train.pixels import Features, Pixels

MOST_WORKERS = 4
TYPES = ("mm_token_type_ids", "token_type_ids")
Later = Future[dict[str, Any]]


class Seen(NamedTuple):
    """A row of a batch: its ids, and its pictures and videos in order."""

    ids: Sequence[int]
    media: tuple[Media, ...] = ()


class Eyes:
    """Prepares what the model sees of rows. `close` ends its threads.

    With `blocks` flattened batches say which tokens belong to the same picture, for models in which those see each
    other (`trainer.train.attention`).
    """

    blocks = False

    def __init__(self, model: Any, processor: Any, pixels: Pixels) -> None:
        self._processor = processor
        self._pixels = pixels
        accepted = inspect.signature(model.forward).parameters
        self._types = [name for name in TYPES if name in accepted]
        inner = getattr(model, model.base_model_prefix, model)
        self._places: Callable[..., Any] | None = getattr(inner, "get_rope_index", None)
        self._pool = ThreadPoolExecutor(
            min(os.cpu_count() or 1, MOST_WORKERS), "pictures", initializer=_compute_alone
        )

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def later(self, rows: Sequence[Seen], flattened: bool) -> Later:
        """The inputs of a batch, one row after another in a single sequence, or padded to the longest.

        The result raises UserError when a picture cannot be read any more.
        """
        return self._pool.submit(self.inputs, rows, flattened)

    def inputs(self, rows: Sequence[Seen], flattened: bool) -> dict[str, Any]:
        """As `later`, now."""
        try:
            features = [self._pixels.of(row.media) for row in rows]
        except Unusable as lost:
            file = str(lost.values.get("file", ""))
            raise UserError("picture_lost", field="dataset", file=file) from None
        found = merge(features)
        if not (self._types or self._places):
            return found
        types = [torch.tensor(self._processor.create_mm_token_type_ids([list(row.ids)])) for row in rows]
        for name in self._types:
            found[name] = _side_by_side(types, flattened)
        if self.blocks and flattened and any(row.media for row in rows):
            # A new one begins wherever pictures begin.
            starts = [(each.diff(dim=-1, prepend=torch.zeros(1, 1)) > 0).cumsum(-1) for each in types]
            numbers = [start * (each > 0) for start, each in zip(starts, types, strict=True)]
            found["row_blocks"] = _side_by_side(numbers, flattened)
        if self._places:
            places = [
                self._row_places(row, kind, each)
                for row, kind, each in zip(rows, types, features, strict=True)
            ]
            found["position_ids"] = _side_by_side(places, flattened)
        return found

    def _row_places(self, row: Seen, types: torch.Tensor, features: Features) -> torch.Tensor:
        """Time, height and width of each token, (3, 1, tokens); for a row without pictures three times its number."""
        if not features:
            return torch.arange(len(row.ids)).expand(3, 1, -1)
        assert self._places
        given = {**features, "input_ids": torch.tensor([list(row.ids)]), "mm_token_type_ids": types}
        taken = inspect.signature(self._places).parameters
        places, _ = self._places(**{name: value for name, value in given.items() if name in taken})
        found: torch.Tensor = places
        return found


def _compute_alone() -> None:
    """Tensor operations of this thread are not shared out among helpers of its own.

    With more helpers than cores OpenMP lets all of them sleep between operations, those of the training, too: a step
    took a third longer. torch.set_num_threads would hold for every thread.
    """
    torch.get_num_threads()  # torch's own setting comes first
    for library in (Path(torch.__file__).parent / "lib").glob("lib*omp*"):
        with suppress(OSError, AttributeError):
            ctypes.CDLL(str(library)).omp_set_num_threads(1)


def _side_by_side(rows: Sequence[torch.Tensor], flattened: bool) -> torch.Tensor:
    """(…, 1, tokens) of each row -> (…, 1, all tokens), or (…, rows, most tokens) with zeros behind shorter rows."""
    if flattened:
        return torch.cat(list(rows), dim=-1)
    most = max(row.shape[-1] for row in rows)
    return torch.cat([torch.nn.functional.pad(row, (0, most - row.shape[-1])) for row in rows], dim=-2)


@contextmanager
def seeing(model: Any, processor: Any, expander: Expander | None) -> Iterator[Eyes | None]:
    """The eyes of a model (PEFT's, too) while it is trained; None for one of text."""
    if expander is None:
        yield None
        return
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    tower = base.get_encoder(modality="image")
    eyes = Eyes(base, processor, Pixels(expander, tower.dtype))
    try:
        yield eyes
    finally:
        eyes.close()


def trial_rows(expander: Expander, tokenizer: Any) -> list[Seen]:
    """A few short rows, with a picture, with two and without any, to try a model with."""
    rows: list[Seen] = []
    for sides in ((), ((60, 60),), ((30, 90), (90, 60))):
        shown = tuple(Media("image", data=_drawn(*each)) for each in sides)
        text = "one " + expander.mark("image").join(("", *(" two three ",) * len(shown)))
        ids = tokenizer(expander.expand(text, shown).text, add_special_tokens=False)["input_ids"]
        rows.append(Seen(ids, shown))
    return rows


def _drawn(width: int, height: int) -> bytes:
    from PIL import Image

    pixels = bytes(place * 7919 % 251 for place in range(width * height * 3))
    written = io.BytesIO()
    Image.frombytes("RGB", (width, height), pixels).save(written, "PNG")
    return written.getvalue()
