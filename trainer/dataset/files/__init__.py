"""Rows out of data files of every kind, each with the number by which a person finds it again."""

from trainer.dataset.files.cells import structured
from trainer.dataset.files.encoding import read_text
from trainer.dataset.files.folder import is_beside
from trainer.dataset.files.item import Broken, Item, Tell
from trainer.dataset.files.reading import FileFacts, look_into, read_items
from trainer.dataset.files.source import SUFFIXES

__all__ = [
    "SUFFIXES",
    "Broken",
    "FileFacts",
    "Item",
    "Tell",
    "is_beside",
    "look_into",
    "read_items",
    "read_text",
    "structured",
]
