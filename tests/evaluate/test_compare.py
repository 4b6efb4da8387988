"""Base beside tuned: who wins, and how sure that is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.evaluate.compare import ENOUGH_ROWS, Verdict, sentence, verdict

POINTS = st.integers(0, 100).map(float)
PAIRS = st.lists(st.tuples(POINTS, POINTS), max_size=25)


def test_the_sentence_of_a_clear_difference() -> None:
    found = Verdict("rouge-l", 41, 6, 13, 60, 8.3, 5.1, 11.4, True)
    assert sentence(found).text == (
        "Tuned is better on 41, equal on 6, worse on 13 of 60; ROUGE-L +8.3 (95 %: +5.1 to +11.4)."
    )
    values = sentence(found).values
    assert (values["better"], values["rows"], values["difference"], values["low"]) == (41, 60, 8.3, 5.1)


@settings(max_examples=30)
@given(PAIRS)
def test_a_verdict_adds_up_and_turns_round(pairs: list[tuple[float, float]]) -> None:
    tuned, base = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    found, turned = verdict("accuracy", tuned, base), verdict("accuracy", base, tuned)
    assert found.better + found.equal + found.worse == found.rows == len(pairs)
    assert (found.better, found.worse) == (turned.worse, turned.better)
    assert found.difference == pytest.approx(-turned.difference)
    # The same samples are drawn, so that the interval is the other's turned round.
    assert (found.low, found.high) == pytest.approx((-turned.high, -turned.low))
    assert found.low - 1e-9 <= found.high
    assert found.shown is (len(pairs) >= ENOUGH_ROWS and not found.low <= 0 <= found.high)
    assert found == verdict("accuracy", tuned, base)
    assert sentence(found).text


def test_the_interval_is_the_one_of_theory() -> None:
    chance = np.random.default_rng(3)
    differences = chance.normal(2.0, 10.0, 400)
    found = verdict("rouge-l", list(50 + differences), [50.0] * 400, seed=1)
    half = 1.96 * differences.std() / 20
    assert found.low == pytest.approx(differences.mean() - half, abs=0.08)
    assert found.high == pytest.approx(differences.mean() + half, abs=0.08)
    assert found.difference == pytest.approx(differences.mean())


def test_each_ending_has_its_sentence() -> None:
    def code(tuned: list[float], base: list[float]) -> str:
        return sentence(verdict("rouge-l", tuned, base)).code

    noise = [0.0, 10.0] * 10
    assert code([9.0] * 20, [1.0] * 20) == "evaluated_better"
    assert code([1.0] * 20, [9.0] * 20) == "evaluated_worse"
    assert code(noise, noise[::-1]) == "evaluated_no_difference"
    assert code([5.0] * 20, [5.0] * 20) == "evaluated_no_difference"
    assert code([9.0] * 5, [1.0] * 5) == "evaluated_few"
    assert code([], []) == "evaluated_nothing"
    one = verdict("rouge-l", [3.0], [1.0])
    assert (one.low, one.high, one.shown) == (2.0, 2.0, False)
    assert "No difference was shown" in sentence(verdict("rouge-l", noise, noise[::-1])).text
    assert "-0.0" not in sentence(verdict("accuracy", [0.0] * 9 + [1e-4], [1e-4] * 10)).text
    with pytest.raises(ValueError, match="2 scores of tuned, but 1 of base"):
        verdict("rouge-l", [1.0, 2.0], [1.0])


def test_a_hundred_thousand_rows_are_compared() -> None:
    chance = np.random.default_rng(0)
    base = chance.uniform(0, 100, 100_000)
    found = verdict("rouge-l", (base + chance.normal(1, 5, 100_000)).tolist(), base.tolist())
    assert found.shown and found.low == pytest.approx(1, abs=0.1) and found.high == pytest.approx(1, abs=0.1)
