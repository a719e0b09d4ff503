from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continual_mt.data.sampling import drawn_sentences, repeated, repeated_indices


def test_shares_follow_the_temperature() -> None:
    sizes = [100_000, 1_000, 10]
    assert drawn_sentences(sizes, 1) == sizes
    drawn = drawn_sentences(sizes, 5)
    assert drawn[0] == 100_000
    for size, count in zip(sizes, drawn, strict=True):
        assert count / drawn[0] == pytest.approx((size / sizes[0]) ** 0.2, rel=1e-3)
    assert drawn_sentences(sizes, 1e9) == [100_000, 100_000, 100_000]
    assert drawn_sentences([7], 5) == [7]


@given(st.integers(1, 60), st.integers(0, 200), st.integers(0, 60))
def test_every_item_is_drawn_equally_often(size: int, more: int, cut: int) -> None:
    """Also where they come in parts, as they do from a stream."""
    drawn, items = size + more, list(range(size))
    found = list(repeated(items, size, drawn))
    counts = Counter(found)
    assert len(found) == drawn
    assert found == sorted(found)
    assert set(counts) == set(items)
    assert max(counts.values()) - min(counts.values()) <= 1
    parts = [*repeated(items[:cut], size, drawn), *repeated(items[cut:], size, drawn, first=min(cut, size))]
    assert parts == found


@given(st.integers(0, 50), st.integers(1, 20), st.integers(1, 60))
def test_repeated_indices_are_the_repeated_numbers(count: int, size: int, drawn: int) -> None:
    assert repeated_indices(count, size, drawn).tolist() == list(repeated(range(count), size, drawn))
