"""The table of recipes, row by row, over records alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from continual_mt.artifacts.parent_languages import ParentLanguages, ParentSide
from continual_mt.artifacts.recipe import Recipe
from continual_mt.artifacts.rests_on import RestsOn
from continual_mt.errors import IncompatibleError, UnknownNameError
from continual_mt.languages import NewSide, Pair
from continual_mt.model.scopes import PLAIN_SCOPES, Scope
from registry import Lineage, ModuleRecord, ParentRecord
from registry.queries.recipe_resolver import RecipeResolver
from registry.queries.version_selection import NEWEST, SelectionPolicy
from registry.records.values import now

LINEAGE = Lineage(corpora=(), spec={}, code_version="0.1.0")
PARENT = ParentRecord("base", ParentLanguages.of_pair(Pair("fr", "en")), "f" * 64, {}, 1, 1, {}, LINEAGE, now())


def module(pair: str, version: int = 1, scope: Scope = "xattn") -> ModuleRecord:
    languages = Pair.parse(pair)
    return ModuleRecord(
        parent=PARENT.name,
        parent_fingerprint=PARENT.fingerprint,
        pair=languages,
        version=version,
        side="source" if languages.target == "en" else "target",
        scope=scope,
        digest=f"digest of {pair}:{version}",
        parameters=1,
        bytes=1,
        pieces={},
        lineage=LINEAGE,
        created=now(),
    )


def row(recipe: Recipe) -> tuple[str, str, str | None, str | None, str | None]:
    """Kind, pair, and what provides source side, cross-attention and target side."""
    provided = (recipe.source, recipe.cross_attention, recipe.target)
    source, cross_attention, target = (key.name.removeprefix("base/") if key else None for key in provided)
    return recipe.kind, str(recipe.pair), source, cross_attention, target


def rows(*modules: ModuleRecord) -> list[tuple[str, str, str | None, str | None, str | None]]:
    return [row(recipe) for recipe in RecipeResolver.of(PARENT, modules).recipes()]


def test_a_parent_alone() -> None:
    assert rows() == [("original", "fr-en", None, None, None)]


def test_every_row_of_the_design() -> None:
    assert rows(module("de-en"), module("fr-es")) == [
        ("original", "fr-en", None, None, None),
        ("supervised", "de-en", "de-en:1", "de-en:1", None),
        ("supervised", "fr-es", None, "fr-es:1", "fr-es:1"),
        ("zero-shot", "de-es", "de-en:1", "fr-es:1", "fr-es:1"),
        ("retention", "fr-en", None, "de-en:1", None),
        ("retention", "fr-en", None, "fr-es:1", None),
    ]


def test_recipes_carry_the_parents_fingerprint_and_the_modules_digests() -> None:
    recipe = RecipeResolver.of(PARENT, [module("de-en"), module("fr-es")]).choose(Pair("de", "es"))
    assert (recipe.parent, recipe.fingerprint) == ("base", "f" * 64)
    assert [key.digest for key in recipe.modules] == ["digest of de-en:1", "digest of fr-es:1"]


def test_n_sources_and_m_targets_give_n_times_m_pairs() -> None:
    sources, targets = ("de", "pt", "it"), ("es", "cs", "it", "pl")
    resolver = RecipeResolver.of(PARENT, [module(f"{s}-en") for s in sources] + [module(f"fr-{t}") for t in targets])
    pairs = [str(recipe.pair) for recipe in resolver.zero_shots()]
    assert pairs == sorted(f"{s}-{t}" for s in sources for t in targets if s != t)
    best = [str(recipe.pair) for recipe in resolver.pairs()]
    assert len(best) == len(set(best)) == 1 + 3 + 4 + 3 * 4 - 1


def test_the_newest_version_is_taken() -> None:
    found = rows(module("de-en", 10), module("de-en", 9), module("fr-es", 2), module("fr-es", 1))
    assert ("zero-shot", "de-es", "de-en:10", "fr-es:2", "fr-es:2") in found
    assert ("supervised", "de-en", "de-en:10", "de-en:10", None) in found
    assert ("retention", "fr-en", None, "de-en:10", None) in found
    assert len(found) == 6


def test_the_order_of_modules_does_not_matter() -> None:
    modules = [module("de-en", 1), module("de-en", 2), module("fr-es"), module("fr-cs"), module("pt-en")]
    assert rows(*modules) == rows(*reversed(modules))


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("embeddings", [("supervised", "de-en", "de-en:1", None, None)]),
        ("xattn", [("supervised", "de-en", "de-en:1", "de-en:1", None), ("retention", "fr-en", None, "de-en:1", None)]),
        (
            "xattn-random",
            [("supervised", "de-en", "de-en:1", "de-en:1", None), ("retention", "fr-en", None, "de-en:1", None)],
        ),
        ("half", [("supervised", "de-en", "de-en:1", None, None), ("retention", "fr-en", None, "de-en:1", None)]),
        (
            "half-lora:rank=4",
            [("supervised", "de-en", "de-en:1", None, None), ("retention", "fr-en", None, "de-en:1", None)],
        ),
        (
            "lora:rank=4",
            [("supervised", "de-en", "de-en:1", "de-en:1", None), ("retention", "fr-en", None, "de-en:1", None)],
        ),
        (
            "adapter:size=4",
            [("supervised", "de-en", "de-en:1", "de-en:1", None), ("retention", "fr-en", None, "de-en:1", None)],
        ),
        (
            "xattn:layers=2,parts=key",
            [("supervised", "de-en", "de-en:1", "de-en:1", None), ("retention", "fr-en", None, "de-en:1", None)],
        ),
        ("body", [("supervised", "de-en", "de-en:1", "de-en:1", None), ("retention", "fr-en", None, "de-en:1", None)]),
        ("scratch", [("supervised", "de-en", "de-en:1", "de-en:1", "de-en:1")]),
    ],
)
def test_what_a_scope_takes_part_in(scope: Scope, expected: list[tuple[str, ...]]) -> None:
    assert rows(module("de-en", scope=scope))[1:] == expected


@pytest.mark.parametrize("scope", PLAIN_SCOPES)
def test_zero_shot_by_the_target_modules_scope(scope: Scope) -> None:
    found = [
        row(recipe)
        for recipe in RecipeResolver.of(PARENT, [module("de-en"), module("fr-es", scope=scope)]).zero_shots()
    ]
    cross_attention = None if scope == "embeddings" else "fr-es:1"
    assert found == ([] if scope == "scratch" else [("zero-shot", "de-es", "de-en:1", cross_attention, "fr-es:1")])


@pytest.mark.parametrize("source", ["half-lora:rank=4", "lora:rank=4", "adapter:size=4"])
def test_small_sources_bring_their_encoder(source: Scope) -> None:
    targets = {
        "es": "half-lora:rank=2",
        "cs": "xattn:parts=query",
        "pl": "lora:rank=4",
        "it": "adapter:size=4",
        "pt": "embeddings",
    }
    modules = [module("de-en", scope=source), *(module(f"fr-{tag}", scope=scope) for tag, scope in targets.items())]
    resolver = RecipeResolver.of(PARENT, modules)
    found = [row(recipe) for recipe in resolver.zero_shots()]
    assert found == [
        ("zero-shot", "de-cs", "de-en:1", "fr-cs:1", "fr-cs:1"),
        ("zero-shot", "de-es", "de-en:1", "fr-es:1", "fr-es:1"),
        ("zero-shot", "de-pt", "de-en:1", None, "fr-pt:1"),
    ]
    for target in ("pl", "it"):
        with pytest.raises(IncompatibleError, match=rf"^de-{target}: would need two encoders, that of base/de-en:1"):
            resolver.choose(Pair("de", target))
    # The zero-shot pair runs through the source's decoder, too, if that is asked for and there is one.
    through = row(resolver.through(resolver.choose(Pair("de", "pt")), modules[0]))
    assert through == ("zero-shot", "de-pt", "de-en:1", None if source.startswith("half") else "de-en:1", "fr-pt:1")


def test_halves_combine_with_all_but_a_module_that_brings_another_encoder() -> None:
    half = module("de-en", scope="half")
    found = rows(half, module("fr-es", scope="half"), module("fr-cs"), module("fr-pl", scope="body"))
    assert ("zero-shot", "de-es", "de-en:1", "fr-es:1", "fr-es:1") in found
    assert ("zero-shot", "de-cs", "de-en:1", "fr-cs:1", "fr-cs:1") in found
    assert "de-pl" not in {pair for _, pair, *_ in found}
    resolver = RecipeResolver.of(PARENT, [half, module("fr-pl", scope="body"), module("cs-en", scope="body")])
    message = r"^de-pl: would need two encoders, that of base/de-en:1 and that of base/fr-pl:1. Fix: "
    with pytest.raises(IncompatibleError, match=message):
        resolver.choose(Pair("de", "pl"))
    with pytest.raises(IncompatibleError, match=r"^de-en: would need two encoders, .* that of base/cs-en:1"):
        resolver.through(resolver.choose(Pair("de", "en")), module("cs-en", scope="body"))


def test_only_modules_that_pairs_use_count_as_two_encoders() -> None:
    """Of two modules that bring one language, the first by pair is used in its other pairs."""
    french = ParentLanguages((ParentSide("fr", "fr"),), (ParentSide("en", "en"), ParentSide("it", "it")))
    parent = replace(PARENT, languages=french)
    body, from_english, from_italian = module("fr-es", scope="body"), module("de-en"), module("de-it")
    from_english, from_italian = (replace(one, side="source") for one in (from_english, from_italian))

    def pairs(*modules: ModuleRecord) -> list[str]:
        found = RecipeResolver.of(parent, modules).two_encoders()
        return [f"{source.pair} {target.pair}" for source, target in found]

    assert pairs(from_english, replace(from_italian, scope="half"), body) == []
    assert pairs(replace(from_english, scope="half"), from_italian, body) == ["de-en fr-es"]


def test_a_baseline_from_scratch_does_not_hide_what_was_there() -> None:
    found = rows(module("de-en", 1), module("de-en", 2, "scratch"), module("fr-es"))
    assert ("supervised", "de-en", "de-en:2", "de-en:2", "de-en:2") in found
    assert ("zero-shot", "de-es", "de-en:1", "fr-es:1", "fr-es:1") in found
    assert ("retention", "fr-en", None, "de-en:1", None) in found


def test_an_unknown_pair_lists_those_that_can_be_run() -> None:
    resolver = RecipeResolver.of(PARENT, [module("de-en"), module("fr-es")])
    with pytest.raises(UnknownNameError) as caught:
        resolver.choose(Pair("es", "de"))
    assert "unknown pair 'es-de'" in str(caught.value)
    assert str(caught.value).endswith("expected one of: de-en, de-es, fr-en, fr-es")
    with pytest.raises(UnknownNameError, match=r"^de-en has no zero-shot recipe; it runs as supervised$"):
        resolver.choose(Pair("de", "en"), "zero-shot")


def test_another_cross_attention() -> None:
    de, es, pt = module("de-en"), module("fr-es"), module("pt-en")
    resolver = RecipeResolver.of(PARENT, [de, es, pt])
    zero_shot = resolver.choose(Pair("de", "es"))
    assert row(resolver.through(zero_shot, de)) == ("zero-shot", "de-es", "de-en:1", "de-en:1", "fr-es:1")
    assert row(resolver.through(zero_shot, pt)) == ("zero-shot", "de-es", "de-en:1", "pt-en:1", "fr-es:1")
    assert row(resolver.through(zero_shot, None)) == ("zero-shot", "de-es", "de-en:1", None, "fr-es:1")
    assert row(resolver.through(resolver.choose(PARENT.pair), de)) == ("retention", "fr-en", None, "de-en:1", None)
    assert resolver.through(resolver.choose(PARENT.pair), None) == resolver.choose(PARENT.pair)


def test_a_supervised_pair_through_another_module() -> None:
    """Its own sides, and what stands between them from elsewhere: so earlier additions are forgotten, too."""
    de, es = module("de-en"), module("fr-es")
    resolver = RecipeResolver.of(PARENT, [de, es])
    supervised = resolver.choose(Pair("de", "en"))
    found = resolver.through(supervised, es)
    assert (found.kind, found.source, found.cross_attention, found.target) == ("retention", de.key, es.key, None)
    assert resolver.through(supervised, None).cross_attention is None
    assert resolver.through(supervised, de) == supervised


def test_a_cross_attention_that_cannot_be_lent() -> None:
    de, es = module("de-en"), module("fr-es")
    resolver = RecipeResolver.of(PARENT, [de, es])
    zero_shot = resolver.choose(Pair("de", "es"))
    with pytest.raises(IncompatibleError, match=r"base/fr-es:1 was trained from scratch.*fits no pair but fr-es"):
        resolver.through(zero_shot, replace(es, scope="scratch"))
    with pytest.raises(IncompatibleError, match=r"base/fr-es:1 has no separate cross-attention \(scope embeddings\)"):
        resolver.through(zero_shot, replace(es, scope="embeddings"))


def resting(name: str, side: NewSide, scope: Scope = "xattn", **parts: ModuleRecord) -> ModuleRecord:
    """A module that rests on others."""
    rests_on = RestsOn(**{part: record.key for part, record in parts.items()})
    return replace(module(name, scope=scope), side=side, rests_on=rests_on)


def test_additions_against_other_modules() -> None:
    """The parent's en as a source of es, it as a target of de, and a bridge."""
    es, de = module("fr-es", scope="half"), module("de-en", scope="half")
    en = resting("en-es", "source", "half", cross_attention=es, target=es)
    it = resting("de-it", "target", source=de)
    bridge = resting("de-es", "none", source=de, cross_attention=es, target=es)
    assert rows(es, de, en, it, bridge)[:9] == [
        ("original", "fr-en", None, None, None),
        ("supervised", "de-en", "de-en:1", None, None),
        ("bridge", "de-es", "de-en:1", "de-es:1", "fr-es:1"),
        ("supervised", "de-it", "de-en:1", "de-it:1", "de-it:1"),
        ("supervised", "en-es", "en-es:1", "fr-es:1", "fr-es:1"),
        ("supervised", "fr-es", None, "fr-es:1", "fr-es:1"),
        ("zero-shot", "en-it", "en-es:1", "de-it:1", "de-it:1"),
        ("zero-shot", "fr-it", None, "de-it:1", "de-it:1"),
        ("retention", "fr-en", None, "de-en:1", None),
    ]
    resolver = RecipeResolver.of(PARENT, [es, de, en, it, bridge])
    assert row(resolver.choose(Pair("de", "es"), "zero-shot")) == (
        "zero-shot",
        "de-es",
        "de-en:1",
        "fr-es:1",
        "fr-es:1",
    )


def test_a_new_source_reads_through_the_parents_cross_attention_where_it_was_trained_with_another_target() -> None:
    es = module("fr-es")
    pt = resting("pt-es", "source", cross_attention=es, target=es)
    recipe = RecipeResolver.of(PARENT, [es, pt]).choose(Pair("pt", "en"))
    assert row(recipe) == ("zero-shot", "pt-en", "pt-es:1", None, None)


def test_of_two_modules_with_one_language_the_newest_then_the_best_on_a_named_test_set() -> None:
    es, it = module("fr-es"), module("fr-it")
    first = replace(module("de-en"), place=1)
    second = replace(resting("de-es", "source", cross_attention=es, target=es), place=2)
    modules = [es, it, first, second]

    def chosen(choice: SelectionPolicy = NEWEST) -> str | None:
        return row(RecipeResolver.of(PARENT, modules, choice).choose(Pair("de", "it")))[2]

    assert chosen() == "de-es:1"
    assert chosen(SelectionPolicy(scores={(Pair("de", "en"), 1): 20.0, (Pair("de", "es"), 1): 10.0})) == "de-en:1"
    assert chosen(SelectionPolicy(pinned={Pair("de", "en"): 1})) == "de-en:1"


def test_a_bridge_of_the_parents_own_pair_is_used_only_where_it_is_named() -> None:
    bridge = resting("fr-en", "none")
    assert rows(bridge) == [("original", "fr-en", None, None, None)]
    alone = RecipeResolver.of(PARENT, [bridge])
    assert alone.choose(Pair("fr", "en")).kind == "original"
    assert row(alone.choose(Pair("fr", "en"), "bridge")) == ("bridge", "fr-en", None, "fr-en:1", None)
    named = RecipeResolver.of(PARENT, [bridge], SelectionPolicy(pinned={Pair("fr", "en"): 1}))
    assert [row(recipe) for recipe in named.pairs()] == [("bridge", "fr-en", None, "fr-en:1", None)]
    assert row(named.choose(Pair("fr", "en"))) == ("bridge", "fr-en", None, "fr-en:1", None)
    assert row(named.choose(Pair("fr", "en"), "original")) == ("original", "fr-en", None, None, None)


def test_two_new_languages_take_part_on_both_sides() -> None:
    both = resting("pl-uk", "both")
    assert rows(both) == [
        ("original", "fr-en", None, None, None),
        ("supervised", "pl-uk", "pl-uk:1", "pl-uk:1", "pl-uk:1"),
        ("zero-shot", "fr-uk", None, "pl-uk:1", "pl-uk:1"),
        ("zero-shot", "pl-en", "pl-uk:1", None, None),
        ("retention", "fr-en", None, "pl-uk:1", None),
    ]


def test_a_trained_language_comes_before_a_bridge_whichever_is_newer_but_for_the_champion() -> None:
    es, de = module("fr-es"), module("de-en")
    trained = replace(resting("de-es", "source", cross_attention=es, target=es), place=1)
    bridge = replace(resting("de-es", "none", source=de, cross_attention=es, target=es), version=2, place=2)
    resolver = RecipeResolver.of(PARENT, [es, de, trained, bridge])
    assert resolver.choose(Pair("de", "es")).kind == "supervised"
    assert resolver.choose(Pair("de", "es"), "bridge").kind == "bridge"
    champion = SelectionPolicy(champions={Pair("de", "es"): 2})
    assert RecipeResolver.of(PARENT, [es, de, trained, bridge], champion).choose(Pair("de", "es")).kind == "bridge"


def test_a_champion_brings_its_language_before_a_newer_module() -> None:
    es, it = module("fr-es"), module("fr-it")
    first, second = module("de-en"), resting("de-es", "source", cross_attention=es, target=es)
    modules = [es, it, replace(first, place=1), replace(second, place=2)]
    resolver = RecipeResolver.of(PARENT, modules, SelectionPolicy(champions={Pair("de", "en"): 1}))
    assert row(resolver.choose(Pair("de", "it")))[2] == "de-en:1"
