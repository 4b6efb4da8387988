"""Rows that are nearly the same: MinHash signatures, bands that bring likely pairs together, and a look at each pair.

Two rows are near-duplicates when they share at least seven tenths of their pairs of neighbouring words (of signs, in a
language without blanks). Pairs that a good part of all rows has, the words of an instruction that is always the same,
say nothing and are left out. Written with numpy, a hundred thousand rows take some seconds: a fraction of what it takes
with an object for each row.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias
from zlib import crc32

from trainer.dataset.duplicates import MOST_SHOWN, Places, Twin, Twins, normal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Hashes: TypeAlias = NDArray[np.uint32]
    Positions: TypeAlias = NDArray[np.int64]

ALIKE = 0.7
# A row with fewer pairs of its own is too short to be nearly anything.
FEWEST_PAIRS = 8
# Rows whose signatures agree less are not compared pair by pair.
PROMISING = 0.5
BANDS, BAND = 21, 3
MOST_ROWS, MOST_WORDS = 200_000, 16 << 20
# Pairs in a fifth of the first rows (and in thirty at least) are everybody's words.
FIRST, COMMON_SHARE, COMMON_ROWS = 2_000, 0.2, 30
# Of longer rows every n-th pair is signed, the same ones in all rows.
PAIRS_A_ROW = 512
BATCH = 1_024
MOST_COMPARED = 400_000
# Chinese, Japanese, Thai and their neighbours stand sign by sign.
_SIGNS = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3041-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORDS = re.compile(rf"[{_SIGNS}]|[^\W{_SIGNS}]+")


class Sketches:
    """Remembers the words of rows as numbers, until it is full (`MOST_ROWS` rows, or `MOST_WORDS` words of them)."""

    def __init__(self) -> None:
        self._words: list[array[int]] = []
        self._rows = array("q")
        self._count = 0

    def add(self, row: int, text: str) -> None:
        """Row `row` says `text`; what comes when it is full is not kept."""
        if len(self._words) >= MOST_ROWS or self._count >= MOST_WORDS:
            return
        words = _WORDS.findall(normal(text))
        self._words.append(array("I", [crc32(word.encode("utf-8", "surrogatepass")) for word in words]))
        self._rows.append(row)
        self._count += len(words)

    def find(self, rows: Iterable[int], identities: Sequence[int], places: Places) -> Twins:
        """Which of `rows` are nearly the same as one before them, those left out that are exactly the same."""
        import numpy as np

        wanted = np.unique(np.fromiter(rows, dtype=np.int64))
        mine = np.asarray(self._rows, dtype=np.int64)
        kept = np.flatnonzero(np.isin(mine, wanted))
        looked_at = len(kept)
        _, first = np.unique(np.asarray(identities, dtype=np.uint64)[mine[kept]], return_index=True)
        kept = kept[np.sort(first)]
        pairs = _near([np.asarray(self._words[each], dtype=np.uint32) for each in kept])
        twins = {int(mine[kept[later]]): int(mine[kept[earlier]]) for later, earlier in pairs.items()}
        shown = tuple(Twin(places[row], places[twins[row]]) for row in sorted(twins)[:MOST_SHOWN])
        return Twins(len(twins), shown, looked_at)


def _near(rows: Sequence[Hashes]) -> dict[int, int]:
    """Rows that are nearly the same as an earlier one, and which one that is."""
    import numpy as np

    pairs = _Pairs(rows)
    signatures = np.zeros((len(rows), BANDS * BAND), dtype=np.uint32)
    counts = np.zeros(len(rows), dtype=np.int64)
    for start in range(0, len(rows), BATCH):
        signatures[start : start + BATCH], counts[start : start + BATCH] = pairs.sign(
            rows[start : start + BATCH]
        )
    able = np.flatnonzero(counts >= FEWEST_PAIRS)
    found: dict[int, int] = {}
    for earlier, later in _candidates(signatures, able)[:MOST_COMPARED]:
        if later not in found and pairs.alike(rows[earlier], rows[later]):
            found[later] = earlier
    return found


def _candidates(signatures: NDArray[np.uint32], able: Positions) -> list[tuple[int, int]]:
    """Rows with a band in common, the most alike first: each row with the first of its band and the one before it."""
    import numpy as np

    bands = signatures[able].reshape(len(able), BANDS, BAND)
    places = np.arange(len(able))
    matches: list[Positions] = [np.empty((0, 2), dtype=np.int64)]
    for band in range(BANDS):
        keys = _mixed(bands[:, band].T)
        order = np.argsort(keys, kind="stable")
        same = np.flatnonzero(keys[order][1:] == keys[order][:-1]) + 1
        fresh = np.ones(len(able), dtype=bool)
        fresh[same] = False
        heads = np.maximum.accumulate(np.where(fresh, places, 0))
        matches += [np.stack((able[order[near]], able[order[same]]), 1) for near in (same - 1, heads[same])]
    unique = np.unique(np.concatenate(matches), axis=0)
    parts = np.array_split(unique, len(unique) // 65_536 + 1)
    agreement = np.concatenate([(signatures[part[:, 0]] == signatures[part[:, 1]]).mean(1) for part in parts])
    promising = np.flatnonzero(agreement >= PROMISING)
    best = promising[np.argsort(-agreement[promising], kind="stable")]
    return [(int(earlier), int(later)) for earlier, later in unique[best]]


def _mixed(columns: Iterable[Hashes]) -> NDArray[np.uint64]:
    """One number for what stands side by side in the columns."""
    import numpy as np

    number: NDArray[np.uint64] = np.zeros(1, dtype=np.uint64)
    for column in columns:
        number = (number ^ column) * np.uint64(0xFF51AFD7ED558CCD)
        number = number ^ (number >> np.uint64(32))
    return number


class _Pairs:
    """The pairs of neighbouring words of rows, as numbers, without those that everybody has."""

    def __init__(self, rows: Sequence[Hashes]) -> None:
        import numpy as np

        chance = np.random.default_rng(1)
        size = BANDS * BAND
        self._flips = chance.integers(0, 1 << 32, size, dtype=np.uint32)
        self._factors = chance.integers(0, 1 << 32, size, dtype=np.uint32) | np.uint32(1)
        self._common: Hashes = np.empty(0, dtype=np.uint32)
        step = max(1, len(rows) // FIRST)
        each = [self._own(row) for row in rows[::step][:FIRST]]
        self._thin = max(1, sum(map(len, each)) // max(1, len(each)) // PAIRS_A_ROW)
        values, counts = np.unique(np.concatenate([self._common, *each]), return_counts=True)
        self._common = values[counts >= max(COMMON_ROWS, COMMON_SHARE * len(each))]

    def alike(self, one: Hashes, other: Hashes) -> bool:
        """Whether the two share enough of their pairs."""
        import numpy as np

        mine, yours = self._own(one), self._own(other)
        shared = len(np.intersect1d(mine, yours, assume_unique=True))
        return shared >= ALIKE * (len(mine) + len(yours) - shared)

    def sign(self, rows: Sequence[Hashes]) -> tuple[Hashes, Positions]:
        """Signatures, shape (rows, BANDS * BAND), and how many pairs each row has of its own."""
        import numpy as np

        each = [pairs[pairs % np.uint32(self._thin) == 0] for pairs in map(self._own, rows)]
        counts = np.array([len(pairs) for pairs in each], dtype=np.int64)
        signed = np.zeros((len(rows), len(self._flips)), dtype=np.uint32)
        some = np.flatnonzero(counts)
        if len(some):
            whole = np.concatenate(each)
            starts = np.concatenate(([0], np.cumsum(counts[some])[:-1]))
            for column, (flip, factor) in enumerate(zip(self._flips, self._factors, strict=True)):
                signed[some, column] = np.minimum.reduceat((whole ^ flip) * factor, starts)
        return signed, counts

    def _own(self, words: Hashes) -> Hashes:
        """Each pair once, in order of the numbers."""
        import numpy as np

        pairs = np.unique(_mixed((words[:-1], words[1:])).astype(np.uint32)) if len(words) > 1 else words[:0]
        return pairs[~np.isin(pairs, self._common)] if len(self._common) else pairs
