from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from continual_mt.artifacts.parent import Parent
from continual_mt.languages import Pair
from registry import CorpusRecord, Lineage, ModuleRecord, Registry, ScoreRecord, SequenceRecord
from registry.analysis.gains import TransferResult, against_first, against_scratch, modules_of
from registry.analysis.history import History
from tests.registry.analysis.histories import cell, record, sequence
from tests.registry.conftest import MakeModule

LATIN = sequence()
DE_EN, FR_ES = map(Pair.parse, ("de-en", "fr-es"))


def scratch_gain(registry: Registry) -> TransferResult | None:
    history = History.read(registry.catalog, LATIN)
    return against_scratch(registry.catalog, history, modules_of(registry.catalog, history))


def score_scratch(registry: Registry, module: ModuleRecord, value: float, *, beam: int = 5) -> None:
    """A module from scratch on the sequence's test set: all three pieces are its own."""
    test = cell(LATIN, 1, "routed", str(module.pair), 0.0)
    recipe = replace(
        registry.recipe_catalog.recipe(module.pair.source, module.pair.target),
        source=module.key,
        cross_attention=module.key,
        target=module.key,
    )
    registry.register_scores(
        [
            ScoreRecord.of(
                recipe,
                test=test.test,
                test_digest=test.test_digest,
                metric=metric,
                value=value * factor,
                copy_value=None,
                signature=metric,
                sentences=100,
                beam=beam,
            )
            for metric, factor in (("bleu", 1), ("chrf", 2))
        ]
    )


def add_scratch(
    registry: Registry, make_module: MakeModule, parent: Parent, pair: str, lineage: Lineage
) -> ModuleRecord:
    return registry.register_module("base", make_module(parent, pair, "scratch", seed=9), lineage=lineage)


def test_forward_transfer_is_against_the_module_from_scratch(
    filled: Registry, make_module: MakeModule, parent: Parent, lineage: Lineage
) -> None:
    record(filled, LATIN)
    assert scratch_gain(filled) is None
    score_scratch(filled, add_scratch(filled, make_module, parent, "de-en", lineage), 18.0)
    gain = scratch_gain(filled)
    assert gain is not None
    assert (gain.transfer.metric, gain.transfer.values, gain.transfer.mean) == ("bleu", {DE_EN: 2.0}, 2.0)
    assert gain.references == {DE_EN: "base/de-en:2"}
    assert gain.to_json() == {
        "metric": "bleu",
        "mean": 2.0,
        "values": {"de-en": 2.0},
        "references": {"de-en": "base/de-en:2"},
    }


def test_forward_transfer_into_several_languages_is_in_chrf(
    filled: Registry, make_module: MakeModule, parent: Parent, lineage: Lineage
) -> None:
    record(filled, LATIN)
    for pair, value in (("de-en", 18.0), ("fr-es", 13.0)):
        score_scratch(filled, add_scratch(filled, make_module, parent, pair, lineage), value)
    gain = scratch_gain(filled)
    assert gain is not None
    assert (gain.transfer.metric, gain.transfer.values) == ("chrf", {DE_EN: 4.0, FR_ES: -2.0})
    assert gain.transfer.mean == 1.0


def test_text_that_was_replayed_is_no_other_text(
    filled: Registry, make_module: MakeModule, parent: Parent, lineage: Lineage, corpus: CorpusRecord
) -> None:
    record(filled, LATIN)
    own = next(corpus for role, corpus in lineage.corpora if role == "train")
    replayed = replace(lineage, corpora=(("train", own), ("train", replace(corpus, digest="0" * 64))))
    score_scratch(filled, add_scratch(filled, make_module, parent, "de-en", replayed), 18.0)
    gain = scratch_gain(filled)
    assert gain is not None
    assert gain.references == {DE_EN: "base/de-en:2"}


def test_other_text_or_another_beam_is_not_compared(
    filled: Registry, make_module: MakeModule, parent: Parent, lineage: Lineage, corpus: CorpusRecord
) -> None:
    record(filled, LATIN)
    other = replace(lineage, corpora=(("train", replace(corpus, digest="0" * 64)),))
    score_scratch(filled, add_scratch(filled, make_module, parent, "de-en", other), 18.0)
    score_scratch(filled, add_scratch(filled, make_module, parent, "fr-es", lineage), 9.0, beam=1)
    assert scratch_gain(filled) is None


SHARED = sequence("later", "shared", digest="6" * 64)
BEGUN = sequence("first", "shared", "fr-es", "de-en", digest="7" * 64)


def order_gain(registry: Registry, of: SequenceRecord = SHARED) -> TransferResult | None:
    history = History.read(registry.catalog, of)
    return against_first(registry.catalog, history, modules_of(registry.catalog, history))


def fill_orders(registry: Registry, *, first_module: str = "base/fr-es:1", beam: int = 5) -> None:
    """fr-es comes second in one sequence and first in another."""
    for of in (SHARED, BEGUN):
        registry.register_sequence(of)
    registry.register_cells(SHARED.digest, 2, [cell(SHARED, 2, "shared", "fr-es", 14.0)])
    begun = cell(BEGUN, 1, "shared", "fr-es", 12.5, module=first_module, beam=beam)
    registry.register_cells(BEGUN.digest, 1, [begun, cell(BEGUN, 1, "shared", "fr-en", 1.0)])


def test_order_transfer_is_against_the_sequence_that_began_with_the_pair(filled: Registry) -> None:
    fill_orders(filled)
    gain = order_gain(filled)
    assert gain is not None
    assert (gain.transfer.values, gain.references) == ({FR_ES: 1.5}, {FR_ES: "first"})
    assert order_gain(filled, BEGUN) is None


def test_order_transfer_wants_the_same_test_set(filled: Registry) -> None:
    fill_orders(filled, beam=1)
    assert order_gain(filled) is None


@pytest.mark.parametrize("other", [{"spec": {"training": {"updates": 1}}}, {"replay": 0.5}, {}])
def test_order_transfer_wants_the_same_training(
    filled: Registry, make_module: MakeModule, parent: Parent, lineage: Lineage, other: dict[str, Any]
) -> None:
    changed = replace(lineage, **other)
    filled.register_module("base", make_module(parent, "fr-es", seed=5), lineage=changed)
    fill_orders(filled, first_module="base/fr-es:2")
    assert (order_gain(filled) is None) == bool(other)


def test_order_transfer_is_of_the_mode_shared(filled: Registry) -> None:
    fill_orders(filled)
    record(filled, LATIN)
    assert order_gain(filled, LATIN) is None
