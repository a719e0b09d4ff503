"""The test sets that a record was scored on, translated again with a retrained parent or module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.recipe import Recipe
from continual_mt.evaluation import significance
from continual_mt.inference.assembly import assemble
from continual_mt.inference.torch_model import PairModel
from continual_mt.languages import Pair
from ray_jobs.console import Display
from ray_jobs.tracking.lineage import Registered, parent_of
from registry import ModuleRecord, ParentRecord, Registry, ScoreRecord
from registry.queries.recipe_resolver import RecipeResolver

SIGNIFICANT = 0.05
"""A smaller p-value is a significant difference; nothing corrects for several test sets and metrics."""


@dataclass(frozen=True)
class ScoreDifference:
    """One metric on one test set, in points. ``p_value`` is None if the recorded translations were not kept."""

    test: str
    sentences: int
    beam: int
    metric: str
    recorded: float
    now: float
    p_value: float | None

    @property
    def same(self) -> bool:
        return self.now == self.recorded or (self.p_value is not None and self.p_value >= SIGNIFICANT)

    def to_json(self) -> dict[str, object]:
        return {
            "test": self.test,
            "sentences": self.sentences,
            "beam": self.beam,
            "metric": self.metric,
            "recorded": self.recorded,
            "now": self.now,
            "p_value": self.p_value,
        }


@dataclass(frozen=True)
class ScoredTest:
    """A test set with its text, and the recorded scores of a pair on it by metric. ``name`` tells it from the others.

    The name has the pair where a parent of several was scored.
    """

    name: str
    pair: Pair
    beam: int
    sources: list[str]
    references: list[str]
    scores: Mapping[str, ScoreRecord]
    hypotheses: list[str] | None


def _recipes(registry: Registry, record: Registered) -> list[Recipe]:
    """The recipe of a module's pair, or those of a parent's pairs."""
    if isinstance(record, ParentRecord):
        return RecipeResolver.of(record, []).originals()
    return [RecipeResolver.of(registry.parent(record.parent), []).supervised(record)]


def scored_tests(registry: Registry, record: Registered, beam: int) -> list[ScoredTest]:
    """The test sets of the record's pairs that it was scored on with this beam and whose text was kept."""
    recipes = {recipe.digest: recipe for recipe in _recipes(registry, record)}
    found: dict[tuple[str, str], dict[str, ScoreRecord]] = {}
    for score in registry.scores(parent=parent_of(record)):
        if score.recipe in recipes and score.beam == beam:
            found.setdefault((score.recipe, score.test_digest), {})[score.metric] = score
    texts = {corpus.digest: corpus for corpus in registry.catalog.corpora()}
    tests = []
    for (recipe, digest), scores in found.items():
        text, pair = texts.get(digest), recipes[recipe].pair
        if text is None or text.sources is None or text.references is None:
            continue
        kept = next((score.hypotheses for score in scores.values() if score.hypotheses), None)
        sources, references = registry.texts.read(text.sources), registry.texts.read(text.references)
        hypotheses = registry.texts.read(kept) if kept else None
        name = next(iter(scores.values())).test
        name = name if len(recipes) == 1 else f"{pair} {name}"
        tests.append(ScoredTest(name, pair, beam, sources, references, scores, hypotheses))
    return tests


def score_differences(
    registry: Registry, record: Registered, now: Parent | Module, tests: Sequence[ScoredTest], display: Display
) -> list[ScoreDifference]:
    """Translate with the retrained ``now`` and the recorded beam, and compare with the recorded scores."""
    models = _models(registry, record, now)
    found = []
    for test in tests:
        with display.counting(f"translating {test.pair}", len(test.sources)) as progress:
            hypotheses = models[test.pair].translate(test.sources, beam=test.beam, progress=progress)
        # Without recorded translations the new ones stand in: their scores are right, and there is no p-value.
        before, language = test.hypotheses or hypotheses, test.pair.target
        for comparison in significance.compare(before, hypotheses, test.references, language):
            score = test.scores.get(comparison.metric)
            if score is not None:
                p_value = comparison.p_value if test.hypotheses else None
                found.append(
                    ScoreDifference(
                        test.name, score.sentences, score.beam, score.metric, score.value, comparison.second, p_value
                    )
                )
    return found


def _models(registry: Registry, record: Registered, now: Parent | Module) -> dict[Pair, PairModel]:
    """The retrained model of each pair."""
    if isinstance(record, ModuleRecord):
        assert isinstance(now, Module)
        parent, retrained = registry.load_parent(record.parent), {record.full_name: now}
        recipes = _recipes(registry, replace(record, digest=now.digest))
    else:
        assert isinstance(now, Parent)
        parent, retrained = now, {}
        recipes = _recipes(registry, replace(record, fingerprint=now.fingerprint))

    def assembled(recipe: Recipe) -> PairModel:
        names = {one.full_name for one in registry.modules_of(recipe)} - retrained.keys()
        return assemble(recipe, parent, {name: registry.load_module(name) for name in names} | retrained)

    return {recipe.pair: assembled(recipe) for recipe in recipes}
