import json
from dataclasses import fields

from continual_mt.artifacts.recipe import ModuleKey, Recipe
from continual_mt.languages import Pair
from registry import CorpusRecord, Lineage, ModuleRecord, Registry, ScoreRecord
from registry.records.values import JSONObject

RECIPE = Recipe("zero-shot", Pair("de", "es"), "base", "f" * 64, ModuleKey("s", "1"), None, ModuleKey("t", "2"))


def score(recipe: Recipe = RECIPE) -> ScoreRecord:
    return ScoreRecord.of(
        recipe,
        test="django",
        test_digest="e" * 64,
        metric="bleu",
        value=20.5,
        copy_value=None,
        signature="BLEU|nrefs:1",
        sentences=100,
        beam=5,
    )


def test_a_score_names_its_recipes_modules() -> None:
    record = score()
    assert (record.source, record.cross_attention, record.target) == ("s", None, "t")
    assert (record.parent, record.kind, record.pair, record.recipe) == ("base", "zero-shot", RECIPE.pair, RECIPE.digest)


def test_a_module_by_name(filled: Registry) -> None:
    record = filled.module("fr-es")
    assert isinstance(record, ModuleRecord)
    assert (record.full_name, record.new_sides) == ("base/fr-es:1", "target es")
    assert record.key == ModuleKey("base/fr-es:1", record.digest)
    assert filled.module("de-en").brings("source") == "de"


def test_every_field_is_in_the_json(filled: Registry, corpus: CorpusRecord, lineage: Lineage) -> None:
    filled.jobs.hold("d" * 64, "addition", "me")
    filled.jobs.describe("d" * 64, {"pair": "de-en"}, {"kind": "addition"}, None)
    job = filled.jobs.get("d" * 64)
    assert job is not None
    for record in (corpus, lineage, score(), job):
        as_json: JSONObject = json.loads(json.dumps(record.to_json()))
        assert set(as_json) == {field.name for field in fields(record)} - {"legs"}  # which only a pivot has
    parent = filled.parent()
    others = {field.name for field in fields(parent)} - {"languages"}
    assert set(parent.to_json()) == {"pair", "sources", "targets", "denoising", "vocabularies", *others}
    module = filled.module("de-en")
    others = {field.name for field in fields(module)} - {"place"}  # a number of the database's own
    assert set(module.to_json()) == {"name", "shared", *others}
    assert json.loads(json.dumps(module.to_json()))["lineage"]["corpora"] == [{"role": "train", **corpus.to_json()}]
