from __future__ import annotations

from itertools import combinations, product
from math import hypot, isclose

import pytest

from continual_mt.artifacts.parent_languages import ParentLanguages, ParentSide
from continual_mt.artifacts.recipe import RecipeKind
from continual_mt.languages import Pair
from dashboards.views.views import PairCell, PairMatrix, pair_matrix
from dashboards.views.web import Web, curve, made_of
from registry import Lineage, Registry
from tests.registry.conftest import MakeModule, MakeParent
from tests.registry.pivots import NAME, add_germanic, pivot

FR_EN = ParentLanguages.of_pair(Pair("fr", "en"))


def cell(pair: str, kind: RecipeKind, value: float | None = None) -> PairCell:
    return PairCell(Pair.parse(pair), kind, "", value, "")


def web_of(*cells: PairCell, parent: ParentLanguages = FR_EN) -> Web:
    return Web.of(PairMatrix.of("bleu", cells), parent)


def pairs_of(cells: list[PairCell]) -> set[str]:
    return {str(one.pair) for one in cells}


@pytest.fixture
def small(filled: Registry) -> Web:
    return Web.of(pair_matrix(filled.pairs(), filled.scores(), "bleu"), filled.parent().languages)


def test_sources_lie_on_the_left_of_the_parent_and_targets_on_the_right(small: Web) -> None:
    assert {name: node.role for name, node in small.nodes.items()} == {
        "en": "parent",
        "fr": "parent",
        "es": "target",
        "de": "source",
    }
    de, en, fr, es = (small.nodes[language].x for language in ("de", "en", "fr", "es"))
    assert de < en < fr < es  # so that arcs from de to en and from fr to es do not cross


def test_no_three_of_few_languages_lie_on_one_line(small: Web) -> None:
    for a, b, c in combinations(small.nodes.values(), 3):
        assert abs((b.x - a.x) * (c.y - a.y) - (c.x - a.x) * (b.y - a.y)) > 0.1


def test_the_same_languages_lie_at_the_same_places_in_any_order() -> None:
    cells = [cell("fr-en", "original"), cell("de-en", "supervised"), cell("fr-es", "supervised")]
    assert web_of(*cells).nodes == web_of(*cells[::-1]).nodes


def test_a_language_on_both_ends_lies_between_sources_and_targets() -> None:
    cells = [cell("fr-en", "original"), *(cell(pair, "supervised") for pair in ("de-en", "es-en", "fr-es", "fr-it"))]
    nodes = web_of(*cells).nodes
    assert nodes["es"].role == "both"
    assert nodes["de"].x < nodes["es"].x < nodes["it"].x


def test_many_languages_of_a_parent_lie_within_the_others() -> None:
    tags = [f"q{letter}a" for letter in "abcdefghijklmnopqrst"]
    sides = tuple(ParentSide(tag, tag) for tag in tags)
    cells = [cell(f"{source}-{target}", "original") for source, target in product(tags[:5], tags) if source != target]
    web = web_of(*cells, cell("de-qaa", "supervised"), parent=ParentLanguages(sides, sides))
    assert {node.language for node in web.nodes.values() if hypot(node.x, node.y) < 0.7} == set(tags)
    assert isclose(hypot(web.nodes["de"].x, web.nodes["de"].y), 1)


def test_two_hundred_languages_have_separate_places() -> None:
    letters = "abcdefghijklmnopqrst"
    tags = [f"q{a}{b}" for a, b in product(letters[:10], letters)]
    sources, targets = tags[::2], tags[1::2]
    cells = [cell(f"{source}-en", "supervised") for source in sources]
    cells += [cell(f"fr-{target}", "supervised") for target in targets]
    cells += [cell(f"{source}-{target}", "zero-shot") for source, target in product(sources, targets)]
    web = web_of(cell("fr-en", "original"), *cells)
    assert len(web.nodes) == 202
    assert min(hypot(a.x - b.x, a.y - b.y) for a, b in combinations(web.nodes.values(), 2)) > 0.03
    assert len(web.shown()) == 201
    assert len(web.shown(sources[0])) == 201 + 100
    assert web.neighbours(sources[0]) == {sources[0], "en", *targets}


def test_untrained_pairs_are_shown_for_a_chosen_language_or_by_name() -> None:
    web = web_of(
        cell("fr-en", "original"),
        cell("de-en", "supervised"),
        cell("fr-es", "supervised"),
        cell("nl-es", "bridge"),
        cell("de-es", "zero-shot"),
        cell("de-pt", "pivot"),
        cell("nl-pt", "pivot"),
    )
    trained = {"fr-en", "de-en", "fr-es", "nl-es"}
    assert pairs_of(web.shown()) == trained
    assert pairs_of(web.shown("de")) == trained | {"de-es", "de-pt"}
    assert pairs_of(web.shown("pt")) == trained | {"de-pt", "nl-pt"}
    assert pairs_of(web.shown(pairs=[Pair("de", "es")])) == trained | {"de-es"}


def test_a_recipe_is_made_of_its_modules_pairs(filled: Registry) -> None:
    recipe = filled.recipe_catalog.recipe("de", "es")
    assert [str(pair) for pair in made_of(recipe)] == ["de-es", "de-en", "fr-es"]
    assert made_of(filled.recipe_catalog.recipe("fr", "en")) == (Pair("fr", "en"),)


def test_a_pivot_is_made_of_its_legs(
    filled: Registry, make_parent: MakeParent, make_module: MakeModule, lineage: Lineage
) -> None:
    add_germanic(filled, make_parent, make_module, lineage)
    assert [str(pair) for pair in made_of(pivot(filled, "fr", "de", NAME))] == ["fr-de", "fr-en", "en-de"]


def test_the_arcs_of_both_directions_do_not_cover_each_other(small: Web) -> None:
    there, back = (curve(small.nodes[a], small.nodes[b], 11) for a, b in (("de", "es"), ("es", "de")))
    assert len(there) == 11
    assert min(hypot(a[0] - b[0], a[1] - b[1]) for a, b in zip(there[2:-2], back[-3:1:-1], strict=True)) > 0.05
    assert hypot(there[0][0] - small.nodes["de"].x, there[0][1] - small.nodes["de"].y) < 0.1
