from __future__ import annotations

import pytest
import torch

from continual_mt.artifacts.side import LanguageSide
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.errors import InputError
from continual_mt.evaluation.alignment import EmbeddingTable, align
from continual_mt.evaluation.lexicon import Lexicon
from continual_mt.evaluation.nearest_neighbours import Neighbourhood


def table(tokenizer: Tokenizer, language: str, seed: int) -> EmbeddingTable:
    embedding = torch.randn(tokenizer.size, 16, generator=torch.Generator().manual_seed(seed))
    return EmbeddingTable(LanguageSide(language, tokenizer), embedding)


def test_the_neighbours_equal_those_of_align(django_tokenizers: dict[str, Tokenizer]) -> None:
    first, second = table(django_tokenizers["en"], "en", 1), table(django_tokenizers["es"], "es", 2)
    words = [piece[1:] for piece in django_tokenizers["en"].pieces if piece.startswith("▁") and len(piece) > 3]
    by_csls = align(first, second, Lexicon("en-es.tsv", dict.fromkeys(words, ("de",))))[1]
    assert by_csls.precision.queries > 20
    neighbourhood = Neighbourhood.of(first, second)
    for word, expected in by_csls.neighbours.items():
        nearest = neighbourhood.nearest(word, 5)
        assert tuple(one.piece for one in nearest) == expected
        assert all(-1 <= one.cosine <= 1 for one in nearest)
    assert len(neighbourhood.nearest(words[0])) == 10


def test_a_word_of_several_pieces_is_the_mean_of_their_embeddings(django_tokenizers: dict[str, Tokenizer]) -> None:
    tokenizer = django_tokenizers["en"]
    same = table(tokenizer, "en", 1)
    pieces = tokenizer.encode("unthinkable")
    assert len(pieces) > 1
    mean = same.embedding[pieces].mean(dim=0)
    cosines = torch.nn.functional.cosine_similarity(mean[None], same.embedding, dim=1)
    found = Neighbourhood.of(same, same).nearest("unthinkable", tokenizer.size)
    by_piece = {one.piece: one.cosine for one in found}
    for number in pieces:
        assert by_piece[tokenizer.pieces[number]] == pytest.approx(float(cosines[number]), abs=1e-5)


def test_a_word_with_unknown_characters_is_refused(django_tokenizers: dict[str, Tokenizer]) -> None:
    same = table(django_tokenizers["en"], "en", 1)
    with pytest.raises(InputError, match=r"^'犬': cannot be encoded with the vocabulary of en"):
        Neighbourhood.of(same, same).nearest("犬")
