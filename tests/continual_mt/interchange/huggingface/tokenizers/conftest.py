from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import pytest

from continual_mt.data.tokenizer import Tokenizer
from tests.continual_mt.interchange.huggingface.published import sentencepiece_model

Text = dict[str, list[str]]
Compare = Callable[..., None]

ODD = (
    "½ litre, ﬁn… № 5 ™",
    "日本語 ж щ 😀😀 end",
    "  two  spaces\tand a tab\u00a0here",
    "l’été, «\u00a0déjà\u00a0»",
    "<unknown> & [x]",
    "",
)


@pytest.fixture(scope="session")
def text(django_catalogs: Text) -> Text:
    """Real sentences by language, and odd ones. They do not end with a space (test_fairseq.py tests that)."""
    real = {language: [sentence.rstrip() for sentence in text] for language, text in django_catalogs.items()}
    return {**real, "odd": list(ODD)}


@pytest.fixture(scope="session")
def unigram(django_catalogs: Text) -> bytes:
    return sentencepiece_model(chain(*django_catalogs.values()), 600)


@pytest.fixture(scope="session")
def bpe(django_catalogs: Text) -> bytes:
    return sentencepiece_model(chain(*django_catalogs.values()), 600, "bpe")


@pytest.fixture(scope="session")
def assert_same(text: Text) -> Compare:
    """Assert that a tokenizer gives the ids and texts of the original for all sentences."""

    def assert_same(
        original: Any,
        tokenizer: Tokenizer,
        languages: Sequence[str] = ("en", "es", "de", "pt", "fr", "odd"),
        *,
        encode: Callable[[str], list[int]] | None = None,
        decode: bool = True,
    ) -> None:
        for language in languages:
            sentences = text[language]
            ids = [
                original(sentence, add_special_tokens=False).input_ids if encode is None else encode(sentence)
                for sentence in sentences
            ]
            assert tokenizer.encode_batch(sentences) == ids
            assert list(map(tokenizer.encode, sentences)) == ids
            if decode:
                for numbers in ids:
                    expected = original.decode(numbers, skip_special_tokens=True)
                    # They differ in spaces at the ends of a text where an unknown character was left out.
                    assert tokenizer.decode(numbers).strip() == expected.strip()

    return assert_same
