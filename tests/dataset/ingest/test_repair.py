"""Repairs: a mended row is usable, a good row stays the object that it is, and nothing is lost in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainer.dataset.conversation import Row, RowProblem
from trainer.dataset.files import Item
from trainer.dataset.info import parse_entry
from trainer.dataset.ingest.canonical import Canonical
from trainer.dataset.ingest.mapping import DEFAULT_TAGS, Mapping
from trainer.dataset.ingest.mends import Field, RawRow
from trainer.dataset.ingest.repair import HARMLESS, REPAIRS, Mended, mend, repairs_for, require_repairs
from trainer.dataset.rows import Reading, RowReader
from trainer.errors import UserError

CHAT = Mapping(
    "openai", (("messages", "messages"), ("images", "images")), tuple(DEFAULT_TAGS["openai"].items())
)
ALPACA = Mapping(
    "alpaca", (("q", "prompt"), ("a", "response"), ("s", "system"), ("h", "history"), ("good", "kto_tag"))
)
PICTURE = "data:image/png;base64,aGVsbG8="


def mended(mapping: Mapping, raw: RawRow, names: tuple[str, ...] = tuple(REPAIRS)) -> Mended:
    reader = RowReader(parse_entry(Path(), "d", mapping.entry("rows.jsonl")), Reading())

    def read(row: RawRow) -> Row | RowProblem:
        return reader.read(Item(1, row))

    canonical = Canonical(mapping)
    row = canonical.make(raw)
    return mend(row, read(row), names, Field(tuple(canonical.names.items()), mapping), read)


def turns(*said: str) -> list[dict[str, Any]]:
    """`u:Hi` -> {"role": "user", "content": "Hi"}."""
    roles = {"u": "user", "a": "assistant", "s": "system"}
    return [
        {"role": roles.get(each.split(":")[0], each.split(":")[0]), "content": each.split(":")[1]}
        for each in said
    ]


CHATS: list[tuple[str, list[dict[str, Any]], list[dict[str, Any]]]] = [
    ("merge_turns", turns("u:a", "u:b", "a:c", "a:d"), turns("u:a\nb", "a:c\nd")),
    ("trailing_question", turns("u:a", "a:b", "u:c"), turns("u:a", "a:b")),
    ("leading_answer", turns("a:hello", "u:a", "a:b"), turns("u:a", "a:b")),
    ("leading_answer", turns("s:be kind", "a:hello", "u:a", "a:b"), turns("s:be kind", "u:a", "a:b")),
    ("fold_system", turns("u:a", "a:b", "s:be brief", "u:c", "a:d"), turns("u:a", "a:b", "u:be brief\n\nc", "a:d")),
    ("fold_system", turns("u:a", "s:be brief", "a:d"), turns("u:be brief\n\na", "a:d")),
    ("role_words", turns("Human:a", "bot:b"), turns("u:a", "a:b")),
    ("empty_turns", turns("u:a", "a:b", "u:", "a: "), turns("u:a", "a:b")),
    ("surrogates", turns("u:a\ud83d", "a:b"), turns("u:a", "a:b")),
    ("numbers", [{"role": "user", "content": "a"}, {"role": "assistant", "content": 4.0}], turns("u:a", "a:4")),
    ("lists", [{"role": "user", "content": ["a", "b"]}, {"role": "assistant", "content": "c"}], turns("u:a\nb", "a:c")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "before", "after"), CHATS)
def test_each_repair_of_a_conversation(
    name: str, before: list[dict[str, Any]], after: list[dict[str, Any]]
) -> None:
    found = mended(CHAT, {"messages": before})
    assert found.repairs == (name,) and found.raw["messages"] == after and isinstance(found.read, Row)
    assert isinstance(mended(CHAT, {"messages": before}, ()).read, RowProblem)


@pytest.mark.parametrize(
    ("name", "raw", "changed"),
    [
        ("numbers", {"q": "a", "a": 5}, {"a": "5"}),
        ("numbers", {"q": "a", "a": True}, {"a": "true"}),
        ("lists", {"q": "a", "a": ["x", "y"]}, {"a": "x\ny"}),
        ("surrogates", {"q": "a\udc00", "a": "b"}, {"q": "a"}),
        ("flags", {"q": "a", "a": "b", "good": "yes"}, {"good": True}),
        ("empty_turns", {"q": "a", "a": "b", "h": [["", ""], ["c", "d"]]}, {"h": [["c", "d"]]}),
    ],
)
def test_each_repair_of_columns(name: str, raw: dict[str, Any], changed: dict[str, Any]) -> None:
    found = mended(ALPACA, {"good": True, **raw})
    assert found.repairs == (name,) and found.raw == {**found.raw, **changed} and isinstance(found.read, Row)


def test_marks_are_made_as_many_as_media() -> None:
    for text, count, wanted in (
        ("<image>a", 2, "<image><image>a"),
        ("<image>a<image>b<image>", 1, "<image>ab"),
    ):
        found = mended(CHAT, {"messages": turns(f"u:{text}", "a:b"), "images": [PICTURE] * count})
        assert found.repairs == ("image_marks",) and found.raw["messages"][0]["content"] == wanted


def test_several_repairs_work_together_and_no_more_than_needed() -> None:
    said = [*turns("a:hello", "Human:a", "Human:b", "bot:c", "u:d"), {"role": "bot", "content": 7}]
    found = mended(CHAT, {"messages": said})
    assert found.raw["messages"] == turns("u:a\nb", "a:c", "u:d", "a:7") and isinstance(found.read, Row)
    assert set(found.repairs) == {"leading_answer", "role_words", "merge_turns", "numbers"}


def test_what_no_repair_mends_stays_as_it_was() -> None:
    raw = {"messages": turns("u:a", "narrator:b")}
    found = mended(CHAT, raw)
    assert isinstance(found.read, RowProblem) and found.read.code == "row_role" and found.repairs == ()
    assert found.raw == raw


def test_names_of_repairs() -> None:
    assert require_repairs(["merge_turns", "numbers"]) == ("numbers", "merge_turns")
    assert require_repairs(["all"]) == tuple(REPAIRS) and set(HARMLESS) <= set(REPAIRS)
    with pytest.raises(UserError) as caught:
        require_repairs(["magic"])
    assert "merge_turns" in caught.value.hint
    assert "merge_turns" in repairs_for("row_order") and repairs_for("row_undesired") == ()
    assert all(repair.label.text for repair in REPAIRS.values())


CONTENT = st.one_of(
    st.text(max_size=8), st.none(), st.integers(), st.floats(), st.booleans(), st.lists(st.text(max_size=4), max_size=3),
    st.sampled_from(["<image>", "<image>a<image>", "\ud800"]),
)  # fmt: skip
WORDS = st.sampled_from(
    ["user", "assistant", "system", "tool", "human", "GPT", "function", "nobody", 3, None]
)
TURNS = st.lists(
    st.fixed_dictionaries({"role": WORDS, "content": CONTENT})
    | st.dictionaries(st.text(max_size=3), CONTENT, max_size=2),
    max_size=6,
)
IMAGES = st.one_of(st.none(), st.lists(st.just(PICTURE), max_size=2), st.just("nowhere.png"))


@settings(max_examples=200, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TURNS | CONTENT, IMAGES)
def test_any_conversation_is_usable_or_reported_and_good_ones_are_left_alone(said: Any, images: Any) -> None:
    raw = {"messages": said, "images": images}
    plain = mended(CHAT, raw, ())
    found = mended(CHAT, raw)
    assert isinstance(found.read, (Row, RowProblem))
    if isinstance(plain.read, Row):
        assert found.repairs == () and found.raw == plain.raw
    elif isinstance(found.read, RowProblem):
        assert found.read == plain.read and found.repairs == () and found.read.text
    else:
        assert found.repairs and mended(CHAT, found.raw).repairs == ()


@settings(max_examples=200, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.fixed_dictionaries(
        {}, optional={name: CONTENT | st.lists(st.lists(CONTENT, max_size=3), max_size=2) for name in "qash"}
    ),
    CONTENT,
)
def test_any_row_of_columns_is_usable_or_reported(raw: dict[str, Any], good: Any) -> None:
    raw = {**raw, "good": good}
    plain, found = mended(ALPACA, raw, ()), mended(ALPACA, raw)
    if isinstance(plain.read, Row):
        assert found.repairs == () and repr(found.raw) == repr(plain.raw)
    elif isinstance(found.read, RowProblem):
        assert found.read == plain.read and found.read.text
