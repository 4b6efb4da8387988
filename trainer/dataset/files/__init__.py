"""Rows out of data files of every kind, each with the number by which a person finds it again."""

from trainer.dataset.files.item import Broken, Item, Tell
from trainer.dataset.files.old import FileFacts, SUFFIXES, look_into, read_items, read_text

__all__ = ["SUFFIXES", "Broken", "FileFacts", "Item", "Tell", "look_into", "read_items", "read_text"]
