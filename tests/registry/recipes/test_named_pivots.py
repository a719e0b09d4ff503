"""Pivots by name and by digest, and names that are refused."""

from __future__ import annotations

import pytest

from continual_mt.errors import IncompatibleError, InputError, UnknownNameError
from continual_mt.inference.pivot_model import PivotModel
from continual_mt.languages import Pair
from registry import Lineage, Registry
from registry.database import schema
from tests.registry.conftest import MakeModule, MakeParent
from tests.registry.pivots import NAME, add_germanic, pivot


@pytest.fixture
def two(filled: Registry, make_parent: MakeParent, make_module: MakeModule, lineage: Lineage) -> Registry:
    add_germanic(filled, make_parent, make_module, lineage)
    return filled


def test_a_pivot_of_two_parents(two: Registry) -> None:
    found = pivot(two, "fr", "de", NAME)
    assert found.first == two.recipe_catalog.recipe("fr", "en", parent="base")
    assert found.second == two.recipe_catalog.recipe("en", "de", parent="germanic")
    assert found.pair == Pair("fr", "de")


def test_a_pivot_of_one_parent(filled: Registry, make_module: MakeModule, lineage: Lineage) -> None:
    """Without the parent's name; of the recipes of each leg the best is taken."""
    filled.register_module("base", make_module(filled.load_parent(), "es-en", seed=8), lineage=lineage)
    found = pivot(filled, "fr", "en", "pivot:fr-es+es-en")
    assert [leg.kind for leg in found.legs] == ["supervised", "supervised"]
    assert [key.name for key in found.modules] == ["base/fr-es:1", "base/es-en:1"]
    chained = filled.assemble("fr", "en", recipe="pivot:fr-es+es-en")
    alone = filled.assemble("es", "en").translate(filled.assemble("fr", "es").translate(["Ouvrir le fichier"]))
    assert chained.translate(["Ouvrir le fichier"]) == alone


def test_the_parent_of_legs_without_one(two: Registry) -> None:
    assert pivot(two, "fr", "de", "pivot:fr-en+germanic/en-de", parent="base") == pivot(two, "fr", "de", NAME)


def test_the_same_model_by_its_digest(two: Registry) -> None:
    """A row of its own, whose legs are rows; the models share the weights of the legs."""
    model = two.assemble("fr", "de", recipe=NAME)
    assert isinstance(model, PivotModel)
    digest = model.recipe.digest
    with two.database.read() as session:
        row = session.get_one(schema.Recipe, digest)
        assert (row.kind, row.source, row.target, row.parent.name) == ("pivot", "fr", "de", "base")
        assert (row.first_leg, row.second_leg) == tuple(leg.digest for leg in model.recipe.legs)
        assert (row.source_module, row.cross_attention_module, row.target_module) == (None, None, None)
        assert all(session.get(schema.Recipe, leg.digest) for leg in model.recipe.legs)
    again = two.assemble(digest[:12])
    assert again.recipe == model.recipe == two.recipe_catalog.recipe_of(digest)
    assert isinstance(again, PivotModel)
    first = two.assemble("fr", "en", parent="base")
    shared = {value.data_ptr() for value in first.transformer.parameters()}
    assert all(value.data_ptr() in shared for value in again.first.transformer.parameters())
    assert two.assemble(model.recipe.first.digest).recipe == model.recipe.first


def test_a_deleted_module_of_a_leg(two: Registry) -> None:
    recipe = two.assemble("fr", "pt", recipe="pivot:base/fr-en+germanic/en-pt").recipe
    two.annotations.delete("germanic/en-pt:1")
    with pytest.raises(UnknownNameError, match=r"^germanic/en-pt:1 was deleted by .*; restore it with"):
        two.recipe_catalog.recipe_of(recipe.digest)
    two.annotations.restore("germanic/en-pt:1")
    assert two.recipe_catalog.recipe_of(recipe.digest) == recipe


def test_versions_are_pinned(two: Registry, make_module: MakeModule, lineage: Lineage) -> None:
    name = "pivot:base/fr-en+germanic/en-pt"
    two.register_module("germanic", make_module(two.load_parent("germanic"), "en-pt", seed=9), lineage=lineage)
    assert pivot(two, "fr", "pt", name).modules[0].name == "germanic/en-pt:2"
    assert pivot(two, "fr", "pt", name, modules=["germanic/en-pt:1"]).modules[0].name == "germanic/en-pt:1"
    with pytest.raises(IncompatibleError, match=r"^base/de-en:1 has no part in the recipe pivot fr-pt through en"):
        pivot(two, "fr", "pt", name, modules=["base/de-en:1"])
    with pytest.raises(UnknownNameError, match=r"^say which parent: base, germanic"):
        pivot(two, "fr", "pt", name, modules=["en-pt:1"])
    with pytest.raises(InputError, match=r"^modules is a string; expected a list of names"):
        pivot(two, "fr", "pt", name, modules="germanic/en-pt:1")
    with pytest.raises(IncompatibleError, match=r"^germanic/en-pt:1 belongs to the parent germanic, not to base$"):
        pivot(two, "fr", "en", "pivot:base/fr-es+base/es-en", modules=["germanic/en-pt:1"])


WORKING = "Pivots of fr-de that can be run: pivot:base/fr-en+germanic/en-de"


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        (
            "pivot:base/fr-xx+germanic/xx-de",
            UnknownNameError,
            "pivot:base/fr-xx+germanic/xx-de: no language has the tag 'xx'; expected a registered BCP 47 tag, for "
            "example de or pt-BR; expected pivot:PAIR+PAIR, such as pivot:pt-en+en-de, with PARENT/ in front of a pair "
            "where there are several parents",
        ),
        (
            "pivot:base/fr-nl+germanic/nl-de",
            UnknownNameError,
            "pivot:base/fr-nl+germanic/nl-de: unknown pair 'fr-nl' (did you mean fr-en?); expected one of: de-en, "
            f"de-es, es-en, fr-en, fr-es. {WORKING}",
        ),
        (
            "pivot:base/fr-en+germanic/es-de",
            IncompatibleError,
            "pivot:base/fr-en+germanic/es-de: the legs fr-en and es-de do not meet: the first translates into en, the "
            f"second from es; expected a second leg from en. {WORKING}",
        ),
        (
            "pivot:base/fr-en+base/en-fr",
            IncompatibleError,
            "pivot:base/fr-en+base/en-fr: the legs fr-en and en-fr end in fr, where they begin; expected a second leg "
            f"into another language. {WORKING}",
        ),
        (
            "pivot:base/fr-en+germanic/en-pt",
            IncompatibleError,
            f"pivot:base/fr-en+germanic/en-pt: translates fr-pt; expected a pivot of fr-de. {WORKING}",
        ),
        (
            "pivot:fr-en",
            UnknownNameError,
            "pivot:fr-en: has 1 legs; expected pivot:PAIR+PAIR, such as pivot:pt-en+en-de, with PARENT/ in front of a "
            "pair where there are several parents",
        ),
        (
            "pivot:fr-en+en-de",
            UnknownNameError,
            "pivot:fr-en+en-de: say which parent: base, germanic",
        ),
        (
            "pivot:latin/fr-en+germanic/en-de",
            UnknownNameError,
            f"pivot:latin/fr-en+germanic/en-de: unknown parent 'latin'; expected one of: base, germanic. {WORKING}",
        ),
    ],
)
def test_names_that_are_refused(two: Registry, name: str, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as refused:
        two.assemble("fr", "de", recipe=name)
    assert str(refused.value).startswith(message)


def test_what_else_is_refused(two: Registry) -> None:
    with pytest.raises(IncompatibleError, match=r"^xattn parent: .* two cross-attentions; expected none\. Fix: leave"):
        two.assemble("fr", "de", recipe=NAME, xattn="parent")
    with pytest.raises(IncompatibleError, match=r"No pivot of es-fr can be run now\. Fix: add a pair from es"):
        two.assemble("es", "fr", recipe="pivot:base/es-en+germanic/de-fr")
    with pytest.raises(UnknownNameError, match=r"expected original, .*MODULE, bridge:MODULE, pivot:PAIR\+PAIR"):
        two.assemble("fr", "en", parent="base", recipe="pivots")


def test_a_pivot_is_never_chosen_unasked(two: Registry) -> None:
    two.assemble("fr", "de", recipe=NAME)
    assert Pair("fr", "de") not in {entry.pair for entry in two.pairs()}
    with pytest.raises(UnknownNameError, match=r"^unknown pair 'fr-de'"):
        two.assemble("fr", "de", parent="base")
