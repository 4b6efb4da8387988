"""Taking turns chooses the rows that the `datasets` library chooses with the same seed."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import datasets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from trainer.dataset.mix import Mixing, mix, mix_streams
from trainer.options import DataOptions

STRATEGIES = {
    "interleave_under": "first_exhausted",
    "interleave_over": "all_exhausted",
    "interleave_once": "all_exhausted_without_replacement",
}
SHARES = ((), (0.5, 0.3, 0.2), (0.1, 0.8, 0.1))


def theirs(lengths: list[int], strategy: str, shares: tuple[float, ...], seed: int) -> list[list[int]]:
    made = [
        datasets.Dataset.from_dict({"row": [[source, place] for place in range(length)]})
        for source, length in enumerate(lengths)
    ]
    mixed = datasets.interleave_datasets(
        made, probabilities=list(shares) or None, seed=seed, stopping_strategy=STRATEGIES[strategy]
    )
    return list(mixed["row"])


@pytest.mark.parametrize("shares", SHARES)
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("lengths", [[3, 4, 5], [7, 7, 7], [1, 40, 9]])
def test_the_same_rows_as_the_library(lengths: list[int], strategy: str, shares: tuple[float, ...]) -> None:
    for seed in (0, 42):
        found = mix(lengths, Mixing(strategy, shares, seed)).tolist()
        assert found == theirs(lengths, strategy, shares, seed)


@settings(max_examples=60, deadline=None)
@given(
    some.lists(some.integers(0, 12), min_size=2, max_size=4), some.sampled_from(list(STRATEGIES)), some.booleans(),
    some.integers(0, 5),
)  # fmt: skip
def test_streams_take_the_same_turns(lengths: list[int], strategy: str, evenly: bool, seed: int) -> None:
    shares = () if evenly else tuple(1 / len(lengths) for _ in lengths)
    mixing = Mixing(strategy, shares, seed)
    known = [tuple(each) for each in mix(lengths, mixing).tolist()]

    def source(number: int) -> list[tuple[int, int]]:
        return [(number, place) for place in range(lengths[number])]

    streamed = list(
        mix_streams([lambda number=number: source(number) for number in range(len(lengths))], mixing)
    )  # type: ignore[misc]
    # Known lengths allow whole rounds; a stream ends as soon as the rule is met.
    assert streamed == (known if shares or strategy == "interleave_once" else known[: len(streamed)])
    assert len(known) - len(streamed) < len(lengths)
    count = Counter(known)
    if strategy == "interleave_once":
        assert set(count.values()) <= {1} and len(known) == sum(lengths)
    if strategy == "interleave_over":
        assert len(count) == sum(lengths)


def test_one_after_another_and_shares_that_are_no_probabilities() -> None:
    assert mix([2, 0, 1], Mixing("concat", (), 1)).tolist() == [[0, 0], [0, 1], [2, 0]]
    options = DataOptions(mix_strategy="interleave_over", interleave_probs=("3", "1", "0"))
    mixing = Mixing.of(options, 7, 3)
    assert mixing.shares == (0.75, 0.25, 0)
    found = mix([30, 10, 5], mixing)
    assert set(found[:, 0].tolist()) == {0, 1}
    assert Mixing.of(options, 7, 1).strategy == "concat"


def test_a_stream_reads_no_further_than_one_ahead() -> None:
    read: list[int] = []

    def source() -> object:
        for number in range(1000):
            read.append(number)
            yield number

    mixing = Mixing("interleave_over", (), 0)
    assert list(islice(mix_streams([source, source], mixing), 6)) == [0, 0, 1, 1, 2, 2]
    assert len(read) <= 8
