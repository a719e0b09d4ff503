from __future__ import annotations

from continual_mt.config.spec import AdditionSpec
from experiments.paper.settings import Setting, first_rates, grids


def test_a_new_side_has_one_rate_and_what_starts_from_the_parent_another() -> None:
    assert [groups for groups, _ in grids("half", "target")] == [("target",), ("decoder", "cross_attention")]
    assert [groups for groups, _ in grids("embeddings", "source")] == [("source",)]
    (only,) = grids("scratch", "source")
    assert only[0] == ("source", "encoder", "decoder", "cross_attention", "target")


def test_the_search_starts_inside_the_grids() -> None:
    assert first_rates("half", "source") == ((("source",), 3e-3), (("encoder",), 3e-4))
    for scope in ("body", "scratch", "half-lora:rank=16"):
        for (groups, values), (of, rate) in zip(grids(scope, "target"), first_rates(scope, "target"), strict=True):
            assert of == groups
            assert rate in values


def test_the_keys_of_a_setting_are_those_of_a_spec() -> None:
    setting = Setting("paper-full", "fr-cs", "full", "half", "lexical", seed=2, dropout=0.2)
    text = {"source": "a", "target": "b"}
    spec = AdditionSpec.model_validate({**setting.keys(first_rates("half", "target")), "train": text, "dev": text})
    assert (spec.pair, spec.scope, spec.seed, spec.training.dropout) == ("fr-cs", "half", 2, 0.2)
    rates = {"target": 3e-3, "decoder": 3e-4, "cross_attention": 3e-4}
    assert {group: rate for group, rate in spec.training.learning_rates.items() if group in rates} == rates
    assert setting.labels(first_rates("half", "target"))["rates"] == rates
