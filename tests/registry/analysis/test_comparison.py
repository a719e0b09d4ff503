from __future__ import annotations

from dataclasses import replace

import pytest

from continual_mt.artifacts.pivot import AnyRecipe
from continual_mt.errors import IncompatibleError, InputError, UnknownNameError
from continual_mt.languages import Pair
from registry import CorpusRecord, Registry, ScoreRecord
from registry.analysis.comparison import compared

FR_EN = Pair("fr", "en")
DE_EN = Pair("de", "en")
REFERENCES = ["a b", "c d"]


def note(
    registry: Registry,
    recipe: AnyRecipe,
    lines: list[str] | None,
    *,
    test: str = "test",
    beam: int = 5,
    keep: bool = True,
    sentences: int = 2,
) -> None:
    """Scores of a recipe on a test set, as evaluation keeps them."""
    blob = registry.texts.store(REFERENCES)
    corpus = CorpusRecord(test.ljust(64, "d"), recipe.pair, test, sentences, 0, "CC0", *((blob, blob) if keep else ()))
    registry.register_corpus(corpus)
    registry.register_scores(
        [
            ScoreRecord.of(
                recipe,
                test=test,
                test_digest=corpus.digest,
                metric=metric,
                value=10.0,
                copy_value=None,
                signature=metric,
                sentences=sentences,
                beam=beam,
                hypotheses=None if lines is None else registry.texts.store(lines),
            )
            for metric in ("bleu", "chrf")
        ]
    )


@pytest.fixture
def original(filled: Registry) -> AnyRecipe:
    return filled.recipe_catalog.recipe("fr", "en", kind="original")


@pytest.fixture
def kept(filled: Registry) -> AnyRecipe:
    return filled.recipe_catalog.recipe("fr", "en", kind="retention:de-en")


def test_what_both_translated_and_the_references(filled: Registry, original: AnyRecipe, kept: AnyRecipe) -> None:
    note(filled, original, ["a b", "c"])
    note(filled, kept, ["a", "c"])
    found = compared(filled.catalog, filled.texts, original, kept)
    assert (found.first, found.second) == (original, kept)
    assert (found.test, found.beam, found.test_digest) == ("test", 5, "test".ljust(64, "d"))
    assert (found.first_lines, found.second_lines, found.references) == (["a b", "c"], ["a", "c"], REFERENCES)


def test_the_largest_test_set_and_the_widest_beam_unless_one_is_named(
    filled: Registry, original: AnyRecipe, kept: AnyRecipe
) -> None:
    for recipe in (original, kept):
        note(filled, recipe, ["", ""], test="small", sentences=1)
        note(filled, recipe, ["", ""], test="large", beam=1, sentences=9)
        note(filled, recipe, ["", ""], test="large", beam=4, sentences=9)
    note(filled, original, ["", ""], test="own", sentences=99)
    assert [
        compared(filled.catalog, filled.texts, original, kept).test,
        compared(filled.catalog, filled.texts, original, kept).beam,
    ] == ["large", 4]
    assert compared(filled.catalog, filled.texts, original, kept, test="small").test == "small"
    with pytest.raises(UnknownNameError, match=r"unknown common test set 'own'; expected one of: large, small"):
        compared(filled.catalog, filled.texts, original, kept, test="own")


def test_a_test_set_that_was_kept_comes_before_a_larger_one_that_was_not(
    filled: Registry, original: AnyRecipe, kept: AnyRecipe
) -> None:
    for recipe in (original, kept):
        note(filled, recipe, None, test="large", sentences=9)
        note(filled, recipe, ["", ""], test="small", sentences=1)
    assert compared(filled.catalog, filled.texts, original, kept).test == "small"
    with pytest.raises(
        InputError, match="'large' by the recipe original fr-en, beam 5, were not kept, as it was scored"
    ):
        compared(filled.catalog, filled.texts, original, kept, test="large")


def test_scores_of_an_older_version_are_made_again(filled: Registry, original: AnyRecipe, kept: AnyRecipe) -> None:
    note(filled, original, ["a", "b"])
    note(filled, kept, None)
    with pytest.raises(
        InputError, match=r"recipe retention fr-en, beam 5, were not kept.*run 'continual-mt evaluate fr"
    ):
        compared(filled.catalog, filled.texts, original, kept)
    note(filled, kept, ["a", "b"])
    assert compared(filled.catalog, filled.texts, original, kept).second_lines == ["a", "b"]


def test_references_have_to_be_there(filled: Registry, original: AnyRecipe, kept: AnyRecipe) -> None:
    for recipe in (original, kept):
        note(filled, recipe, ["a", "b"], keep=False)
    with pytest.raises(InputError, match="the references of 'test' were not kept"):
        compared(filled.catalog, filled.texts, original, kept)


def test_recipes_have_to_have_a_score_in_common(filled: Registry, original: AnyRecipe, kept: AnyRecipe) -> None:
    note(filled, original, ["a", "b"])
    note(filled, kept, ["a", "b"], beam=1)
    with pytest.raises(
        IncompatibleError, match=r"no test set was translated with the same beam by both(.|\n)*retention"
    ):
        compared(filled.catalog, filled.texts, original, kept)


def test_a_recipe_is_not_compared_with_itself(filled: Registry, original: AnyRecipe) -> None:
    with pytest.raises(
        IncompatibleError, match="both are the same model, so there is nothing to compare: original fr-en"
    ):
        compared(filled.catalog, filled.texts, original, replace(original, kind="retention"))
