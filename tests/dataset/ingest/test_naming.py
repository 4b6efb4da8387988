"""Names of datasets: refused with a good one proposed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.dataset.ingest.naming import propose_name, require_name
from trainer.errors import UserError

GOOD = ["a", "my_data", "v1.2-final", "问答数据", "Данные_2", "データ", "نص", "हिन्दी", "x" * 80]
BAD = ["", "   ", "../x", "a/b", "a\\b", "con", "NUL.txt", "com1", "x" * 300, "😀", "a b", ".hidden", "-x", "x.", "a\0b", "dataset_info",
       "media", "a:b", "\ud83d", "图" * 90, "a\nb", "~"]  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_letters_of_any_language_are_good(name: str) -> None:
    assert require_name(name) == name and propose_name(name) in (name, name[:70])


@pytest.mark.parametrize("name", BAD)
def test_a_bad_name_comes_with_a_good_one(name: str) -> None:
    with pytest.raises(UserError) as caught:
        require_name(name, {"dataset"})
    proposal = str(caught.value.values["proposal"])
    assert caught.value.field == "name" and proposal in caught.value.hint
    assert require_name(proposal, {"dataset"}) == proposal


def test_a_taken_name_counts_on_also_where_large_letters_are_small_ones() -> None:
    with pytest.raises(UserError) as caught:
        require_name("Data", {"data", "data_2"})
    assert caught.value.code == "dataset_name_taken" and caught.value.values["proposal"] == "Data_3"


@settings(derandomize=True, deadline=None)
@given(st.text(max_size=400), st.sets(st.text(max_size=5), max_size=4))
def test_what_is_proposed_is_always_good(wish: str, taken: set[str]) -> None:
    proposal = propose_name(wish, taken)
    assert require_name(proposal, taken) == proposal
