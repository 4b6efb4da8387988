"""ROUGE and BLEU are LLaMA-Factory's: its own numbers, and those of the libraries that it calls."""

from __future__ import annotations

import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.evaluate.scores import peer, words

# Computed by LLaMA-Factory 0.9.5 (ComputeSimilarity, one row at a time) with jieba 0.42.1, rouge-chinese 1.0.3, nltk 3.10.4.
GOLDEN = [
    json.loads(line)
    for line in (Path(__file__).parent / "golden" / "peer.jsonl").read_text(encoding="utf-8").splitlines()
]
# What LLaMA-Factory says of all rows of that file together.
MEANS = {
    "rouge-1": 59.6255568627451,
    "rouge-2": 33.339684313725485,
    "rouge-l": 54.493294117647054,
    "bleu-4": 41.3437843137255,
}
PIECES = [
    "今天", "天气", "北京大学", "。", "？", "！", "”", "’", "...", "......", "……", "the", "The", "cat", "C++", "c#",
    "AT&T", "3.14", "50%", "1.2.3", " ", "\n", "\r\n", "\t", "\u3000", "-", "_", "A", "é", "かな", "한국", "мир", "😀", "𠮷",
]  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=20),
    st.lists(st.sampled_from(PIECES), max_size=14).map("".join),
    st.text("ab。 \n", max_size=12),
)


def test_the_numbers_are_llama_factorys() -> None:
    found = [peer.score(row["predict"], row["label"]) for row in GOLDEN]
    for row, ours in zip(GOLDEN, found, strict=True):
        theirs = {name: row[name] for name in peer.NAMES}
        assert ours == pytest.approx(theirs, abs=0.00011), (row["predict"], row["label"])
    assert {name: fmean(each[name] for each in found) for name in MEANS} == pytest.approx(MEANS, abs=1e-4)
    # Both languages, nothing, blanks, and both languages in one text are among them.
    texts = [row["predict"] for row in GOLDEN]
    assert "" in texts and "   " in texts and any("Python" in text and "使用" in text for text in texts)


@given(TEXTS, TEXTS)
def test_rouge_is_what_rouge_chinese_says(predict: str, label: str) -> None:
    peer._rouge()
    from rouge_chinese import Rouge

    answer, reference = " ".join(words.cut(predict)), " ".join(words.cut(label))
    if answer.split() and reference.split():
        (theirs,) = Rouge().get_scores(answer, reference)
        wanted = {name: round(100 * theirs[name]["f"], 4) for name in theirs}
    else:
        wanted = dict.fromkeys(("rouge-1", "rouge-2", "rouge-l"), 0.0)
    assert peer.rouge(predict, label) == pytest.approx(wanted, abs=1.1e-4)


@given(TEXTS, TEXTS)
def test_bleu_is_what_nltk_says(predict: str, label: str) -> None:
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

    smooth = SmoothingFunction().method3
    theirs = sentence_bleu([list(label)], list(predict), smoothing_function=smooth)
    assert peer.bleu(predict, label) == pytest.approx(theirs, abs=1e-9)


@given(TEXTS)
def test_words_without_the_dictionary_are_jiebas(text: str) -> None:
    assert words.cut(text) == tuple(words._cutter()(text))
    assert "".join(words.cut(text)) == text


def test_the_dictionary_is_loaded_for_chinese_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> words.Cut:
        raise AssertionError("loaded")

    monkeypatch.setattr(words, "_cutter", refuse)
    words.cut.cache_clear()
    assert words.cut("Two words, 3.5% – да.") == (
        "Two",
        " ",
        "words",
        ",",
        " ",
        "3.5%",
        " ",
        "–",
        " ",
        "д",
        "а",
        ".",
    )
    with pytest.raises(AssertionError):
        words.cut("好的")


def test_loading_says_nothing_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    cut = words._load.__wrapped__()
    assert list(cut("我来到北京清华大学")) == ["我", "来到", "北京", "清华大学"]
    assert capfd.readouterr() == ("", "") and not list(tmp_path.iterdir())


def test_threads_may_score_at_once() -> None:
    rows = GOLDEN * 2
    words._load.cache_clear()
    words.cut.cache_clear()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda row: peer.score(row["predict"], row["label"]), rows))
    assert found == [peer.score(row["predict"], row["label"]) for row in rows]
