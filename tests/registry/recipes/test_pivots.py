"""The pivots within one parent, over records alone."""

from __future__ import annotations

import pytest

from continual_mt.artifacts.parent_languages import ParentLanguages, ParentSide
from continual_mt.languages import NewSide, Pair
from registry.queries.recipe_resolver import RecipeResolver
from registry.queries.version_selection import SelectionPolicy
from registry.recipes.pivots import PivotFinder
from registry.records.artifacts import ModuleOutline, ParentOutline


def side(*tags: str) -> tuple[ParentSide, ...]:
    return tuple(ParentSide(tag, tag) for tag in tags)


ONE = ParentOutline("base", ParentLanguages.of_pair(Pair("fr", "en")), "f" * 64)
MANY = ParentOutline("many", ParentLanguages(side("en", "fr", "es"), side("en", "fr", "es")), "f" * 64)


def finder(parent: ParentOutline, *names: str, policy: SelectionPolicy | None = None) -> PivotFinder:
    """Of modules such as ``de-en``, which brings a source, ``fr>de``, a target, and ``de=es``, a bridge."""
    sides: dict[str, NewSide] = {"-": "source", ">": "target", "=": "none"}
    modules = []
    for place, name in enumerate(names):
        sign = next(sign for sign in sides if sign in name)
        pair = Pair(*name.split(sign))
        modules.append(ModuleOutline(parent.name, pair, 1, sides[sign], "xattn", f"{place}", place=place))
    return PivotFinder(RecipeResolver.of(parent, modules, policy or SelectionPolicy()))


def through(found: PivotFinder, pair: str) -> list[str]:
    return [pivot.language for pivot in found.of_pair(Pair.parse(pair))]


@pytest.mark.parametrize(
    ("modules", "pivots"),
    [
        ([], {}),
        (["de-en", "fr>it"], {}),  # no language in between
        (["de=it", "it-en"], {"de-en": ["it"]}),
        (["de=it", "it=pt"], {"de-pt": ["it"]}),
        (["de=fr"], {"de-en": ["fr"]}),
        (["en=it"], {"fr-it": ["en"]}),
        (["de=fr", "en=it"], {"de-en": ["fr"], "fr-it": ["en"]}),
    ],
)
def test_both_legs_are_trained_or_one_is_the_parents(modules: list[str], pivots: dict[str, list[str]]) -> None:
    found = finder(ONE, *modules)
    assert {str(pair) for pair in found.pairs()} == set(pivots)
    assert {pair: through(found, pair) for pair in pivots} == pivots


def test_the_parents_own_pairs_and_a_language_beside_itself_have_none() -> None:
    found = finder(MANY, "de-en", "en>de")
    assert through(found, "fr-es") == []
    assert {str(pair) for pair in found.pairs()} == {"de-fr", "de-es", "fr-de", "es-de"}


def test_a_trained_pair_may_have_a_pivot_and_is_not_listed_with_those_that_have_only_one() -> None:
    found = finder(MANY, "de-en", "de-fr")
    assert through(found, "de-fr") == ["en"]
    assert {str(pair) for pair in found.pairs()} == {"de-es"}


def test_more_trusted_legs_come_first_then_the_parents_languages_then_the_tag() -> None:
    assert through(finder(MANY, "de-fr", "de=en"), "de-es") == ["fr", "en"]
    assert through(finder(ONE, "de=aa", "aa=it", "de=fr", "fr=it", "de=zu", "zu=it"), "de-it") == ["fr", "aa", "zu"]
    assert through(finder(MANY, "de-fr", "de-en"), "de-es") == ["en", "fr"]


def test_of_many_pairs_those_with_one_of_the_parents_languages_are_limited() -> None:
    found = finder(MANY, "de-en", "en>it")
    assert {str(pair) for pair in found.pairs(among=())} == {"de-it"}
    assert {str(pair) for pair in found.pairs(among={Pair("de", "fr")})} == {"de-it", "de-fr"}


def test_pivots_run_with_the_modules_that_the_caller_names() -> None:
    pinned = SelectionPolicy(pinned={Pair("de", "en"): 1})
    (pivot,) = finder(MANY, "de-en", policy=pinned).of_pair(Pair("de", "fr"))
    assert [leg.kind for leg in pivot.legs] == ["supervised", "original"]
    assert [key.name for key in pivot.modules] == ["many/de-en:1"]


def test_a_parent_that_only_restores_text_has_no_legs() -> None:
    languages = ParentLanguages(side("en", "fr"), side("en", "fr"), denoising=True)
    found = finder(ParentOutline("mbart", languages, "f" * 64), "de-en", "en>it")
    assert {str(pair) for pair in found.pairs()} == {"de-it"}
