from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from continual_mt.errors import CorruptionError
from dashboards.views.samples import samples_of, with_samples
from registry import CorpusRecord, Registry


@pytest.fixture
def corpora(filled: Registry) -> Mapping[str, CorpusRecord]:
    return {corpus.digest: corpus for corpus in filled.catalog.corpora()}


def test_samples_are_spread_over_the_test_set(
    filled: Registry, corpora: Mapping[str, CorpusRecord], django_catalogs: dict[str, list[str]]
) -> None:
    recipe = filled.recipe_catalog.recipe("de", "es")
    found = samples_of(filled, recipe, filled.scores(), corpora, 3)
    assert found.title == "de-es zero-shot: source de-en:1, xattn fr-es:1, target fr-es:1"
    assert found.note == "test, 12 sentences, beam 1: BLEU 14.5, chrF 33.8"
    assert [sample.source for sample in found.sentences] == [django_catalogs["de"][i] for i in (0, 4, 8)]
    assert [sample.reference for sample in found.sentences] == [django_catalogs["es"][i] for i in (0, 4, 8)]
    translated = filled.run(recipe).translate([sample.source for sample in found.sentences], beam=1)
    assert [sample.hypothesis for sample in found.sentences] == translated
    assert len(samples_of(filled, recipe, filled.scores(), corpora, 100).sentences) == 12


def test_a_recipe_without_stored_translations_has_a_note(filled: Registry, corpora: Mapping[str, CorpusRecord]) -> None:
    found = samples_of(filled, filled.recipe_catalog.recipe("fr", "es"), filled.scores(), corpora, 3)
    assert (found.sentences, found.note) == (
        (),
        "No translations of this recipe are stored; 'continual-mt evaluate' stores them.",
    )
    kept = with_samples(filled.scores(), corpora)
    assert {str(entry.pair) for entry in filled.pairs() if entry.recipe.digest in kept} == {"fr-en", "de-en", "de-es"}
    assert with_samples(filled.scores(), {}) == set()


def test_the_error_names_a_missing_text(filled: Registry, corpora: Mapping[str, CorpusRecord]) -> None:
    (score, _) = filled.scores(filled.recipe_catalog.recipe("de", "es").pair)
    path: Path = filled.blobs.path(str(score.hypotheses))
    path.unlink()
    with pytest.raises(CorruptionError, match=f"blob {score.hypotheses} is missing"):
        samples_of(filled, filled.recipe_catalog.recipe("de", "es"), filled.scores(), corpora, 3)
