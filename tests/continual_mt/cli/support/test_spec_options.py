from __future__ import annotations

from pathlib import Path

import pytest

from continual_mt.cli.support.spec_options import build, corpus, place
from continual_mt.config.spec import AdditionSpec, ParentSpec
from continual_mt.errors import SpecError


@pytest.fixture
def given(corpus_files: dict[str, Path]) -> dict[str, object]:
    files = corpus((str(corpus_files["es"]), str(corpus_files["en"])), None)
    return {"pair": "es-en", "train": files, "dev": files}


def test_a_parent_is_named_after_its_pair_and_tested_on_it(
    given: dict[str, object], corpus_files: dict[str, Path]
) -> None:
    test = corpus((str(corpus_files["es"]), str(corpus_files["en"])), None)
    spec = build(ParentSpec, None, given | {"pair": "pt_br-en"}, None, test=test)
    assert (spec.name, spec.tests[0].pair, spec.tests[0].name) == ("pt_BR-en", "pt_BR-en", "test")
    assert build(ParentSpec, None, given | {"name": "base"}, None).name == "base"


def test_settings_reach_every_key(given: dict[str, object]) -> None:
    spec = build(ParentSpec, None, given, ["training.updates=7", "resources.workers=2", "architecture.width=32"])
    assert (spec.training.updates, spec.resources.workers, spec.architecture.width) == (7, 2, 32)


def test_options_override_the_file_and_paths_are_relative_to_where_they_are_written(
    tmp_path: Path, corpus_files: dict[str, Path]
) -> None:
    folder = tmp_path / "specs"
    folder.mkdir()
    (folder / "rows.tsv").write_text("uno\tone\n", encoding="utf-8")
    file = folder / "add.yaml"
    file.write_text(
        "pair: pt-en\nscope: body\ntrain: {tsv: rows.tsv, licence: MIT}\ndev: {tsv: rows.tsv}\n", encoding="utf-8"
    )
    spec = build(AdditionSpec, file, {"train": corpus(("text.pt", "text.en"), None)}, ["train.licence=CC0"])
    assert (spec.pair, spec.scope, spec.train.licence) == ("pt-en", "body", "CC0")
    assert (spec.train.source, spec.train.tsv) == (corpus_files["pt"], None)
    assert spec.dev.tsv == folder / "rows.tsv"


def test_urls_stay_as_they_are(given: dict[str, object]) -> None:
    train = corpus(("s3://bucket/train.es.gz", "https://example.org/train.en"), None)
    spec = build(AdditionSpec, None, given | {"pair": "es-pt", "train": train}, None)
    assert (spec.train.source, spec.train.target) == ("s3://bucket/train.es.gz", "https://example.org/train.en")
    assert place("s3://bucket/words.tsv") == "s3://bucket/words.tsv"
    assert place("words.tsv") == Path("words.tsv")
    with pytest.raises(SpecError, match="the command line: one problem:\n  - the URL holds a password") as caught:
        place("https://me:hush@example.org/words.tsv")
    assert "hush" not in str(caught.value)


def test_all_problems_are_listed(given: dict[str, object]) -> None:
    with pytest.raises(SpecError) as caught:
        build(ParentSpec, None, given | {"pair": "es-qqq1", "dev": None}, ["training.updates=-1", "colour=red"])
    problems = "\n".join(caught.value.problems)
    assert caught.value.origin == "the command line"
    assert len(caught.value.problems) == 4
    for part in ("pair: no language has the tag 'qqq1'", "dev: missing", "training.updates: ", "colour: unknown key"):
        assert part in problems


def test_files_together_with_a_tsv_are_rejected(given: dict[str, object], corpus_files: dict[str, Path]) -> None:
    both = corpus((str(corpus_files["es"]), str(corpus_files["en"])), str(corpus_files["en"]))
    with pytest.raises(SpecError, match="train: expected exactly one of: source and target, tsv, catalogs"):
        build(ParentSpec, None, given | {"train": both}, None)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "file does not exist"),
        (b"\xff", "cannot be read"),
        (b"a: [", "invalid YAML"),
        (b"a: 2026-13-45", "invalid YAML"),
        (b"- pair", "expected a mapping"),
    ],
)
def test_a_file_that_is_not_a_spec(tmp_path: Path, content: bytes | None, problem: str) -> None:
    file = tmp_path / "spec.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SpecError, match=problem) as caught:
        build(ParentSpec, file, {}, None)
    assert caught.value.origin == str(file)


def test_a_parent_of_several_pairs_has_a_name_and_its_test_sets_in_the_spec(
    given: dict[str, object], tmp_path: Path
) -> None:
    """The default of the name is the pair, and the test set on the command line is of the pair."""
    (file := tmp_path / "spec.yaml").write_text("pairs:\n  - {pair: es-en}\n  - {pair: en-es}\n", encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        build(ParentSpec, file, given, None)
    assert "name: missing" in caught.value.problems
    with pytest.raises(SpecError, match=r"--test: is for one pair\. Fix: list the test sets in the spec, under tests"):
        build(ParentSpec, file, {}, None, test={"tsv": "test.tsv"})
