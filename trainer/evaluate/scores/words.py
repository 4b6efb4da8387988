"""Texts as words: as LLaMA-Factory cuts them, and as each script is written."""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Callable, Iterator
from functools import cache, lru_cache

import regex

# Scripts without blanks between words: each sign counts as a word, with the marks above and below it.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"
_TOKEN = regex.compile(
    rf"(?V1)[[{_UNSPACED}]&&[\p{{L}}\p{{N}}]]\p{{M}}*|[[\p{{L}}\p{{M}}\p{{N}}]--[{_UNSPACED}]]+"
)
# What jieba makes of texts for which it needs no dictionary: the entries of its dictionary that hold no Chinese
# character are those of _ENTRY. Taken as `jieba.cut` of 0.42.1 takes them, which a test compares.
_CHINESE = re.compile("[\u4e00-\u9fd5]")
_ENTRY = re.compile(r"AT&T|[cC](?:#|\+\+)")
_PIECE = re.compile(r"[a-zA-Z0-9]+(?:\.[0-9]+)?%?|[+#&._%\-]+|\r\n|.", re.DOTALL)
_LOADING = threading.Lock()
# An answer and its reference are each cut for several scores, and a reference for both sides.
_KEPT = 256

Cut = Callable[[str], Iterator[str]]


@lru_cache(maxsize=_KEPT)
def cut(text: str) -> tuple[str, ...]:
    """Words, signs and blanks as `jieba.cut` gives them; its dictionary (a second) is loaded for Chinese only."""
    if _CHINESE.search(text) or _ENTRY.search(text):
        return tuple(_cutter()(text))
    return tuple(_PIECE.findall(text))


@lru_cache(maxsize=_KEPT)
def tokens(text: str) -> tuple[str, ...]:
    """Words in lower case without punctuation; of scripts that are written without blanks, single signs.

    For ASCII texts these are the words of `rouge-score` without its stemmer.
    """
    return tuple(_TOKEN.findall(text.lower()))


def load_dictionary() -> None:
    """Has jieba's dictionary ready, so that the first Chinese text need not wait for it. From any thread."""
    _cutter()


def _cutter() -> Cut:
    with _LOADING:
        return _load()


@cache
def _load() -> Cut:
    with warnings.catch_warnings():
        # jieba 0.42.1 has escapes that Python warns of, and asks for pkg_resources.
        warnings.simplefilter("ignore")
        import jieba
    tokenizer = jieba.Tokenizer()
    # By itself it would write into the folder for temporary files, believe what it finds there, and say so on stderr.
    tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    tokenizer.initialized = True
    found: Cut = tokenizer.cut
    return found
