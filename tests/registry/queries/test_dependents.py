"""Lineage both ways: what something was made from, and what depends on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from continual_mt.evaluation.alignment_result import Precision
from continual_mt.evaluation.lexicon import Lexicon
from continual_mt.languages import Pair
from registry import CellRecord, Input, Lineage, Registry, Relation, SequenceRecord
from registry.recipes.embeddings import two_embeddings
from tests.registry.conftest import MakeModule
from tests.registry.queries.test_search_query import scored

SEQUENCE = SequenceRecord("a" * 64, "base", "latin", "shared", (Pair("de", "en"),))


def words(relations: Sequence[Relation]) -> list[str]:
    return [f"{one.role} {one.name} {one.detail} {one.holds}" for one in relations]


def test_lineage_both_ways(filled: Registry, make_module: MakeModule, lineage: Lineage) -> None:
    german = filled.module("de-en")
    shared = replace(
        lineage,
        inputs=(
            Input("start", german.full_name, german.digest),
            Input("replayed", "base", filled.parent().fingerprint),
            Input("replayed", german.full_name, german.digest),
        ),
        replay=0.2,
        job="1" * 64,
        run="run-7",
    )
    filled.register_module("base", make_module(filled.load_parent(), "fr-pt"), lineage=shared)
    filled.annotations.set_alias("de-en@champion", 1)
    score = scored(filled, german, "news", "bleu", 20.0)
    filled.register_scores([score])
    filled.register_sequence(SEQUENCE)
    cell = CellRecord(
        SEQUENCE.digest,
        1,
        "shared",
        german.pair,
        "supervised",
        score.recipe,
        german.full_name,
        "t",
        "e" * 64,
        "bleu",
        1.0,
        5,
    )
    filled.register_cells(SEQUENCE.digest, 1, [cell])
    ends = two_embeddings(filled.recipe_catalog, filled.parent(), ("de", "fr"))
    filled.register_alignment(*ends, Lexicon("de-fr.tsv", {"a": ("b",)}), [Precision("piece", "csls", 1, 1, 1.0, 1.0)])

    assert words(filled.annotations.lineage("de-en:1").dependents) == [
        "alias base/de-en@champion  True",
        "module base/fr-pt:1 went on from it and replayed it True",
        "sequence latin shared False",
        "alignment de-fr de-fr.tsv False",
        f"recipe supervised de-en {score.recipe} False",
    ]
    made = filled.annotations.lineage("fr-pt:1")
    assert words(made.made_from) == [
        f"parent base {filled.parent().fingerprint} False",
        "start base/de-en:1  False",
        "replayed base/de-en:1  False",
        "train django de-en, 400 sentences, licence BSD-3-Clause False",
        f"job {'1' * 64} attempt 1 False",
        "run run-7  False",
    ]
    assert made.dependents == ()
    assert words(filled.annotations.lineage("base").dependents) == [
        "module base/de-en:1  True",
        "module base/fr-es:1  True",
        "module base/fr-pt:1  True",
        "sequence latin shared False",
    ]
    assert filled.annotations.lineages(filled.modules())["base/de-en:1"] == filled.annotations.lineage("base/de-en:1")
    as_json = made.to_json()
    assert as_json["name"] == "base/fr-pt:1"


def test_what_was_measured_is_out_of_sight_with_what_was_deleted(filled: Registry) -> None:
    ends = two_embeddings(filled.recipe_catalog, filled.parent(), ("de", "fr"))
    filled.register_alignment(*ends, Lexicon("de-fr.tsv", {"a": ("b",)}), [])
    filled.register_sequence(SEQUENCE)
    filled.annotations.delete("de-en:1")
    assert filled.catalog.alignments() == []
    filled.annotations.delete("fr-es:1")
    filled.annotations.delete("base")
    assert filled.catalog.sequences() == []
    for name in ("base", "base/de-en:1", "base/fr-es:1"):
        filled.annotations.restore(name)
    assert [record.name for record in filled.catalog.sequences()] == ["latin"]
    assert len(filled.catalog.alignments()) == 1
