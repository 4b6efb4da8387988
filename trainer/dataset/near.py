"""Rows that are nearly the same: MinHash signatures, bands that bring likely pairs together, and a look at each pair.

Two rows are near-duplicates when they share at least three quarters of their runs of four signs. Runs that a good part
of all rows has (the words of an instruction that is always the same) say nothing and are left out. Written with numpy,
a hundred thousand rows take some seconds: a tenth of what it takes with one object for each row.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from trainer.dataset.duplicates import MOST_SHOWN, Places, Twin, Twins, normal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint32]

ALIKE = 0.75
RUN = 4
# A row with fewer runs of its own is too short to be nearly anything.
FEWEST_RUNS = 8
# Rows whose signatures differ more are not compared sign by sign.
PROMISING = 0.6
SIGNATURE, BANDS = 64, 16
MOST_ROWS, MOST_BYTES = 200_000, 64 << 20
# Runs in a fifth of the first rows (and in thirty at least) are everybody's words.
FIRST, COMMON_SHARE, COMMON_ROWS = 2_000, 0.2, 30
RUNS_A_ROW = 512
BATCH = 1_024
MOST_COMPARED = 400_000


class Sketches:
    """Remembers rows until it is full (`MOST_ROWS` or `MOST_BYTES` of text): then `full` is true."""

    def __init__(self) -> None:
        self._texts: list[bytes] = []
        self._rows = array("q")
        self._bytes = 0

    @property
    def full(self) -> bool:
        return len(self._texts) >= MOST_ROWS or self._bytes >= MOST_BYTES

    def add(self, row: int, text: str) -> None:
        """Row `row` says `text`; what comes when it is full is not kept."""
        if self.full:
            return
        kept = normal(text).encode("utf-8", "surrogatepass")
        self._texts.append(kept)
        self._rows.append(row)
        self._bytes += len(kept)

    def find(self, rows: Iterable[int], identities: Sequence[int], places: Places) -> Twins:
        """Which of `rows` are nearly the same as one before them, those left out that are exactly the same."""
        import numpy as np

        wanted = np.unique(np.fromiter(rows, dtype=np.int64))
        mine = np.asarray(self._rows, dtype=np.int64)
        kept = np.flatnonzero(np.isin(mine, wanted))
        given = np.asarray(identities, dtype=np.uint64)[mine[kept]]
        _, first = np.unique(given, return_index=True)
        kept = kept[np.sort(first)]
        pairs = _near_pairs([self._texts[each] for each in kept])
        twins = {int(mine[kept[later]]): int(mine[kept[earlier]]) for earlier, later in reversed(pairs)}
        shown = tuple(Twin(places[row], places[twins[row]]) for row in sorted(twins)[:MOST_SHOWN])
        return Twins(len(twins), shown, int(np.isin(mine, wanted).sum()))


def _near_pairs(texts: Sequence[bytes]) -> list[tuple[int, int]]:
    """Pairs of near-duplicates, the earlier first; each later one is in at least one of them."""
    import numpy as np

    runs = _Runs(texts)
    signatures = np.zeros((len(texts), SIGNATURE), dtype=np.uint32)
    counts = np.zeros(len(texts), dtype=np.int64)
    for start in range(0, len(texts), BATCH):
        signatures[start : start + BATCH], counts[start : start + BATCH] = runs.sign(
            texts[start : start + BATCH]
        )
    able = np.flatnonzero(counts >= FEWEST_RUNS)
    found: list[tuple[int, int]] = []
    done: set[int] = set()
    for earlier, later in _candidates(signatures, able)[:MOST_COMPARED]:
        if later not in done and runs.alike(texts[earlier], texts[later]):
            done.add(later)
            found.append((earlier, later))
    return found


def _candidates(signatures: NDArray[np.uint32], able: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Pairs with a band in common, the most alike first: each row with the first of its band and the one before it."""
    import numpy as np

    pairs: list[NDArray[np.int64]] = []
    bands = signatures[able].reshape(len(able), BANDS, signatures.shape[1] // BANDS).astype(np.uint64)
    for band in range(BANDS):
        keys = np.zeros(len(able), dtype=np.uint64)
        for column in range(bands.shape[2]):
            keys = (keys ^ bands[:, band, column]) * np.uint64(0x9E3779B97F4A7C15)
            keys ^= keys >> np.uint64(29)
        order = np.argsort(keys, kind="stable")
        same = np.flatnonzero(keys[order][1:] == keys[order][:-1]) + 1
        heads = np.maximum.accumulate(np.where(np.isin(np.arange(len(able)), same), 0, np.arange(len(able))))
        pairs += [np.stack((able[order[near]], able[order[same]]), 1) for near in (same - 1, heads[same])]
    unique = np.unique(np.concatenate(pairs), axis=0) if pairs else np.empty((0, 2), dtype=np.int64)
    agreement = np.concatenate(
        [
            (signatures[part[:, 0]] == signatures[part[:, 1]]).mean(1)
            for part in np.array_split(unique, len(unique) // 65_536 + 1)
        ]
    )
    promising = np.flatnonzero(agreement >= PROMISING)
    best = promising[np.argsort(-agreement[promising], kind="stable")]
    return [(int(earlier), int(later)) for earlier, later in unique[best]]


class _Runs:
    """The runs of four signs of texts, as numbers, without those that everybody has."""

    def __init__(self, texts: Sequence[bytes]) -> None:
        import numpy as np

        chance = np.random.default_rng(1)
        self._flips = chance.integers(0, 1 << 32, SIGNATURE, dtype=np.uint32)
        self._factors = chance.integers(0, 1 << 32, SIGNATURE, dtype=np.uint32) | np.uint32(1)
        self._common = np.empty(0, dtype=np.uint32)
        step = max(1, len(texts) // FIRST)
        each = [np.unique(self._of(text)) for text in texts[::step][:FIRST]]
        # Of long texts only every n-th run counts, the same ones in all rows.
        self._thin = max(1, sum(map(len, each)) // max(1, len(each)) // RUNS_A_ROW)
        values, counts = np.unique(np.concatenate(each or [self._common]), return_counts=True)
        self._common = values[counts >= max(COMMON_ROWS, COMMON_SHARE * len(each))]

    def alike(self, one: bytes, other: bytes) -> bool:
        """Whether the two share enough of their runs."""
        import numpy as np

        mine, yours = (np.unique(self._own(self._of(text))) for text in (one, other))
        shared = len(np.intersect1d(mine, yours, assume_unique=True))
        return shared >= ALIKE * (len(mine) + len(yours) - shared)

    def sign(self, texts: Sequence[bytes]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """Signatures, shape (texts, SIGNATURE), and how many runs each text has of its own."""
        import numpy as np

        each = [self._own(self._of(text), thin=True) for text in texts]
        counts = np.array([len(runs) for runs in each], dtype=np.int64)
        signed = np.zeros((len(texts), SIGNATURE), dtype=np.uint32)
        some = np.flatnonzero(counts)
        if len(some):
            whole = np.concatenate(each)
            starts = np.concatenate(([0], np.cumsum(counts[some])[:-1]))
            for column in range(SIGNATURE):
                mixed = (whole ^ self._flips[column]) * self._factors[column]
                signed[some, column] = np.minimum.reduceat(mixed, starts)
        return signed, counts

    def _of(self, text: bytes) -> Hashes:
        """A number for each run of signs."""
        import numpy as np

        signs = np.frombuffer(
            text.decode("utf-8", "surrogatepass").encode("utf-32-le", "surrogatepass"), np.uint32
        )
        count = max(0, len(signs) - RUN + 1)
        number = np.zeros(count, dtype=np.uint64)
        for place in range(RUN):
            number = (number ^ signs[place : place + count]) * np.uint64(0xFF51AFD7ED558CCD)
            number ^= number >> np.uint64(32)
        return number.astype(np.uint32)

    def _own(self, runs: Hashes, thin: bool = False) -> Hashes:
        import numpy as np

        if thin and self._thin > 1:
            runs = runs[runs % np.uint32(self._thin) == 0]
        if len(self._common):
            runs = runs[~np.isin(runs, self._common)]
        return runs
