from __future__ import annotations

import json

import pytest

from continual_mt.artifacts.parent import Parent
from continual_mt.languages import Pair
from registry import Lineage, Registry, ScoreRecord
from registry.analysis.history import History
from registry.analysis.summary import Summary, ViewSummary, summarize
from tests.registry.analysis.histories import SCORES, cell, record, sequence
from tests.registry.conftest import MakeModule

LATIN = sequence()
FR_EN, DE_EN, FR_ES = map(Pair.parse, ("fr-en", "de-en", "fr-es"))


def summary_of(registry: Registry) -> Summary:
    return summarize(registry.catalog, History.read(registry.catalog, LATIN))


@pytest.fixture
def summary(filled: Registry) -> Summary:
    record(filled, LATIN)
    return summary_of(filled)


def view_of(summary: Summary, name: str) -> ViewSummary:
    return next(view for view in summary.views if view.view == name)


def test_averages_are_over_named_sets_that_stay_the_same(summary: Summary) -> None:
    assert [(one.pairs.name, one.pairs.metric, one.values) for one in view_of(summary, "through").averages] == [
        ("trained by 0", "bleu", (40.0, 30.0, 10.0)),
        ("trained by 1", "bleu", (None, 25.0, 12.5)),
        ("trained by 2", "chrf", (None, None, pytest.approx(2 * (10 + 15 + 12) / 3))),
        ("zero-shot by 2", "bleu", (None, None, 6.0)),
    ]


def test_routed_by_its_own_recipe_nothing_is_forgotten(summary: Summary) -> None:
    routed = view_of(summary, "routed")
    assert routed.kept is not None
    assert routed.kept.pairs.pairs == (FR_EN, DE_EN)
    assert (routed.kept.backward_transfer, routed.kept.since_first, routed.kept.since_best) == (0, 0, 0)
    assert routed.retention is None


def test_off_target_rates_of_references_are_those_of_the_test_sets(filled: Registry, summary: Summary) -> None:
    assert summary.of_references == {}
    recipe, test = filled.recipe_catalog.recipe("de", "en"), summary.tests[DE_EN]
    rates = [
        ScoreRecord.of(
            recipe,
            test=test.name,
            test_digest=digest,
            metric="offtarget",
            value=50.0,
            copy_value=100.0,
            signature="s",
            sentences=100,
            beam=test.beam,
            reference_value=rate,
        )
        for digest, rate in ((test.digest, 1.5), ("7" * 64, 9.0))
    ]
    filled.register_scores(rates)
    again = summary_of(filled)
    assert again.of_references == {DE_EN: 1.5}
    assert "'offtarget_of_references': 1.5" in str(again.to_json()["tests"])


def test_through_the_last_cross_attention_something_is(summary: Summary) -> None:
    through = view_of(summary, "through")
    assert through.kept is not None
    assert (through.kept.backward_transfer, through.kept.since_first, through.kept.since_best) == (-17.5, 17.5, 17.5)
    assert [(one.pair, one.since_best) for one in through.forgetting] == [(FR_EN, 30.0), (DE_EN, 5.0)]
    assert through.retention is not None
    assert (through.retention.values, through.retention.mean, through.retention.worst) == ((75.0, 25.0), 50.0, 25.0)


def test_coverage_agrees_with_the_registry(filled: Registry, summary: Summary) -> None:
    kinds = [entry.kind for entry in filled.pairs()]
    last = summary.coverage[-1]
    assert (last.supervised, last.zero_shot) == (kinds.count("supervised"), kinds.count("zero-shot")) == (2, 1)
    assert len(summary.coverage) == 3


def test_what_is_stored_is_compared_with_full_copies(filled: Registry, summary: Summary) -> None:
    modules, parent = filled.modules(), filled.parent()
    assert list(summary.modules.values()) == modules
    assert summary.storage is not None
    stored = summary.storage
    assert stored.modules == 2
    assert stored.mean_bytes == sum(module.bytes for module in modules) / 2
    assert stored.mean_parameters == sum(module.parameters for module in modules) / 2
    assert (stored.copy_parameters, stored.copy_bytes) == (parent.parameters, parent.bytes)
    assert stored.share == stored.mean_parameters / parent.parameters


def test_modules_that_the_cells_do_not_name_are_not_counted(filled: Registry) -> None:
    filled.register_sequence(LATIN)
    filled.register_cells(LATIN.digest, 1, [cell(LATIN, 1, "routed", "fr-en", 40.0, module="base/de-en:9")])
    summary = summary_of(filled)
    assert (summary.modules, summary.storage, summary.last) == ({}, None, 1)
    assert len(summary.coverage) == 2


def test_before_anything_was_scored(filled: Registry) -> None:
    filled.register_sequence(LATIN)
    summary = summary_of(filled)
    assert (summary.last, summary.views, summary.storage) == (None, (), None)
    json.dumps(summary.to_json())


def test_before_the_first_addition(filled: Registry) -> None:
    filled.register_sequence(LATIN)
    filled.register_cells(LATIN.digest, 0, [cell(LATIN, 0, "routed", "fr-en", 40.0)])
    (routed,) = summary_of(filled).views
    assert (routed.kept, routed.forgetting, routed.retention) == (None, (), None)
    assert [one.values for one in routed.averages] == [(40.0,)]


def test_what_was_trained_from_scratch_opens_no_pair(
    registry: Registry, parent: Parent, make_module: MakeModule, lineage: Lineage
) -> None:
    registry.register_parent("base", parent, lineage=lineage)
    registry.register_module("base", make_module(parent, "de-en", "scratch"), lineage=lineage)
    registry.register_module("base", make_module(parent, "fr-es"), lineage=lineage)
    record(registry, LATIN)
    assert summary_of(registry).coverage[-1].zero_shot == 0


def test_json_has_every_measure(summary: Summary) -> None:
    data = json.loads(json.dumps(summary.to_json()))
    assert list(data) == [
        "last",
        "tests",
        "views",
        "coverage",
        "modules",
        "storage",
        "forward_transfer",
        "order_transfer",
    ]
    through = data["views"][1]
    assert through["kept"]["backward_transfer"] == -17.5
    assert through["kept"]["pairs"] == ["fr-en", "de-en"]
    assert through["retention"]["worst"] == 25.0
    assert data["modules"] == {"1": "base/de-en:1", "2": "base/fr-es:1"}
    assert data["storage"]["modules"] == 2
    assert data["forward_transfer"] is data["order_transfer"] is None
    assert set(data["tests"]) == {pair for values in SCORES.values() for pair in values}
