"""Rendered rows kept as a few arrays instead of millions of lists: eight bytes a token, in memory or in files."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from trainer.dataset.album import Album, Collector
from trainer.dataset.conversation import Media
from trainer.dataset.render import Rendered

# Tokens that a builder holds before it writes them to its file.
HELD = 1 << 21
FACTS = ("end", "trained", "length", "cut", "whole")
META, TOKENS, LABELS, ROWS = "rows.json", "tokens.bin", "labels.bin", "facts.bin"
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Block:
    """Rows one after another: `tokens` and `labels` (int32) of all, `facts` (rows, 5) as in FACTS.

    `facts[i]` holds where row i ends among the tokens, and what `Rendered` says of it; `album` what rows show.
    """

    tokens: NDArray[np.int32]
    labels: NDArray[np.int32]
    facts: Integers
    album: Album = field(default_factory=Album)

    def __len__(self) -> int:
        return len(self.facts)

    def row(self, place: int) -> Rendered:
        start = int(self.facts[place - 1, 0]) if place else 0
        end, trained, length, cut, whole = self.facts[place].tolist()
        ids, labels = self.tokens[start:end].tolist(), self.labels[start:end].tolist()
        return Rendered(ids, labels, trained, length, bool(cut), bool(whole), self.album.of(place))

    @cached_property
    def sizes(self) -> Integers:
        """Tokens of each row, after cutting."""
        return np.diff(self.facts[:, 0], prepend=0)

    def save(self, folder: Path) -> None:
        """Writes the rows into a folder that `read` reads. Raises OSError."""
        self.tokens.astype(np.int32, copy=False).tofile(folder / TOKENS)
        self.labels.astype(np.int32, copy=False).tofile(folder / LABELS)
        self.facts.astype(np.int64, copy=False).tofile(folder / ROWS)
        _write_meta(folder, len(self.tokens), len(self))

    @classmethod
    def read(cls, folder: Path, now: bool = False) -> Block:
        """The rows of a folder; they stay in the files until they are used. Raises OSError, ValueError or KeyError.

        Unless they were written just `now`, it is looked whether their pictures are still the same.
        """
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
        tokens, rows = int(meta["tokens"]), int(meta["rows"])
        return cls(
            _mapped(folder / TOKENS, np.int32, tokens),
            _mapped(folder / LABELS, np.int32, tokens),
            np.array(_mapped(folder / ROWS, np.int64, rows * len(FACTS))).reshape(rows, len(FACTS)),
            Album.read(folder, now),
        )


def _write_meta(folder: Path, tokens: int, rows: int) -> None:
    (folder / META).write_text(json.dumps({"tokens": tokens, "rows": rows}), encoding="utf-8")


def _mapped(path: Path, kind: Any, count: int) -> Any:
    if path.stat().st_size != count * np.dtype(kind).itemsize:
        raise ValueError(f"{path} is cut short")
    return np.memmap(path, dtype=kind, mode="r") if count else np.empty(0, dtype=kind)


class Builder:
    """Takes rows one by one; with a folder their tokens go to its files, so that memory does not grow with them."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._tokens, self._labels, self._facts = array("i"), array("i"), array("q")
        self._count = self._rows = 0
        self._media = Collector(folder)

    def watch(self, media: tuple[Media, ...]) -> None:
        """The media of a row that is not kept, on which it depends that it is not."""
        self._media.watch(media)

    def add(self, row: Rendered) -> None:
        """Raises OSError when the disk is full."""
        self._media.add(self._rows, row.media)
        self._rows += 1
        self._tokens.fromlist(row.input_ids)
        self._labels.fromlist(row.labels)
        self._count += len(row.input_ids)
        self._facts.extend((self._count, row.trained, row.length, row.cut, row.whole))
        if self._folder and len(self._tokens) > HELD:
            self._flush(self._folder)

    def _flush(self, folder: Path) -> None:
        for name, held in ((TOKENS, self._tokens), (LABELS, self._labels)):
            with (folder / name).open("ab") as file:
                held.tofile(file)
            del held[:]

    def close(self) -> Block:
        """The rows, whole. Raises OSError when the disk is full."""
        facts = np.frombuffer(self._facts, dtype=np.int64).reshape(-1, len(FACTS)) if self._facts else None
        if facts is None:
            facts = np.empty((0, len(FACTS)), dtype=np.int64)
        if self._folder is None:
            tokens, labels = (np.array(held, dtype=np.int32) for held in (self._tokens, self._labels))
            return Block(tokens, labels, facts, self._media.close())
        self._flush(self._folder)
        facts.tofile(self._folder / ROWS)
        _write_meta(self._folder, self._count, len(facts))
        self._media.close()
        return Block.read(self._folder, now=True)


class RowTable(Sequence[Rendered]):
    """Rows out of blocks, in an order of their own; a row is made when it is asked for.

    `order` has the shape (rows, 2): which block, and the place in it.
    """

    def __init__(self, blocks: Sequence[Block], order: Integers) -> None:
        self._blocks = tuple(blocks)
        self._order = order

    def __len__(self) -> int:
        return len(self._order)

    @overload
    def __getitem__(self, place: int) -> Rendered: ...

    @overload
    def __getitem__(self, place: slice) -> list[Rendered]: ...

    def __getitem__(self, place: int | slice) -> Rendered | list[Rendered]:
        if isinstance(place, slice):
            return [self._row(*each) for each in self._order[place].tolist()]
        return self._row(*self._order[place].tolist())

    def __iter__(self) -> Iterator[Rendered]:
        for block, place in self._order.tolist():
            yield self._row(block, place)

    def _row(self, block: int, place: int) -> Rendered:
        return self._blocks[block].row(place)

    def tokens(self, place: int, first: int, last: int) -> NDArray[np.int32]:
        """The tokens of one row from `first` up to `last`."""
        number, inner = self._order[place].tolist()
        block = self._blocks[number]
        start = int(block.facts[inner - 1, 0]) if inner else 0
        found: NDArray[np.int32] = block.tokens[start + first : start + last]
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def _facts(self, name: str) -> Integers:
        found = np.empty(len(self), dtype=np.int64)
        for number, block in enumerate(self._blocks):
            inside = np.flatnonzero(self._order[:, 0] == number)
            values = block.sizes if name == "size" else block.facts[:, FACTS.index(name)]
            found[inside] = values[self._order[inside, 1]]
        return found

    @cached_property
    def sizes(self) -> Integers:
        """Tokens of each row, after cutting."""
        return self._facts("size")

    @cached_property
    def trained_each(self) -> Integers:
        """Trained tokens of each row."""
        return self._facts("trained")

    @property
    def trained(self) -> int:
        """Tokens that are trained in one epoch."""
        return int(self.trained_each.sum())

    @property
    def cut(self) -> int:
        """How many rows are longer than the cutoff and were cut."""
        return int(self._facts("cut").sum())

    @property
    def whole(self) -> int:
        """How many rows keep the end of at least one trained answer."""
        return int(self._facts("whole").sum())

    @property
    def longest(self) -> int:
        """Tokens of the longest row before cutting; 0 without rows."""
        return int(self._facts("length").max(initial=0))

    @property
    def shortest(self) -> int:
        """Tokens of the shortest row before cutting; 0 without rows."""
        return int(self._facts("length").min()) if len(self) else 0

    def update(self, digest: hashlib._Hash) -> None:
        """Adds the tokens and labels of all rows to a fingerprint: equal for what is trained equally."""
        for number, place in self._order.tolist():
            block = self._blocks[number]
            start = int(block.facts[place - 1, 0]) if place else 0
            end = int(block.facts[place, 0])
            digest.update((end - start).to_bytes(8, "little"))
            digest.update(block.tokens[start:end].tobytes())
            digest.update(block.labels[start:end].tobytes())
            for media in block.album.of(place):
                digest.update(block.album.key(media).encode())


def table_of(rows: Sequence[Rendered]) -> RowTable:
    """Rows that lie in a list as a table."""
    builder = Builder()
    for row in rows:
        builder.add(row)
    return whole_block(builder.close())


def whole_block(block: Block) -> RowTable:
    """All rows of a block in their order."""
    order = np.zeros((len(block), 2), dtype=np.int64)
    order[:, 1] = np.arange(len(block))
    return RowTable((block,), order)
