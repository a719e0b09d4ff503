from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from continual_mt.data.noise import noised

WORDS = st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=4), min_size=2, max_size=20)
DISTINCT = st.integers(2, 30).map(lambda count: [f"w{number}" for number in range(count)])


@given(WORDS, st.floats(0, 1), st.integers(0, 5), st.integers(0, 2**31))
def test_nothing_is_added_and_something_is_kept(words: list[str], drop: float, distance: int, seed: int) -> None:
    found = noised(" ".join(words), drop, distance, seed)
    assert found == noised(" ".join(words), drop, distance, seed)
    assert found
    assert Counter(found.split()) <= Counter(words)


@given(DISTINCT, st.integers(0, 5), st.integers(0, 2**31))
def test_words_move_no_further_than_the_distance(words: list[str], distance: int, seed: int) -> None:
    found = noised(" ".join(words), 0, distance, seed).split()
    assert sorted(found) == sorted(words)
    assert max(abs(found.index(word) - place) for place, word in enumerate(words)) <= distance


def test_how_much_is_left_out_and_moved() -> None:
    words = " ".join(f"w{number}" for number in range(10_000))
    assert noised(words, 0, 0, seed=1) == words
    kept = noised(words, 0.1, 3, seed=1).split()
    assert 0.88 < len(kept) / 10_000 < 0.92
    assert sum(kept[i] > kept[i + 1] for i in range(len(kept) - 1)) / len(kept) > 0.2
    assert noised(words, 0.1, 3, seed=2).split() != kept


def test_characters_take_the_place_of_words_without_spaces() -> None:
    found = noised("两个男人在公园里踢足球", 0.2, 2, seed=3)
    assert " " not in found
    assert found != "两个男人在公园里踢足球"
    assert set(found) < set("两个男人在公园里踢足球")
    assert noised("", 0.5, 3, seed=1) == noised("  ", 0.5, 3, seed=1) == ""
