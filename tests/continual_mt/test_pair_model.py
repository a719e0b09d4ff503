from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from continual_mt.errors import InputError
from continual_mt.pair_model import LOGITS_BATCH, PairModel
from continual_mt.parent import Parent
from continual_mt.transformer import Transformer


@pytest.fixture(scope="session")
def pair_model(parent: Parent) -> PairModel:
    """The untrained parent, loud enough to prefer one token clearly to the next."""
    tensors = {name: tensor * 3 for name, tensor in parent.tensors.items()}
    return PairModel(parent.pair, Transformer.pointing_at(parent.architecture, tensors), parent.source, parent.target)


@pytest.fixture(scope="session")
def sentences(django_catalogs: dict[str, list[str]]) -> list[str]:
    """Real sentences of all lengths that fit the model."""
    return [text for text in django_catalogs["es"] if len(text) < 60][:40]


@pytest.mark.parametrize("beam", [1, 3])
def test_lines_stay_lines(pair_model: PairModel, sentences: list[str], beam: int) -> None:
    """A blank sentence gives an empty one, wherever it stands; the others do not notice it."""
    blanks = ["", " ", "\t", "\u00a0", " \u2003 "]
    mixed = [text for pair in zip(blanks, sentences, strict=False) for text in pair]
    translated = pair_model.translate(mixed, beam=beam)
    assert len(translated) == len(mixed)
    assert translated[::2] == [""] * len(blanks)
    assert translated[1::2] == pair_model.translate(sentences[: len(blanks)], beam=beam)
    assert all("\n" not in text for text in translated)
    assert pair_model.translate([], beam=beam) == []
    assert pair_model.translate([""], beam=beam) == [""]


@settings(max_examples=25)
@given(texts=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=12), max_size=4))
def test_any_text_is_translated_line_by_line(pair_model: PairModel, texts: list[str]) -> None:
    translated = pair_model.translate(texts, beam=1)
    assert len(translated) == len(texts)
    assert all(not result for text, result in zip(texts, translated, strict=True) if not text.strip())


@pytest.mark.parametrize("beam", [1, 3])
def test_the_batch_does_not_matter(pair_model: PairModel, sentences: list[str], beam: int) -> None:
    together = pair_model.translate(sentences, beam=beam)
    assert together == pair_model.translate(sentences, beam=beam, batch_tokens=1)
    assert together == pair_model.translate(sentences[::-1], beam=beam, batch_tokens=200)[::-1]
    assert len(set(together)) > 10


def test_progress_reaches_the_number_of_sentences(pair_model: PairModel, sentences: list[str]) -> None:
    seen: list[int] = []
    pair_model.translate([*sentences, ""], beam=1, batch_tokens=100, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == len(sentences)
    assert len(seen) > 3


def test_a_long_line_is_translated_in_pieces(pair_model: PairModel, sentences: list[str]) -> None:
    """No word is lost: the pieces, in order, hold every word, each piece fits, and none could have been longer."""
    line = "  ".join(text for text in sentences if "å" not in text)  # a character too rare for the vocabulary
    tokenizer, limit = pair_model.source.tokenizer, pair_model.transformer.architecture.maximum_positions - 1
    pieces = list(pair_model._pieces(line, 1))
    assert [token for piece in pieces for token in piece] == tokenizer.encode(" ".join(line.split()))
    assert tokenizer.decode([token for piece in pieces for token in piece]).split() == line.split()
    assert len(pieces) > 2
    assert max(map(len, pieces)) <= limit
    words = [tokenizer.encode(word) for word in line.split()]
    for before, after in pairwise(pieces):
        first = next(word for word in words if after[: len(word)] == word)
        assert len(before) + len(first) > limit
    parts = [tokenizer.decode(piece) for piece in pieces]
    assert pair_model.translate([line], beam=2) == [" ".join(pair_model.translate(parts, beam=2))]


@settings(max_examples=50)
@given(words=st.lists(st.text("abcdefgñ.,", min_size=1, max_size=15), min_size=1, max_size=60))
def test_pieces_hold_every_token(pair_model: PairModel, words: list[str]) -> None:
    tokenizer, limit = pair_model.source.tokenizer, pair_model.transformer.architecture.maximum_positions - 1
    pieces = list(pair_model._pieces(" ".join(words), 1))
    assert [token for piece in pieces for token in piece] == tokenizer.encode(" ".join(words))
    assert all(0 < len(piece) <= limit for piece in pieces)


def test_a_line_that_just_fits_is_not_divided(pair_model: PairModel) -> None:
    tokenizer, limit = pair_model.source.tokenizer, pair_model.transformer.architecture.maximum_positions - 1
    one = len(tokenizer.encode("x"))
    fits = " ".join(["x"] * (limit // one))
    assert limit - one < len(tokenizer.encode(fits)) <= limit
    assert len(list(pair_model._pieces(fits, 1))) == 1
    assert len(list(pair_model._pieces(f"{fits} x", 1))) == 2
    assert len(pair_model.translate([fits, f"{fits} x"], beam=1)) == 2


def test_a_word_that_alone_does_not_fit_is_divided_and_nothing_is_lost(pair_model: PairModel) -> None:
    word = "áé" * 60
    tokenizer, limit = pair_model.source.tokenizer, pair_model.transformer.architecture.maximum_positions - 1
    pieces = list(pair_model._pieces(f"dos {word} tres", 1))
    expected = [token for text in ("dos", word, "tres") for token in tokenizer.encode(text)]
    assert [token for piece in pieces for token in piece] == expected
    assert max(map(len, pieces)) <= limit < len(tokenizer.encode(word))
    assert len(pair_model.translate(["uno", f"dos {word} tres"], beam=1)) == 2


@pytest.mark.parametrize("text", ["uno\ndos", "uno\r", "\n"])
def test_a_line_break_is_refused(pair_model: PairModel, text: str) -> None:
    with pytest.raises(InputError, match="sentence 2 holds a line break; give one sentence at a time"):
        pair_model.translate(["uno", text])


def test_what_is_no_text_is_refused(pair_model: PairModel) -> None:
    with pytest.raises(InputError, match="sentence 2 holds half a surrogate pair, which is no text"):
        pair_model.translate(["uno", "dos \ud800"])


@pytest.mark.parametrize("beam", [0, -1])
def test_a_beam_of_nothing_is_refused(pair_model: PairModel, beam: int) -> None:
    with pytest.raises(InputError, match=f"beam is {beam}; it must be at least 1"):
        pair_model.translate(["uno"], beam=beam)


def test_logits_come_in_fixed_batches(
    pair_model: PairModel, sentences: list[str], django_catalogs: dict[str, list[str]]
) -> None:
    references = django_catalogs["en"][: len(sentences)]
    batches = list(pair_model.logits(sentences, references))
    assert [len(batch) for batch in batches] == [LOGITS_BATCH, len(sentences) - LOGITS_BATCH]
    assert {batch.dtype for batch in batches} == {torch.float32}
    assert batches[0].shape[2] == pair_model.target.tokenizer.size
    digest = pair_model.logits_digest(sentences, references)
    assert digest == pair_model.logits_digest(sentences, references)
    assert digest != pair_model.logits_digest(sentences, references[::-1])


def test_logits_of_over_long_sentences_are_cut(pair_model: PairModel) -> None:
    long = "palabra " * 100
    assert next(pair_model.logits([long], [long])).shape == (1, 48, pair_model.target.tokenizer.size)
