"""What bad input gets: exit 2 and one clear message, before anything is trained or written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

Files = dict[str, Path]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "registry.db-" not in path.name
    }


def refused(result: Any, *parts: str) -> None:
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: ")
    for part in parts:
        assert part in result.err


@pytest.fixture
def add(run: Any, home: Path, corpus_files: Files) -> Any:
    """``add``, with a good pair and good files in place of what a test does not give."""

    def call(pair: str = "pt-en", **options: object) -> Any:
        files = (corpus_files["pt"], corpus_files["en"])
        words: list[object] = []
        for name, value in ({"train": files, "dev": files} | options).items():
            words += [f"--{name}", *(value if isinstance(value, tuple) else [value])]
        before = contents(home)
        result = run("add", pair, *words, "--home", home)
        assert contents(home) == before
        return result

    return call


def test_a_missing_file(add: Any, corpus_files: Files) -> None:
    refused(add(train=("no.pt", corpus_files["en"])), "train.source: file does not exist: ", "no.pt")


def test_the_pair_of_a_text_that_is_not_given(add: Any, corpus_files: Files) -> None:
    refused(add(**{"init-pair": "es-en"}), "--init-pair: names the pair of --init-text. Fix: give --init-text, too")
    text = corpus_files["es"], corpus_files["en"]
    refused(add(**{"init-text": text, "init-pair": "es"}), "init_text.pair: 'es' is not a pair; expected SOURCE-TARGET")


def test_a_misaligned_corpus(add: Any, corpus_files: Files, tmp_path: Path) -> None:
    short = tmp_path / "short.en"
    short.write_text("one\ntwo\n", encoding="utf-8")
    refused(add(dev=(corpus_files["pt"], short)), "12 lines, but", "short.en has 2")


def test_bad_utf8_in_a_corpus(add: Any, corpus_files: Files) -> None:
    lines = corpus_files["pt"].read_bytes().splitlines(keepends=True)
    corpus_files["pt"].write_bytes(b"".join([*lines[:4], b"caf\xe9\n", *lines[5:]]))
    refused(add(), "text.pt, line 5: not UTF-8 (byte 0xe9 at position 4)")


def test_a_tag_that_is_none(add: Any) -> None:
    refused(add("xx9-en"), "pair: no language has the tag 'xx9'")


def test_a_pair_that_shares_no_side_with_the_parent(add: Any) -> None:
    refused(add("de-pt"), "de-pt shares no side with the parent es-en", "Fix: add de-en or es-pt first")


def test_an_unknown_parent(add: Any) -> None:
    refused(add(parent="es-em"), "unknown parent 'es-em' (did you mean es-en?)")


def test_a_scope_that_is_none(add: Any) -> None:
    refused(add(scope="everything"), "scope: unknown scope 'everything'; expected one of", "xattn-random, half")
    refused(add(scope="xattn:keys"), "scope: xattn:keys: unknown part 'keys' (did you mean key?)")


def test_several_mistakes_are_listed_at_once(add: Any) -> None:
    refused(
        add("pt-en", scope="all", parent="/", set="training.updates=-1"), "3 problems", "scope", "parent", "updates"
    )


def test_a_setting_that_is_none(add: Any) -> None:
    refused(add(set="workers"), "'workers': expected KEY=VALUE")


def test_a_registry_that_is_not_there_is_not_made(run: Any, corpus_files: Files, tmp_path: Path) -> None:
    files = (corpus_files["pt"], corpus_files["en"])
    refused(run("add", "pt-en", "--train", *files, "--dev", *files), "no registry")
    assert not (tmp_path / "continual-mt-home").exists()


def test_a_parent_with_a_mistake_makes_no_home(run: Any, corpus_files: Files, tmp_path: Path) -> None:
    files = (corpus_files["es"], tmp_path / "no.en")
    refused(
        run("parent", "train", "--pair", "es-en", "--train", *files, "--dev", *files),
        "train.target: file does not exist",
        "dev.target: file does not exist",
    )
    assert not (tmp_path / "continual-mt-home").exists()


def test_a_sequence_with_several_mistakes(run: Any, home: Path, tmp_path: Path) -> None:
    spec = tmp_path / "sequence.yaml"
    spec.write_text("name: s\nparent: es-en\nadditions:\n- {pair: pt-en}\n- {pair: es}\n", encoding="utf-8")
    result = run("sequence", "run", spec, "--home", home)
    refused(result, "additions 1, 2.train: missing", "additions 2.pair: 'es' is not a pair", "3 problems")


def test_a_key_that_all_additions_share_is_told_of_once(run: Any, home: Path, tmp_path: Path) -> None:
    spec = tmp_path / "sequence.yaml"
    spec.write_text("name: s\nparent: p\nscoope: xattn\nadditions: [{pair: pt-en}, {pair: fr-en}]\n", encoding="utf-8")
    result = run("sequence", "run", spec, "--home", home)
    assert result.err.count("scoope") == 1
    refused(result, "additions 1, 2.scoope: unknown key")


def test_a_submitted_job_needs_an_absolute_home(run: Any, corpus_files: Files) -> None:
    files = (corpus_files["pt"], corpus_files["en"])
    words = ("add", "pt-en", "--train", *files, "--dev", *files, "--address", "http://127.0.0.1:9")
    refused(run(*words), "the home is not set")
    refused(run(*words, "--home", "here", "--json"), "the home is here", "--json: ", "2 problems")


def test_a_submitted_job_reads_no_pipe_of_this_machine(run: Any, corpus_files: Files, tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe")
    words = ("add", "pt-en", "--train", pipe, corpus_files["en"], "--dev", corpus_files["pt"], corpus_files["en"])
    result = run(*words, "--address", "http://127.0.0.1:9", "--home", tmp_path / "home")
    refused(
        result, f"{pipe} can be read only once, and on this machine", "Fix: write the text to a file that the cluster"
    )


@pytest.mark.parametrize("verb", ["add", "parent train", "sequence run", "registry reproduce"])
def test_in_process_and_an_address_exclude_each_other(
    run: Any, home: Path, corpus_files: Files, tmp_path: Path, verb: str
) -> None:
    files = (corpus_files["pt"], corpus_files["en"])
    corpora = ("--train", *files, "--dev", *files)
    spec = tmp_path / "sequence.yaml"
    common = {key: {"source": str(files[0]), "target": str(files[1])} for key in ("train", "dev")}
    spec.write_text(json.dumps({"name": "s", "parent": "es-en", **common, "additions": [{"pair": "pt-en"}]}))
    words = {
        "add": ("pt-en", *corpora),
        "parent train": ("--pair", "pt-en", *corpora),
        "sequence run": (spec,),
        "registry reproduce": ("es-en",),
    }[verb]
    result = run(*verb.split(), *words, "--home", home, "--in-process", "--address", "auto")
    refused(result, "--in-process and --address auto exclude each other. Fix: leave one of them out")


def test_keys_in_the_url_of_blobs_are_not_shown(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTINUAL_MT_BLOBS", "s3://AKIAEXAMPLE:not/so+secret@bucket/blobs")
    result = run("pairs", "--home", tmp_path / "home", "--json")
    refused(result, "CONTINUAL_MT_BLOBS", "the URL holds a password or secret key", "AWS_SECRET_ACCESS_KEY")
    assert "AKIAEXAMPLE" not in result.err
    assert "not/so" not in result.err
    assert not (tmp_path / "home").exists()
