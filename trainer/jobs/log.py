"""What the libraries say during a run -> log.txt in its folder."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from trainer.paths import RunFolder

SPEAKERS = ("trainer", "transformers", "trl", "peft", "accelerate", "datasets")


@contextmanager
def log_file(folder: RunFolder) -> Iterator[None]:
    """Adds to log.txt what the libraries say in this thread; other threads may train or chat at the same time."""
    thread = threading.get_ident()
    handler = logging.FileHandler(folder.log, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(lambda record: record.thread == thread)
    # A full disk must not print a traceback per line to the terminal; the run itself reports it.
    handler.handleError = lambda record: None  # type: ignore[method-assign]
    loggers = [logging.getLogger(name) for name in SPEAKERS]
    own = logging.getLogger("trainer")
    if own.level == logging.NOTSET:
        own.setLevel(logging.INFO)
    for each in loggers:
        each.addHandler(handler)
    try:
        yield
    finally:
        for each in loggers:
            each.removeHandler(handler)
        handler.close()
