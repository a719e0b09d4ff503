"""A registry with pivots, for the tests: ``base`` (fr-en, with de-en and fr-es) and ``germanic`` (en-de)."""

from __future__ import annotations

from continual_mt.artifacts.pivot import Pivot
from registry import Lineage, Registry, ScoreRecord
from tests.registry.conftest import MakeModule, MakeParent

NAME = "pivot:base/fr-en+germanic/en-de"


def add_germanic(registry: Registry, make_parent: MakeParent, make_module: MakeModule, lineage: Lineage) -> None:
    """Add the parent ``germanic`` with en-pt, and es-en to ``base``, so that fr-es and es-en meet."""
    registry.register_parent("germanic", make_parent("en-de", seed=7), lineage=lineage)
    registry.register_module("germanic", make_module(registry.load_parent("germanic"), "en-pt"), lineage=lineage)
    registry.register_module("base", make_module(registry.load_parent("base"), "es-en", seed=8), lineage=lineage)


def pivot(registry: Registry, source: str, target: str, name: str, **choice: object) -> Pivot:
    found = registry.recipe_catalog.recipe(source, target, kind=name, **choice)  # type: ignore[arg-type]
    assert isinstance(found, Pivot)
    return found


def score_of(found: Pivot, metric: str = "bleu", value: float = 21.5) -> ScoreRecord:
    measured = {"test": "flickr", "test_digest": "e" * 64, "metric": metric, "value": value, "copy_value": 1.0}
    return ScoreRecord.of(found, **measured, signature="s", sentences=9, beam=5)  # type: ignore[arg-type]
