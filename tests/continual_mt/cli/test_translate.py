from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from continual_mt.cli.support.text_io import CHUNK_CHARACTERS, CHUNK_LINES, Input, Output, _chunks
from continual_mt.errors import CorpusError, StorageError
from registry import Registry

TOO_LONG = "xyzwvutsrqponm" * 30


@pytest.fixture
def translate(run: Any, shared_home: Path) -> Any:
    def call(*words: object, stdin: str | bytes = b"", pair: str = "es-en") -> Any:
        data = stdin if isinstance(stdin, bytes) else stdin.encode()
        return run("translate", pair, "--beam", 1, "--backend", "torch", "--home", shared_home, *words, stdin=data)

    return call


def translated(home: Path, sentences: Sequence[str], pair: str = "es-en", recipe: str | None = None) -> str:
    source, target = pair.split("-")
    with Registry.open(home) as registry:
        model = registry.assemble(source, target, recipe=recipe)
    return "".join(f"{line}\n" for line in model.translate(sentences, beam=1))


@pytest.mark.parametrize(("pair", "recipe"), [("es-en", None), ("pt-de", "zero-shot"), ("es-en", "retention:pt-en")])
def test_standard_input_to_standard_output(translate: Any, shared_home: Path, pair: str, recipe: str | None) -> None:
    options = ["--recipe", recipe] if recipe else []
    result = translate(*options, pair=pair, stdin="Hola a todos.\nBuenos días\n")
    assert result.code == 0
    assert result.out == translated(shared_home, ["Hola a todos.", "Buenos días"], pair, recipe)
    source, target = pair.split("-")
    with Registry.open(shared_home) as registry:
        taken = registry.recipe_catalog.recipe(source, target, kind=recipe)
    assert result.err == f"{taken}; digest {taken.digest}\n"
    assert translate(pair=taken.digest[:12], stdin="Hola a todos.\nBuenos días\n").out == result.out


def test_a_hyphen_is_standard_input_or_output(translate: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = translate("--input", "-", "--output", "-", stdin="Hola\n")
    assert (result.code, result.out) == (0, translate(stdin="Hola\n").out)
    assert list(tmp_path.iterdir()) == []


def test_text_at_a_url(translate: Any, tmp_path: Path) -> None:
    (tmp_path / "text.es").write_text("Hola\nuno\n", encoding="utf-8")
    fsspec.filesystem("memory").pipe_file("/texts/text.es", b"Hola\nuno\n")
    assert translate("--input", "memory://texts/text.es").out == translate("--input", tmp_path / "text.es").out
    result = translate("--input", "memory://texts/other.es")
    assert (result.code, result.err) == (2, "error: memory://texts/other.es: no such file\n")


def test_unknown_characters_are_reported(translate: Any) -> None:
    result = translate(stdin="Hola Ѡ☃\nBuenos días\n")
    assert result.code == 0
    assert "es-en: in the text to translate 12% of 16 characters unknown, 0% spelled in bytes\n" in result.err
    assert "in the text to translate" not in translate(stdin="Hola\n").err


def test_a_version_is_selected_by_name_and_a_digest_takes_no_options(translate: Any) -> None:
    assert translate("--module", "pt-en:1", "--module", "es-de:1", pair="pt-de").code == 0
    for words, pair, problem in (
        (["--module", "pt-en:7"], "pt-de", "unknown module 'pt-en:7'"),
        (["--by-test", "nothing"], "pt-de", "unknown test set 'nothing'"),
        (["--module", "pt-en:1"], "3f5a0c12", "a recipe's digest identifies the model; leave out"),
        ([], "3f5a0c12", "unknown recipe 3f5a0c12: it was never run or scored"),
    ):
        result = translate(*words, pair=pair)
        assert (result.code, result.out) == (2, "")
        assert problem in result.err


def test_empty_lines_stay_where_they_are(translate: Any) -> None:
    lines = translate(stdin="\n\nHola\n   \nSí").out.split("\n")
    assert len(lines) == 6
    assert [lines[i] for i in (0, 1, 3, 5)] == [""] * 4


def test_nothing_in_nothing_out(translate: Any) -> None:
    result = translate()
    assert (result.code, result.out) == (0, "")


def test_line_endings_and_unusual_breaks_keep_the_count(translate: Any) -> None:
    assert translate(stdin="Hola\r\nuno\u2028dos\x0btres\x85\r\n").out.count("\n") == 2


def test_files(translate: Any, shared_home: Path, tmp_path: Path, django_catalogs: dict[str, list[str]]) -> None:
    sentences = [*django_catalogs["es"][:30], ""]
    (tmp_path / "in.gz").write_bytes(gzip.compress("\n".join([*sentences, ""]).encode()))
    (tmp_path / "out").write_text("what was there before, which is longer\n" * 400, encoding="utf-8")
    result = translate("--input", tmp_path / "in.gz", "--output", tmp_path / "out")
    assert (result.code, result.out) == (0, "")
    assert (tmp_path / "out").read_text(encoding="utf-8") == translated(shared_home, sentences)


def test_bad_utf8_in_a_file_is_found_before_anything_is_written(translate: Any, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"Hola\n\xff\n")
    result = translate("--input", tmp_path / "in", "--output", tmp_path / "out")
    assert (result.code, result.out) == (2, "")
    assert f"{tmp_path / 'in'}, line 2: not UTF-8 (byte 0xff at position 1)" in result.err
    assert not (tmp_path / "out").exists()


def test_bad_utf8_on_standard_input_comes_after_the_lines_before_it(translate: Any, shared_home: Path) -> None:
    result = translate(stdin=b"Hola\nuno\n\xff\n")
    assert (result.code, result.out) == (2, translated(shared_home, ["Hola", "uno"]))
    assert "\nerror: standard input, line 3: not UTF-8 (byte 0xff at position 1)" in result.err


def test_a_line_over_the_limit_is_one_line(translate: Any, tmp_path: Path) -> None:
    (tmp_path / "in").write_text(f"Hola\n{TOO_LONG}\nuno\n", encoding="utf-8")
    result = translate("--input", tmp_path / "in", "--output", tmp_path / "out")
    assert result.code == 0
    assert (tmp_path / "out").read_bytes().count(b"\n") == 3


def test_standard_input_is_never_overwritten(shared_home: Path, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("Hola\n", encoding="utf-8")
    command = [sys.executable, "-m", "continual_mt.cli.main", "translate", "es-en", "--home", str(shared_home)]
    with text.open("rb") as given:
        done = subprocess.run(
            [*command, "--output", str(text)], stdin=given, capture_output=True, text=True, check=False
        )
    assert done.returncode == 2
    assert f"{text}: input and output are the same file. Fix: use another --output" in done.stderr
    assert text.read_text(encoding="utf-8") == "Hola\n"


@pytest.mark.parametrize(
    ("words", "pair", "message"),
    [
        (["--recipe", "magic"], "es-en", "unknown recipe 'magic'; expected original"),
        (["--recipe", "zero-shot"], "es-en", "es-en has no zero-shot recipe; it runs as original"),
        (["--recipe", "retention:fr-en"], "es-en", "unknown module 'fr-en'"),
        (["--parent", "base"], "es-en", "unknown parent 'base'"),
        ([], "pt-pt", "a language is never paired with itself"),
        ([], "de-en", "unknown pair 'de-en'"),
        ([], "spanish", "'spanish' is not a pair"),
        ([], "2bbd", "'2bbd' is not the digest of a recipe: it has to be 8 to 64 hexadecimal digits"),
        (["--input", "nowhere"], "es-en", "nowhere: no such file"),
        (["--input", "/"], "es-en", "is a folder"),
        (["--backend", "onnx"], "es-en", "backend: unknown value 'onnx'; expected one of auto, torch, ctranslate2"),
        (["--best", "6"], "es-en", "best: is 6; expected at most the beam size, 1"),
        (["--output", "nowhere/out"], "es-en", "nowhere/out: the folder nowhere does not exist. Fix: create it"),
    ],
)
def test_misuse(translate: Any, words: list[str], pair: str, message: str) -> None:
    result = translate(*words, pair=pair)
    assert (result.code, result.out) == (2, "")
    assert message in result.err


def test_the_best_translations_are_numbered_and_scored(translate: Any) -> None:
    result = translate("--best", "2", "--beam", "3", stdin="Hola\n\nuno dos\n")
    fields = [line.split("\t") for line in result.out.splitlines()]
    assert result.code == 0
    assert [number for number, _, _ in fields] == ["1", "1", "2", "3", "3"]
    assert fields[2] == ["2", "0.0000", ""]
    assert float(fields[0][1]) >= float(fields[1][1])
    scored = translate("--scores", "--beam", "3", stdin="Hola\n")
    assert scored.out == "\t".join(fields[0][1:]) + "\n"


@pytest.mark.parametrize("backend", ["torch", "ctranslate2", "auto"])
def test_every_back_end_answers(translate: Any, backend: str) -> None:
    result = translate("--backend", backend, stdin="Hola\n\nuno dos\n")
    assert result.code == 0
    assert result.out.count("\n") == 3


def test_the_output_may_not_be_the_input(translate: Any, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("Hola\n", encoding="utf-8")
    result = translate("--input", tmp_path / "in", "--output", "./in")
    assert result.code == 2
    assert "in: input and output are the same file" in result.err
    assert (tmp_path / "in").read_text(encoding="utf-8") == "Hola\n"


def test_a_failed_write_exits_1(translate: Any, tmp_path: Path) -> None:
    result = translate("--output", tmp_path / ("long" * 100), stdin="Hola\n")
    assert (result.code, result.out) == (1, "")
    assert "write failed: File name too long" in result.err


def test_an_interrupted_output_holds_whole_lines(tmp_path: Path) -> None:
    def interrupted() -> None:
        with Output(tmp_path / "out", Input(None)) as out:
            out.write(["eins", "zwei\ndrei"])
            os.write(out._file.fileno(), b"half a li")  # type: ignore[union-attr]  # as a killed write would leave it
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (tmp_path / "out").read_bytes() == b"eins\nzwei drei\n"


def test_the_error_names_the_file_if_the_disk_is_full() -> None:
    full = Output(Path("/dev/full"), Input(None))
    with pytest.raises(StorageError, match="/dev/full: write failed: No space left"), full as out:
        out.write(["eins"])


@given(st.lists(st.text(max_size=5)), st.integers(1, 7))
def test_chunks_are_the_lines_in_order(lines: list[str], most: int) -> None:
    chunks = list(_chunks(lines, most, CHUNK_CHARACTERS))
    assert [line for chunk in chunks for line in chunk.lines] == lines
    numbers = [chunk.first for chunk in chunks]
    assert numbers == [1 + sum(len(before.lines) for before in chunks[:i]) for i in range(len(chunks))]
    assert all(0 < len(chunk.lines) <= most for chunk in chunks)


def test_chunks_bound_the_memory_and_come_before_a_bad_line() -> None:
    def lines() -> Any:
        yield from ["x" * 150_000] * 3
        raise CorpusError("file", "bad", 4)

    chunks = _chunks(lines(), CHUNK_LINES, CHUNK_CHARACTERS)
    assert [len(next(chunks).lines), len(next(chunks).lines)] == [2, 1]
    with pytest.raises(CorpusError, match="line 4"):
        next(chunks)


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert Input(tmp_path / "pipe").check() is None
    assert Input(None).check() is None
    (tmp_path / "file").write_text("a\nb", encoding="utf-8")
    assert Input(tmp_path / "file").check() == 2


def test_a_pivot(run: Any, pivots: Path, django_catalogs: dict[str, list[str]]) -> None:
    """The same as its legs, one after the other; also by its digest."""
    text = "".join(f"{line}\n" for line in [*django_catalogs["es"][:4], ""]).encode()
    words = ("--home", pivots, "--beam", 2, "--backend", "torch")
    first = run("translate", "es-de", *words, stdin=text)
    second = run("translate", "de-en", *words, stdin=first.out.encode())
    chained = run("translate", "es-en", "--recipe", "pivot:es-de+de-en", *words, stdin=text)
    assert chained.code == 0
    assert chained.out == second.out
    assert chained.out.splitlines()[4] == ""
    assert "pivot es-en through de: supervised es-de: source es-en, " in chained.err
    digest = re.search(r"digest ([0-9a-f]{64})", chained.err)
    assert digest is not None
    assert run("translate", digest[1][:12], *words, stdin=text).out == chained.out


def test_several_hypotheses_of_a_pivot(run: Any, pivots: Path, django_catalogs: dict[str, list[str]]) -> None:
    text = f"{django_catalogs['es'][0]}\n".encode()
    words = ("translate", "es-en", "--recipe", "pivot:es-de+de-en", "--home", pivots, "--scores", "--beam", 4)
    one, several = (float(run(*words, "--pivot-best", count, stdin=text).out.partition("\t")[0]) for count in (1, 4))
    assert several >= one
    refused = run(*words, "--pivot-best", 5, stdin=text)
    assert refused.code == 2
    assert "pivot_best: is 5; expected at most the beam size, 4. Fix: lower pivot_best or raise beam" in refused.err
    refused = run("translate", "es-en", "--home", pivots, "--pivot-best", 4, stdin=text)
    assert refused.code == 2
    assert "--pivot-best 4: original es-en: source es-en" in refused.err
    assert "is not a pivot; expected --recipe pivot:PAIR+PAIR" in " ".join(refused.err.split())


def test_a_pivot_that_cannot_be_run(run: Any, pivots: Path) -> None:
    refused = run("translate", "es-en", "--recipe", "pivot:es-de+pt-en", "--home", pivots)
    assert refused.code == 2
    assert "the legs es-de and pt-en do not meet" in refused.err
    assert "Pivots of es-en that can be run: pivot:es-de+de-en" in refused.err


def test_the_candidates_and_the_reason(run: Any, home: Path) -> None:
    """Without translating: standard input is not read."""
    with Registry.open(home) as registry:
        registry.annotations.set_alias("pt-en@champion", 1)
    explained = run("translate", "pt-en", "--explain", "--home", home)
    assert explained.code == 0
    assert explained.out.splitlines()[-1] == ("pt-en runs with supervised: the alias pt-en@champion is set to pt-en:1.")
    assert re.search(r"^supervised +source pt-en:1, xattn pt-en:1, target parent +1 ", explained.out, re.MULTILINE)
    data = json.loads(run("translate", "pt-de", "--explain", "--json", "--no-pivot", "--home", home).out)
    assert data["reason"] == "nothing else can be run"
    assert [one["recipe"]["kind"] for one in data["candidates"]] == ["zero-shot"]


def test_an_explanation_that_cannot_be_given(run: Any, home: Path) -> None:
    refused = run("translate", "pt-de", "--json", "--home", home)
    assert refused.code == 2
    assert "--json: translations are plain lines; expected it with --explain" in " ".join(refused.err.split())
    refused = run("translate", "3f5a0c12", "--explain", "--home", home)
    assert refused.code == 2
    assert "--explain: 3f5a0c12 is the digest of one recipe; expected a pair" in " ".join(refused.err.split())
