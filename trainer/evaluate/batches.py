"""How many rows are answered at once: as many as were asked for, or as many as fit."""

from __future__ import annotations

from typing import Any

from trainer.evaluate.items import Item
from trainer.model.memory import free_bytes

# The first batch is small, so that its rows are there soon.
FIRST = 8
MOST_ON_CPU, MOST_ON_GPU = 64, 256
# Of the free memory so much may be taken: other things grow, too.
SHARE = 0.5
# Besides keys and values, per number of the widest layer and token of the prompt; and copies of the logits of a step.
ACTIVATIONS, LOGITS = 8, 4


class Size:
    """The rows of the next batch. `fixed` is a person's wish; None finds what fits. `sides` answer each row."""

    def __init__(self, fixed: int | None, model: Any, sides: int) -> None:
        self._fixed = fixed
        self._sides = sides
        self._device = model.device
        self._most = fixed or (MOST_ON_CPU if self._device.type == "cpu" else MOST_ON_GPU)
        self._per_token, self._per_prompt, self._per_row = _bytes(model)
        self.now = fixed or FIRST

    def fitting(self, items: list[Item], new_tokens: int) -> int:
        """How many of `items` (the longest first) go into one batch."""
        count = min(self.now, len(items))
        if self._fixed:
            return count
        longest = items[0].size
        row = longest * self._per_prompt + (longest + new_tokens) * self._per_token + self._per_row
        fits = int(free_bytes(self._device) * SHARE // (row * self._sides))
        return max(1, min(count, fits))

    def grow(self) -> None:
        """A whole batch fitted: the next one may be as large as memory allows.

        A step takes hardly longer for many rows than for few, so that every small batch on the way costs as much as a
        large one.
        """
        self.now = self._most

    def halve(self, tried: int) -> int:
        """A batch of `tried` rows did not fit. Returns the new size, at which it stays; 0 when one row was too many."""
        self.now = self._most = tried // 2
        return self.now


def _bytes(model: Any) -> tuple[int, int, int]:
    """Memory for a token kept, a token of a prompt while it is read, and a row in each step."""
    config = model.config.get_text_config()
    heads = getattr(config, "num_attention_heads", 1)
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    kept = getattr(config, "num_key_value_heads", None) or heads
    # Twice: the cache moves into larger buffers, and attention may repeat shared heads.
    size = model.dtype.itemsize
    layers = getattr(config, "num_hidden_layers", 1)
    per_token = 2 * 2 * layers * kept * width * size
    inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    per_prompt = ACTIVATIONS * max(inner if isinstance(inner, int) else max(inner), config.hidden_size) * size
    return per_token, per_prompt, LOGITS * config.vocab_size * 4
