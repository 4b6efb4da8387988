"""What a loaded model takes of the pictures of a batch beside its tokens."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch

from trainer.dataset.conversation import Media, MediaKind
from trainer.dataset.inputs import merge
from trainer.dataset.render import Renderer
from trainer.model.generation import Row, Seen

# As models name the argument that says of each token whether it is text, picture or video.
KINDS = ("mm_token_type_ids", "token_type_ids")


def kinds(renderer: Renderer) -> tuple[MediaKind, ...]:
    """What a model sees."""
    return renderer.expander.kinds if renderer.expander else ()


def look(renderer: Renderer, model: Any, rows: Sequence[Row]) -> Seen | None:
    """What `model` takes of the rows' media; None when no row has any. Raises Unusable for what cannot be read."""
    expander = renderer.expander
    if expander is None or not any(row.media for row in rows):
        return None
    known: dict[tuple[Media, ...], dict[str, Any]] = {}
    # The sides of a comparison are shown the same.
    for row in rows:
        if row.media not in known:
            known[row.media] = expander.inputs(row.media)
    own = getattr(model, "get_base_model", lambda: model)()
    taken = inspect.signature(own.forward).parameters
    pixels = {name: _placed(value, own) for name, value in merge([known[row.media] for row in rows]).items()}
    return Seen(pixels, tuple(each for each in KINDS if each in taken), expander.kind_of)


def _placed(value: Any, model: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    return value.to(model.device, model.dtype) if value.is_floating_point() else value.to(model.device)
