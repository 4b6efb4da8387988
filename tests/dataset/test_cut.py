"""What stays of a row that is longer than the cutoff, counted in tokens."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.dataset.cut import Turn, keep, share

lengths = st.tuples(st.integers(0, 60), st.integers(1, 60), st.booleans())


def laid_out(turns: list[tuple[int, int, bool]], opening: int) -> list[Turn]:
    """Turns of these lengths (question without its opening, answer, trained) one after another."""
    made: list[Turn] = []
    at = 0
    for question, answer, trained in turns:
        first = at + question + opening
        made.append(Turn(at, first, first + answer, opening, trained))
        at = first + answer
    return made


@given(st.lists(lengths, min_size=1, max_size=5), st.integers(0, 6), st.integers(4, 300))
@settings(deadline=None, derandomize=True, max_examples=400)
def test_what_stays_fits_and_is_in_order(
    turns: list[tuple[int, int, bool]], opening: int, budget: int
) -> None:
    laid = laid_out(turns, opening)
    parts = keep(laid, budget)
    places = [place for part in parts for place in part]
    assert len(places) <= budget and places == sorted(set(places))
    kept = set(places)
    for turn in laid:
        answer = kept & set(range(turn.answer, turn.end))
        if answer:
            # An answer is never without the words that open it, and is cut only from its end.
            assert set(range(turn.answer - opening, turn.answer)) <= kept
            assert answer == set(range(turn.answer, turn.answer + len(answer)))
    trained = [turn for turn in laid if turn.trained]
    if not trained:
        assert parts == []
        return
    first = trained[0] if laid[0].trained else trained[-1]
    if first.end - first.answer + opening <= budget:
        assert set(range(first.answer, first.end)) <= kept


shown = st.lists(st.tuples(st.integers(0, 8), st.integers(1, 20)), max_size=3)


@given(
    st.lists(st.tuples(shown, st.integers(0, 20), st.integers(1, 40), st.booleans()), min_size=1, max_size=4),
    st.integers(0, 6),
    st.integers(4, 200),
)
@settings(deadline=None, derandomize=True, max_examples=400)
def test_pictures_stay_whole_or_go(
    turns: list[tuple[list[tuple[int, int]], int, int, bool]], opening: int, budget: int
) -> None:
    laid: list[Turn] = []
    at = 0
    for pictures, words, answer, trained in turns:
        start, blocks = at, []
        for before, size in pictures:
            blocks.append(range(at + before, at + before + size))
            at += before + size
        first = at + words + opening
        laid.append(Turn(start, first, first + answer, opening, trained, tuple(blocks)))
        at = first + answer
    parts = keep(laid, budget)
    places = [place for part in parts for place in part]
    kept = set(places)
    assert len(places) <= budget and places == sorted(kept)
    for turn in laid:
        said = kept & set(range(turn.answer, turn.end))
        for block in turn.blocks:
            # A question that is answered has all its pictures; none is ever divided.
            assert set(block) <= kept if said else not set(block) & kept
    wanted = [turn for turn in laid if turn.trained]
    if not wanted:
        return
    turn = wanted[0] if laid[0].trained else wanted[-1]
    answer = turn.end - turn.answer
    if answer + turn.opening + turn.held <= budget:
        assert set(range(turn.answer, turn.end)) <= kept
    elif turn.held and answer + turn.opening <= budget:
        # An answer that would fit is not robbed of its end for a picture's sake: the row is not used.
        assert not places


def test_words_give_way_before_pictures_do() -> None:
    turn = Turn(0, 50, 60, 4, True, (range(10, 20), range(30, 40)))
    assert keep([turn], 60) == [
        range(10),
        range(10, 20),
        range(20, 30),
        range(30, 40),
        range(40, 46),
        range(46, 60),
    ]
    assert keep([turn], 40) == [range(6), range(10, 20), range(30, 40), range(46, 60)]
    assert keep([turn], 34) == [range(10, 20), range(30, 40), range(46, 60)]
    assert keep([turn], 33) == []


def test_an_answer_is_cut_before_its_picture() -> None:
    turn = Turn(0, 10, 60, 4, True, (range(30, 50),))
    assert keep([turn], 45) == [range(6), range(6, 30)]
    assert keep([turn], 61) == [range(6), range(6, 60)]


@given(st.lists(lengths, min_size=1, max_size=5), st.integers(0, 6))
@settings(deadline=None, derandomize=True, max_examples=100)
def test_what_fits_stays_whole_up_to_the_last_trained_answer(
    turns: list[tuple[int, int, bool]], opening: int
) -> None:
    laid = laid_out(turns, opening)
    trained = [turn for turn in laid if turn.trained]
    places = [place for part in keep(laid, 10_000) for place in part]
    assert places == list(range(trained[-1].end if trained else 0))


def test_a_budget_is_shared_as_infer_seqlen_does_where_the_answer_is_cut() -> None:
    assert share(30, 200, 5, 100) == (30, 70)  # a short question stays whole
    assert share(300, 200, 5, 100) == (60, 40)  # both long: in proportion
    assert share(300, 40, 5, 100) == (60, 40)  # a short answer stays whole
    assert share(60, 95, 5, 100) == (5, 95)  # ours: an answer that fits is never cut


def test_context_in_front_of_the_only_trained_answer_goes_oldest_first() -> None:
    laid = laid_out([(10, 20, False), (10, 20, False), (10, 20, True), (50, 50, False)], 2)
    kept = {place for part in keep(laid, 70) for place in part}
    assert set(range(laid[1].start, laid[2].end)) <= kept
    assert max(kept) == laid[2].end - 1
    assert not kept & set(range(laid[0].answer, laid[0].end))
