from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import delete, update

from continual_mt.artifacts.recipe import Recipe
from continual_mt.evaluation.metric_names import METRICS
from continual_mt.languages import Pair
from registry import CorpusRecord, Registry, ScoreRecord
from registry.carried_scores import carried_evaluations
from registry.corpora import ResolvedTest
from registry.database import schema
from registry.evaluation import Evaluation, computed_on, evaluate

PAIR = Pair("fr", "en")
SOURCES, REFERENCES = ("Deux hommes jouent.", "", "La page suivante"), ("Two men play.", "", "The next page")
RECORD = CorpusRecord("a" * 64, PAIR, "test", 2, 1, "Apache-2.0")
TEST = ResolvedTest("test", PAIR, RECORD.digest, SOURCES, REFERENCES, RECORD)
BEAM = 1


@pytest.fixture
def recipe(filled: Registry) -> Recipe:
    return filled.recipe_catalog.recipe("fr", "en")


@pytest.fixture
def evaluation(filled: Registry, recipe: Recipe) -> Evaluation:
    return evaluate(filled, recipe, TEST, BEAM)


def change_scores(registry: Registry, **values: Any) -> None:
    registry.database.write(lambda session: session.execute(update(schema.Score).values(**values)))


def carried(registry: Registry, recipe: Recipe, test: ResolvedTest = TEST, beam: int = BEAM) -> list[Evaluation]:
    return list(carried_evaluations(registry, [(recipe, test)], beam).values())


def test_a_score_notes_the_logits_and_what_computed_them(evaluation: Evaluation) -> None:
    assert not evaluation.carried
    assert {score.computed_on for score in evaluation.scores} == {computed_on()}
    assert "torch " in computed_on()
    (digest,) = {score.logits for score in evaluation.scores}
    assert digest is not None
    assert len(digest) == 64


def test_equal_logits_carry_the_scores(filled: Registry, recipe: Recipe, evaluation: Evaluation) -> None:
    done: list[int] = []
    found = carried_evaluations(filled, [(recipe, TEST)], BEAM, done.append)
    assert found == {(recipe.digest, TEST.digest): dataclasses.replace(evaluation, carried=True)}
    assert done == [1]


def remove_scores(registry: Registry, *metrics: str) -> None:
    registry.database.write(
        lambda session: session.execute(delete(schema.Score).filter(schema.Score.metric.in_(metrics)))
    )


def test_later_metrics_are_computed_from_the_kept_translations(
    filled: Registry, recipe: Recipe, evaluation: Evaluation
) -> None:
    """Scores of an earlier version have BLEU and chrF only."""
    remove_scores(filled, "chrfpp", "offtarget")
    (found,) = carried(filled, recipe)
    assert found.carried
    assert [score.metric for score in found.scores] == list(METRICS)
    assert without_times(found.scores) == without_times(evaluation.scores)
    assert found.scores[:2] == evaluation.scores[:2]
    assert without_times(filled.scores()) == without_times(evaluation.scores)
    assert carried(filled, recipe) == [found]


def without_times(scores: Iterable[ScoreRecord]) -> list[ScoreRecord]:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return sorted((dataclasses.replace(score, created=moment) for score in scores), key=lambda one: one.metric)


@pytest.mark.usefixtures("evaluation")
def test_languages_identified_by_another_version_are_identified_again(filled: Registry, recipe: Recipe) -> None:
    earlier = "nrefs:1|library:py3langid|languages:de,en|version:0.1"
    changed = update(schema.Score).values(signature=earlier).where(schema.Score.metric == "offtarget")
    filled.database.write(lambda session: session.execute(changed))
    (found,) = carried(filled, recipe)
    assert found.scores[3].metric == "offtarget"
    assert found.scores[3].signature != earlier
    rates = filled.scores(metric="offtarget")
    assert [score.signature for score in rates] == [earlier, found.scores[3].signature]


def test_without_scores_nothing_is_carried(filled: Registry, recipe: Recipe) -> None:
    assert carried(filled, recipe) == []
    assert carried_evaluations(filled, [], BEAM) == {}


@pytest.mark.parametrize(
    "change",
    [
        {"logits": "0" * 64},
        {"logits": None, "computed_on": None},
        {"computed_on": "another processor; torch 1.0"},
        {"hypotheses": None},
    ],
)
@pytest.mark.usefixtures("evaluation")
def test_other_logits_machines_or_missing_translations_are_not_carried(
    filled: Registry, recipe: Recipe, change: dict[str, Any]
) -> None:
    assert carried(filled, recipe)
    change_scores(filled, **change)
    assert carried(filled, recipe) == []


def test_translations_whose_text_is_gone_are_made_again(
    filled: Registry, recipe: Recipe, evaluation: Evaluation
) -> None:
    (text,) = {score.hypotheses for score in evaluation.scores}
    assert text is not None
    filled.blobs.remove(text)
    assert carried(filled, recipe) == []
    assert evaluate(filled, recipe, TEST, BEAM).scores[0].hypotheses == text
    assert len(carried(filled, recipe)) == 1


@pytest.mark.usefixtures("evaluation")
def test_another_beam_or_test_set_is_not_carried(filled: Registry, recipe: Recipe) -> None:
    assert carried(filled, recipe, beam=BEAM + 1) == []
    assert carried(filled, recipe, dataclasses.replace(TEST, digest="b" * 64)) == []


@pytest.mark.usefixtures("evaluation")
def test_a_test_set_whose_sentences_changed_has_other_logits(filled: Registry, recipe: Recipe) -> None:
    changed = dataclasses.replace(TEST, sources=("Trois hommes jouent.", *SOURCES[1:]))
    assert carried(filled, recipe, changed) == []
