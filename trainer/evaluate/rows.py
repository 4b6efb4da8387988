"""Which rows are evaluated: datasets as they are, or the part that was held back in training."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from trainer.config import RunConfig
from trainer.dataset.conversation import Conversation, Media, Row, RowProblem
from trainer.dataset.info import choose
from trainer.dataset.load import REASONS_TOLD, drawn_rows, limit_of
from trainer.dataset.rows import Reading, read_rows
from trainer.dataset.stream import held_back
from trainer.errors import UserError


@dataclass(frozen=True)
class Chosen:
    """The rows in their order; those without a reference end in an answer that is empty. `problems` cannot be used."""

    rows: list[Row]
    problems: list[RowProblem]


def rows_of(config: RunConfig) -> Chosen:
    """The rows that `config` evaluates: of `eval_dataset`, of the part of `dataset` held back by `val_size`, or all.

    Held back are the same rows as in a training with the same options, or with those of the training that are named
    (`held_seed`, `held_samples`); of these the first `max_samples` are evaluated. Raises UserError when there is no row, and what
    reading raises.
    """
    data = config.data
    if data.val_size and not data.eval_dataset:
        trained = config.splitting()
        found = held_back(trained.data, trained.train.seed, config.model.hub)
        most = data.max_samples if config.evaluate.held_samples is not None else None
        chosen = Chosen(found.rows[:most], found.problems)
    else:
        chosen = _all_rows(config, data.eval_dataset or data.dataset)
    if not chosen.rows:
        names = ", ".join(data.eval_dataset or data.dataset)
        if not chosen.problems:
            raise UserError("evaluate_empty", field="eval_dataset", names=names)
        reasons = " ".join(problem.text for problem in chosen.problems[:REASONS_TOLD])
        count = len(chosen.problems)
        raise UserError("evaluate_no_rows", field="eval_dataset", names=names, count=count, reasons=reasons)
    return chosen


def _all_rows(config: RunConfig, names: Sequence[str]) -> Chosen:
    data = config.data
    rows: list[Row] = []
    problems: list[RowProblem] = []
    for info in choose(data.dataset_dir, names, data.stage):
        own: list[Row] = []
        for each in read_rows(info, Reading.of(data, config.model.hub, awaited=True), limit_of(info, data)):
            if isinstance(each, Row):
                own.append(each)
            else:
                problems.append(each)
        places = drawn_rows(info, len(own), data, config.train.seed)
        rows += [own[place] for place in places.tolist()]
    return Chosen(rows, problems)


def label_of(conversation: Conversation) -> str | None:
    """The text of the last answer, with what it thinks before; None where a row has none. Calls stand as JSON."""
    last = conversation.messages[-1]
    if not (last.text.strip() or last.calls or last.media):
        return None
    return last.text


def question_of(conversation: Conversation) -> str:
    """The last words of the person."""
    asked = [each for each in conversation.messages if each.role == "user"]
    return asked[-1].text if asked else ""


def fingerprint(conversation: Conversation) -> bytes:
    """Equal for conversations that say and show the same, wherever they stand."""
    said = [
        (each.role, each.text, each.calls, [_shown(one) for one in each.media])
        for each in conversation.messages
    ]
    facts = repr((conversation.system, conversation.tools, said))
    return hashlib.sha256(facts.encode("utf-8", "surrogatepass")).digest()[:16]


def _shown(media: Media) -> object:
    if media.data is not None:
        return hashlib.sha256(media.data).hexdigest()
    return str(media.path) if media.path else [_shown(each) for each in media.frames]
