"""Alignments that were kept."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
from sqlalchemy import text

from continual_mt.errors import RegistryError, UnknownNameError
from continual_mt.evaluation.alignment_result import Precision
from continual_mt.evaluation.lexicon import Lexicon
from registry import AlignmentRecord, EmbeddingRecord, Registry
from registry.recipes.embeddings import two_embeddings
from tests.registry.database.revisions import changing, migrate

LEXICON = Lexicon(Path("lexica/de-fr.tsv"), {"Haus": ("maison", "foyer"), "zum Beispiel": ("par exemple",)})
RESULTS = [Precision("piece", "cosine", 12, 196, 0.25, 1.0), Precision("word", "csls", 0, 3, None, None)]

Tables = tuple[EmbeddingRecord, EmbeddingRecord]


@pytest.fixture
def tables(filled: Registry) -> Tables:
    return two_embeddings(filled.recipe_catalog, filled.parent(), ("de", "fr"))


def test_what_is_kept_comes_back(filled: Registry, tables: Tables) -> None:
    kept = filled.register_alignment(*tables, LEXICON, RESULTS)
    assert filled.catalog.alignments() == filled.catalog.alignments("base") == [kept]
    assert (kept.first, kept.second, kept.results) == (*tables, tuple(RESULTS))
    assert (kept.lexicon, kept.entries) == ("de-fr.tsv", 3)
    assert filled.texts.read(kept.lexicon_digest) == ["Haus\tfoyer", "Haus\tmaison", "zum Beispiel\tpar exemple"]
    read = filled.texts.load_lexicon(kept)
    assert (read.path, read.lines()) == ("de-fr.tsv", LEXICON.lines())
    with pytest.raises(UnknownNameError, match="unknown parent 'other'"):
        filled.catalog.alignments("other")


def test_the_same_tables_and_lexicon_are_kept_once(filled: Registry, tables: Tables) -> None:
    first = filled.register_alignment(*tables, LEXICON, RESULTS)
    again = filled.register_alignment(*tables, LEXICON, RESULTS)
    assert again == replace(first, created=again.created)
    # The same entries in another order, under another name.
    turned = Lexicon("turned.tsv", {word: answers[::-1] for word, answers in reversed(LEXICON.translations.items())})
    changed = filled.register_alignment(*tables, turned, RESULTS[:1])
    assert (changed.lexicon_digest, changed.results) == (first.lexicon_digest, tuple(RESULTS[:1]))
    assert filled.catalog.alignments() == [changed]


def test_another_lexicon_or_direction_is_kept_besides(filled: Registry, tables: Tables) -> None:
    smaller = Lexicon("small.tsv", {"Haus": ("maison",)})
    kept = [
        filled.register_alignment(*tables, smaller, RESULTS),
        filled.register_alignment(*tables, LEXICON, RESULTS),
        filled.register_alignment(tables[1], tables[0], smaller, RESULTS),
    ]
    assert filled.catalog.alignments() == [kept[1], kept[0], kept[2]]


def test_every_field_is_in_the_json(filled: Registry, tables: Tables) -> None:
    kept = filled.register_alignment(*tables, LEXICON, RESULTS)
    as_json = json.loads(json.dumps(kept.to_json()))
    assert set(as_json) == {field.name for field in fields(AlignmentRecord)}
    assert set(as_json["first"]) == {field.name for field in fields(EmbeddingRecord)}
    assert as_json["first"]["module"] == "base/de-en:1"
    assert as_json["results"] == [result.to_json() for result in RESULTS]


def test_results_that_were_changed_from_outside(filled: Registry, tables: Tables, home: Path) -> None:
    filled.register_alignment(*tables, LEXICON, RESULTS)
    with changing(home) as connection:
        connection.execute(text("""UPDATE alignments SET results = '[{"unit": "letter"}]'"""))
    with pytest.raises(RegistryError, match=r"a record in .* cannot be read \(.* for Precision"):
        filled.catalog.alignments()


def test_a_registry_from_before_alignments_is_upgraded(filled: Registry, tables: Tables, home: Path) -> None:
    filled.register_alignment(*tables, LEXICON, RESULTS)
    names = [module.full_name for module in filled.modules()]
    filled.close()
    with changing(home) as connection:
        migrate(connection, "0002")
    with pytest.raises(RegistryError, match=r"has the schema 0002 of an older.*continual-mt registry upgrade"):
        Registry.open(home)
    with Registry.open(home, upgrade=True) as opened:
        assert [module.full_name for module in opened.modules()] == names
        assert opened.catalog.alignments() == []
        opened.register_alignment(*tables, LEXICON, RESULTS)
