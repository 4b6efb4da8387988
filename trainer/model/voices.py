"""Who answers and how an answer ends: words that pages, chat and evaluation share. No library is needed for them."""

from __future__ import annotations

from typing import Literal

Mode = Literal["base", "tuned", "compare"]
Ending = Literal["", "end", "length", "stopped"]
BASE, TUNED = "base", "tuned"
