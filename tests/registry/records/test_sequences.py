"""Sequences, what was scored along them, and the text that scores rest on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from continual_mt.artifacts.parent import Parent
from continual_mt.errors import InputError, RegistryError, UnknownNameError
from continual_mt.languages import Pair
from registry import CellRecord, CorpusRecord, Lineage, Registry, SequenceRecord
from tests.registry.database.revisions import changing, migrate

SEQUENCE = SequenceRecord("a" * 64, "base", "latin", "separate", (Pair("pt", "en"), Pair("es", "de")))
CELL = CellRecord(
    sequence=SEQUENCE.digest,
    position=1,
    view="through",
    pair=Pair("es", "en"),
    kind="retention",
    recipe="b" * 64,
    module="base/pt-en:1",
    test="test",
    test_digest="c" * 64,
    metric="bleu",
    value=12.5,
    beam=1,
)


@pytest.fixture
def filled(registry: Registry, parent: Parent, lineage: Lineage) -> Registry:
    registry.register_parent("base", parent, lineage=lineage)
    return registry


def test_a_sequence_is_noted_once(filled: Registry) -> None:
    assert filled.register_sequence(SEQUENCE) == SEQUENCE
    assert filled.register_sequence(replace(SEQUENCE, name="other")).name == "latin"
    assert filled.catalog.sequences() == filled.catalog.sequences("base") == [SEQUENCE]
    with pytest.raises(UnknownNameError, match="unknown parent 'other'"):
        filled.catalog.sequences("other")


def test_a_position_is_noted_anew_as_a_whole(filled: Registry) -> None:
    filled.register_sequence(SEQUENCE)
    before = replace(CELL, position=0, view="routed", kind="original", module=None)
    filled.register_cells(SEQUENCE.digest, 0, [before])
    filled.register_cells(SEQUENCE.digest, 1, [CELL, replace(CELL, metric="chrf", value=40.25)])
    filled.register_cells(SEQUENCE.digest, 1, [replace(CELL, value=11.0)])
    assert filled.catalog.cells(SEQUENCE.digest) == [before, replace(CELL, value=11.0)]
    assert filled.catalog.cells(SEQUENCE.digest, metric="chrf") == []
    assert filled.catalog.cells("d" * 64) == []


def test_cells_want_their_sequence(filled: Registry) -> None:
    with pytest.raises(UnknownNameError, match="unknown sequence"):
        filled.register_cells("d" * 64, 0, [])


def test_text_is_kept_to_the_letter(filled: Registry) -> None:
    lines = ["Zwei Männer", "", " spielen\u2028Fußball\t", "\r"]
    blob = filled.texts.store(lines)
    assert filled.texts.read(blob) == lines
    assert filled.texts.store(lines) == blob
    assert filled.texts.read(filled.texts.store([])) == []
    with pytest.raises(InputError, match="a sentence holds a line break"):
        filled.texts.store(["a\nb"])


def test_a_corpus_that_becomes_a_test_set(filled: Registry, corpus: CorpusRecord) -> None:
    filled.register_corpus(corpus)
    blob = filled.texts.store(["a"])
    tested = filled.register_corpus(replace(corpus, sources=blob, references=blob))
    assert (tested.sources, tested.references) == (blob, blob)
    assert filled.register_corpus(corpus) == tested


def test_an_older_registry_is_upgraded_when_told_to(filled: Registry, home: Path) -> None:
    parents: Mapping[str, str] = {record.name: record.fingerprint for record in filled.parents()}
    filled.close()
    with changing(home) as connection:
        migrate(connection, "0001")
    with pytest.raises(RegistryError, match=r"has the schema 0001 of an older.*continual-mt registry upgrade"):
        Registry.open(home)
    with Registry.open(home, upgrade=True) as opened:
        assert {record.name: record.fingerprint for record in opened.parents()} == parents
        opened.register_sequence(SEQUENCE)
    with Registry.open(home, upgrade=True) as opened:
        assert [sequence.name for sequence in opened.catalog.sequences()] == ["latin"]
