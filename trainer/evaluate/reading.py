"""The lines of one rows.jsonl, read as far as they are written, a little at a time; it may grow, change, or be replaced."""

from __future__ import annotations

import os
import time
from pathlib import Path

from trainer.evaluate.columns import Ledger
from trainer.evaluate.kept import Copy, Identity, Kept, Seal, copy_of, new_digest, read_kept
from trainer.evaluate.lines import read_line

# So few rows are read in a moment: no file is kept for them.
LEAST_KEPT = 2_000
# An index is written anew when it has grown by this share, so that a growing run writes it a few times only.
GROWTH = 4
# A file that has changed is compared with so many bytes that were kept in a moment.
AT_ONCE = 64 << 20
# Lines between two looks at the clock.
_LINES = 32
# Bytes before the place up to which is read, by which a file that has grown is known again.
_ENDING = 4096


class Reading:
    """Not for several threads at once.

    `ledger` holds the rows so far. `doubtful` is what was kept of a file that has changed since: it counts once somebody
    has compared it (`Kept.is_of`) and says so (`settle`).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.forget()

    def forget(self) -> None:
        """As before the first look."""
        self.ledger = Ledger()
        self.doubtful: Kept | None = None
        self.share = 1.0
        self._begin = True
        self._seen = Identity(0, 0, 0)
        self._read = 0
        self._end = b""
        self._seals: tuple[Seal, ...] = ()
        self._digest = new_digest()
        self._kept_rows = 0

    def advance(self, seconds: float) -> bool:
        """Reads on for about so long; whether all is read that is there now. Raises OSError when the file cannot be read."""
        until = time.monotonic() + seconds
        with self.path.open("rb") as file:
            stat = os.fstat(file.fileno())
            if not self._begin and not self._goes_on(Identity.of(stat)):
                self.forget()
            if self._begin:
                self._take_kept(Identity.of(stat))
            self._seen = Identity.of(stat)
            file.seek(self._read)
            whole = True
            for number, line in enumerate(file, 1):
                # A line without its end is still being written.
                if not line.endswith(b"\n"):
                    break
                self._take(line)
                if number % _LINES == 0 and time.monotonic() >= until:
                    whole = self._read >= stat.st_size
                    break
        if whole:
            self.doubtful = None
        self.share = 1.0 if whole else self._read / max(1, stat.st_size)
        return whole

    def settle(self, kept: Kept | None) -> None:
        """What was doubtful holds, and reading goes on after it unless it is further by now; or it does not (None)."""
        if kept and kept.end > self._read:
            seen = self._seen
            self.forget()
            self._begin, self._seen = False, seen
            self._resume(kept)
        self.doubtful = None

    @property
    def is_to_keep(self) -> bool:
        """Whether enough has come together since something was kept."""
        return len(self.ledger) - self._kept_rows >= max(LEAST_KEPT, self._kept_rows // GROWTH)

    def copy_to_keep(self) -> Copy | None:
        """What is to be kept; None where that is too little. Raises OSError when the disk is full."""
        if not self.is_to_keep:
            return None
        self._kept_rows = len(self.ledger)
        self._seals = (*self._seals, Seal(self._read, self._digest.hexdigest()))
        self._digest = new_digest()
        return copy_of(self.ledger, self._seen, self._seals)

    def _goes_on(self, now: Identity) -> bool:
        """Whether the file is the one that was read so far, and has at most grown since."""
        if now == self._seen:
            return True
        if now.inode != self._seen.inode or now.size < self._read:
            return False
        # Written to, and not longer: what was read may be something else by now.
        if now.size == self._seen.size:
            return False
        with self.path.open("rb") as file:
            file.seek(self._read - len(self._end))
            return file.read(len(self._end)) == self._end

    def _take_kept(self, now: Identity) -> None:
        self._begin = False
        kept = read_kept(self.path)
        if kept is None or kept.end > now.size:
            return
        if kept.identity == now or (kept.end <= AT_ONCE and kept.is_of(self.path)):
            self._resume(kept)
        elif kept.end > AT_ONCE:
            self.doubtful = kept

    def _resume(self, kept: Kept) -> None:
        self.ledger, self._seals, self._read = kept.ledger, kept.seals, kept.end
        self._kept_rows = len(kept.ledger)
        with self.path.open("rb") as file:
            file.seek(max(0, kept.end - _ENDING))
            self._end = file.read(min(kept.end, _ENDING))

    def _take(self, line: bytes) -> None:
        row = read_line(line)
        if row is not None:
            self.ledger.add(row, self._read, len(line))
        self._read += len(line)
        self._end = line[-_ENDING:]
        self._digest.update(line)
