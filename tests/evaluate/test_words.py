"""What is marked where two texts differ."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.evaluate.lines import line
from trainer.evaluate.lines import read_line
from trainer.evaluate.shown import TableRow
from trainer.evaluate.words import differences, marks, pieces

TEXTS = st.text(st.sampled_from("ab cé\u0301中文かกำ한 \n.,'🇩🇪👩🏽\u200d🚀"), max_size=30)


def marked(text: str, other: str) -> list[str]:
    return [each.text for each in pieces(text, other) if not each.same]


def shown(**values: Any) -> TableRow:
    row = read_line(json.dumps(line(0, **values)).encode())
    assert row is not None
    return row


@given(TEXTS, TEXTS)
def test_the_parts_joined_are_the_texts(old: str, new: str) -> None:
    found = differences(old, new)
    assert "".join(each.text for each in found if each.kind != "added") == old
    assert "".join(each.text for each in found if each.kind != "removed") == new
    assert "".join(each.text for each in pieces(new, old)) == new
    assert all(each.same for each in pieces(new, new))


def test_words_are_whole_words_and_chinese_is_compared_by_signs() -> None:
    assert marked("I am Momo, made in Wuhan.", "I am Sprout, made in Berlin.") == ["Momo", "Wuhan"]
    assert marked("don't stop", "do stop") == ["don't"]
    assert marked("我是珞珈助手。", "我是小苗助手。") == ["珞珈"]
    assert marked("Привет, мир", "Привет, дом") == ["мир"]
    assert marked("안녕 세계", "안녕 친구") == ["세계"]
    assert marked("नमस्ते दुनिया", "नमस्ते दोस्त") == ["दुनिया"]
    # One mark over two words that both differ, and no sign is cut in two.
    assert marked("a new thing here", "a b here") == ["new thing"]
    assert marked("👩🏽\u200d🚀 ok", "👩🏻\u200d🚀 ok") == ["👩🏽\u200d🚀"]


def test_texts_of_a_row_are_marked_against_the_reference_or_each_other() -> None:
    row = shown(label="It is red.", predict="It is blue.", base="I see.")
    by_label = marks(row)
    assert [each.text for each in by_label.tuned if not each.same] == ["blue"]
    assert [each.text for each in by_label.label if not each.same] == ["red"]
    by_base = marks(row, "base")
    assert (
        all(each.same for each in by_base.label) and "".join(each.text for each in by_base.base) == "I see."
    )
    alone = marks(shown(label=None, predict="yes", base="yes"))
    assert alone.label == () and [tuple(each) for each in alone.tuned] == [("yes", True)]
    single = marks(shown(base=None, label=None))
    assert single.base == () and all(each.same for each in single.tuned)


def test_long_texts_are_compared_by_sentences_or_not_at_all() -> None:
    old = " ".join(f"w{n * n % 977}" for n in range(20_000))
    new = " ".join(f"w{n * 7 % 983}" for n in range(20_000))
    assert "".join(each.text for each in pieces(new, old)) == new
    sentences = pieces(old.replace("w5 ", "w5. ") + " end", old.replace("w5 ", "w5. "))
    assert [each.text for each in sentences if not each.same][-1].endswith("end")
