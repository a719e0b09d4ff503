from __future__ import annotations

from typing import Any

from continual_mt.config.spec import AdditionSpec
from experiments.paper.settings import SMALL, Size, Small, first_rates
from experiments.paper.small import smallest
from experiments.run import Row


def rows(*scores: float) -> dict[Size, list[Row]]:
    """A row of each size, with fewer and fewer bytes."""
    return {
        size: [{"dev": score, "bytes": 100 - i}] for i, (size, score) in enumerate(zip(SMALL, scores, strict=False))
    }


def test_the_fewest_bytes_that_lose_little_are_chosen() -> None:
    assert smallest(rows(30.0, 29.9, 29.8, 29.0), at_least=29.7) == SMALL[2]


def test_the_best_is_chosen_where_all_lose_more() -> None:
    assert smallest(rows(28.0, 29.0, 27.0), at_least=29.7) == SMALL[1]


def test_the_keys_of_a_size_are_those_of_a_spec() -> None:
    text: dict[str, Any] = {"source": "a", "target": "b"}
    setting = Small("paper-full", "fr-cs", "full", "half-lora:rank=8", "lexical", types=500)
    rates = first_rates("half-lora:rank=16", "target")
    spec = AdditionSpec.model_validate({**setting.keys(rates), "train": text, "dev": text})
    assert (spec.vocabulary, spec.stored_precision, spec.scope) == (500, "int8", "half-lora:rank=8")
    assert setting.labels(rates)["types"] == 500
