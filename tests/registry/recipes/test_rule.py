"""The rule of choice, on a registry with three versions, a bridge, pivots and a zero-shot pair."""

from __future__ import annotations

import pytest

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.pivot import AnyRecipe, Pivot
from continual_mt.artifacts.recipe import Recipe, RecipeKind
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.errors import IncompatibleError, UnknownNameError
from continual_mt.languages import Pair
from continual_mt.model.scopes import trainable_names
from registry import Lineage, Registry
from tests.registry.conftest import ARCHITECTURE, MakeModule, MakeParent, random_tensors
from tests.registry.scored import score
from tests.registry.web import WEB, rest


def kind(registry: Registry, pair: str, **choice: object) -> str:
    source, target = pair.split("-")
    return registry.recipe_catalog.recipe(source, target, **choice).kind  # type: ignore[arg-type]


def reason(registry: Registry, pair: str, **choice: object) -> str:
    source, target = pair.split("-")
    return registry.recipe_catalog.choice(source, target, **choice).reason  # type: ignore[arg-type]


def named(registry: Registry, pair: str, name: str) -> AnyRecipe:
    source, target = pair.split("-")
    return registry.recipe_catalog.recipe(source, target, kind=name)


def test_without_a_test_set_the_order_of_kinds_decides(web: Registry) -> None:
    assert {str(entry.pair): entry.kind for entry in web.pairs()} == WEB
    assert reason(web, "fr-en") == "nothing else can be run"
    assert reason(web, "de-es") == "bridge comes before zero-shot"
    assert reason(web, "de-pt") == "pivot comes before zero-shot"
    assert reason(web, "de-en") == "it is the newest version"
    assert reason(web, "de-pt", pivot=False) == "pivots are left out"


def test_a_pivot_costs_two_models(web: Registry) -> None:
    entry = next(entry for entry in web.pairs() if str(entry.pair) == "de-pt")
    assert (entry.models, entry.parent, entry.to_json()["models"]) == (2, "base", 2)
    assert isinstance(entry.recipe, Pivot)
    assert [str(leg.pair) for leg in entry.recipe.legs] == ["de-es", "es-pt"]


def test_what_is_named_comes_first_and_then_the_champion(web: Registry) -> None:
    assert reason(web, "de-en", modules=["de-en:1"]) == "you named de-en:1"
    assert reason(web, "de-en", kind="de-en:1") == "you named de-en:1"
    assert reason(web, "de-es", kind="zero-shot") == "you named zero-shot"
    web.annotations.set_alias("de-en@champion", 1)
    score(web, named(web, "de-en", "de-en:2"), 40)
    for choice in ({}, {"test": "flickr"}):
        assert reason(web, "de-en", **choice) == "the alias de-en@champion is set to de-en:1"
    assert reason(web, "de-en", kind="de-en:2") == "you named de-en:2"


def test_the_best_on_a_test_set_of_the_pair(web: Registry) -> None:
    for name, right in (("bridge", 10), ("zero-shot", 30)):
        score(web, named(web, "de-es", name), right)
    assert kind(web, "de-es") == "bridge"
    assert kind(web, "de-es", test="flickr") == "zero-shot"
    assert reason(web, "de-es", test="flickr").startswith("its BLEU on flickr is 7")
    assert reason(web, "de-es", test="flickr").endswith("that of bridge base/de-es:1 31.4, p = 0.001")
    # Of nl-es neither recipe has a score: what won on de-es is taken there, too.
    listed = {str(entry.pair): entry.kind for entry in web.pairs(test="flickr")}
    assert listed == WEB | {"de-es": "zero-shot", "nl-es": "zero-shot"}


def test_what_would_be_taken_gives_way_only_beyond_chance(web: Registry) -> None:
    score(web, named(web, "de-es", "bridge"), 20)
    score(web, named(web, "de-es", "zero-shot"), 21)
    assert kind(web, "de-es", test="flickr") == "bridge"
    assert "of zero-shot on flickr is not beyond chance above its" in reason(web, "de-es", test="flickr")
    score(web, named(web, "de-es", "bridge"), 22)
    assert reason(web, "de-es", test="flickr").startswith("it has the highest BLEU on flickr, ")


def test_what_has_no_score_comes_last(web: Registry) -> None:
    score(web, named(web, "de-es", "zero-shot"), 5)
    assert kind(web, "de-es", test="flickr") == "zero-shot"
    assert reason(web, "de-es", test="flickr") == "it alone has a score on flickr"


def test_translations_that_were_not_kept_show_nothing(web: Registry) -> None:
    score(web, named(web, "de-es", "bridge"), 5)
    score(web, named(web, "de-es", "zero-shot"), 40, keep=False)
    assert kind(web, "de-es", test="flickr") == "bridge"
    assert "the translations of flickr were not kept, so that nothing shows whether" in reason(
        web, "de-es", test="flickr"
    )


@pytest.mark.parametrize(
    ("right", "expected", "told"),
    [
        ({"pivot": 10, "zero-shot": 30}, "zero-shot", "zero-shot is better than pivot by"),
        ({"pivot": 30, "zero-shot": 10}, "pivot", "zero-shot is worse than pivot by"),
        ({"pivot": 20, "zero-shot": 21}, "pivot", "zero-shot is not beyond chance better than pivot: "),
    ],
)
def test_kinds_are_chosen_by_other_pairs(web: Registry, right: dict[RecipeKind, int], expected: str, told: str) -> None:
    """``de-pt`` has no score; of ``nl-pt``, its pivot and its zero-shot recipe have one."""
    for name, count in right.items():
        score(web, named(web, "nl-pt", name), count)
    assert kind(web, "de-pt") == "pivot"
    assert kind(web, "de-pt", test="flickr") == expected
    found = reason(web, "de-pt", test="flickr")
    assert found.startswith(f"on flickr, in the mean of one pair with scores of both, {told}")
    assert {str(entry.pair): entry.kind for entry in web.pairs(test="flickr")}["de-pt"] == expected


def test_versions_decide_what_zero_shot_pairs_are_made_of(web: Registry) -> None:
    """On the data of the trained pair; the newest stays unless another one is better beyond chance."""
    score(web, named(web, "de-en", "de-en:1"), 30)
    score(web, named(web, "de-en", "de-en:2"), 10)
    for pair, choice in (("de-en", {}), ("de-pt", {"kind": "zero-shot"})):
        source, target = pair.split("-")
        recipe = web.recipe_catalog.recipe(source, target, test="flickr", **choice)  # type: ignore[arg-type]
        assert isinstance(recipe, Recipe)
        assert recipe.source is not None
        assert recipe.source.name == "base/de-en:1"


def test_candidates_are_told_with_their_scores(web: Registry) -> None:
    value = score(web, named(web, "de-es", "zero-shot"), 30)
    choice = web.recipe_catalog.choice("de", "es")
    assert [(one.recipe.kind, one.score, one.models, one.note) for one in choice.candidates] == [
        ("bridge", None, 1, "chosen"),
        ("zero-shot", value, 1, "comes later"),
    ]
    by_test = web.recipe_catalog.choice("de", "es", test="flickr")
    assert [(one.recipe.kind, one.test, one.note) for one in by_test.candidates] == [
        ("zero-shot", "flickr", "chosen"),
        ("bridge", None, "no score"),
    ]
    versions = web.recipe_catalog.choice("de", "en").candidates
    assert [(str(one.recipe.modules[0].name), one.note) for one in versions] == [
        ("base/de-en:2", "chosen"),
        ("base/de-en:1", "another version"),
    ]


def test_a_model_tells_why_its_recipe_was_chosen(web: Registry) -> None:
    model = web.assemble("de", "pt")
    assert model.why is not None
    assert (model.why.chosen, model.why.pair, model.why.reason) == (
        model.recipe,
        Pair("de", "pt"),
        "pivot comes before zero-shot",
    )
    assert str(model.why).endswith("; pivot comes before zero-shot")
    assert [one["note"] for one in model.why.to_json()["candidates"]] == ["chosen", "comes later"]  # type: ignore[attr-defined]
    alone = web.assemble("de", "pt", pivot=False)
    assert alone.why is not None
    assert [one.recipe.kind for one in alone.why.candidates] == ["zero-shot"]
    assert web.assemble(model.recipe.digest).why is None  # type: ignore[union-attr]


def test_pinned_modules_have_a_part_in_what_is_chosen(web: Registry) -> None:
    """The pivot of ``de-pt`` goes through es and has no part for the bridge of nl."""
    assert kind(web, "de-pt", modules=["fr-pt:1"]) == "pivot"
    assert kind(web, "de-pt", modules=["es-pt:1"]) == "pivot"
    assert kind(web, "de-pt", modules=["de-en:2"]) == "zero-shot"  # the bridge rests on de-en:1
    assert {str(entry.pair): entry.kind for entry in web.pairs(modules=["de-en:2"])}["de-pt"] == "zero-shot"
    with pytest.raises(IncompatibleError, match=r"^base/nl-en:1 has no part in the recipe pivot de-pt through es"):
        web.recipe_catalog.recipe("de", "pt", modules=["nl-en:1"])


def test_a_test_set_without_a_score_of_the_parent(web: Registry) -> None:
    with pytest.raises(UnknownNameError, match=r"^unknown test set 'flickr': none is registered yet$"):
        web.recipe_catalog.recipe("de", "es", test="flickr")


@pytest.mark.parametrize("choice", [{}, {"pivot": False}, {"test": "flickr"}, {"modules": ["de-en:1"]}])
def test_lists_and_single_pairs_agree(web: Registry, choice: dict[str, object]) -> None:
    for pair, name, right in (("de-es", "zero-shot", 30), ("de-es", "bridge", 10), ("de-en", "de-en:1", 35)):
        score(web, named(web, pair, name), right)
    for entry in web.pairs(**choice):  # type: ignore[arg-type]
        used = choice
        if "modules" in choice and entry.pair.source != "de":
            used = {}
        ends = entry.pair.source, entry.pair.target
        assert web.recipe_catalog.recipe(*ends, **used) == entry.recipe, entry.pair  # type: ignore[arg-type]


def test_a_pinned_version_brings_back_the_bridge_that_rests_on_it(
    web: Registry, lineage: Lineage, tokenizers: dict[str, Tokenizer]
) -> None:
    """de-es:2 rests on de-en:2, de-es:1 on de-en:1."""
    rest(web, "de-es", (web.module("de-en:2"), web.module("fr-es:1")), lineage, tokenizers, seed=21)
    for version in (1, 2):
        pinned = [f"de-en:{version}"]
        entry = next(entry for entry in web.pairs(modules=pinned) if str(entry.pair) == "de-es")
        assert f"base/de-es:{version}" in {key.name for key in entry.recipe.modules}
        assert web.recipe_catalog.recipe("de", "es", modules=pinned) == entry.recipe


def test_of_two_versions_with_the_same_content_the_newer_is_named(
    web: Registry, make_module: MakeModule, lineage: Lineage
) -> None:
    web.register_module("base", make_module(web.load_parent(), "de-en", seed=16), lineage=lineage)
    recipe = web.recipe_catalog.recipe("de", "en")
    assert [key.name for key in recipe.modules] == ["base/de-en:3"]
    assert kind(web, "de-en", modules=["de-en:2"]) == "supervised"
    assert reason(web, "de-en", modules=["de-en:2"]) == "you named de-en:2"


def test_a_champion_does_not_fix_what_is_not_of_it(web: Registry) -> None:
    web.annotations.set_alias("de-es@champion", 1)
    assert reason(web, "de-es") == "the alias de-es@champion is set to de-es:1"
    assert reason(web, "de-es", kind="zero-shot") == "you named zero-shot"


def test_test_sets_of_one_name_are_not_mixed(web: Registry) -> None:
    """zero-shot is better on another set of the same name, and with another beam; most have a score on one of them."""
    score(web, named(web, "de-es", "bridge"), 30)
    score(web, named(web, "de-es", "zero-shot"), 20)
    score(web, named(web, "de-es", "zero-shot"), 40, beam=9)
    assert kind(web, "de-es", test="flickr") == "bridge"
    assert reason(web, "de-es", test="flickr").startswith("it has the highest BLEU on flickr, ")


def test_a_text_that_is_missing_ends_no_choice(web: Registry, caplog: pytest.LogCaptureFixture) -> None:
    score(web, named(web, "de-es", "bridge"), 5)
    score(web, named(web, "de-es", "zero-shot"), 40)
    blob = web.scores(recipe=named(web, "de-es", "zero-shot").digest)[0].hypotheses
    web.blobs.remove(str(blob))
    assert kind(web, "de-es", test="flickr") == "bridge"
    assert "de-es is not compared on flickr: " in caplog.text


def test_a_cross_attention_is_exchanged_in_a_recipe_of_one_model(web: Registry) -> None:
    assert kind(web, "de-pt") == "pivot"
    recipe = web.recipe_catalog.recipe("de", "pt", xattn="parent")
    assert isinstance(recipe, Recipe)
    assert (recipe.kind, recipe.cross_attention) == ("zero-shot", None)


def test_what_is_named_where_kinds_cannot_be_run(web: Registry) -> None:
    with pytest.raises(IncompatibleError, match=r"^base/de-es:1 has no part in the recipe zero-shot de-pt"):
        web.recipe_catalog.recipe("de", "pt", kind="zero-shot", modules=["de-es:1"])
    with pytest.raises(UnknownNameError, match=r"^unknown pair 'es-de'.*; expected one of: .*nl-pt"):
        web.recipe_catalog.recipe("es", "de")


def test_nothing_is_compared_between_test_sets_of_one_name(web: Registry) -> None:
    """Each recipe has a score on a set named flickr, but with another beam: nothing is taken from that."""
    score(web, named(web, "de-es", "bridge"), 10, beam=9)
    score(web, named(web, "de-es", "zero-shot"), 40)
    assert kind(web, "de-es", test="flickr") == "bridge"
    assert "on different test sets named flickr, or with different beams" in reason(web, "de-es", test="flickr")
    notes = [one.note for one in web.recipe_catalog.choice("de", "es", test="flickr").candidates]
    assert sorted(notes) == ["chosen", "scored on another test set of this name"]
    assert [one.note for one in web.recipe_catalog.choice("de", "es").candidates] == ["chosen", "comes later"]


def test_what_is_left_out_is_named(web: Registry, lineage: Lineage, tokenizers: dict[str, Tokenizer]) -> None:
    assert reason(web, "de-pt", modules=["de-en:2"]) == "you named de-en:2"
    assert reason(web, "fr-pt", kind="pivot") == "you named pivot"
    assert web.recipe_catalog.choice("de", "en", kind="de-en:1").candidates[0].note == "chosen"
    with pytest.raises(UnknownNameError, match=r"^unknown test set 'nosuch'"):
        web.recipe_catalog.recipe("de", "en", kind="de-en:1", test="nosuch")
    with pytest.raises(UnknownNameError, match=r"^unknown parent 'nope'"):
        web.recipe_catalog.recipe("de", "pt", kind="pivot:base/de-es+base/es-pt", parent="nope")


def test_what_lost_by_its_kind_did_not_come_later(web: Registry) -> None:
    score(web, named(web, "nl-pt", "pivot"), 10)
    score(web, named(web, "nl-pt", "zero-shot"), 30)
    choice = web.recipe_catalog.choice("de", "pt", test="flickr")
    assert [(one.recipe.kind, one.note) for one in choice.candidates] == [
        ("zero-shot", "chosen"),
        ("pivot", "its kind is worse on other pairs"),
    ]


def test_the_parent_in_the_names_of_modules(web: Registry, make_parent: MakeParent, lineage: Lineage) -> None:
    web.register_parent("other", make_parent("en-de", seed=7), lineage=lineage)
    for choice in ({"modules": ["base/de-en:1"]}, {"kind": "base/de-en:1"}):
        chosen = web.recipe_catalog.recipe("de", "en", **choice)  # type: ignore[arg-type]
        assert [key.name for key in chosen.modules] == ["base/de-en:1"]
    assert {entry.parent for entry in web.pairs(modules=["base/de-en:1"])} == {"base"}
    with pytest.raises(UnknownNameError, match=r"^say which parent: base, other"):
        web.recipe_catalog.recipe("de", "en", modules=["de-en:1"])
    with pytest.raises(IncompatibleError, match=r"^pivot:base/de-es\+base/es-pt: neither leg is of the parent other\."):
        web.recipe_catalog.recipe("de", "pt", kind="pivot:base/de-es+base/es-pt", parent="other")


def test_a_bridge_of_the_parents_own_pair_is_no_champion(
    web: Registry, lineage: Lineage, make_module: MakeModule
) -> None:
    parent = web.load_parent()
    tensors = random_tensors(trainable_names(ARCHITECTURE, "xattn", "none"), {"source": 0, "target": 0}, 3)
    bridge = Module.of(parent, Pair("fr", "en"), "xattn", tensors, {})
    web.register_module("base", bridge, lineage=lineage)
    assert reason(web, "fr-en") == "a bridge of the parent's own pair is used only where it is named"
    assert kind(web, "fr-en", kind="bridge:fr-en") == "bridge"
    with pytest.raises(IncompatibleError, match=r"^fr-en@champion: base/fr-en:1 is a bridge of the parent's own pair"):
        web.annotations.set_alias("fr-en@champion", 1)
    assert web.annotations.set_alias("fr-en@candidate", 1).version == 1
