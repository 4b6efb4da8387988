"""Match, labels, JSON, and which of them applies."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.evaluate import scores
from trainer.evaluate.scores import fields, labels, match

JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab ", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
).map(lambda value: value if isinstance(value, (dict, list)) else [value])
SOME = ["cat", "dog", "今天", "{", "[1]", '{"a":1}', "Yes.", "no", "", " "]


@pytest.mark.parametrize(
    ("predict", "label", "exact", "normalised"),
    [
        ("Paris", "Paris", 100, 100),
        (" paris. ", "Paris", 0, 100),
        ("ＡＢＣ！", "abc", 0, 100),
        ("你 好 。", "你好", 0, 100),
        ("-5", "5", 0, 0),
        ("3.14", "314", 0, 0),
        ("3.14.", "3.14", 0, 100),
        ("5%", "5", 0, 0),
        ("A", "The", 0, 0),
        ("!", "?", 0, 0),
        ("", "", 100, 100),
        ("", "a", 0, 0),
    ],
)
def test_matches(predict: str, label: str, exact: float, normalised: float) -> None:
    assert match.score(predict, label) == {"exact": exact, "normalised": normalised}


@given(st.text(max_size=15))
def test_what_is_normalised_stays(text: str) -> None:
    once = match.normalise(text)
    assert match.normalise(once) == once
    assert match.score(text, f"  {text}\n")["normalised"] == 100


def test_labels_are_counted() -> None:
    pairs = [
        *[("cat", "cat")] * 3, ("Cat.", "cat"), ("dog", "cat"), ("dog", "dog"), ("I think it is a dog", "dog"), ("bird", "bird"),
    ]  # fmt: skip
    found = scores.settle("labels", pairs)
    # cat: 4 of 4 given and of 5 wanted; dog: 1 of 2 and of 2; bird: 1 of 1 and of 1. One answer is no label.
    assert found.means["accuracy"] == pytest.approx(100 * 6 / 8)
    assert found.means["macro-precision"] == pytest.approx(100 * (1 + 0.5 + 1) / 3)
    assert found.means["macro-recall"] == pytest.approx(100 * (0.8 + 0.5 + 1) / 3)
    assert found.means["macro-f1"] == pytest.approx(100 * (8 / 9 + 0.5 + 1) / 3)
    assert found.means["micro-precision"] == pytest.approx(100 * 6 / 7)
    assert found.means["micro-recall"] == pytest.approx(75)
    assert found.table is not None
    assert found.table["labels"] == ["bird", "cat", "dog"]
    assert found.table["rows"] == [[1, 0, 0, 0], [0, 4, 1, 0], [0, 0, 1, 1]]
    assert [each["rows"] for each in found.table["each"]] == [1, 5, 2]


@given(st.lists(st.tuples(st.sampled_from("abcx"), st.sampled_from("abc")), min_size=1, max_size=40))
def test_a_confusion_table_holds_every_row(pairs: list[tuple[str, str]]) -> None:
    means, table = labels.corpus(pairs)
    assert table is not None
    assert sum(map(sum, table["rows"])) == len(pairs)
    right = sum(predict == label for predict, label in pairs)
    assert sum(table["rows"][place][place] for place in range(len(table["rows"]))) == right
    assert means["micro-recall"] == pytest.approx(100 * right / len(pairs))
    assert all(0 <= value <= 100 for value in means.values())


def test_a_table_of_many_labels_shows_the_frequent_ones() -> None:
    pairs = [(str(place), str(place)) for place in range(labels.MOST_SHOWN + 10)] + [("7", "7")]
    means, table = labels.corpus(pairs)
    assert table is not None and means["macro-f1"] == 100
    assert len(table["labels"]) == labels.MOST_SHOWN and table["left_out"] == 10 and "7" in table["labels"]
    assert labels.corpus([]) == fields.corpus([]) == ({}, None)


@pytest.mark.parametrize(
    ("predict", "label", "precision", "recall"),
    [
        ('{"name": "Ann", "age": 4}', '{"name": "Ann", "age": 3}', 50, 50),
        ('{"name": "Ann"}', '{"name": "Ann", "age": 3}', 100, 50),
        ('{"a": [2, 1, 1]}', '{"a": [1, 2]}', 200 / 3, 100),
        ('{"a": {"b": 1.0}}', '{"a": {"b": 1}}', 100, 100),
        ('{"a": true}', '{"a": 1}', 0, 0),
        ('{"a": "1"}', '{"a": 1}', 0, 0),
        ('{"a": " x "}', '{"a": "x"}', 100, 100),
        ("[]", "[]", 100, 100),
        ("{}", "[]", 0, 0),
        ("not JSON", '{"a": 1}', 0, 0),
        ("3", '{"a": 1}', 0, 0),
        ("Yes.", "yes", 100, 100),
        ('```json\n{"a": 1}\n```', '{"a": 1}', 100, 100),
        ("[" * 100_000, '{"a": 1}', 0, 0),
        ("[" + "9" * 5000 + "]", "[9]", 0, 0),
        ('{"a": NaN}', '{"a": NaN}', 100, 100),
    ],
)
def test_fields_are_compared(predict: str, label: str, precision: float, recall: float) -> None:
    found = fields.score(predict, label)
    assert found["field-precision"] == pytest.approx(precision, abs=1e-4)
    assert found["field-recall"] == pytest.approx(recall, abs=1e-4)


def test_valid_json_is_json_as_it_stands() -> None:
    fenced = fields.score('```json\n{"b": 2, "a": 1}\n```', '{"a": 1, "b": 2}')
    assert (fenced["valid-json"], fenced["json-exact"], fenced["field-f1"]) == (0, 100, 100)
    assert fields.score("[2, 1]", "[1, 2]")["json-exact"] == 0
    assert fields.score("true", "[1]")["valid-json"] == 0


@given(JSONS)
def test_every_json_equals_itself(value: Any) -> None:
    text, other = json.dumps(value), json.dumps(value, indent=2, sort_keys=True)
    found = fields.score(other, text)
    assert set(found.values()) == {100.0}


@given(JSONS, JSONS)
def test_precision_one_way_is_recall_the_other(first: Any, second: Any) -> None:
    one, two = json.dumps(first), json.dumps(second)
    there, back = fields.score(one, two), fields.score(two, one)
    assert there["field-precision"] == back["field-recall"] and there["field-f1"] == back["field-f1"]


def test_the_table_of_fields() -> None:
    found = scores.settle(
        "json", [('{"a": 1, "b": 2}', '{"a": 1, "b": 3}'), ('{"a": 2}', '{"a": 2}'), ("?", '{"a": 1}')]
    )
    assert found.table is not None
    by_name = {row["field"]: row for row in found.table["fields"]}
    assert by_name["a"]["recall"] == pytest.approx(200 / 3) and by_name["a"]["precision"] == 100
    assert by_name["b"]["f1"] == 0 and by_name["b"]["rows"] == 1
    assert found.means["micro-field-recall"] == pytest.approx(50)
    # Three answers with two, one and one field (the text itself).
    assert found.means["micro-field-precision"] == pytest.approx(50)


@pytest.mark.parametrize(
    ("given_labels", "wanted"),
    [
        (["positive", "Negative", "positive.", "negative"], "labels"),
        (["A", "B", "C", "D"] * 5, "labels"),
        (["好评", "差评", "好评", "好评", ""], "labels"),
        (["Paris", "Rome", "Oslo", "Bern"], "text"),
        (["yes"], "text"),
        (["This is a long answer that nobody would call a label."] * 10, "text"),
        (["今天天气很好我们去公园"] * 10, "text"),
        (['{"a": 1}', "[1, 2]"], "json"),
        (['{"a": 1}'] * 19 + ["broken"], "json"),
        (['{"a": 1}', "broken"], "text"),
        (["1", "2"] * 4, "labels"),
        (["", " "], "text"),
        ([], "text"),
        ([str(number) for number in range(300)] * 3, "text"),
    ],
)
def test_the_set_of_scores_is_recognised(given_labels: list[str], wanted: str) -> None:
    assert scores.recognise(given_labels) == wanted


@pytest.mark.parametrize("kind", scores.KINDS)
@given(predict=st.sampled_from(SOME), label=st.sampled_from(SOME))
def test_every_row_has_every_score(kind: scores.Kind, predict: str, label: str) -> None:
    found = scores.score(kind, predict, label)
    assert tuple(found) == scores.names(kind) and scores.main(kind) == scores.names(kind)[0]
    assert all(0 <= value <= 100.0001 for value in found.values())
    assert {"rouge-1", "rouge-2", "rouge-l", "bleu-4", "exact", "normalised"} <= set(found)


@pytest.mark.parametrize("kind", scores.KINDS)
def test_what_streams_settles_to_the_same(kind: scores.Kind) -> None:
    pairs = [("cat", "cat"), ("a cat", "dog"), ("", "dog")]
    tally = scores.Tally(kind)
    assert tally.means("tuned") == {}
    for predict, label in pairs:
        tally.add("tuned", scores.score(kind, predict, label))
    tally.add("base", dict.fromkeys(scores.names(kind), None))
    settled = scores.settle(kind, pairs)
    assert settled == scores.settle(kind, pairs, tally.means("tuned"))
    assert tuple(settled.means) == (*scores.names(kind), *scores.corpus_names(kind))
    assert tally.means("base") == {}
    assert scores.settle(kind, []).means == {}
