from __future__ import annotations

import pytest

from continual_mt.errors import InputError
from continual_mt.evaluation.alignment_result import Precision
from continual_mt.evaluation.lexicon import Lexicon
from dashboards.views.alignment import (
    MAX_WORD_CHARACTERS,
    Neighbourhoods,
    alignments_table,
    kept_map,
    map_of,
    neighbours_table,
)
from registry import AlignmentRecord, EmbeddingRecord, Registry
from registry.recipes.embeddings import two_embeddings

GERMAN = EmbeddingRecord("base", "source", "de", "base/de-en:1", "d" * 64)
FRENCH = EmbeddingRecord("base", "source", "fr", None, "f" * 64)


def test_an_alignment_has_two_rows_with_a_dash_if_there_were_no_queries() -> None:
    results = (
        Precision("piece", "cosine", 0, 12_000, None, None),
        Precision("piece", "csls", 0, 12_000, None, None),
        Precision("word", "cosine", 1_200, 1_500, 0.25, 0.5),
        Precision("word", "csls", 1_200, 1_500, 0.375, 1.0),
    )
    table = alignments_table([AlignmentRecord(GERMAN, FRENCH, "de-fr.tsv", "e" * 64, 2_000, results)])
    assert [column.name for column in table.columns[5:]] == [
        "words of",
        "queries",
        "candidates",
        "nearest neighbour @1",
        "nearest neighbour @5",
        "CSLS @1",
        "CSLS @5",
    ]
    head = ["source", "de (de-en:1)", "fr (parent)", "de-fr.tsv", "2,000"]
    assert [list(row) for row in table.rows] == [
        [*head, "one piece", "0", "12,000", "-", "-", "-", "-"],
        [*head, "any length", "1,200", "1,500", "25.0%", "50.0%", "37.5%", "100.0%"],
    ]


def test_the_map_of_a_stored_alignment_shows_words_of_its_lexicon(filled: Registry) -> None:
    [kept] = filled.catalog.alignments()
    shown = map_of(filled, kept.first, kept.second)
    assert shown.title == "de (de-en:1) and fr (parent), source side"
    assert shown.note == "Frequent words of de-fr.tsv; lines connect translations."
    assert len(shown.drawn.links) == len(shown.drawn.labels) / 2 > 5
    other = filled.register_alignment(kept.first, kept.second, Lexicon("one.tsv", {"de": ("de",)}), kept.results)
    assert map_of(filled, kept.first, kept.second).drawn == kept_map(filled, other).drawn
    assert kept_map(filled, kept).drawn == shown.drawn


def test_without_a_stored_alignment_or_words_of_one_piece_the_map_shows_frequent_pieces(filled: Registry) -> None:
    [kept] = filled.catalog.alignments()
    long = Lexicon("long.tsv", {"Donaudampfschifffahrt": ("anticonstitutionnellement",)})
    shown = kept_map(filled, filled.register_alignment(kept.first, kept.second, long, kept.results))
    assert shown.note.endswith("no entry of long.tsv is one piece in both tables.")
    assert (len(shown.drawn.labels) > 20, shown.drawn.links) == (True, ())
    turned = map_of(filled, kept.second, kept.first)
    assert turned.note.endswith("without translations: no alignment of these tables is stored.")
    assert len(turned.drawn.labels) == len(shown.drawn.labels)


def test_neighbours_are_reproducible_and_few_tables_are_cached(
    filled: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboards.views.alignment.MAX_CACHED_PAIRS", 1)
    neighbourhoods = Neighbourhoods()
    sources = two_embeddings(filled.recipe_catalog, filled.parent(), ("de", "fr"))
    found = neighbourhoods.nearest(filled, *sources, "der")
    assert len(found) == 10
    targets = two_embeddings(filled.recipe_catalog, filled.parent(), ("es", "en"))
    assert neighbourhoods.nearest(filled, *targets, "el") != found
    assert neighbourhoods.nearest(filled, *sources, "der") == found
    assert len(neighbourhoods._cached) == 1
    first, *_ = neighbours_table(found).rows
    assert first == ("1", found[0].piece, f"{found[0].cosine:.2f}")
    with pytest.raises(InputError, match="word: 101 characters; expected at most 100"):
        neighbourhoods.nearest(filled, *sources, "a" * (MAX_WORD_CHARACTERS + 1))
