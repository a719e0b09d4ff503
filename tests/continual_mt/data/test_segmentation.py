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


def test_a_long_sentence_is_split_at_spaces(tokenizer: Tokenizer, sentences: list[str]) -> None:
    """The segments contain all words in order, each one fits, and none could have had another word."""
    line = "  ".join(text for text in sentences if "å" not in text)  # a character too rare for the vocabulary
    segments = segment(line, 1, tokenizer, LIMIT)
    assert [token for tokens in segments for token in tokens] == tokenizer.encode(" ".join(line.split()))
    assert tokenizer.decode([token for tokens in segments for token in tokens]).split() == line.split()
    assert len(segments) > 2
    assert max(map(len, segments)) <= LIMIT
    lengths = iter([len(tokenizer.encode(word)) for word in line.split()])
    for tokens in segments[:-1]:
        filled = 0
        while filled < len(tokens):
            filled += next(lengths)
        assert filled == len(tokens)  # split between words
    starts = {0, *accumulate(len(tokenizer.encode(word)) for word in line.split())}
    ends = list(accumulate(map(len, segments)))
    for tokens, end in zip(segments, ends[:-1], strict=False):
        assert len(tokens) + min(start for start in starts if start > end) - end > LIMIT


@settings(max_examples=50)
@given(words=st.lists(st.text("abcdefgñ.,", min_size=1, max_size=15), min_size=1, max_size=60))
def test_segments_contain_every_token(tokenizer: Tokenizer, words: list[str]) -> None:
    segments = segment(" ".join(words), 1, tokenizer, LIMIT)
    assert [token for tokens in segments for token in tokens] == tokenizer.encode(" ".join(words))
    assert all(0 < len(tokens) <= LIMIT for tokens in segments)


def test_a_sentence_that_just_fits_is_not_split(tokenizer: Tokenizer) -> None:
    one = len(tokenizer.encode("x"))
    fits = " ".join(["x"] * (LIMIT // one))
    assert LIMIT - one < len(tokenizer.encode(fits)) <= LIMIT
    assert len(segment(fits, 1, tokenizer, LIMIT)) == 1
    assert len(segment(f"{fits} x", 1, tokenizer, LIMIT)) == 2


def test_a_word_over_the_limit_is_split(tokenizer: Tokenizer) -> None:
    word = "áé" * 60
    segments = segment(f"dos {word} tres", 1, tokenizer, LIMIT)
    expected = [token for text in ("dos", word, "tres") for token in tokenizer.encode(text)]
    assert [token for tokens in segments for token in tokens] == expected
    assert max(map(len, segments)) <= LIMIT < len(tokenizer.encode(word))


def test_a_very_long_word(tokenizer: Tokenizer) -> None:
    segments = segment("ab" * 100_000, 1, tokenizer, LIMIT)
    assert all(len(tokens) == LIMIT for tokens in segments[:-1])
    assert [token for tokens in segments for token in tokens] == tokenizer.encode("ab" * 100_000)


@pytest.mark.parametrize("text", ["", " ", "\t", "\u3000"])
def test_blank_text_has_no_segments(tokenizer: Tokenizer, text: str) -> None:
    assert segment(text, 1, tokenizer, LIMIT) == []


@given(st.lists(st.lists(st.integers(0, 9), max_size=9), max_size=30), st.integers(1, 40), st.integers(1, 5))
def test_length_batches_have_every_sequence_once_within_the_limit(
    sequences: list[list[int]], batch_tokens: int, min_batches: int
) -> None:
    batches = list(length_batches(sequences, batch_tokens, min_batches))
    assert sorted(index for batch in batches for index in batch) == list(range(len(sequences)))
    lengths = [[len(sequences[index]) for index in batch] for batch in batches]
    assert all(len(batch) == 1 or len(batch) * (max(batch) + 1) <= batch_tokens for batch in lengths)
    flat = [length for batch in lengths for length in batch]
    assert flat == sorted(flat, reverse=True)


def test_min_batches() -> None:
    sequences = [[1] * length for length in (5, 4, 4, 3, 3, 2, 2, 1)]
    assert len(list(length_batches(sequences, 1000))) == 1
    assert len(list(length_batches(sequences, 1000, 3))) >= 3
    assert list(length_batches([], 1000, 3)) == []


def test_a_value_that_is_not_text_is_rejected(tokenizer: Tokenizer) -> None:
    with pytest.raises(InputError, match="sentence 3: None is not text; expected a str"):
        segment(None, 3, tokenizer, 10)  # type: ignore[arg-type]  # for example an empty cell of a table
