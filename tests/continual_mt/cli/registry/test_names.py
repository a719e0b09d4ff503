from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from registry import Registry


@pytest.fixture
def registry_verb(run: Any, home: Path) -> Any:
    def call(*words: object) -> Any:
        return run("registry", *words, "--home", home)

    return call


def test_an_alias_is_set_shown_moved_and_removed(registry_verb: Any, run: Any, home: Path) -> None:
    first = registry_verb("alias", "pt-en@champion", 1, "--who", "ada")
    assert (first.code, first.err) == (0, "")
    assert first.out.splitlines()[0] == "es-en/pt-en@champion is es-en/pt-en:1"
    refused = registry_verb("alias", "pt-en@champion", "pt-en:1", "--if-at", 2)
    assert (refused.code, refused.out) == (2, "")
    assert "is at version 1, where ada moved it" in refused.err
    assert registry_verb("alias", "pt-en@champion").out == first.out
    assert run("translate", "pt-en", "--module", "pt-en@champion", "--home", home).code == 0
    removed = registry_verb("alias", "pt-en@champion", "--remove", "--json")
    assert [(move["from"], move["to"]) for move in json.loads(removed.out)["history"]] == [(None, 1), (1, None)]
    assert registry_verb("alias", "pt-en@champion").out.splitlines()[0] == "pt-en@champion is not set"
    for words, problem in (
        (("pt-en@champion", 9), "unknown module 'es-en/pt-en:9'"),
        (("pt-en@latest", 1), "'latest' cannot be an alias"),
        (("pt-en@other",), "unknown module 'es-en/pt-en@other'"),
        (("pt-en@champion", 1, "--remove"), "leave out 1"),
    ):
        failed = registry_verb("alias", *words)
        assert (failed.code, failed.out) == (2, "")
        assert problem in failed.err


def test_tags_and_notes_are_shown(registry_verb: Any) -> None:
    assert registry_verb("tag", "pt-en:1", "news", "checked").out == "name: es-en/pt-en:1\ntags: checked, news\n"
    assert json.loads(registry_verb("tag", "pt-en:1", "news", "--remove", "--json").out)["tags"] == ["checked"]
    noted = registry_verb("note", "pt-en", "Numbers are wrong.", "--who", "ada").out
    assert "note: Numbers are wrong. (ada, 20" in noted
    registry_verb("alias", "pt-en@champion", 1)
    shown = registry_verb("show", "pt-en@champion").out
    assert noted.splitlines()[-1] in shown.splitlines()
    for line in ("aliases: champion", "tags: checked", "alias history:"):
        assert line in shown.splitlines()
    listed = registry_verb("list").out.splitlines()
    assert "aliases" in listed[0]
    assert [line.split()[-5:-3] for line in listed if "pt-en:1" in line] == [["champion", "checked"]]
    module = json.loads(registry_verb("list", "--json").out)["modules"][1]
    assert (module["aliases"], module["tags"]) == (["champion"], ["checked"])
    for words in (("tag", "pt-en:1", "a/b"), ("note", "pt-en", "\x1b")):
        assert registry_verb(*words).code == 2


def test_deleting_and_restoring(registry_verb: Any, home: Path) -> None:
    assert registry_verb("list", "--deleted").err == "nothing is deleted\n"
    registry_verb("alias", "pt-en@champion", 1)
    held = registry_verb("delete", "pt-en:1")
    assert (held.code, held.out) == (2, "")
    assert "es-en/pt-en@champion is set to it; move or remove the alias first" in held.err
    registry_verb("alias", "pt-en@champion", "--remove")
    deleted = registry_verb("delete", "pt-en:1", "--who", "ada")
    assert deleted.err == ("deleted es-en/pt-en:1; 'continual-mt registry restore es-en/pt-en:1' brings it back\n")
    with Registry.open(home) as registry:
        assert [module.full_name for module in registry.modules()] == ["es-en/es-de:1"]
    listed = registry_verb("list", "--deleted").out
    assert "es-en/pt-en:1" in listed
    assert listed.rstrip().endswith("ada")
    assert json.loads(registry_verb("list", "--deleted", "--json").out)[0]["deleted"]["who"] == "ada"
    assert json.loads(registry_verb("restore", "pt-en:1", "--json").out) == {"restored": "es-en/pt-en:1"}
    assert registry_verb("restore", "pt-en:1").code == 2
