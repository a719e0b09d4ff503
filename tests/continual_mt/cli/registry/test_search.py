from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from registry.queries.search_syntax import FIELDS


def test_search_as_lines(run: Any, shared_home: Path) -> None:
    found = run("registry", "search", "language=pt", "side=source", "--home", shared_home)
    assert (found.code, found.err) == (0, "1 found\n")
    assert [line.split()[0] for line in found.out.splitlines()] == ["name", "es-en/pt-en:1"]
    some = run("registry", "search", "--limit", 1, "--home", shared_home)
    assert some.err == "3 found; 1 are shown, --limit shows more\n"
    none = run("registry", "search", "bleu>31 tag=news", "--home", shared_home)
    assert (none.code, none.out, none.err) == (0, "", "0 found\n")


def test_search_as_json(run: Any, shared_home: Path) -> None:
    found = json.loads(run("registry", "search", "bleu>=30.04 test=test", "--json", "--home", shared_home).out)
    assert found["total"] == 1
    assert (found["found"][0]["kind"], found["found"][0]["name"]) == ("parent", "es-en")


@pytest.mark.parametrize(
    ("query", "problem"),
    [("lang=pt", "'lang=pt': unknown field 'lang' (did you mean language?)"), ("pt", "'pt': invalid condition")],
)
def test_the_word_at_fault_is_named(run: Any, shared_home: Path, query: str, problem: str) -> None:
    result = run("registry", "search", query, "--home", shared_home)
    assert (result.code, result.out) == (2, "")
    assert problem in result.err


def test_the_help_names_every_field(run: Any) -> None:
    words = " ".join(run("registry", "search", "--help").out.split())
    assert all(field in words for field in FIELDS)


def test_lineage(run: Any, shared_home: Path) -> None:
    shown = run("registry", "lineage", "pt-en:1", "--home", shared_home).out
    assert shown.startswith("es-en/pt-en:1\n\nmade from:\nrole")
    assert "de-en" not in shown
    assert "400 sentences, licence BSD-3-Clause" in shown
    assert "recipe  zero-shot pt-de" in shown
    as_json = json.loads(run("registry", "lineage", "es-en", "--json", "--home", shared_home).out)
    held = [relation["name"] for relation in as_json["dependents"] if relation["holds"]]
    assert held == ["es-en/es-de:1", "es-en/pt-en:1"]
    assert run("registry", "lineage", "es-de:1", "--home", shared_home).out.count("recipe ") == 1
