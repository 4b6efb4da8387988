"""What is remembered of each row while a run's rows are counted: numbers, never the row itself."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from trainer.dataset.conversation import Conversation, Row, RowProblem
from trainer.dataset.duplicates import Places, identity, likeness, number_of, said
from trainer.dataset.language import count_scripts, is_short
from trainer.dataset.near import Sketches

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from trainer.dataset.chat_template import Unusable
    from trainer.dataset.render import Rendered

MOST_PROBLEMS = 1_000
# What is true of a row, one bit each.
CUT, ANSWER_CUT, WHOLE, ENDLESS, SHORT, FOLDED, FORGOTTEN = (1 << place for place in range(7))


class Ledger:
    """The rows that could be read, in the order of the files; a row is known by its position, from 0."""

    def __init__(self) -> None:
        self.places = Places()
        self.identities, self.likenesses = array("Q"), array("Q")
        self.sketches = Sketches()
        self.scripts: Counter[str] = Counter()
        self.lengths, self.kept, self.trained = array("q"), array("q"), array("q")
        self.pictures = array("q")
        self.facts, self.reasons = array("B"), array("h")
        self.codes: dict[str, int] = {}
        self.refused: dict[int, RowProblem] = {}

    def __len__(self) -> int:
        return len(self.lengths)

    def add(self, row: Row, found: Rendered | Unusable, facts: int) -> None:
        """Takes a row and what the renderer made of it; `facts` are the bits that its labels decide."""
        from trainer.dataset.chat_template import Unusable

        self._remember(row, row.conversation)
        if isinstance(found, Unusable):
            self._refuse(row, found)
            return
        short = SHORT if is_short(row.conversation) else 0
        self._note(found.length, len(found.input_ids), found.trained, len(row.conversation.media))
        self.facts.append(facts | short | (CUT if found.cut else 0) | (WHOLE if found.whole else 0))
        self.reasons.append(-1)

    def add_kept(self, dataset: str, number: int, found: Rendered, facts: int) -> None:
        """Takes a row of which only the tokens are known."""
        self.places.add(dataset, number)
        self.identities.append(number_of(array("q", found.input_ids).tobytes()))
        self.likenesses.append(self.identities[-1])
        self._note(found.length, len(found.input_ids), found.trained, 0)
        self.facts.append(facts | (CUT if found.cut else 0) | (WHOLE if found.whole else 0))
        self.reasons.append(-1)

    def _remember(self, row: Row, conversation: Conversation) -> None:
        text = said(conversation)
        self.sketches.add(len(self), text)
        self.scripts.update(count_scripts(text))
        self.places.add(row.dataset, row.number, row.file)
        self.identities.append(identity(conversation))
        self.likenesses.append(likeness(conversation))

    def _refuse(self, row: Row, why: Unusable) -> None:
        if len(self.refused) < MOST_PROBLEMS:
            self.refused[len(self)] = RowProblem(row.dataset, row.number, why.code, why.values, row.file)
        self._note(int(why.values.get("length", 0)), 0, 0, 0)
        self.facts.append(0)
        self.reasons.append(self.codes.setdefault(why.code, len(self.codes)))

    def _note(self, length: int, kept: int, trained: int, pictures: int) -> None:
        self.lengths.append(length)
        self.kept.append(kept)
        self.trained.append(trained)
        self.pictures.append(pictures)

    def select(self, rows: Iterable[int]) -> Selection:
        """Some of the rows, each as often as it is named."""
        import numpy as np

        return Selection(self, np.asarray(rows, dtype=np.int64))


class Selection:
    """Rows of a ledger. `usable` are the positions of those that the renderer could use, in order.

    `lengths` (before cutting) and `kept` (after) are the tokens of these, `trained` and `pictures` their sums.
    """

    def __init__(self, ledger: Ledger, rows: NDArray[np.int64]) -> None:
        import numpy as np

        self._ledger = ledger
        self._reasons = np.asarray(ledger.reasons)
        refused = self._reasons[rows] >= 0
        self.usable = rows[~refused]
        self._refused = np.unique(rows[refused])
        self._facts = np.asarray(ledger.facts)[self.usable]
        self.lengths, self.kept = (np.asarray(each)[self.usable] for each in (ledger.lengths, ledger.kept))
        self.trained, self.pictures = (
            int(np.asarray(each)[self.usable].sum()) for each in (ledger.trained, ledger.pictures)
        )

    def having(self, facts: int) -> int:
        """How many usable rows have all these bits."""
        return int(((self._facts & facts) == facts).sum())

    @property
    def refused(self) -> int:
        """How many rows cannot be used, each counted once."""
        return len(self._refused)

    @property
    def reasons(self) -> Counter[str]:
        """Why rows cannot be used, each row counted once."""
        names = list(self._ledger.codes)
        return Counter(names[each] for each in self._reasons[self._refused].tolist())

    @property
    def problems(self) -> list[RowProblem]:
        """The first of the rows that cannot be used."""
        known = self._ledger.refused
        return [known[row] for row in self._refused.tolist() if row in known]

    @property
    def cut_away(self) -> list[int]:
        """Tokens of the rows of which the cutoff leaves nothing."""
        import numpy as np

        lengths = np.asarray(self._ledger.lengths)[self._refused]
        return [length for length in lengths.tolist() if length]
