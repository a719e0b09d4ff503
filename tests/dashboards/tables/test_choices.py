from __future__ import annotations

from continual_mt.artifacts.choice import Candidate, Choice
from dashboards.tables.choices import candidates_table, named
from registry import Lineage, Registry
from tests.registry.conftest import MakeModule, MakeParent
from tests.registry.pivots import NAME, add_germanic, pivot


def test_candidates_have_their_cost_score_and_reason(
    filled: Registry, make_parent: MakeParent, make_module: MakeModule, lineage: Lineage
) -> None:
    add_germanic(filled, make_parent, make_module, lineage)
    direct, chained = filled.recipe_catalog.recipe("de", "es", parent="base"), pivot(filled, "fr", "de", NAME)
    table = candidates_table(
        Choice((Candidate(chained, 21.5, "flickr", "chosen"), Candidate(direct)), "its score is better")
    )
    assert [column.name for column in table.columns] == ["recipe", "parts", "models", "BLEU", "test set", "why"]
    parts = (
        "base/fr-en (source parent, xattn parent, target parent); "
        "then germanic/en-de (source parent, xattn parent, target parent)"
    )
    assert table.rows == [
        ("pivot through en", parts, "2", "21.5", "flickr", "chosen"),
        ("zero-shot", "source de-en:1, xattn fr-es:1, target fr-es:1", "1", "-", "-", "-"),
    ]
    assert named(direct) == "zero-shot"
