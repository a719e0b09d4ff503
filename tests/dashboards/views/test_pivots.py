from __future__ import annotations

from dataclasses import replace

import pytest

from dashboards.tables.artifacts import MEASURED, results_table
from dashboards.views.pivots import beside_pivots
from registry import Lineage, Registry
from tests.registry.conftest import MakeModule, MakeParent
from tests.registry.pivots import NAME, add_germanic, pivot, score_of

EN_PT = "pivot:base/fr-en+germanic/en-pt"


@pytest.fixture
def scored(filled: Registry, make_parent: MakeParent, make_module: MakeModule, lineage: Lineage) -> Registry:
    """Pivots fr-de and fr-pt, and a direct recipe of fr-pt."""
    add_germanic(filled, make_parent, make_module, lineage)
    filled.register_module("base", make_module(filled.load_parent("base"), "fr-pt", seed=9), lineage=lineage)
    into_pt = score_of(pivot(filled, "fr", "pt", EN_PT))
    direct = filled.recipe_catalog.recipe("fr", "pt", parent="base")
    filled.register_scores([score_of(pivot(filled, "fr", "de", NAME)), into_pt, replace(into_pt, metric="chrf")])
    filled.register_scores([score_of(direct, value=30.0)])
    return filled


def test_pivots_are_beside_the_direct_recipes(scored: Registry) -> None:
    table = results_table(beside_pivots(scored, scored.pairs()), by_pair=True)
    assert [column.name for column in table.columns] == [
        "pair",
        "recipe",
        *MEASURED,
        "models",
        "BLEU of a copy",
        "sentences",
    ]
    assert [(*row[:4], row[-3]) for row in table.rows] == [
        ("fr-de", "pivot through en", "21.5", "-", "2"),
        ("fr-pt", "supervised", "30.0", "-", "1"),
        ("fr-pt", "pivot through en", "21.5", "21.5", "2"),
    ]


def test_of_a_parent_or_a_language(scored: Registry) -> None:
    pairs = {name: [str(s.pair) for s in beside_pivots(scored, [], name)] for name in ("base", "germanic")}
    assert pairs["base"] == pairs["germanic"] == ["fr-de", "fr-pt", "fr-pt"]
    assert [str(score.pair) for score in beside_pivots(scored, [], language="de")] == ["fr-de"]


def test_what_was_deleted_is_not_shown(scored: Registry) -> None:
    scored.annotations.delete("germanic/en-pt:1")
    assert [str(score.pair) for score in beside_pivots(scored, scored.pairs())] == ["fr-de"]
