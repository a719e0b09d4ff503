"""What the database finds is what a plain filter over all records finds."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from continual_mt.artifacts.stored.stored_precision import PRECISIONS
from continual_mt.config.import_spec import ImportSpec
from continual_mt.errors import SpecError
from continual_mt.languages import Pair, ends_of
from registry import CorpusRecord, Lineage, ModuleRecord, ParentRecord, Registry, ScoreRecord
from registry.database import schema
from registry.queries.recipe_resolver import RecipeResolver
from registry.records.values import now
from tests.registry.conftest import MakeModule, MakeParent

OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
Record = ParentRecord | ModuleRecord


def scored(registry: Registry, record: Record, test: str, metric: str, value: float) -> ScoreRecord:
    resolver = RecipeResolver.of(
        registry.parent(record.parent if isinstance(record, ModuleRecord) else record.name), []
    )
    recipe = resolver.supervised(record) if isinstance(record, ModuleRecord) else resolver.choose(record.pair)
    return ScoreRecord.of(
        recipe,
        test=test,
        test_digest=test.encode().hex().ljust(64, "0"),
        metric=metric,
        value=value,
        copy_value=None,
        signature="s",
        sentences=100,
        beam=5,
    )


@pytest.fixture
def many(filled: Registry, make_parent: MakeParent, make_module: MakeModule, corpus: CorpusRecord) -> Registry:
    """Two parents, eight modules, one of them deleted; in all precisions, with scores, aliases and tags."""
    other = make_parent("fr-en", seed=7).stored_in("float16")
    news = replace(corpus, digest="9" * 64, name="news of 2026", licence="CC BY 4.0")
    made = Lineage((("train", news), ("dev", corpus)), {}, "0.2.0", job="ab" * 32, run="run-7")
    filled.register_parent("other", other, lineage=made)
    for number, (name, pair) in enumerate(
        [
            ("base", "de-en"),
            ("base", "de-en"),
            ("base", "pt-en"),
            ("other", "de-en"),
            ("other", "fr-es"),
            ("other", "fr-de"),
        ]
    ):
        parent = filled.load_parent(name)
        lineage = replace(made, job=f"{number:x}".rjust(64, "c"), run=f"run-{number}" if number % 2 else None)
        module = make_module(parent, pair, "embeddings" if number % 3 == 0 else "xattn", seed=20 + number)
        filled.register_module(name, module.stored_in(PRECISIONS[number % 4]), lineage=lineage)
    records: list[Record] = [*filled.parents(), *filled.modules()]
    for number, record in enumerate(records):
        scores = [
            scored(filled, record, test, metric, 10.0 * ((3 * number + turn) % 7))
            for turn, (test, metric) in enumerate([("news", "bleu"), ("news", "chrf"), ("web", "bleu")][: number % 4])
        ]
        filled.register_scores(scores)
        if number % 2:
            filled.annotations.tag(named(record), "odd", *(["third"] if number % 3 == 0 else []))
    filled.annotations.set_alias("base/de-en@champion", 2)
    filled.annotations.set_alias("base/de-en@candidate", 3)
    filled.annotations.set_alias("other/fr-es@champion", 1)
    # Two days, so that there is something to tell apart.
    table = schema.Artifact.__table__
    yesterday = update(table).where(table.c.id > 5).values(created=now() - timedelta(days=1))
    filled.database.write(lambda session: session.execute(yesterday))
    filled.annotations.delete("other/fr-de:1", who="ada")
    return filled


def named(record: Record) -> str:
    return record.full_name if isinstance(record, ModuleRecord) else record.name


def fields_of(registry: Registry, record: Record) -> dict[str, Any]:
    """Every field's value; a set where there may be several."""
    annotations, lineage, pair = registry.annotations.of(record), record.lineage, record.pair
    module = record if isinstance(record, ModuleRecord) else None
    short = f"{pair}:{module.version}" if module else named(record)
    return {
        "kind": "module" if module else "parent",
        "name": {named(record), short},
        "parent": module.parent if module else named(record),
        "pair": str(pair),
        "source": pair.source,
        "target": pair.target,
        "language": {module.pair.language(end) for end in ends_of(module.side)}
        if module
        else {pair.source, pair.target},
        "side": module.side if module else None,
        "scope": module.scope if module else None,
        "shared": str(module.shared).lower() if module else None,
        "version": module.version if module else None,
        "tag": set(annotations.tags),
        "alias": set(annotations.aliases),
        "corpus": {corpus.name for _, corpus in lineage.corpora},
        "licence": {corpus.licence for _, corpus in lineage.corpora},
        "run": lineage.run,
        "code": lineage.code_version,
        "job": lineage.job,
        "digest": record.digest if isinstance(record, ModuleRecord) else record.fingerprint,
        "created": record.created.date(),
        "parameters": record.parameters,
        "bytes": record.bytes,
        "precision": record.precision,
    }


def scores_of(registry: Registry, record: Record) -> list[ScoreRecord]:
    own = scored(registry, record, "any", "any", 0.0).recipe
    return registry.scores(recipe=own)


def holds(value: Any, comparison: str, asked: Any, field: str) -> bool:
    if field in ("job", "digest"):
        return (value or "").startswith(asked) == (comparison == "=")
    if isinstance(value, set):
        return (asked in value) == (comparison == "=")
    return comparison == "!=" if value is None else OPERATORS[comparison](value, asked)


Table = Mapping[str, tuple[dict[str, Any], list[ScoreRecord]]]


def all_fields(registry: Registry) -> Table:
    """Fields and scores of everything that is not deleted."""
    return {
        named(record): (fields_of(registry, record), scores_of(registry, record))
        for record in (*registry.parents(), *registry.modules())
    }


def plainly(table: Table, conditions: list[tuple[str, str, Any]], test: str | None) -> Iterator[str]:
    for name, (values, all_scores) in table.items():
        scores = [score for score in all_scores if test in (None, score.test)]
        metrics = {field for field, _, _ in conditions if field in ("bleu", "chrf")}
        reached = all(
            any(
                score.metric == metric
                and all(OPERATORS[how](score.value, asked) for field, how, asked in conditions if field == metric)
                for score in scores
            )
            for metric in metrics
        )
        others = (one for one in conditions if one[0] not in metrics)
        if reached and (test is None or scores) and all(holds(values[f], how, asked, f) for f, how, asked in others):
            yield name


def conditions_over(table: Table) -> st.SearchStrategy[list[tuple[str, str, Any]]]:
    """Fields with values that there are, and some that there are not."""
    known: dict[str, set[Any]] = {"bleu": {0.0, 20.0, 35.5}, "chrf": {10.0, 30.0}}
    for fields, _ in table.values():
        for field, value in fields.items():
            values = value if isinstance(value, set) else {value}
            known.setdefault(field, set()).update(values - {None})
    known["tag"].add("nobody")
    known["job"] = {value[:length] for value in known["job"] for length in (1, 64)}
    known["digest"] = {value[:length] for value in known["digest"] for length in (1, 12)}
    ordered = {"version", "created", "parameters", "bytes"}

    def of(field: str) -> st.SearchStrategy[tuple[str, str, Any]]:
        comparisons = list(OPERATORS) if field in ordered else ["=", "!="]
        if field == "shared":
            comparisons = ["="]
        if field in ("bleu", "chrf"):
            comparisons = [how for how in OPERATORS if how != "!="]
        return st.tuples(st.just(field), st.sampled_from(comparisons), st.sampled_from(sorted(known[field])))

    return st.lists(st.sampled_from(sorted(known)).flatmap(of), max_size=4)


def test_the_same_is_found_as_by_a_plain_filter(many: Registry) -> None:
    table = all_fields(many)

    @settings(deadline=None, max_examples=80, suppress_health_check=list(HealthCheck))
    @given(conditions=conditions_over(table), test=st.sampled_from([None, None, "news", "web", "other"]))
    def check(conditions: list[tuple[str, str, Any]], test: str | None) -> None:
        words = [f'{field}{comparison}"{value}"' for field, comparison, value in conditions]
        text = " ".join([*words, *([f"test={test}"] if test else [])])
        found = many.annotations.search(text, limit=None)
        expected = sorted(plainly(table, conditions, test))
        assert sorted(one.name for one in found.found) == expected, text
        assert found.total == len(expected)
        if expected:
            first = many.annotations.search(text, limit=1)
            assert (first.total, first.found) == (found.total, found.found[:1])

    check()


def test_what_is_found_is_described(many: Registry) -> None:
    result = many.annotations.search("alias=champion parent=base")
    [found] = result.found
    assert found.record == many.module("base/de-en:2")
    assert found.annotations.aliases == ("champion",)
    as_json = result.to_json()
    assert as_json["total"] == 1
    assert found.to_json() == {
        **found.record.to_json(),
        "kind": "module",
        "aliases": ["champion"],
        "tags": list(found.annotations.tags),
        "notes": [],
        "moves": [],
        "bleu": found.bleu,
        "deleted": None,
    }


def test_parents_come_before_modules_by_pair_and_version(many: Registry) -> None:
    assert [one.name for one in many.annotations.search("", limit=5).found] == [
        "base",
        "other",
        "base/de-en:1",
        "base/de-en:2",
        "base/de-en:3",
    ]
    assert many.annotations.search("").total == 9


def test_the_licence_of_an_imported_parent(filled: Registry, make_parent: MakeParent) -> None:
    spec = ImportSpec(origin="org/nllb", family="nllb", licence="cc-by-nc-4.0", pair="fr-en", name="imported")
    lineage = Lineage((), spec.recorded(), "0.2.0")
    filled.register_parent("imported", make_parent("fr-en", seed=9), lineage=lineage)
    found = filled.annotations.search("licence=cc-by-nc-4.0").found
    assert [named(one.record) for one in found] == ["imported"]
    others = filled.annotations.search("licence!=cc-by-nc-4.0").found
    assert [named(one.record) for one in others] == [
        named(one) for one in (*filled.parents(), *filled.modules()) if named(one) != "imported"
    ]


def test_the_precision_of_a_parent_and_that_of_its_modules(many: Registry) -> None:
    found = many.annotations.search("precision=float16").found
    assert [one.name for one in found] == ["other", "base/de-en:3"]
    assert many.annotations.search("precision=bfloat16").total == 1
    assert [one.name for one in many.annotations.search("precision=int8").found] == ["other/de-en:1"]
    found = many.annotations.search("precision!=float32 parent=other").found
    assert [(one.name, one.record.precision) for one in found] == [("other", "float16"), ("other/de-en:1", "int8")]


def test_what_was_deleted_is_found_where_it_is_asked_for(many: Registry) -> None:
    [found] = many.annotations.search("deleted=true").found
    assert found.name == "other/fr-de:1"
    assert found.deletion is not None
    assert found.deletion.who == "ada"
    assert many.annotations.search("language=de target=de").total == 0


def test_a_metric_is_of_a_modules_own_pair(filled: Registry) -> None:
    zero_shot = replace(
        scored(filled, filled.module("de-en"), "news", "bleu", 90.0), recipe="5" * 64, pair=Pair("de", "es")
    )
    filled.register_scores([zero_shot, scored(filled, filled.module("fr-es"), "news", "bleu", 20.0)])
    assert [one.name for one in filled.annotations.search("bleu>10").found] == ["base/fr-es:1"]
    assert filled.annotations.search("bleu>10 bleu<15").total == 0


def test_modules_are_found_by_every_metric(filled: Registry) -> None:
    filled.register_scores(
        [
            scored(filled, filled.module("fr-es"), "news", "offtarget", 4.5),
            scored(filled, filled.module("de-en"), "news", "offtarget", 60.0),
            scored(filled, filled.module("de-en"), "news", "chrfpp", 30.0),
        ]
    )
    for words, names in (
        ("offtarget<5", ["base/fr-es:1"]),
        ("offtarget>=5", ["base/de-en:1"]),
        ("offtarget<5 chrfpp>1", []),
        ("chrfpp=30 test=news", ["base/de-en:1"]),
    ):
        assert [one.name for one in filled.annotations.search(words).found] == names


def test_what_is_found_says_the_bleu_of_its_own_pair(filled: Registry) -> None:
    module = filled.module("fr-es")
    large = replace(scored(filled, module, "wiki", "bleu", 12.0), sentences=3000)
    filled.register_scores(
        [
            scored(filled, module, "news", "bleu", 20.0),
            scored(filled, module, "news", "chrf", 50.0),
            large,
            replace(large, beam=5, value=13.0),
        ]
    )
    assert [one.bleu for one in filled.annotations.search("name=fr-es:1").found] == [13.0]
    assert [one.bleu for one in filled.annotations.search("name=fr-es:1 test=news").found] == [20.0]
    assert [one.bleu for one in filled.annotations.search("name=de-en:1").found] == [None]


def test_what_cannot_be_read_is_refused(filled: Registry) -> None:
    with pytest.raises(SpecError, match=r"'lang=de': unknown field 'lang' \(did you mean language\?\)"):
        filled.annotations.search("lang=de")
