"""Every row of a dataset, read once: what is wrong, how often, and what helps. Needs no tokenizer and little memory."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from trainer.dataset.conversation import Conversation, Media, Row, RowProblem
from trainer.dataset.duplicates import Places, Twins, find_twins, identity, said
from trainer.dataset.entry import DatasetInfo
from trainer.dataset.files import FileFacts, look_into
from trainer.dataset.language import count_scripts, is_short
from trainer.dataset.rows import Reading, read_rows
from trainer.errors import UserError

MOST_KEPT = 10_000
# A picture that many rows show is looked at once, as long as so few are remembered.
MOST_SEEN = 100_000
ROWS_A_TELL = 500
DROP = "drop"
Tell = Callable[[int, int, int], None]
Stop = Callable[[], bool]


class Defect(NamedTuple):
    """What is wrong with `rows` rows in the same way. `field` has an ellipsis in place of each number.

    `helps`: what can be done, by name: the repairs that may mend such rows (see ingest.repair), and last to drop them.
    """

    code: str
    field: str
    rows: int
    first: RowProblem
    helps: tuple[str, ...]


@dataclass(frozen=True)
class Checkup:
    """The state of a dataset. `rows` is `usable` and all rows with a problem, of which `problems` keeps the first.

    `broken` says why the file could not be read to its end, or what is wrong with it as a whole; `stopped`: somebody
    stopped the check.
    `pictures` counts the pictures and videos that were looked at. `short` are rows with answers of one word at most,
    `scripts` the letters of each script (language.SCRIPTS).
    """

    dataset: str
    rows: int
    usable: int
    problems: tuple[RowProblem, ...]
    defects: tuple[Defect, ...]
    encoding: str
    kind: str
    bytes: int
    pictures: int
    duplicates: Twins
    short: int
    scripts: Mapping[str, int]
    broken: UserError | None = None
    stopped: bool = False

    @property
    def ok(self) -> bool:
        """Whether every row can be used."""
        return not self.stopped and self.broken is None and self.usable == self.rows


def helps_for(code: str) -> tuple[str, ...]:
    """What can be done about rows with this sentence: names of repairs (see ingest.repair), and `drop`."""
    # The repairs know the rows and are known by more rooms than this one.
    from trainer.dataset.ingest.repair import repairs_for

    return (*repairs_for(code), DROP)


def check(
    info: DatasetInfo,
    reading: Reading,
    tell: Tell | None = None,
    stop: Stop | None = None,
    whole: bool = False,
) -> Checkup:
    """Reads every row of a dataset as training would, and looks at each picture: its header, or with `whole` all of it.

    `tell(rows, bytes_done, bytes_total)` is called now and then; `stop()` is asked as often. Memory holds numbers, not
    rows: some thirty bytes for each. Never raises UserError: a file that cannot be read is `broken`.
    """
    facts, broken = _look(info)
    examiner = _Examiner(whole)
    heard = (0, facts.bytes)
    stopped = False

    def hear(done: int, total: int) -> None:
        nonlocal heard
        heard = (done, total)

    try:
        if broken is None:
            for each in read_rows(info, reading, tell=hear):
                examiner.take(each)
                if examiner.rows % ROWS_A_TELL == 0:
                    if tell:
                        tell(examiner.rows, *heard)
                    if stopped := bool(stop and stop()):
                        break
    except UserError as error:
        broken = error
    if tell:
        tell(examiner.rows, *(heard if stopped or broken else (heard[1], heard[1])))
    return examiner.close(info.name, facts, broken, stopped)


def _look(info: DatasetInfo) -> tuple[FileFacts, UserError | None]:
    nothing = FileFacts("", "", 0, ())
    if info.hub is not None:
        return nothing, None
    try:
        return look_into(info.path, whole=True), None
    except UserError as error:
        return nothing, error


class _Kind(NamedTuple):
    code: str
    field: str


class _Examiner:
    """Takes rows one by one and remembers what a Checkup says of them."""

    def __init__(self, whole: bool) -> None:
        self.rows = 0
        self._usable = 0
        self._whole = whole
        self._problems: list[RowProblem] = []
        self._kinds: Counter[_Kind] = Counter()
        self._first: dict[_Kind, RowProblem] = {}
        self._places, self._identities = Places(), array("Q")
        self._scripts: Counter[str] = Counter()
        self._short = self._pictures = 0
        self._seen: set[Path] = set()

    def take(self, row: Row | RowProblem) -> None:
        self.rows += 1
        if isinstance(row, Row):
            row = self._with_media(row)
        if isinstance(row, RowProblem):
            self._note(row)
        else:
            self._usable += 1
            self._remember(row, row.conversation)

    def _with_media(self, row: Row) -> Row | RowProblem:
        from trainer.dataset.chat_template import Unusable

        try:
            for media in row.conversation.media:
                self._check(media)
        except Unusable as why:
            return RowProblem(row.dataset, row.number, why.code, why.values, row.file)
        return row

    def _check(self, media: Media) -> None:
        """Raises Unusable for a picture or a video that cannot be used."""
        from trainer.dataset import media as seen

        self._pictures += 1
        if media.path in self._seen:
            return
        seen.check(media, self._whole)
        if media.path is not None and len(self._seen) < MOST_SEEN:
            self._seen.add(media.path)

    def _note(self, problem: RowProblem) -> None:
        kind = _Kind(problem.code, re.sub(r"\[\d+\]", "[…]", str(problem.values.get("field", ""))))
        self._kinds[kind] += 1
        self._first.setdefault(kind, problem)
        if len(self._problems) < MOST_KEPT:
            self._problems.append(problem)

    def _remember(self, row: Row, conversation: Conversation) -> None:
        self._places.add(row.dataset, row.number, row.file)
        self._identities.append(identity(conversation))
        self._scripts.update(count_scripts(said(conversation)))
        self._short += is_short(conversation)

    def close(self, name: str, facts: FileFacts, broken: UserError | None, stopped: bool) -> Checkup:
        defects = tuple(
            Defect(kind.code, kind.field, rows, self._first[kind], helps_for(kind.code))
            for kind, rows in self._kinds.most_common()
        )
        return Checkup(
            dataset=name,
            rows=self.rows,
            usable=self._usable,
            problems=tuple(self._problems),
            defects=defects,
            encoding=facts.encoding,
            kind=facts.kind,
            bytes=facts.bytes,
            pictures=self._pictures,
            duplicates=find_twins(self._identities, range(len(self._identities)), self._places),
            short=self._short,
            scripts=dict(self._scripts),
            broken=broken,
            stopped=stopped,
        )
