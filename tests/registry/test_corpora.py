"""Corpora and test sets as they are read, and the text of test sets that the registry keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from continual_mt.artifacts.parent import Parent
from continual_mt.config import spec as specs
from continual_mt.data.corpora.parallel_files import TextFiles
from continual_mt.errors import CorpusError
from continual_mt.languages import Pair
from registry import CorpusRecord, Lineage, Registry
from registry.corpora import known_tests, read_corpus, read_recorded, read_test, with_references, with_text


@pytest.fixture
def spec(tmp_path: Path) -> specs.TestSpec:
    (tmp_path / "test.fr").write_text("une ligne\n\nune autre\n")
    (tmp_path / "test.en").write_text("one line\n\nanother line\n")
    return specs.TestSpec(pair="fr-en", name="lines", source=tmp_path / "test.fr", target=tmp_path / "test.en")


def lineage_of(spec: specs.TestSpec, *records: CorpusRecord) -> Lineage:
    values = {"tests": [spec.model_dump(mode="json")]}
    return Lineage(corpora=tuple(("test", record) for record in records), spec=values, code_version="0.1.0")


def test_a_test_set_keeps_every_line(spec: specs.TestSpec, tmp_path: Path) -> None:
    test = read_test(spec, tmp_path)
    assert test.sources == ("une ligne", "", "une autre")
    assert test.references == ("one line", "", "another line")
    assert (test.name, test.record.sentences, test.record.skipped) == ("lines", 2, 1)


def test_a_test_set_is_read_once(spec: specs.TestSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, calls = TextFiles.read, []

    def counted(corpus: TextFiles) -> object:
        calls.append(corpus.name)
        return read(corpus)

    monkeypatch.setattr(TextFiles, "read", counted)
    assert len(read_test(spec, tmp_path).sources) == 3
    assert calls == ["test.fr + test.en"]


def test_earlier_test_sets_come_from_the_text_that_the_registry_keeps(
    make_parent: Callable[..., Parent], spec: specs.TestSpec, tmp_path: Path
) -> None:
    """Their files no longer exist; each test set is listed once."""
    with Registry.open(tmp_path / "home", create=True) as registry:
        read = read_test(spec, tmp_path)
        kept = with_text(registry, read)
        registry.register_parent("fr-en", make_parent("fr-en"), lineage=lineage_of(spec, kept))
        for file in (spec.source, spec.target):
            assert file is not None
            file.unlink()
        recorded = registry.parent("fr-en").lineage
        messages: list[str] = []
        (test,) = known_tests(registry, [recorded, Lineage((), {}, "0.1.0"), recorded], tmp_path, messages.append)
        assert messages == []
        assert test == replace(read, record=kept)
        assert with_text(registry, test) == kept


def test_a_test_set_whose_text_was_not_kept_is_read_from_its_files_or_reported(
    spec: specs.TestSpec, tmp_path: Path
) -> None:
    with Registry.open(tmp_path / "home", create=True) as registry:
        messages: list[str] = []
        without_text, unlisted = lineage_of(spec, read_test(spec, tmp_path).record), lineage_of(spec)
        (test,) = known_tests(registry, [without_text, unlisted], tmp_path, messages.append)
        assert (test, messages) == (read_test(spec, tmp_path), [])
        assert spec.source is not None
        spec.source.unlink()
        assert known_tests(registry, [without_text], tmp_path, messages.append) == []
        assert len(messages) == 1
        assert messages[0].startswith("an earlier test set is left out: ")
        assert "test.fr" in messages[0]


def test_the_digest_of_a_test_set_is_over_all_references(spec: specs.TestSpec, tmp_path: Path) -> None:
    (tmp_path / "second").write_text("a line\n\nanother\n")
    (tmp_path / "third").write_text("a row\n\n\n")
    test = read_test(spec, tmp_path)
    two = with_references(test, [tmp_path / "second"])
    three = with_references(test, [tmp_path / "second", tmp_path / "third"])
    turned = with_references(test, [tmp_path / "third", tmp_path / "second"])
    assert len({one.digest for one in (test, two, three, turned)}) == 4
    assert three.further == (("a line", "", "another"), ("a row", "", ""))
    assert (three.record.digest, three.record.name) == (three.digest, "test.fr + test.en + second + third")
    with Registry.open(tmp_path / "home", create=True) as registry:
        kept = with_text(registry, three)
        assert kept.references is not None
        assert registry.texts.read(kept.references) == [*three.references, *three.further[0], *three.further[1]]


TABLE = "\n".join(f"uno {number}\tone {number}" for number in range(200)) + "\nAbrir\tel archivo\tOpen the file\n"


def test_a_broken_row_of_a_test_set_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.tsv").write_text(TABLE)
    with pytest.raises(CorpusError, match=r"rows\.tsv: 1 rows have another number of columns than most \(line 201\)"):
        read_test(specs.TestSpec(pair="es-en", tsv=tmp_path / "rows.tsv"), tmp_path)


def test_a_recorded_corpus_is_read_as_the_version_read_it_that_recorded_it(tmp_path: Path) -> None:
    (tmp_path / "rows.tsv").write_text(TABLE)
    spec, pair = specs.CorpusSpec(tsv=tmp_path / "rows.tsv"), Pair("es", "en")
    now = read_corpus(spec, pair, tmp_path)
    earlier = read_corpus(spec.model_copy(update={"ragged": True}), pair, tmp_path)
    assert (now.summary.faults, earlier.summary.faults) == ((201,), ())
    for recorded in (now, earlier):
        assert read_recorded(spec, pair, recorded.summary.digest, tmp_path) == recorded
    assert read_recorded(spec, pair, "0" * 64, tmp_path) == now
