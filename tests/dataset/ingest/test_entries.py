"""dataset_info.json after a change: the other entries keep every byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.dataset.ingest.entries import EntryText
from trainer.errors import UserError

ENTRY = {"file_name": "n/rows.jsonl", "columns": {"prompt": "问题"}}
STYLES = [
    '{\n  "a": {"file_name": "a.json"},\n  "b": {\n    "file_name": "b.json", "x-own": [1,2]\n  }\n}\n',
    '{\n    "a" : {"file_name":"a.json"}\n}',
    '{\r\n\t"a": {\r\n\t\t"file_name": "a.json"\r\n\t}\r\n}\r\n',
    '\ufeff{"a":{"file_name":"a.json"},"b":{}}',
    '{"a": {}}',
    "{}",
    "{\n}\n",
    "",
    ' {\n  "数据": {"file_name": "数据.json", "note": "é \\u00e9"}\n}  \n',
]


@pytest.mark.parametrize("text", STYLES)
def test_an_entry_comes_and_goes_without_a_trace(text: str) -> None:
    before = EntryText(text)
    added = before.put("new", ENTRY)
    assert added.entries() == {**before.entries(), "new": ENTRY} and list(added.entries())[-1] == "new"
    assert "问题" in added.text
    for name in before.entries():
        start = text.index(json.dumps(name, ensure_ascii=False))
        end = text.index("}", start)
        assert text[start:end] in added.text
    if before.entries():
        # A file of one line gets a second one; every other comes back to the byte.
        assert added.without("new").text in (text, f"{text[:-1]}\n}}")
        assert added.without("new").text == text or "\n" not in text
    renamed = added.renamed("new", "newer")
    assert (
        list(renamed.entries()) == [*before.entries(), "newer"]
        and renamed.renamed("newer", "new").text == added.text
    )


def test_an_entry_is_changed_in_its_place() -> None:
    text = EntryText(STYLES[0]).put("a", ENTRY)
    assert list(text.entries()) == ["a", "b"] and text.entries()["a"] == ENTRY
    assert STYLES[0][STYLES[0].index('"b"') :] in text.text
    assert (
        EntryText(STYLES[0]).without("a").text
        == '{\n  "b": {\n    "file_name": "b.json", "x-own": [1,2]\n  }\n}\n'
    )
    assert EntryText(STYLES[4]).without("a").entries() == {}


def test_a_name_that_stands_twice_is_one_afterwards() -> None:
    text = EntryText('{"a": {"file_name": "1"}, "b": {}, "a": {"file_name": "2"}}')
    assert text.without("a").entries() == {"b": {}}
    assert text.put("c", {}).entries() == {"a": {"file_name": "2"}, "b": {}, "c": {}}


@pytest.mark.parametrize("text", ["[]", "{", '{"a": }', "nonsense", '{"a": {}} {}', "[" * 5000])
def test_a_broken_file_is_not_touched(text: str) -> None:
    with pytest.raises(UserError) as caught:
        EntryText(text)
    assert caught.value.code == "info_unreadable"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=4), each, max_size=3),
    max_leaves=6,
)


@settings(derandomize=True, deadline=None)
@given(
    st.dictionaries(st.text(max_size=5), VALUES, max_size=5),
    st.text(max_size=5),
    VALUES,
    st.sampled_from([None, 1, 2, 4, "\t"]),
    st.booleans(),
)
def test_any_file_keeps_what_it_says(
    entries: dict[str, Any], name: str, entry: Any, indent: Any, ascii_only: bool
) -> None:
    text = EntryText(json.dumps(entries, indent=indent, ensure_ascii=ascii_only))
    assert text.entries() == entries
    added = text.put(name, entry)
    assert added.entries() == {**entries, name: entry} and list(added.entries()) == list(
        {**entries, name: entry}
    )
    assert added.without(name).entries() == {key: value for key, value in entries.items() if key != name}
