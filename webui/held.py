"""What one page remembers between its presses."""

from __future__ import annotations

import copy
import threading
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Held(Generic[T]):
    """A value that one page holds, in a `gr.State`, changed in place and by one handler at a time.

    The handlers of a page run side by side: a press may come while the clock draws. Whoever reads `value` in order to
    replace it does so within `with held.turn:`, or the slower of two would put an old value back.
    """

    def __init__(self, value: T) -> None:
        self.value = value
        self._first = value
        self.turn = threading.RLock()

    def __deepcopy__(self, memo: dict[int, Any]) -> Held[T]:
        # Gradio copies the first value for each page; a lock cannot be copied, and each page needs its own.
        return Held(copy.deepcopy(self._first, memo))
