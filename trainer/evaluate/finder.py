"""The texts of many rows, to be searched for words: in a file of its own that nobody else sees, not in memory."""

from __future__ import annotations

import mmap
import tempfile
import weakref
from array import array
from bisect import bisect_right


class Finder:
    """Rows in the order in which they are added. Letters count the same large and small."""

    def __init__(self) -> None:
        # Without a name: it is gone with the program, also after a crash.
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the rows are looked at
        weakref.finalize(self, self._file.close)
        self._ends = array("q")

    def __len__(self) -> int:
        return len(self._ends)

    def add(self, *texts: str | None) -> None:
        """Adds one row. Raises OSError when the disk is full."""
        # No word has the sign between two texts, so none is found across them.
        data = "\0".join(text for text in texts if text).casefold().encode("utf-8", "replace")
        self._file.write(data)
        self._ends.append((self._ends[-1] if self._ends else 0) + len(data))

    def find(self, search: str) -> list[int]:
        """The places, from 0 and in order, of the rows that have all words of `search`; of all rows without a word."""
        words = sorted((word.encode("utf-8", "replace") for word in search.casefold().split()), key=len)
        if not words or not self._ends or not self._ends[-1]:
            return [] if words else list(range(len(self._ends)))
        self._file.flush()
        with mmap.mmap(self._file.fileno(), self._ends[-1], access=mmap.ACCESS_READ) as texts:
            found = self._having(texts, words.pop())
            for word in words:
                found = [
                    place for place in found if texts.find(word, self._start(place), self._ends[place]) >= 0
                ]
        return found

    def _having(self, texts: mmap.mmap, word: bytes) -> list[int]:
        found: list[int] = []
        at = texts.find(word)
        while at >= 0:
            place = bisect_right(self._ends, at)
            # It may begin in one row and end in the next, which are neighbours here only.
            if at + len(word) <= self._ends[place]:
                found.append(place)
            at = texts.find(word, self._ends[place])
        return found

    def _start(self, place: int) -> int:
        return self._ends[place - 1] if place else 0
