from __future__ import annotations

import json

from continual_mt.artifacts.choice import Candidate, Choice
from continual_mt.artifacts.pivot import Pivot
from continual_mt.artifacts.recipe import Recipe
from continual_mt.languages import Pair

DIRECT = Recipe("zero-shot", Pair("de", "es"), "base", "f" * 64)
PIVOT = Pivot(
    Recipe("supervised", Pair("de", "en"), "base", "f" * 64), Recipe("original", Pair("en", "es"), "base", "f" * 64)
)


def test_the_chosen_recipe_comes_first_and_a_pivot_costs_two_models() -> None:
    choice = Choice((Candidate(PIVOT, 20.5, "newstest"), Candidate(DIRECT, note="comes later")), "it is better")
    assert (choice.chosen, choice.pair) == (PIVOT, Pair("de", "es"))
    assert [candidate.models for candidate in choice.candidates] == [2, 1]
    assert str(choice) == f"{PIVOT}; it is better"


def test_as_json() -> None:
    choice = Choice((Candidate(DIRECT, 20.5, "newstest", "chosen"),), "nothing else can be run")
    assert json.loads(json.dumps(choice.to_json())) == {
        "pair": "de-es",
        "reason": "nothing else can be run",
        "candidates": [{"recipe": DIRECT.to_json(), "score": 20.5, "test": "newstest", "models": 1, "note": "chosen"}],
    }
