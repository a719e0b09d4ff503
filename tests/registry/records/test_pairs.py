from __future__ import annotations

import json

import pytest

from continual_mt.artifacts.recipe import ModuleKey, Recipe
from continual_mt.languages import Pair
from registry import BestScore, PairEntry

RECIPE = Recipe("zero-shot", Pair("de", "es"), "base", "f" * 64, ModuleKey("s", "1"), None, ModuleKey("t", "2"))
BEST = BestScore("django", "e" * 64, 20.5, None, "BLEU|nrefs:1", 100, 5)


@pytest.mark.parametrize("score", [None, BEST])
def test_a_pair_as_json(score: BestScore | None) -> None:
    entry = PairEntry(RECIPE, score)
    assert (entry.pair, entry.kind) == (Pair("de", "es"), "zero-shot")
    as_json = json.loads(json.dumps(entry.to_json()))
    assert as_json == {**RECIPE.to_json(), "models": 1, "score": score.to_json() if score else None}


def test_a_score_says_of_which_metric_it_is() -> None:
    as_json = BEST.to_json()
    assert set(as_json) == {"metric", *BestScore._fields}
    assert (as_json["metric"], as_json["value"]) == ("bleu", 20.5)
