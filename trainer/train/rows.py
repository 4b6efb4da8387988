"""The rows that a run trains and evaluates on, wherever they come from, and what is told of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from trainer.config import RunConfig
from trainer.dataset import tokenized
from trainer.dataset.blocks import Blocks
from trainer.dataset.gather import Gathered, gather
from trainer.dataset.load import REASONS_TOLD
from trainer.dataset.render import Renderer
from trainer.dataset.stream import Stream
from trainer.dataset.table import RowTable
from trainer.dataset.templates import is_taken_on_trust
from trainer.errors import UserError, Values
from trainer.events import Note

Tell = Callable[[Note], None]


@dataclass(frozen=True)
class RunRows:
    """Rows as tokens: `train` is a table, or a stream whose length nobody knows.

    `parts` holds the rows to evaluate on: none, one part under the name "", or one for each dataset.
    """

    train: RowTable | Stream
    parts: dict[str, RowTable] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Rows of an epoch; 0 for a stream."""
        return len(self.train) if isinstance(self.train, RowTable) else 0

    @property
    def trained_tokens(self) -> int:
        """Trained tokens of an epoch; 0 for a stream."""
        return self.train.trained if isinstance(self.train, RowTable) else 0

    def fingerprint(self) -> dict[str, str | int]:
        """How many rows there are, and a fingerprint of their tokens and labels: equal for what is trained equally."""
        digest = hashlib.sha256()
        for table in (self.train, *self.parts.values()):
            if isinstance(table, RowTable):
                table.update(digest)
            digest.update(b"evaluation")
        evaluation = sum(map(len, self.parts.values()))
        return {"train": self.count, "evaluation": evaluation, "fingerprint": digest.hexdigest()[:16]}


def rows_for(
    config: RunConfig,
    tokenizer: Any,
    renderer: Renderer,
    tell: Tell,
    breathe: Callable[[], None] = lambda: None,
) -> RunRows:
    """The rows of a run; zero usable ones end it here, before the model is loaded. Raises UserError.

    `breathe` is called now and then while rows are rendered, and may end the work by raising.
    """
    data = config.data
    plain = data.stage == "pt"
    if not plain and is_taken_on_trust(
        tokenizer.get_chat_template() if tokenizer.chat_template else "", data.template
    ):
        tell(Note(code="template_on_trust", values={"name": data.template}))
    kept = Path(data.tokenized_path).expanduser() if data.tokenized_path else None
    found = tokenized.read(kept, tokenizer, renderer) if kept and tokenized.has_rows(kept) else None
    evaluates = config.train.eval_strategy
    if found is None and not data.dataset:
        raise UserError("no_dataset", field="dataset")
    if found is None and evaluates != "no" and not (data.val_size or data.eval_dataset):
        raise UserError("eval_without_rows", field="eval_strategy", value=evaluates)
    if found is None and data.streaming:
        if kept:
            raise UserError("streaming_excludes", field="tokenized_path", name="tokenized_path")
        return _streamed(config, renderer, tell)
    if found is None:
        found = gather(renderer, data, config.train.seed, config.model.hub, breathe=breathe)
        _tell_problems(found, renderer.cutoff, tell)
        if isinstance(found.train, Blocks):
            tell(_blocks_note(found.train, data.cutoff_len))
        if kept:
            tell(tokenized.save(kept, found, tokenizer, renderer))
    for note in found.notes:
        tell(note)
    if evaluates != "no" and not found.parts:
        raise UserError("tokenized_no_evaluation", field="eval_strategy", value=evaluates, path=str(kept))
    return RunRows(found.train, found.parts)


def _streamed(config: RunConfig, renderer: Renderer, tell: Tell) -> RunRows:
    # A row comes at most as many places before its turn as the buffer holds.
    data = replace(config.data, buffer_size=1) if config.method.disable_shuffling else config.data
    stream = Stream(renderer, data, config.train.seed, config.model.hub)
    for note in stream.notes:
        tell(note)
    parts = stream.evaluation()
    stream.first()
    return RunRows(stream, parts)


def _blocks_note(blocks: Blocks, cutoff: int) -> Note:
    values: Values = {
        "texts": len(blocks.texts),
        "tokens": int(blocks.sizes.sum()),
        "rows": len(blocks),
        "cutoff": cutoff,
    }
    return Note(code="pretraining_joined" if blocks.joined else "pretraining_split", values=values)


def _tell_problems(found: Gathered, cutoff: int, tell: Tell) -> None:
    tables = (found.train, *found.parts.values())
    rows = sum(map(len, tables))
    if found.problems:
        reasons = " ".join(problem.text for problem in found.problems[:REASONS_TOLD])
        values: Values = {
            "count": len(found.problems),
            "rows": rows + len(found.problems),
            "reasons": reasons,
        }
        tell(Note(code="data_rows_left_out", values=values, level="warning"))
    if cut := sum(table.cut for table in tables):
        longest = max(table.longest for table in tables)
        values = {"count": cut, "rows": rows, "cutoff": cutoff, "longest": longest}
        tell(Note(code="data_rows_cut", values=values, level="warning"))
