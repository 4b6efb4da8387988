"""What is asked again and again while a model learns: a person's own questions, or a row's with its pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from trainer.dataset.chat_template import Unusable
from trainer.dataset.conversation import Conversation, Message, Row, RowProblem, Text
from trainer.dataset.entry import Hub
from trainer.dataset.info import choose
from trainer.dataset.media import thumbnail
from trainer.dataset.render import Renderer
from trainer.dataset.rows import Reading, read_rows
from trainer.errors import UserError, Values
from trainer.events import Note
from trainer.options import DataOptions
from trainer.values import named_row

# Of a row with more pictures the first are shown beside its answers.
MOST_SHOWN = 4
SIDE = 192


@dataclass(frozen=True)
class Question:
    """A question as the model gets it: `ids` up to where it begins to write.

    `prompt` is the person's line, `shown` are names of small pictures in the run's folder.
    """

    prompt: str
    message: Message
    ids: tuple[int, ...]
    shown: tuple[str, ...] = ()


class Asking:
    """Reads the rows that questions name and lays small copies of their pictures into `folder`.

    A row is looked for in the first dataset to evaluate on, without one in the first to train on, whatever is drawn of
    it. What cannot be asked is told and left out.
    """

    def __init__(
        self, renderer: Renderer, data: DataOptions, hub: Hub, folder: Path, tell: Callable[[Note], None]
    ) -> None:
        self._renderer = renderer
        self._data = data
        self._hub = hub
        self._folder = folder
        self._tell = tell

    def questions(self, prompts: Sequence[str], system: str) -> list[Question]:
        """In the order of the prompts. `system` is for those whose row has no system prompt.

        Raises UserError when the template refuses a person's own question, and as `choose`.
        """
        wanted = {number for prompt in prompts if (number := named_row(prompt)[0])}
        rows = self._rows(wanted) if wanted else {}
        asked = [self._question(prompt, rows, system) for prompt in prompts]
        return [each for each in asked if each is not None]

    def _rows(self, wanted: set[int]) -> dict[int, Row | RowProblem]:
        """The rows with these numbers; of a folder of files those of the first that has them."""
        found: dict[int, Row | RowProblem] = {}
        for info in choose(self._data.dataset_dir, self._names(), self._data.stage):
            for row in read_rows(info, Reading.of(self._data, self._hub)):
                if row.number in wanted:
                    found.setdefault(row.number, row)
                if len(found) == len(wanted):
                    break
        return found

    def _names(self) -> tuple[str, ...]:
        return (*self._data.eval_dataset, *self._data.dataset)[:1]

    def _question(self, prompt: str, rows: dict[int, Row | RowProblem], system: str) -> Question | None:
        number, own = named_row(prompt)
        if not number:
            asked = Message("user", (Text(prompt),))
            return Question(prompt, asked, self._ids(asked, system))
        row = rows.get(number)
        if not isinstance(row, Row):
            self._leave_out(number, row.text if row else "")
            return None
        asked = _asked(row.conversation, own)
        try:
            ids = self._ids(asked, row.conversation.system or system)
        except UserError as refused:
            self._leave_out(number, refused.text)
            return None
        return Question(prompt, asked, ids, self._shown(number, asked))

    def _ids(self, asked: Message, system: str) -> tuple[int, ...]:
        return tuple(self._renderer.prompt((asked,), system))

    def _leave_out(self, number: int, reason: str) -> None:
        values: Values = {"number": number, "name": ", ".join(self._names()) or self._data.tokenized_path}
        code = "learn_row_unusable" if reason else "learn_row_missing"
        values = {**values, "reason": reason} if reason else values
        self._tell(Note(code=code, values=values, level="warning"))

    def _shown(self, number: int, message: Message) -> tuple[str, ...]:
        names = []
        for place, media in enumerate(message.media[:MOST_SHOWN], 1):
            name = f"row-{number}-{place}.jpg"
            with suppress(Unusable):  # the model has been shown it: a small one less is no loss
                (self._folder / name).write_bytes(thumbnail(media, SIDE))
                names.append(name)
        return tuple(names)


def _asked(conversation: Conversation, own: str) -> Message:
    """The first question of a row, or another one about its pictures."""
    first = conversation.messages[0]
    if not own:
        return first
    return Message("user", (*first.media, Text(own)))
