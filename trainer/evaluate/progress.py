"""How far an evaluation is, told at most twice a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch

from trainer.evaluate.scores import Tally, main
from trainer.events import Predicted
from trainer.model.memory import used_mb

EVERY_S = 0.5


class Progress:
    """Counts rows. `before` of `total` were done when this attempt began.

    Where the sides answer all rows one after the other, each of them does its `share` of a row.
    """

    def __init__(
        self, emit: Callable[[Predicted], None], tally: Tally, sides: Sequence[str], total: int, before: float,
        device: torch.device, share: float = 1.0,
    ) -> None:  # fmt: skip
        self._emit, self._tally, self._sides, self._device = emit, tally, sides, device
        self._total, self._before = total, before
        self._share = share
        self._units = 0
        self._begun = time.monotonic()
        self._told_at = 0.0

    @property
    def done(self) -> int:
        """The rows that are done."""
        return round(self._before + self._units * self._share)

    def add(self) -> None:
        """One row more is done by those who are at work."""
        self._units += 1
        if time.monotonic() - self._told_at >= EVERY_S:
            self.tell()

    def lose(self) -> None:
        """One row cannot be done."""
        self._total -= 1

    def tell(self) -> None:
        """How it stands now."""
        now = time.monotonic()
        self._told_at = now
        spent = max(now - self._begun, 1e-6)
        pace = self._units * self._share / spent
        name = main(self._tally.kind)
        means = {side: self._tally.means(side) for side in self._sides}
        self._emit(
            Predicted(
                done=self.done, total=self._total, elapsed_s=round(spent, 3),
                eta_s=round((self._total - self.done) / pace, 3) if pace else 0.0, rows_per_s=round(pace, 3),
                scores={side: {name: each[name]} for side, each in means.items() if name in each},
                memory_mb=used_mb(self._device),
            )
        )  # fmt: skip
