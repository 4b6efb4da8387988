"""ROUGE and BLEU as LLaMA-Factory computes them for every language, so that its numbers and ours can be compared."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from functools import cache, lru_cache
from itertools import chain
from typing import Any

from trainer.evaluate.scores.overlap import common, grams, shared
from trainer.evaluate.scores.words import cut

NAMES = ("rouge-1", "rouge-2", "rouge-l", "bleu-4")
_ORDERS = (1, 2, 3, 4)
# rouge-chinese adds this so that it never divides by zero.
_TINY = 1e-8


def score(predict: str, label: str) -> dict[str, float]:
    """The four of NAMES, 0..100, rounded to four places as LLaMA-Factory does before it takes the mean."""
    return {**rouge(predict, label), "bleu-4": round(100 * bleu(predict, label), 4)}


def rouge(predict: str, label: str) -> dict[str, float]:
    """F1 of jieba's words. N-grams are counted once each, as rouge-chinese counts them; blank texts have 0."""
    answer, reference = _words(predict), _words(label)
    if not answer or not reference:
        return dict.fromkeys(NAMES[:3], 0.0)
    found = {}
    for size in (1, 2):
        ours, theirs = grams(answer, size).keys(), grams(reference, size).keys()
        found[f"rouge-{size}"] = _f(len(ours & theirs), len(ours), len(theirs))
    found["rouge-l"] = _f(common(reference, answer), len(answer), len(reference))
    return found


def _f(matched: int, predicted: int, wanted: int) -> float:
    precision = matched / predicted if predicted else 0.0
    recall = matched / wanted if wanted else 0.0
    return round(200 * precision * recall / (precision + recall + _TINY), 4)


@lru_cache(maxsize=256)
def _words(text: str) -> tuple[str, ...]:
    """The words that rouge-chinese compares: it cuts into sentences, and one that is only blanks counts as a word."""
    joined = " ".join(cut(text))
    if not joined.strip():
        return ()
    sentences = [" ".join(each.split()) for each in _rouge().cut_sent(joined) if each]
    return tuple(chain.from_iterable(each.split(" ") for each in sentences))


@cache
def _rouge() -> Any:
    with warnings.catch_warnings():
        # rouge-chinese 1.0.3 has escapes that Python warns of.
        warnings.simplefilter("ignore")
        from rouge_chinese import Rouge

        rouge = Rouge()
        rouge.cut_sent("")
        return rouge


def bleu(predict: str, label: str) -> float:
    """Sentence BLEU over characters, 0..1, smoothed by NIST's geometric sequence (NLTK's method 3), one reference."""
    if not predict or not label:
        return 0.0
    logarithm, misses = 0.0, 0
    for size in _ORDERS:
        answer = _characters(predict, size)
        total = max(1, len(predict) - size + 1)
        matched = shared(answer, _characters(label, size))
        if not matched:
            if size == 1:
                return 0.0
            misses += 1
        logarithm += math.log(matched / total if matched else 1 / (2**misses * total))
    short = 1.0 if len(predict) > len(label) else math.exp(1 - len(label) / len(predict))
    return short * math.exp(logarithm / len(_ORDERS))


@lru_cache(maxsize=1024)
def _characters(text: str, size: int) -> Counter[Any]:
    return Counter([text[start : start + size] for start in range(len(text) - size + 1)])
