from __future__ import annotations

from math import dist

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from continual_mt.artifacts.side import LanguageSide
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.data.tokenizer_training import train_tokenizer
from continual_mt.errors import CorpusError
from continual_mt.evaluation.alignment import EmbeddingTable
from continual_mt.evaluation.embedding_map import frequent_map, joint_map, project_to_plane
from continual_mt.evaluation.lexicon import Lexicon


@pytest.fixture(scope="module")
def tables(django_tokenizers: dict[str, Tokenizer]) -> tuple[EmbeddingTable, EmbeddingTable]:
    """The same table as two languages; the second is scaled by 2."""
    tokenizer = django_tokenizers["en"]
    embedding = torch.randn(tokenizer.size, 16, generator=torch.Generator().manual_seed(1))
    return EmbeddingTable(LanguageSide("en", tokenizer), embedding), EmbeddingTable(
        LanguageSide("es", tokenizer), 2 * embedding
    )


@pytest.fixture(scope="module")
def lexicon(tables: tuple[EmbeddingTable, EmbeddingTable]) -> Lexicon:
    """Each word-start piece translated by itself, the rarest first."""
    pieces = reversed(tables[0].side.tokenizer.pieces)
    return Lexicon("en-es.tsv", {piece[1:]: (piece[1:],) for piece in pieces if piece[:1] == "▁" and piece[1:]})


def test_equal_directions_have_equal_coordinates(
    tables: tuple[EmbeddingTable, EmbeddingTable], lexicon: Lexicon
) -> None:
    found = joint_map(*tables, lexicon, maximum_words=12)
    assert found.languages == ("en",) * 12 + ("es",) * 12
    assert found.links == tuple((i, 12 + i) for i in range(12))
    for start, end in found.links:
        assert found.labels[start] == found.labels[end]
        assert dist(found.xy[start], found.xy[end]) < 1e-5
    assert len(set(found.xy[:12])) == 12
    assert 1 > found.explained[0] > found.explained[1] > 0


def test_the_most_frequent_words_are_shown(tables: tuple[EmbeddingTable, EmbeddingTable], lexicon: Lexicon) -> None:
    tokenizer = tables[0].side.tokenizer
    every = joint_map(*tables, lexicon, maximum_words=10_000).labels
    ids = [tokenizer.encode(word)[0] for word in every[: len(every) // 2]]
    assert ids == sorted(ids)
    assert joint_map(*tables, lexicon, maximum_words=5).labels[:5] == every[:5]


def test_a_shared_translation_is_one_point(tables: tuple[EmbeddingTable, EmbeddingTable]) -> None:
    found = joint_map(*tables, Lexicon("x.tsv", {"the": ("of", "the"), "of": ("of",)}))
    assert sorted(found.labels) == ["of", "of", "the", "the"]
    named = {(found.labels[start], found.labels[end]) for start, end in found.links}
    assert named == {("the", "of"), ("the", "the"), ("of", "of")}


def test_the_map_is_deterministic_and_restores_the_random_state(
    tables: tuple[EmbeddingTable, EmbeddingTable], lexicon: Lexicon
) -> None:
    before = torch.random.get_rng_state()
    first = joint_map(*tables, lexicon)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(3)
    assert joint_map(*tables, lexicon) == first


@given(st.integers(2, 60), st.integers(2, 40), st.integers(0, 10_000))
def test_the_plane_has_the_most_variance(points: int, width: int, seed: int) -> None:
    vectors = torch.randn(points, width, generator=torch.Generator().manual_seed(seed)).double()
    xy, explained = project_to_plane(vectors)
    values = torch.linalg.svdvals(vectors - vectors.mean(dim=0)).square()
    torch.testing.assert_close(explained, values[:2] / values.sum(), atol=1e-3, rtol=0)
    torch.testing.assert_close(xy.mean(dim=0), torch.zeros(2, dtype=torch.double), atol=1e-9, rtol=0)


def test_identical_points() -> None:
    xy, explained = project_to_plane(torch.ones(4, 6))
    assert torch.equal(xy, torch.zeros(4, 2))
    assert torch.equal(explained, torch.zeros(2))


def test_json(tables: tuple[EmbeddingTable, EmbeddingTable]) -> None:
    found = joint_map(*tables, Lexicon("x.tsv", {"the": ("of",)}))
    assert found.to_json() == {
        "points": [
            {"label": "the", "language": "en", "xy": list(found.xy[0])},
            {"label": "of", "language": "es", "xy": list(found.xy[1])},
        ],
        "links": [[0, 1]],
        "explained": list(found.explained),
    }


def test_frequent_map_shows_the_most_frequent_pieces_that_look_like_words(
    tables: tuple[EmbeddingTable, EmbeddingTable],
) -> None:
    found = frequent_map(*tables, maximum_words=12)
    assert found.languages == ("en",) * 12 + ("es",) * 12
    assert found.links == ()
    pieces = tables[0].side.tokenizer.pieces
    ids = [pieces.index(f"▁{label}") for label in found.labels[:12]]
    assert ids == sorted(ids)
    assert all(len(label) >= 3 and label.isalpha() for label in found.labels)
    # The second table is the first one, scaled.
    assert [dist(start, end) for start, end in zip(found.xy[:12], found.xy[12:], strict=True)] == pytest.approx(
        [0.0] * 12, abs=1e-5
    )


def test_frequent_map_of_a_script_without_spaces() -> None:
    tokenizer = train_tokenizer(lambda: ["這是一個測試", "這是我的書", "我的一個書"] * 20, 30)
    table = EmbeddingTable(
        LanguageSide("zh", tokenizer), torch.randn(30, 8, generator=torch.Generator().manual_seed(1))
    )
    assert {"一個", "我的", "測試"} < set(frequent_map(table, table, maximum_words=10).labels)


def test_a_lexicon_without_single_piece_entries_is_refused(tables: tuple[EmbeddingTable, EmbeddingTable]) -> None:
    with pytest.raises(CorpusError) as caught:
        joint_map(*tables, Lexicon("x.tsv", {"xylophone": ("the",)}))
    assert str(caught.value) == (
        "x.tsv: no entry is a single piece in the vocabularies of both en and es. "
        "Fix: use a larger vocabulary, which has more whole words"
    )
