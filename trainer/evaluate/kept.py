"""The index of a large evaluation's rows in a file beside them, so that a server that starts anew need not read them.

It holds nothing that reading the rows would not find: it may be deleted at any time, and one that is broken, or of
other rows, counts as not there. Whoever has read most writes it anew as a whole, in one step.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sys
import time
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

from trainer.evaluate.columns import Ledger
from trainer.evaluate.finder import Finder, Texts

NAME = "rows.index"
# Changes with what is kept, and with the machine whose numbers these are.
_VERSION = f"rows 1 {sys.byteorder}"
_MOST_HEAD = 64 << 20
_PIECE = 1 << 20
_ABANDONED_S = 3600


class Identity(NamedTuple):
    """By what a file is known again without reading it."""

    inode: int
    changed_ns: int
    size: int

    @classmethod
    def of(cls, stat: os.stat_result) -> Identity:
        return cls(stat.st_ino, stat.st_mtime_ns, stat.st_size)


class Seal(NamedTuple):
    """The part of the rows' file that ends at `end` and begins where the one before it ends, by its digest."""

    end: int
    digest: str


@dataclass(frozen=True)
class Kept:
    """What was kept: a ledger of the rows up to the last seal, of a file that looked like `identity`."""

    ledger: Ledger
    identity: Identity
    seals: tuple[Seal, ...]

    @property
    def end(self) -> int:
        return self.seals[-1].end if self.seals else 0

    def is_of(self, rows: Path) -> bool:
        """Whether a file begins with the very rows that were kept. Reads all of them: a second for each gigabyte."""
        try:
            with rows.open("rb") as file:
                return all(digest_of(file, low, high) == digest for low, high, digest in self._parts())
        except OSError:
            return False

    def _parts(self) -> Iterator[tuple[int, int, str]]:
        begin = 0
        for end, digest in self.seals:
            yield begin, end, digest
            begin = end


def new_digest() -> Any:
    return hashlib.blake2b(digest_size=16)


def digest_of(file: IO[bytes], begin: int, end: int) -> str:
    """The digest of a part of a file, or "" where it is shorter."""
    found = new_digest()
    file.seek(begin)
    while begin < end:
        piece = file.read(min(_PIECE, end - begin))
        if not piece:
            return ""
        found.update(piece)
        begin += len(piece)
    return str(found.hexdigest())


def read_kept(rows: Path) -> Kept | None:
    """What is kept beside this file of rows; None where that is nothing, or nothing whole."""
    try:
        file = rows.with_name(NAME).open("rb")
    except OSError:
        return None
    try:
        return _read(file)
    # Whatever somebody has put there.
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        file.close()
        return None


def _read(file: IO[bytes]) -> Kept | None:
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little")
    if not 0 < length <= min(size, _MOST_HEAD):
        raise ValueError("no index")
    head = json.loads(file.read(length))
    if head["version"] != _VERSION:
        raise ValueError("an index of another version")
    arrays: dict[str, array[Any]] = {}
    sum_ = 0
    for name, code, count in head["arrays"]:
        if not 0 <= count * 8 <= size:
            raise ValueError("an array longer than its file")
        arrays[name] = array(code)
        data = file.read(count * arrays[name].itemsize)
        arrays[name].frombytes(data)
        sum_ = zlib.crc32(data, sum_)
    ends = arrays.pop("ends")
    begin = file.tell()
    if sum_ != head["sum"] or begin + (ends[-1] if ends else 0) != size:
        raise ValueError("a broken index")
    finder = Finder(Texts(file, begin, ends))
    ledger = Ledger.unpack(arrays, head["names"], head["datasets"], finder)
    return Kept(ledger, Identity(*head["identity"]), tuple(Seal(*each) for each in head["seals"]))


class Copy(NamedTuple):
    """All that is written, as it was at one moment: rows may be added to the ledger while it is."""

    head: dict[str, Any]
    arrays: dict[str, array[Any]]
    texts: Iterable[bytes]


def copy_of(ledger: Ledger, identity: Identity, seals: Sequence[Seal]) -> Copy:
    """The copy. Raises OSError when the disk is full."""
    arrays = {**ledger.pack(), "ends": ledger.finder.ends()}
    head = {
        "version": _VERSION, "identity": identity, "seals": list(seals), "names": list(ledger.names),
        "datasets": list(ledger.datasets),
        "arrays": [(name, held.typecode, len(held)) for name, held in arrays.items()],
    }  # fmt: skip
    return Copy(head, arrays, ledger.finder.texts())


def keep(rows: Path, copy: Copy) -> None:
    """Writes the index beside its rows, whole or not at all. A folder that cannot be written to keeps none."""
    temporary = rows.with_name(f".{NAME}.{secrets.token_hex(4)}")
    with suppress(OSError):
        _sweep(rows.parent)
        try:
            with temporary.open("xb") as file:
                _write(file, copy)
            temporary.replace(rows.with_name(NAME))
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def _write(file: IO[bytes], copy: Copy) -> None:
    sum_ = 0
    for held in copy.arrays.values():
        sum_ = zlib.crc32(held, sum_)
    head = json.dumps({**copy.head, "sum": sum_}).encode()
    file.write(len(head).to_bytes(8, "little") + head)
    for held in copy.arrays.values():
        file.write(held)
    file.writelines(copy.texts)


def _sweep(folder: Path) -> None:
    """Removes what a killed process has left half written."""
    for path in folder.glob(f".{NAME}.*"):
        if time.time() - path.stat().st_mtime > _ABANDONED_S:
            path.unlink(missing_ok=True)
