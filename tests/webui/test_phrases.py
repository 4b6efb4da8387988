"""Phrases inside sentences are in the page's language, too."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from string import Formatter

import pytest

from trainer import compat
from trainer.dataset.conversation import RowProblem
from trainer.dataset.fields import KINDS
from trainer.errors import sentences
from trainer.evaluate import compare, explain
from trainer.evaluate.scores import KINDS as KINDS_OF_ANSWERS
from trainer.evaluate.scores import corpus_names, main, names
from trainer.evaluate.shown import LOSS
from trainer.paths import REPOSITORY
from webui.evaluate_cards import NAMES, score_name
from webui.i18n import LANGUAGES, LOCALES, say_sentence
from webui.phrases import FIELDS, phrase

OTHERS = [lang for lang in LANGUAGES if lang != "en"]


def written() -> Iterator[str]:
    """Phrases of several words that the source gives to a sentence."""
    for path in (REPOSITORY / "trainer").rglob("*.py"):
        # What the start of the server says is said at a terminal.
        if path.name == "serve.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            given = node.value if isinstance(node, ast.keyword) and node.arg in FIELDS else None
            if isinstance(given, ast.Constant) and isinstance(given.value, str) and " " in given.value:
                yield given.value


@pytest.mark.parametrize("lang", OTHERS)
def test_every_phrase_is_known(lang: str) -> None:
    of_compat = [part for refusal in compat.REFUSED.values() for part in (refusal.reason, refusal.way)]
    for text in [*of_compat, *written(), *KINDS.values()]:
        assert phrase(text, lang) != text, text


def test_the_same_phrases_in_every_language() -> None:
    words = {lang: json.loads((LOCALES / lang / "words.json").read_text(encoding="utf-8")) for lang in OTHERS}
    for lang in OTHERS:
        assert list(words[lang]) == list(words["zh"])
        for english, own in words[lang].items():
            places = [{name for _, name, _, _ in Formatter().parse(text)} for text in (english, own)]
            assert places[0] - {None} == places[1] - {None}, english


def test_a_refusal_is_said_in_one_language() -> None:
    refusal = compat.REFUSED["hf_hub_token"]
    values = {"name": "hf_hub_token", "value": "True", "reason": refusal.reason, "way": refusal.way}
    text, hint = say_sentence("option_refused", values, "zh")
    own = json.loads((LOCALES / "zh" / "words.json").read_text(encoding="utf-8"))
    assert text == f"hf_hub_token：'True' 不能在这里使用：{own[refusal.reason]}"
    assert hint == own[refusal.way] and not hint.isascii()


def test_sentences_within_a_sentence() -> None:
    """The first reasons why rows cannot be used are sentences themselves, with phrases and quoted words in them."""
    problems = [
        RowProblem("my_rows", 3, "row_type", {"field": "output", "found": "a list", "allowed": "a text"}),
        RowProblem(
            "my_rows", 7, "row_role", {"field": "messages[0]", "role": "bot", "allowed": "user, assistant"}
        ),
    ]
    reasons = " ".join(problem.text for problem in problems)
    said = say_sentence("data_no_rows", {"names": "my_rows", "count": 2, "reasons": reasons}, "zh").text
    assert "my_rows 第 3 条：output 是 列表；它必须是 文字。" in said
    assert "my_rows 第 7 条：messages[0] 来自 'bot'；已知的角色有 user, assistant。" in said


@pytest.mark.parametrize("lang", OTHERS)
@pytest.mark.parametrize("file", ["", "part 1.csv"])
def test_every_sentence_on_a_row_is_known_within_another(lang: str, file: str) -> None:
    codes = [code for code in sentences() if code.startswith("row_")]
    for code in codes:
        names = {name for part in sentences()[code] for _, name, _, _ in Formatter().parse(part) if name}
        values: dict[str, str | int | float] = {
            name: "x" for name in names if name not in ("dataset", "number")
        }
        texts = [RowProblem("my_rows", number, code, values, file).text for number in (3, 12)]
        said = phrase(" ".join(texts), lang)
        assert not any(text in said for text in texts), code
        assert "row 12: " not in said, code


@pytest.mark.parametrize("text", ["CUDA error: unknown", "", "row 3: {x}", "a" * 10_000])
def test_what_is_unknown_stays(text: str) -> None:
    for lang in LANGUAGES:
        assert phrase(text, lang) == text


def test_the_persons_own_words_stay() -> None:
    said = say_sentence("data_unknown", {"name": "a list", "folder": "nothing", "names": "a text"}, "zh")
    assert "'a list'" in said.text and "'nothing'" in said.text and said.hint.endswith("a text。")


@pytest.mark.parametrize("lang", OTHERS)
def test_who_answered_and_by_which_score_is_said_in_every_language(lang: str) -> None:
    """What a verdict and its explanations are about comes as English words in their values."""
    known = json.loads((LOCALES / lang / "words.json").read_text(encoding="utf-8"))
    sides = (*explain._CALLED.values(), explain._ALONE)
    # Names of methods are the same everywhere.
    decisive = {compare.TITLES.get(main(kind), main(kind)) for kind in KINDS_OF_ANSWERS} - set(NAMES.values())
    missing = {each for each in (*sides, *decisive) if not known.get(each)}
    assert not missing
    assert all(phrase(each, lang) == known[each] for each in (*sides, *decisive))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_score_has_a_name_on_the_page(lang: str) -> None:
    shown = {name for kind in KINDS_OF_ANSWERS for name in (*names(kind), *corpus_names(kind))} | {LOSS}
    assert {name for name in shown if name not in NAMES and score_name(name, lang) == name} == set()
