"""Aliases with their history, tags, notes, and deletion that can be undone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from continual_mt.errors import IncompatibleError, UnknownNameError
from registry import Input, Lineage, Registry
from tests.registry.conftest import MakeModule, MakeParent


@pytest.fixture
def versions(filled: Registry, make_module: MakeModule, lineage: Lineage) -> Registry:
    """Three versions of de-en, and one of fr-es."""
    for seed in (5, 6):
        filled.register_module("base", make_module(filled.load_parent(), "de-en", seed=seed), lineage=lineage)
    return filled


def moves(registry: Registry, alias: str) -> list[tuple[int | None, int | None, str]]:
    return [(move.from_version, move.to_version, move.who) for move in registry.annotations.alias_history(alias)]


def test_an_alias_is_set_moved_and_removed_with_its_history(versions: Registry) -> None:
    first = versions.annotations.set_alias("de-en@champion", 1, who="ada")
    assert (first.full_name, first.module) == ("base/de-en@champion", "base/de-en:1")
    versions.annotations.set_alias("de-en@candidate", 3, who="ada")
    versions.annotations.set_alias("base/de-en@champion", "de-en@candidate", who="bob")
    versions.annotations.set_alias("de-en@champion", "de-en:3", who="eve")  # is there already
    assert versions.module("de-en@champion").version == 3
    assert versions.recipe_catalog.recipe("de", "en").modules[0].name == "base/de-en:3"
    assert [record.full_name for record in versions.annotations.aliases()] == [
        "base/de-en@candidate",
        "base/de-en@champion",
    ]
    versions.annotations.remove_alias("de-en@champion", who="eve")
    assert moves(versions, "de-en@champion") == [(None, 1, "ada"), (1, 3, "bob"), (3, None, "eve")]
    with pytest.raises(UnknownNameError, match="unknown module 'base/de-en@champion'"):
        versions.annotations.alias("de-en@champion")
    with pytest.raises(UnknownNameError, match="unknown module 'base/de-en@champion'"):
        versions.annotations.remove_alias("de-en@champion")
    assert versions.annotations.alias("de-en@candidate").version == 3


def test_a_move_can_depend_on_where_the_alias_is(versions: Registry) -> None:
    versions.annotations.set_alias("de-en@champion", 1, who="ada", expected=0)
    with pytest.raises(
        IncompatibleError,
        match=r"is at version 1, where ada moved it at .* UTC; it was expected at version 2, so it stays",
    ):
        versions.annotations.set_alias("de-en@champion", 3, expected=2)
    with pytest.raises(IncompatibleError, match="it was expected at none, so it stays"):
        versions.annotations.set_alias("de-en@champion", 3, expected=0)
    with pytest.raises(IncompatibleError, match="is at version 1"):
        versions.annotations.remove_alias("de-en@champion", expected=3)
    versions.annotations.set_alias("de-en@champion", 3, who="bob", expected=1)
    assert moves(versions, "de-en@champion") == [(None, 1, "ada"), (1, 3, "bob")]


def test_an_alias_never_leaves_its_pair(versions: Registry, make_parent: MakeParent, make_module: MakeModule) -> None:
    lineage = Lineage((), {}, "0.1.0")
    other = make_parent(seed=7)
    versions.register_parent("other", other, lineage=lineage)
    versions.register_module("other", make_module(other, "de-en", seed=8), lineage=lineage)
    for module in ("base/fr-es:1", "other/de-en:1"):
        with pytest.raises(IncompatibleError, match=f"cannot be set to {module}; an alias belongs to one pair"):
            versions.annotations.set_alias("base/de-en@champion", module)
    with pytest.raises(UnknownNameError, match="say which parent"):
        versions.annotations.set_alias("de-en@champion", 1)
    with pytest.raises(UnknownNameError, match="unknown module 'base/de-en:9'"):
        versions.annotations.set_alias("base/de-en@champion", 9)
    assert versions.annotations.aliases() == []


def test_two_processes_that_move_an_alias_leave_a_chain(
    versions: Registry, home: Path, start: Callable[..., Any]
) -> None:
    text = """
from registry import Registry
with Registry.open(home) as registry:
    for turn in range(8):
        registry.annotations.set_alias("de-en@champion", 1 + (turn + first) % 3, who=f"{first}")
"""
    children = [start(text, home=home, first=first) for first in (0, 1)]
    assert [child.exit_code() for child in children] == [0, 0]
    history = moves(versions, "de-en@champion")
    assert {who for _, _, who in history} == {"0", "1"}
    assert [before for before, _, _ in history] == [None, *(after for _, after, _ in history[:-1])]
    assert versions.annotations.alias("de-en@champion").version == history[-1][1]


def test_tags_and_notes(versions: Registry) -> None:
    versions.annotations.tag("de-en:1", "news", "checked")
    versions.annotations.tag("de-en:1", "checked", "v2.1")
    versions.annotations.note("de-en:1", "Numbers are wrong.\nLong sentences, too.", who="ada")
    versions.annotations.note("base", "from the web")
    found = versions.annotations.of(versions.module("de-en:1"))
    assert found.tags == ("checked", "news", "v2.1")
    assert [(note.text, note.who) for note in found.notes] == [("Numbers are wrong.\nLong sentences, too.", "ada")]
    [note] = versions.annotations.of(versions.parent()).notes
    assert "@" in note.who
    with pytest.raises(UnknownNameError, match=r"base/de-en:1 has no tag 'new'; it has: checked, news, v2\.1"):
        versions.annotations.untag("de-en:1", "checked", "new")
    with pytest.raises(UnknownNameError, match="base has no tag 'new'; it has none"):
        versions.annotations.untag("base", "new")
    versions.annotations.untag("de-en:1", "checked", "news")
    assert versions.annotations.of(versions.module("de-en:1")).tags == ("v2.1",)
    assert set(versions.annotations.of_parent("base")) == {"base", "base/de-en:1"}


def test_deletion_and_restoring(versions: Registry, make_module: MakeModule, lineage: Lineage) -> None:
    versions.annotations.tag("de-en:3", "news")
    kept = versions.module("de-en:3")
    assert versions.annotations.delete("de-en:3", who="ada") == "base/de-en:3"
    assert versions.module("de-en").version == 2
    deleted = "base/de-en:3 was deleted by ada; restore it with 'continual-mt registry restore base/de-en:3'"
    for verb in (
        versions.module,
        versions.annotations.delete,
        versions.annotations.tag,
        versions.load_module,
        versions.annotations.lineage,
    ):
        with pytest.raises(UnknownNameError, match=deleted):
            verb("de-en:3")
    with pytest.raises(UnknownNameError, match=deleted):
        versions.annotations.set_alias("de-en@champion", 3)
    again = versions.register_module("base", make_module(versions.load_parent(), "de-en", seed=9), lineage=lineage)
    assert again.version == 4
    assert versions.annotations.restore("de-en:3") == "base/de-en:3"
    assert versions.module("de-en:3") == kept
    assert versions.annotations.of(kept).tags == ("news",)
    with pytest.raises(IncompatibleError, match="base/de-en:3 is not deleted"):
        versions.annotations.restore("base/de-en:3")
    with pytest.raises(UnknownNameError, match="unknown deleted parent or module 'base/de-en:9'"):
        versions.annotations.restore("de-en:9")
    for verb in (versions.annotations.delete, versions.annotations.restore):
        with pytest.raises(UnknownNameError, match="de-en has no version; expected one, such as de-en:1"):
            verb("de-en")


def test_what_is_held_is_not_deleted(versions: Registry, make_module: MakeModule, lineage: Lineage) -> None:
    versions.annotations.set_alias("de-en@champion", 1)
    used = [Input("start", "base/de-en:2"), Input("replayed", "base"), Input("replayed", "base/de-en:2")]
    shared = replace(lineage, inputs=tuple(used), replay=0.2)
    versions.register_module("base", make_module(versions.load_parent(), "fr-pt"), lineage=shared)
    with pytest.raises(
        IncompatibleError,
        match="cannot be deleted: base/de-en@champion is set to it; move or remove the alias",
    ):
        versions.annotations.delete("de-en:1")
    with pytest.raises(
        IncompatibleError,
        match="de-en:2 cannot be deleted: base/fr-pt:1 went on from it and replayed it; delete the module first",
    ):
        versions.annotations.delete("de-en:2")
    with pytest.raises(
        IncompatibleError, match=r"base cannot be deleted: base/de-en:1 needs it, .*base/fr-pt:1 needs it"
    ):
        versions.annotations.delete("base")
    versions.annotations.delete("fr-pt:1")
    versions.annotations.delete("de-en:2")
    with pytest.raises(
        IncompatibleError, match="base/fr-pt:1 needs base/de-en:2, which was deleted, too; restore that first"
    ):
        versions.annotations.restore("fr-pt:1")
    versions.annotations.restore("de-en:2")
    versions.annotations.restore("fr-pt:1")


def test_a_parent_without_modules_can_be_deleted(registry: Registry, make_parent: MakeParent, lineage: Lineage) -> None:
    made = replace(lineage, job="1" * 64)
    registry.register_parent("base", make_parent(), lineage=made)
    registry.annotations.delete("base", who="ada")
    assert registry.parents() == registry.pairs() == []
    deleted = "base was deleted by ada; restore it with 'continual-mt registry restore base'"
    for verb in (registry.parent, registry.catalog.find, registry.catalog.check_not_deleted, registry.modules):
        with pytest.raises(UnknownNameError, match=deleted):
            verb("base")
    for parent, attempt in ((make_parent(), made), (make_parent(seed=3), lineage)):
        with pytest.raises(UnknownNameError, match=deleted):  # a name is never given to another
            registry.register_parent("base", parent, lineage=attempt)
    registry.annotations.restore("base")
    assert [parent.name for parent in registry.parents()] == ["base"]


def test_what_a_killed_driver_registered_and_somebody_deleted_stays_deleted(
    filled: Registry, make_module: MakeModule, lineage: Lineage
) -> None:
    module, made = make_module(filled.load_parent(), "pt-en"), replace(lineage, job="1" * 64)
    filled.register_module("base", module, lineage=made)
    filled.annotations.delete("pt-en:1")
    with pytest.raises(UnknownNameError, match="base/pt-en:1 was deleted by"):
        filled.register_module("base", module, lineage=made)
