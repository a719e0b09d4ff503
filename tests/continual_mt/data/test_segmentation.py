from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continual_mt.data.segmentation import length_batches, segment
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.errors import InputError

LIMIT = 47


@pytest.fixture(scope="session")
def tokenizer(django_tokenizers: dict[str, Tokenizer]) -> Tokenizer:
    return django_tokenizers["es"]


@pytest.fixture(scope="session")
def sentences(django_catalogs: dict[str, list[str]]) -> list[str]:
    return django_catalogs["es"][:60]


def test_a_long_line_is_split_at_spaces(tokenizer: Tokenizer, sentences: list[str]) -> None:
    """No word is lost: the parts, in order, hold every word, each one fits, and none could have been longer."""
    line = "  ".join(text for text in sentences if "å" not in text)  # a character too rare for the vocabulary
    parts = segment(line, 1, tokenizer, LIMIT)
    assert [token for part in parts for token in part] == tokenizer.encode(" ".join(line.split()))
    assert tokenizer.decode([token for part in parts for token in part]).split() == line.split()
    assert len(parts) > 2
    assert max(map(len, parts)) <= LIMIT
    lengths = iter([len(tokenizer.encode(word)) for word in line.split()])
    for part in parts[:-1]:
        filled = 0
        while filled < len(part):
            filled += next(lengths)
        assert filled == len(part)  # divided between words
    starts = {0, *accumulate(len(tokenizer.encode(word)) for word in line.split())}
    ends = list(accumulate(map(len, parts)))
    for part, end in zip(parts, ends[:-1], strict=False):
        assert len(part) + min(start for start in starts if start > end) - end > LIMIT


@settings(max_examples=50)
@given(words=st.lists(st.text("abcdefgñ.,", min_size=1, max_size=15), min_size=1, max_size=60))
def test_parts_hold_every_token(tokenizer: Tokenizer, words: list[str]) -> None:
    parts = segment(" ".join(words), 1, tokenizer, LIMIT)
    assert [token for part in parts for token in part] == tokenizer.encode(" ".join(words))
    assert all(0 < len(part) <= LIMIT for part in parts)


def test_a_line_that_just_fits_is_not_divided(tokenizer: Tokenizer) -> None:
    one = len(tokenizer.encode("x"))
    fits = " ".join(["x"] * (LIMIT // one))
    assert LIMIT - one < len(tokenizer.encode(fits)) <= LIMIT
    assert len(segment(fits, 1, tokenizer, LIMIT)) == 1
    assert len(segment(f"{fits} x", 1, tokenizer, LIMIT)) == 2


def test_a_word_that_alone_does_not_fit_is_divided_and_nothing_is_lost(tokenizer: Tokenizer) -> None:
    word = "áé" * 60
    parts = segment(f"dos {word} tres", 1, tokenizer, LIMIT)
    expected = [token for text in ("dos", word, "tres") for token in tokenizer.encode(text)]
    assert [token for part in parts for token in part] == expected
    assert max(map(len, parts)) <= LIMIT < len(tokenizer.encode(word))


def test_a_word_without_end(tokenizer: Tokenizer) -> None:
    parts = segment("ab" * 100_000, 1, tokenizer, LIMIT)
    assert all(len(part) == LIMIT for part in parts[:-1])
    assert [token for part in parts for token in part] == tokenizer.encode("ab" * 100_000)


@pytest.mark.parametrize("text", ["", " ", "\t", "\u3000"])
def test_nothing_gives_nothing(tokenizer: Tokenizer, text: str) -> None:
    assert segment(text, 1, tokenizer, LIMIT) == []


@given(st.lists(st.lists(st.integers(0, 9), max_size=9), max_size=30), st.integers(1, 40), st.integers(1, 5))
def test_batches_hold_everything_once_within_the_limit(
    sequences: list[list[int]], batch_tokens: int, min_batches: int
) -> None:
    batches = list(length_batches(sequences, batch_tokens, min_batches))
    assert sorted(place for batch in batches for place in batch) == list(range(len(sequences)))
    lengths = [[len(sequences[place]) for place in batch] for batch in batches]
    assert all(len(batch) == 1 or len(batch) * (max(batch) + 1) <= batch_tokens for batch in lengths)
    flat = [length for batch in lengths for length in batch]
    assert flat == sorted(flat, reverse=True)


def test_there_is_a_batch_for_each_of_several_processes() -> None:
    sequences = [[1] * length for length in (5, 4, 4, 3, 3, 2, 2, 1)]
    assert len(list(length_batches(sequences, 1000))) == 1
    assert len(list(length_batches(sequences, 1000, 3))) >= 3
    assert list(length_batches([], 1000, 3)) == []


def test_what_is_no_text_is_named(tokenizer: Tokenizer) -> None:
    with pytest.raises(InputError, match="sentence 3 is None, which is no text"):
        segment(None, 3, tokenizer, 10)  # type: ignore[arg-type]  # as a table's empty cells give
