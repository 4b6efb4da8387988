"""Rows through the eyes of one model: what the renderer makes of them, and what their tokens show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.dataset.conversation import Conversation, Row, message
from trainer.dataset.ledger import ANSWER_CUT, ENDLESS, FOLDED, FORGOTTEN
from trainer.errors import UserError
from trainer.options import DataOptions

if TYPE_CHECKING:
    from trainer.dataset.chat_template import Unusable
    from trainer.dataset.gather import Gathered
    from trainer.dataset.render import Rendered

NO_CUTOFF = 1 << 40


class Lens:
    """Renders rows, and says of each what its tokens show."""

    def __init__(self, tokenizer: Any, data: DataOptions, processor: Any) -> None:
        from trainer.dataset.plain import renderer_of
        from trainer.dataset.render import Renderer

        def renderer(**changed: Any) -> Renderer:
            return renderer_of(tokenizer, data.template, replace(data, **changed), processor)

        self.renderer = renderer()
        self.data = data
        self._tokenizer = tokenizer
        self._stops = frozenset(self.renderer.stop_ids)
        # What is lost of the answers is seen when nothing else is trained.
        self._answers = renderer(train_on_prompt=False) if data.train_on_prompt else self.renderer
        self._whole = renderer(train_on_prompt=False, cutoff_len=NO_CUTOFF)

    def look(self, rows: Sequence[Row]) -> Iterator[tuple[Row, Rendered | Unusable, int]]:
        """Each row, what the renderer made of it, and the bits that are true of it."""
        from trainer.dataset.chat_template import Unusable

        found = self.renderer.render_many(row.conversation for row in rows)
        for row, each in zip(rows, found, strict=True):
            yield row, each, 0 if isinstance(each, Unusable) else self._facts(row.conversation, each)

    def _facts(self, conversation: Conversation, rendered: Rendered) -> int:
        facts = self.kept_facts(rendered)
        if rendered.cut and self._loses(conversation):
            facts |= ANSWER_CUT
        facts |= FORGOTTEN if self.renderer.forgets(conversation) else 0
        return facts | (FOLDED if self.renderer.folds(conversation) else 0)

    def _loses(self, conversation: Conversation) -> bool:
        """Whether cutting takes tokens of a trained answer away."""
        from trainer.dataset.chat_template import Unusable

        try:
            return self._answers.render(conversation).trained < self._whole.render(conversation).trained
        except Unusable:
            # Trained on the question alone: nothing is left of the answer.
            return True

    def ending_template(self) -> str:
        """A template that ends answers with a token which this tokenizer has; empty when there is none."""
        from trainer.dataset.chat_template import Unusable
        from trainer.dataset.render import Renderer
        from trainer.dataset.templates import FAMILIES

        asked = Conversation((message("user", "?"), message("assistant", "!")))
        data = replace(self.data, cutoff_len=NO_CUTOFF)
        for name in FAMILIES:
            try:
                renderer = Renderer(self._tokenizer, name, data)
                if not set(renderer.stop_ids).isdisjoint(renderer.render(asked).labels):
                    return name
            except (UserError, Unusable):
                continue
        return ""

    def kept(self) -> Gathered | None:
        """The rows in the folder `tokenized_path`, which a run takes instead of the files; None where it has none.

        Raises UserError for a folder that holds other things, or the rows of another model.
        """
        from trainer.dataset import tokenized

        if not (folder := kept_folder(self.data)):
            return None
        return tokenized.read(folder, self._tokenizer, self.renderer)

    def kept_facts(self, rendered: Rendered) -> int:
        """The bits that tokens alone can tell."""
        return ENDLESS if self._stops.isdisjoint(rendered.labels) else 0


def kept_folder(data: DataOptions) -> Path | None:
    """The folder `tokenized_path` when it has rows. Raises UserError when it holds other things."""
    from trainer.dataset import tokenized

    folder = Path(data.tokenized_path).expanduser() if data.tokenized_path else None
    return folder if folder and tokenized.has_rows(folder) else None
