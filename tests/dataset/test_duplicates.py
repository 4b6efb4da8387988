"""Rows that repeat others are found, and rows that do not are left alone; lengths become shares and places."""

from __future__ import annotations

import random
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from tests.dataset.tokenizers import talk
from trainer.dataset.conversation import Conversation, Media, Message, Text, message
from trainer.dataset.duplicates import Place, Places, find_overlap, find_twins, identity, likeness
from trainer.dataset.language import SCRIPTS, at_most_a_word, count_scripts, is_short
from trainer.dataset.near import Sketches
from trainer.dataset.packing import fit
from trainer.dataset.statistics import make_histogram, padding_share

LENGTHS = some.lists(some.integers(1, 60), max_size=40)
WORDS = [f"{head}{tail}" for head in ("bra", "sto", "kel", "min", "fu", "dor", "pla") for tail in
         ("ton", "vik", "sen", "ra", "mel", "go", "nau", "list", "pe", "zor", "um", "cha")]  # fmt: skip


def places_of(count: int) -> Places:
    places = Places()
    for row in range(count):
        places.add("mine", row + 1)
    return places


@settings(deadline=None)
@given(some.lists(some.integers(0, 9), max_size=40))
def test_exact_twins_are_those_of_a_plain_search(numbers: list[int]) -> None:
    twins = find_twins(numbers, range(len(numbers)), places_of(len(numbers)))
    again = [row for row, number in enumerate(numbers) if number in numbers[:row]]
    assert (twins.rows, twins.looked_at) == (len(again), len(numbers))
    assert [(twin.row.number - 1, twin.of.number - 1) for twin in twins.first] == [
        (row, numbers.index(numbers[row])) for row in again[:20]
    ]


@settings(deadline=None)
@given(some.lists(some.tuples(some.integers(0, 9), some.booleans()), max_size=40))
def test_overlap_is_that_of_a_plain_search(rows: list[tuple[int, bool]]) -> None:
    numbers = [number for number, _ in rows]
    train = [row for row, (_, trained) in enumerate(rows) if trained]
    held = [row for row, (_, trained) in enumerate(rows) if not trained]
    overlap = find_overlap(numbers, train, held, places_of(len(rows)))
    learned = {numbers[row] for row in train}
    expected = [row for row in held if numbers[row] in learned]
    assert overlap.rows == len(expected)
    assert [twin.row.number - 1 for twin in overlap.first] == expected[:20]
    assert all(numbers[twin.of.number - 1] == numbers[twin.row.number - 1] for twin in overlap.first)


def test_what_makes_rows_the_same(tmp_path: Path) -> None:
    row = talk("Who?", "Me.", system="S")
    assert identity(row) == identity(talk("Who?", "Me.", system="S"))
    for other in (talk("Who?", "Me", system="S"), talk("Who?", "Me."), talk("who?", "Me.", system="S")):
        assert identity(row) != identity(other)
    assert likeness(row) == likeness(talk("ＷＨＯ? ", " me.\n", system="s"))
    assert likeness(row) != likeness(talk("Who?Me.", ""))

    def shown(media: Media) -> Conversation:
        return Conversation((Message("user", (Text("?"), media)), message("assistant", "a dog")))

    pictures = [Media("image", tmp_path / "a.png"), Media("image", tmp_path / "b.png")]
    pictures += [
        Media("image", data=b"1"),
        Media("image", data=b"2"),
        Media("video", frames=(pictures[0],) * 2),
    ]
    assert len({identity(shown(each)) for each in pictures}) == len(pictures)
    assert identity(shown(Media("image", data=b"1"))) == identity(shown(pictures[2]))


def find_near(texts: list[str]) -> dict[int, int]:
    sketches = Sketches()
    for row, text in enumerate(texts):
        sketches.add(row, text)
    numbers = [hash(text) % (1 << 64) for text in texts]
    twins = sketches.find(range(len(texts)), numbers, places_of(len(texts)))
    assert twins.looked_at == len(texts) and len(twins.first) == min(twins.rows, 20)
    return {twin.row.number - 1: twin.of.number - 1 for twin in twins.first}


@pytest.mark.parametrize(
    "instruction", ["", "Read the following sentence carefully and say what it is about: "]
)
def test_planted_near_duplicates_are_found_and_no_others(instruction: str) -> None:
    chance = random.Random(7)
    texts = [instruction + " ".join(chance.choices(WORDS, k=chance.randint(20, 60))) for _ in range(400)]
    for row in range(300, 315):
        words = texts[row - 200].split()
        words[12] = "other"
        texts[row] = " ".join(words).upper() + "  !"
    assert find_near(texts) == {row: row - 200 for row in range(300, 315)}


def test_rows_of_one_pattern_are_not_near_duplicates() -> None:
    assert find_near([f"What is {row} plus {row * 7}? It is {row * 8}." for row in range(300)]) == {}
    assert find_near(["", "a", "ab", "short", "short!", "好", "好吗"]) == {}


def test_copies_of_copies_count_each_once() -> None:
    text = "The river bends twice before it meets the old stone bridge at the mill."
    texts = [
        "Nothing of the kind is said in this first row.",
        text,
        text + "!",
        text + "?",
        text.upper() + "..",
        text,
    ]
    assert set(find_near(texts)) == {2, 3, 4}


def test_long_texts_are_compared_too() -> None:
    chance = random.Random(3)
    texts = [" ".join(chance.choices(WORDS, k=1500)) for _ in range(12)]
    texts.append(texts[4].replace("ton", "tun", 20))
    assert find_near(texts) == {12: 4}


@settings(deadline=None)
@given(LENGTHS, some.integers(1, 70))
def test_packing_fills_places_as_a_plain_search_does(lengths: list[int], capacity: int) -> None:
    places: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda each: -lengths[each]):
        room = [
            (capacity - sum(lengths[each] for each in place), number) for number, place in enumerate(places)
        ]
        fitting = min((each for each in room if each[0] >= lengths[row]), default=None)
        if fitting is None:
            places.append([row])
        else:
            places[fitting[1]].append(row)
    assert fit(lengths, capacity) == places


@settings(deadline=None)
@given(LENGTHS, some.integers(1, 2000))
def test_a_histogram_holds_every_row(lengths: list[int], scale: int) -> None:
    lengths = [length * scale for length in lengths]
    found = make_histogram(lengths, cutoff=2048)
    assert found.rows == len(lengths) and len(found.bins) <= 26
    for start, end, rows in found.bins:
        assert rows == sum(start <= length < end for length in lengths)
        assert str(end - start).rstrip("0") in ("1", "2", "5")
    if found.cutoff_bin is not None:
        assert found.bins[found.cutoff_bin].start <= 2048 < found.bins[found.cutoff_bin].end
    elif lengths:
        assert found.bins[-1].end <= 2048 or found.bins[0].start > 2048


@settings(deadline=None)
@given(some.lists(some.integers(1, 50), min_size=1, max_size=6), some.integers(1, 8))
def test_padding_is_the_mean_over_all_orders(lengths: list[int], batch: int) -> None:
    orders = list(permutations(lengths))
    padded = sum(
        max(order[start : start + batch]) * len(order[start : start + batch])
        for order in orders
        for start in range(0, len(order), batch)
    )
    assert padding_share(lengths, batch) == pytest.approx(1 - sum(lengths) * len(orders) / padded)


def test_padding_of_many_rows_is_that_of_shuffled_batches() -> None:
    chance = random.Random(5)
    lengths = [chance.randint(10, 400) for _ in range(4003)]
    shares = []
    for _ in range(10):
        chance.shuffle(lengths)
        padded = sum(
            max(batch) * len(batch)
            for start in range(0, len(lengths), 8)
            if (batch := lengths[start : start + 8])
        )
        shares.append(1 - sum(lengths) / padded)
    assert padding_share(lengths, 8) == pytest.approx(sum(shares) / 10, abs=0.01)
    assert padding_share([], 8) == 0 == padding_share([5, 5, 5], 2)


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("Hello, 42 Wörld!", {"latin": 10}),
        ("plain", {"latin": 5}),
        ("12 + 3", {}),
        ("你好，世界 ok", {"zh": 4, "latin": 2}),
        ("東京へ行く", {"ja": 5}),
        ("안녕 세상", {"ko": 4}),
        ("Привет 🙂", {"ru": 6}),
        ("สวัสดี", {"other": 4}),
        ("𠀀", {"zh": 1}),
        ("\ud83d", {}),
    ],
)
def test_letters_are_counted_by_script(text: str, counts: dict[str, int]) -> None:
    assert count_scripts(text) == counts
    assert set(counts) <= set(SCRIPTS)


def test_one_word_answers() -> None:
    for short in ("", "  ", "Yes", "yes.\n", "是", "好的。", "42", "Да", "네", "supercalifragilistic"):
        assert at_most_a_word(short), short
    for longer in ("Yes, sir", "我不知道", "はい、そうです", "1 2"):
        assert not at_most_a_word(longer), longer
    assert is_short(talk("?", "Yes", "?", "No")) and not is_short(talk("?", "Yes", "?", "No, never"))
    unlearned = (message("user", "?"), message("assistant", "A longer one", train=False))
    assert is_short(Conversation((*unlearned, *talk("?", "Yes").messages)))
    assert Place("a", 1) == ("a", 1, "")
