"""The field's scores are those of rouge-score and sacrebleu, in words that suit the script."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.evaluate.scores import standard, words
from trainer.evaluate.scores.overlap import common

ASCII = st.text(string.ascii_letters + string.digits + " .,'_-\n", max_size=40)
MIXED = st.text("ab c今天好かなмир한é ।हिन्दीไทย", max_size=20)


class Words:
    def tokenize(self, text: str) -> list[str]:
        return list(words.tokens(text))


def library(predict: str, label: str, tokenizer: Words | None = None) -> dict[str, float]:
    from rouge_score.rouge_scorer import RougeScorer

    found = RougeScorer(list(standard.NAMES), tokenizer=tokenizer).score(label, predict)
    return {name: 100 * found[name].fmeasure for name in found}


@given(ASCII, ASCII)
def test_english_is_scored_as_rouge_score_does(predict: str, label: str) -> None:
    assert standard.score(predict, label) == pytest.approx(library(predict, label), abs=1e-4)


@given(MIXED, MIXED)
def test_other_scripts_differ_only_in_their_words(predict: str, label: str) -> None:
    assert standard.score(predict, label) == pytest.approx(library(predict, label, Words()), abs=1e-4)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Don't stop_me, NOW!", "don t stop me now"),
        ("我爱Python 3。", "我 爱 python 3"),
        ("東京タワー", "東 京 タ ワ ー"),
        ("저는 학생입니다.", "저는 학생입니다"),
        ("Привет, мир", "привет мир"),
        ("हिन्दी में", "हिन्दी में"),
        ("café", "café"),
        ("ที่", "ที่"),
        ("¿Qué?", "qué"),
        ("", ""),
    ],
)
def test_words_are_those_of_the_script(text: str, wanted: str) -> None:
    assert " ".join(words.tokens(text)) == wanted


@given(st.text("abc", max_size=30), st.text("abc", max_size=30))
def test_the_longest_common_subsequence(first: str, second: str) -> None:
    table = [0] * (len(second) + 1)
    for sign in first:
        before = 0
        for place, other in enumerate(second, start=1):
            before, table[place] = (
                table[place],
                before + 1 if sign == other else max(table[place], table[place - 1]),
            )
    assert common(first, second) == table[-1] == common(second, first)


@pytest.mark.parametrize("at_once", [2, 256])
def test_corpus_scores_are_sacrebleus(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standard, "AT_ONCE", at_once)
    import sacrebleu

    predicts = ["The cat sat on the mat.", "", "A dog barks loudly at night"]
    labels = ["The cat is on the mat.", "Nothing", "The dog barks loudly at night"]
    found = standard.corpus(predicts, labels)
    assert found["sacrebleu"] == pytest.approx(sacrebleu.corpus_bleu(predicts, [labels]).score)
    assert found["chrf"] == pytest.approx(sacrebleu.corpus_chrf(predicts, [labels]).score)
    chinese = (["今天天气很好。"], ["今天天气不错。"])
    wanted = sacrebleu.corpus_bleu(chinese[0], [chinese[1]], tokenize="zh").score
    assert standard.corpus(*chinese)["sacrebleu"] == pytest.approx(wanted)
    assert standard.corpus([], []) == {}


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        (["The cat", "sat"], "13a"),
        (["今天", "The cat sat on"], "zh"),
        (["今天天气很好，用 Python 吧"], "zh"),
        (["これは本です", "東京"], "char"),
        (["สวัสดีครับ"], "char"),
        (["저는 학생입니다"], "13a"),
        (["Привет"], "13a"),
        (["42", ""], "13a"),
        ([], "13a"),
    ],
)
def test_sacrebleus_way_to_find_words_follows_the_references(labels: list[str], wanted: str) -> None:
    assert standard.tokenizer(labels) == wanted
