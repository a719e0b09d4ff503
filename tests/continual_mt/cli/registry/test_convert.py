from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def registry_verb(run: Any, home: Path) -> Any:
    def call(*words: object) -> Any:
        return run("registry", *words, "--home", home)

    return call


def test_a_parent_and_a_module_are_converted(registry_verb: Any, run: Any, home: Path) -> None:
    done = registry_verb("convert", "es-en", "--precision", "float16", "--name", "small")
    assert (done.code, done.out) == (0, "")
    lines = done.err.splitlines()
    assert lines[0] == "es-en in float16 is small"
    assert " in float16 (float32: " in lines[1]
    assert lines[2:] == [
        "2 modules of es-en stay with it: small is another parent",
        "name modules with their parent from now on, such as es-en/es-de:1: there are several parents",
        "small is not scored yet: continual-mt evaluate",
    ]
    again = registry_verb("convert", "es-en", "--precision", "float16", "--name", "small")
    assert again.err.splitlines()[0] == "es-en in float16 is small, as before"
    done = registry_verb("convert", "es-en/pt-en:1", "--precision", "bfloat16")
    assert done.err.splitlines()[2:4] == [
        "the newest version of pt-en is used unless an alias selects another. To stay with the first:",
        "continual-mt registry alias es-en/pt-en@champion 1",
    ]
    printed = json.loads(registry_verb("convert", "es-en/pt-en:2", "--precision", "float32", "--json").out)
    assert (printed["record"]["name"], printed["record"]["precision"]) == ("es-en/pt-en:3", "float32")
    assert (printed["new"], printed["staying"]) == (True, [])
    assert (
        run("translate", "pt-en", "--parent", "es-en", "--module", "pt-en:2", "--home", home, stdin=b"Nome").code == 0
    )


def test_the_precision_is_shown_with_the_size_in_float32(registry_verb: Any) -> None:
    assert "precision" not in registry_verb("list").out.splitlines()[0]
    assert "\nprecision: float32\n" in registry_verb("show", "pt-en:1").out
    registry_verb("convert", "pt-en:1", "--precision", "bfloat16")
    listed = registry_verb("list").out.splitlines()
    assert listed[0].split()[-4:] == ["precision", "in", "float32", "created"]
    first, second = (next(line for line in listed if name in line) for name in ("pt-en:1", "pt-en:2"))
    assert " float32 " in first
    assert " bfloat16 " in second
    shown = registry_verb("show", "pt-en:2").out
    assert "\nprecision: bfloat16\n" in shown
    assert "\nmade from: es-en/pt-en:1 (quantised-from)\n" in shown
    (stored,) = (line for line in shown.splitlines() if line.startswith("stored: "))
    assert " in bfloat16 (float32: " in stored
    found = registry_verb("search", "precision=bfloat16")
    assert (found.out.splitlines()[1].split()[0], found.err) == ("es-en/pt-en:2", "1 found\n")
    precisions = [one["precision"] for one in json.loads(registry_verb("list", "--json").out)["modules"]]
    assert precisions == ["float32", "float32", "bfloat16"]
    done = registry_verb("convert", "pt-en:1", "--precision", "int8")
    assert done.err.splitlines()[0] == "es-en/pt-en:1 in int8 is es-en/pt-en:3"
    assert " in int8 (float32: " in done.err.splitlines()[1]
    assert registry_verb("search", "precision=int8").out.splitlines()[1].split()[0] == "es-en/pt-en:3"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (
            ("es-en", "--precision", "float32"),
            "es-en: is stored in float32 already; expected --precision float16 or bfloat16 or int8",
        ),
        (("es-en", "--precision", "int4"), "'int4' is not one of 'float32', 'float16', 'bfloat16', 'int8'"),
        (("pt-en:1", "--precision", "float16", "--name", "x"), "--name x: pt-en:1 is a module"),
        (("pt-en:9", "--precision", "float16"), "unknown module 'pt-en:9'"),
        (("es-en", "--precision", "float16", "--name", "a/b"), "a/b"),
        (
            ("es-en", "--precision", "float16", "--name", "es-en"),
            "es-en: is the name of a parent in float32, which never changes; expected a new name",
        ),
    ],
)
def test_misuse_is_one_line(registry_verb: Any, words: tuple[str, ...], problem: str) -> None:
    failed = registry_verb("convert", *words)
    assert (failed.code, failed.out) == (2, "")
    assert problem in failed.err
    assert "Traceback" not in failed.err
