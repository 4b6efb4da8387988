"""Rows with a column for the question and one for the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from trainer.dataset.conversation import Message
from trainer.dataset.entry import DatasetInfo
from trainer.dataset.fields import Bad, Texts, unpacked, wrong
from trainer.dataset.media_paths import Gallery


def read_alpaca(
    info: DatasetInfo, texts: Texts, row: Mapping[str, Any], gallery: Gallery, awaited: bool = False
) -> list[Message]:
    """Questions and answers of a row, those of its history first; an `awaited` answer may be missing. Raises Bad."""
    columns = info.columns
    asked = [column for column in (columns.prompt, columns.query) if column]
    if asked and all(row.get(column) is None for column in asked):
        raise Bad("row_missing", field=asked[0])
    said = _history(columns.history, texts, row, gallery)
    question = "\n".join(text for column in asked if (text := texts.text(row.get(column), column)))
    said.append(Message("user", gallery.split(question)))
    column = cast(str, columns.chosen if info.ranking else columns.response)
    if awaited and (row.get(column) is None or not str(row[column]).strip()):
        return [*said, Message("assistant", ())]
    answer = texts.answer(row.get(column), column)
    said.append(Message("assistant", gallery.split(answer)))
    if info.ranking:
        _check_rejected(columns.rejected or "", texts, row)
    return said


def _check_rejected(column: str, texts: Texts, row: Mapping[str, Any]) -> None:
    if row.get(column) is None:
        raise Bad("row_missing", field=column)
    texts.text(row[column], column)


def _history(column: str | None, texts: Texts, row: Mapping[str, Any], gallery: Gallery) -> list[Message]:
    pairs = unpacked(row.get(column)) if column else None
    if pairs is None or pairs == "":
        return []
    if not isinstance(pairs, list):
        raise wrong(column or "", pairs, "a list of [question, answer]")
    said: list[Message] = []
    for place, pair in enumerate(pairs, 1):
        field = f"{column}[{place}]"
        if not isinstance(pair, list) or len(pair) != 2:
            raise wrong(field, pair, "[question, answer]")
        said.append(Message("user", gallery.split(texts.text(pair[0], field))))
        said.append(Message("assistant", gallery.split(texts.answer(pair[1], field))))
    return said
