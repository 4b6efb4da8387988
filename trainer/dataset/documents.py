"""Rows that are texts for pre-training, trained to their last word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer.dataset.conversation import Conversation, message
from trainer.dataset.entry import DatasetInfo
from trainer.dataset.fields import Bad, Texts

# The column of a file whose entry names none, as text files and most corpora call it.
TEXT = "text"


def read_document(info: DatasetInfo, row: Mapping[str, Any]) -> Conversation:
    """The text of a row, as a conversation of one answer that nobody asked for. Raises Bad for a row without text.

    It stands in the column that the entry names as `prompt`, and goes on in that of `query`; answers and history are
    not read, as LLaMA-Factory does not. Nothing is put in for {{name}}: a text is what it is.
    """
    columns = info.columns
    names = [name for name in (columns.prompt, columns.query) if name]
    if not info.explicit and row.get(names[0]) is None and row.get(TEXT) is not None:
        names = [TEXT]
    for column in (columns.images, columns.videos):
        if column and row.get(column):
            raise Bad("pretraining_media", field=column)
    texts = Texts({})
    parts = [part for name in names if (part := texts.text(row.get(name), name))]
    text = "\n".join(parts)
    if not text.strip():
        raise Bad("row_missing" if not parts else "pretraining_empty", field=names[0] if names else TEXT)
    return Conversation((message("assistant", text),))
