from __future__ import annotations

from dataclasses import replace

from dashboards.tables.annotations import (
    RECIPES_SHOWN,
    annotation_facts,
    dependents_table,
    found_table,
    module_tables,
    module_title,
    moves_table,
)
from dashboards.tables.artifacts import storage_table
from dashboards.tables.table import plain
from registry import Annotations, Registry, Relation, Relations


def described(filled: Registry) -> Annotations:
    filled.annotations.set_alias("de-en@champion", 1, who="ada")
    filled.annotations.tag("de-en:1", "news")
    filled.annotations.note("de-en:1", "Numbers are wrong.", who="ada")
    return filled.annotations.of(filled.module("de-en:1"))


def test_annotations_of_a_module(filled: Registry) -> None:
    annotations, module = described(filled), filled.module("de-en:1")
    assert module_title(module, annotations) == "base/de-en:1: new source de, xattn; @champion; news"
    assert module_title(module, Annotations()) == "base/de-en:1: new source de, xattn"
    facts = annotation_facts(annotations)
    assert facts[:2] == [("aliases", "champion"), ("tags", "news")]
    assert facts[2][1].startswith("Numbers are wrong. (ada, 20")
    assert annotation_facts(Annotations()) == []
    [row] = moves_table(annotations.moves).rows
    assert list(row[:4]) == ["base/de-en@champion", "-", "1", "ada"]
    tables = dict(module_tables(module, annotations, filled.annotations.lineages([module])["base/de-en:1"]))
    assert list(tables) == ["corpora", "dependents", "alias history"]
    rows = [list(row) for row in tables["dependents"].rows]
    assert rows[0] == ["alias", "base/de-en@champion", "-", "yes"]
    assert [row[0] for row in rows] == ["alias", "sequence", "sequence", "alignment", "recipe", "recipe"]


def test_many_recipes_are_counted() -> None:
    recipes = [Relation("recipe", f"zero-shot de-{number}", "f") for number in range(RECIPES_SHOWN + 3)]
    relations = Relations("base/de-en:1", (), tuple(recipes))
    rows = dependents_table(relations, RECIPES_SHOWN).rows
    assert (len(rows), list(rows[-1])) == (RECIPES_SHOWN + 1, ["recipe", "and 3 more", "-", "no"])
    assert len(dependents_table(relations).rows) == RECIPES_SHOWN + 3


def test_search_results(filled: Registry) -> None:
    described(filled)
    head, line = plain(found_table(filled.annotations.search("tag=news").found)).splitlines()
    assert head.split() == ["name", "what", "parameters", "stored", "BLEU", "aliases", "tags", "created"]
    assert line.startswith("base/de-en:1  new source de, xattn  ")
    filled.annotations.delete("fr-es:1", who="eve")
    table = found_table(filled.annotations.search("deleted=true").found)
    assert table.columns[-1].name == "deleted"
    assert table.rows[0][-1].endswith(" UTC, eve")


def test_aliases_and_tags_get_a_column_unless_all_are_empty(filled: Registry) -> None:
    described(filled)
    table = storage_table(filled.parents(), filled.modules(), annotations=filled.annotations.of_parent("base"))
    assert [column.name for column in table.columns][-2:] == ["aliases", "tags"]
    assert [list(row[-2:]) for row in table.rows] == [["-", "-"], ["champion", "news"], ["-", "-"]]
    untagged = {"base/de-en:1": replace(filled.annotations.of_parent("base")["base/de-en:1"], tags=())}
    assert [c.name for c in storage_table(filled.parents(), filled.modules(), annotations=untagged).columns][
        -1
    ] == "aliases"
