"""What an answer is worth beside its reference: pure functions, every score from 0 to 100, without torch."""

from trainer.evaluate.scores.recognise import KINDS, Kind, recognise
from trainer.evaluate.scores.sets import Settled, Tally, corpus_names, main, names, score, settle
from trainer.evaluate.scores.words import load_dictionary

__all__ = [
    "KINDS",
    "Kind",
    "Settled",
    "Tally",
    "corpus_names",
    "load_dictionary",
    "main",
    "names",
    "recognise",
    "score",
    "settle",
]
