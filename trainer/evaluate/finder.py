"""The texts of many rows, to be searched for words: in a file that nobody else sees, not in memory."""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

_PIECE = 1 << 20


@dataclass(frozen=True)
class Texts:
    """Rows' texts in a file from `begin` on; `ends` are the ends of the rows after it."""

    file: IO[bytes]
    begin: int = 0
    ends: array[int] = field(default_factory=lambda: array("q"))

    @property
    def size(self) -> int:
        return self.ends[-1] if self.ends else 0

    def find(self, words: list[bytes]) -> Iterator[int]:
        """The places of the rows that have all words, of which the first is the rarest."""
        if not self.size:
            return
        self.file.flush()
        with mmap.mmap(self.file.fileno(), self.begin + self.size, access=mmap.ACCESS_READ) as texts:
            first, *others = words
            for place in self._having(texts, first):
                low = self.begin + (self.ends[place - 1] if place else 0)
                high = self.begin + self.ends[place]
                if all(texts.find(word, low, high) >= 0 for word in others):
                    yield place

    def _having(self, texts: mmap.mmap, word: bytes) -> Iterator[int]:
        at = texts.find(word, self.begin)
        while at >= 0:
            place = bisect_right(self.ends, at - self.begin)
            # It may begin in one row and end in the next, which are neighbours here only.
            if at + len(word) <= self.begin + self.ends[place]:
                yield place
            at = texts.find(word, self.begin + self.ends[place])


class Finder:
    """Rows in the order in which they are added. Letters count the same large and small.

    `kept` are rows that stand in a file already.
    """

    def __init__(self, kept: Texts | None = None) -> None:
        # Without a name: it is gone with the program, also after a crash.
        self._new = Texts(tempfile.TemporaryFile())  # noqa: SIM115 - lives as long as the rows are looked at
        self._parts = [kept, self._new] if kept else [self._new]
        for each in self._parts:
            weakref.finalize(self, each.file.close)

    def __len__(self) -> int:
        return sum(len(each.ends) for each in self._parts)

    def add(self, *texts: str | None) -> None:
        """Adds one row. Raises OSError when the disk is full."""
        # No word has the sign between two texts, so none is found across them.
        data = "\0".join(text for text in texts if text).casefold().encode("utf-8", "replace")
        self._new.file.write(data)
        self._new.ends.append(self._new.size + len(data))

    def find(self, search: str) -> list[int]:
        """The places, from 0 and in order, of the rows that have all words of `search`; of all rows without a word."""
        words = sorted(
            (word.encode("utf-8", "replace") for word in search.casefold().split()), key=len, reverse=True
        )
        if not words:
            return list(range(len(self)))
        found: list[int] = []
        before = 0
        for each in self._parts:
            found += [before + place for place in each.find(words)]
            before += len(each.ends)
        return found

    def ends(self) -> array[int]:
        """Where each row's texts end when all stand one after the other."""
        found: array[int] = array("q")
        for each in self._parts:
            before = found[-1] if found else 0
            found.extend(each.ends if not before else (before + end for end in each.ends))
        return found

    def texts(self) -> Iterator[bytes]:
        """The texts of the rows that there are now, one after the other, in pieces; others may be added meanwhile."""
        parts = [(each, each.size) for each in self._parts]
        for each, _ in parts:
            each.file.flush()
        return (piece for each, size in parts for piece in _pieces(each, size))


def _pieces(texts: Texts, size: int) -> Iterator[bytes]:
    # Whoever adds a row writes at the end of the same file: nothing here may move its place in it.
    for at in range(0, size, _PIECE):
        yield os.pread(texts.file.fileno(), min(_PIECE, size - at), texts.begin + at)
