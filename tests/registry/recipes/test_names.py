"""Recipes by name, and names that are refused."""

from __future__ import annotations

import pytest

from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.pivot import AnyRecipe
from continual_mt.errors import IncompatibleError, UnknownNameError
from registry import Lineage, Registry
from tests.registry.conftest import MakeModule


def recipe(registry: Registry, pair: str, name: str, **choice: str) -> AnyRecipe:
    source, target = pair.split("-")
    return registry.recipe_catalog.recipe(source, target, kind=name, **choice)  # type: ignore[arg-type]


def test_kinds_and_what_is_named_with_them(filled: Registry) -> None:
    assert recipe(filled, "fr-en", "original").kind == "original"
    assert recipe(filled, "fr-en", "retention:de-en:1", parent="base").kind == "retention"
    assert recipe(filled, "de-en", "supervised") == recipe(filled, "de-en", "base/de-en:1")
    assert recipe(filled, "de-es", "zero-shot").kind == "zero-shot"


def test_a_module_stands_for_the_recipe_of_its_version(
    filled: Registry, make_module: MakeModule, parent: Parent, lineage: Lineage
) -> None:
    filled.register_module("base", make_module(parent, "de-en", seed=4), lineage=lineage)
    recipes = [recipe(filled, "de-en", name) for name in ("de-en:1", "de-en:2")]
    assert [str(one) for one in recipes] == [
        f"supervised de-en: source base/de-en:{version}, xattn base/de-en:{version}, target base" for version in (1, 2)
    ]
    assert recipe(filled, "de-en", "supervised") == recipes[1]
    filled.annotations.set_alias("de-en@champion", 1)
    assert recipe(filled, "de-en", "de-en@champion") == recipes[0]


def test_names_of_no_recipe(filled: Registry) -> None:
    with pytest.raises(
        UnknownNameError, match=r"unknown recipe 'best'; expected original, supervised, bridge, pivot, zero-shot, ret"
    ):
        recipe(filled, "fr-en", "best")
    with pytest.raises(IncompatibleError, match="base/fr-es:1 was trained on fr-es, so it is no recipe of de-en"):
        recipe(filled, "de-en", "fr-es:1")
    with pytest.raises(UnknownNameError, match=r"unknown module 'de-en:7'"):
        recipe(filled, "de-en", "de-en:7")
    with pytest.raises(
        IncompatibleError, match=r"^bridge:de-en: base/de-en:1 is no bridge: it brings a language\. Fix: name"
    ):
        recipe(filled, "de-en", "bridge:de-en")
    with pytest.raises(UnknownNameError, match=r"^de-es has no pivot through trained pairs of one parent\. No"):
        recipe(filled, "de-es", "pivot")
