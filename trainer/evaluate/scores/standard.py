"""The scores that the field reports: ROUGE as rouge-score, BLEU and chrF as sacrebleu, in words that suit the script."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import regex

from trainer.dataset.language import count_scripts
from trainer.evaluate.scores.overlap import common, f1, grams, shared
from trainer.evaluate.scores.words import tokens

NAMES = ("rouge1", "rouge2", "rougeL")
CORPUS = ("sacrebleu", "chrf")
# Rows whose pieces are counted at once.
AT_ONCE = 256
# So many references show what they are written in.
_LOOKED_AT = 1000
_NO_BLANKS = regex.compile(r"[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]")


def score(predict: str, label: str) -> dict[str, float]:
    """F1, 0..100, of the pieces of one and two words and of the longest common subsequence (Lin, 2004)."""
    answer, reference = tokens(predict), tokens(label)
    found = {}
    for size in (1, 2):
        ours, theirs = grams(answer, size), grams(reference, size)
        found[f"rouge{size}"] = f1(shared(ours, theirs), ours.total(), theirs.total())[2]
    found["rougeL"] = f1(common(reference, answer), len(answer), len(reference))[2]
    return {name: round(value, 4) for name, value in found.items()}


def corpus(predicts: Sequence[str], labels: Sequence[str]) -> dict[str, float]:
    """BLEU and chrF2, 0..100, over all answers together; they are no means of rows. Empty without rows."""
    if not predicts:
        return {}
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    # force: no advice on stderr about texts that seem to be cut into words already.
    bleu = BLEU(tokenize=tokenizer(labels), force=True)
    return {
        "sacrebleu": _in_parts(bleu, predicts, labels),
        "chrf": _in_parts(CHRF(), predicts, labels),
    }


def _in_parts(metric: Any, predicts: Sequence[str], labels: Sequence[str]) -> float:
    """What `metric.corpus_score` says. That keeps all pieces of all references at once: gigabytes for 100,000 rows.

    What it counts of a row is added up over the rows, so that parts of them do as well (sacrebleu/metrics/base.py).
    """
    sums: list[Any] = []
    for start in range(0, len(predicts), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        counted = metric._extract_corpus_statistics(list(predicts[part]), [list(labels[part])])
        sums.append([sum(column) for column in zip(*counted, strict=True)])
    return float(metric._aggregate_and_compute(sums).score)


def tokenizer(labels: Iterable[str]) -> str:
    """sacrebleu's name for the way to find words: 13a, zh, or char for Japanese and the like.

    zh treats everything but Chinese characters as 13a does, so that a tenth of Chinese is enough.
    """
    scripts: Counter[str] = Counter()
    unspaced = 0
    for label in islice(labels, _LOOKED_AT):
        scripts.update(count_scripts(label))
        unspaced += 0 if label.isascii() else len(_NO_BLANKS.findall(label))
    letters = scripts.total()
    if scripts["ja"] * 2 > letters or unspaced * 2 > letters:
        return "char"
    return "zh" if (scripts["zh"] + scripts["ja"]) * 10 > letters else "13a"
