import re
from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest
from sqlalchemy import select

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.recipe import Recipe
from continual_mt.errors import IncompatibleError, InputError, LanguageError, UnknownNameError
from continual_mt.languages import Pair
from registry import BestScore, CorpusRecord, Lineage, Registry, ScoreRecord
from registry.database import schema
from registry.writes.scoring import wrongly_shown

MakeParent = Callable[..., Parent]
MakeModule = Callable[..., Module]


def score(recipe: Recipe, value: float, **changes: object) -> ScoreRecord:
    measured = ScoreRecord.of(
        recipe,
        test="django",
        test_digest="e" * 64,
        metric="bleu",
        value=value,
        copy_value=1.5,
        signature="BLEU|nrefs:1",
        sentences=100,
        beam=5,
    )
    return replace(measured, **changes)  # type: ignore[arg-type]  # the fields are the test's own


@pytest.fixture
def two_parents(filled: Registry, make_parent: MakeParent, make_module: MakeModule, lineage: Lineage) -> Registry:
    other = make_parent("fr-en", seed=7)
    filled.register_parent("other", other, lineage=lineage)
    filled.register_module("other", make_module(other, "de-en", seed=8), lineage=lineage)
    return filled


def test_an_empty_registry(registry: Registry) -> None:
    assert (registry.parents(), registry.modules(), registry.catalog.corpora(), registry.scores()) == ([], [], [], [])
    assert (registry.recipe_catalog.recipes(), registry.pairs()) == ([], [])
    with pytest.raises(
        UnknownNameError, match=re.escape(f"no parent is registered yet; train or import one (in {registry.name})")
    ):
        registry.parent()
    with pytest.raises(UnknownNameError, match="unknown parent 'base': none is registered yet"):
        registry.parent("base")
    with pytest.raises(UnknownNameError, match="no parent is registered yet; train or import one"):
        registry.recipe_catalog.recipe("de", "en")


def test_names_of_modules(filled: Registry) -> None:
    assert [module.full_name for module in filled.modules()] == ["base/de-en:1", "base/fr-es:1"]
    for name in ("de-en", "de-en:1", "base/de-en", "base/de-en:1"):
        assert filled.module(name).full_name == "base/de-en:1"
    with pytest.raises(UnknownNameError, match=r"unknown module 'de-en:2'.*; expected one of: base/de-en:1$"):
        filled.module("de-en:2")
    with pytest.raises(
        UnknownNameError, match=r"unknown module 'pt-en'.*; expected one of: base/de-en:1, base/fr-es:1"
    ):
        filled.module("pt-en")
    with pytest.raises(UnknownNameError, match=r"unknown parent 'bas' \(did you mean base\?\)"):
        filled.module("bas/de-en")
    with pytest.raises(UnknownNameError, match="'german' is not the name of a module"):
        filled.module("german")


def test_the_parents_name_may_be_left_out_while_there_is_one(two_parents: Registry) -> None:
    for verb in (
        two_parents.parent,
        lambda: two_parents.module("de-en"),
        lambda: two_parents.recipe_catalog.recipe("de", "en"),
    ):
        with pytest.raises(UnknownNameError, match=r"say which parent: base, other \(in "):
            verb()
    assert two_parents.module("other/de-en").full_name == "other/de-en:1"
    assert two_parents.module("de-en", parent="other").full_name == "other/de-en:1"
    assert two_parents.recipe_catalog.recipe("de", "en", parent="base").parent == "base"
    assert [module.full_name for module in two_parents.modules("other")] == ["other/de-en:1"]


def test_pairs_of_two_parents_are_two_entries(two_parents: Registry) -> None:
    found = [(entry.recipe.parent, str(entry.pair), entry.kind) for entry in two_parents.pairs()]
    assert found == [
        ("base", "fr-en", "original"),
        ("base", "de-en", "supervised"),
        ("base", "fr-es", "supervised"),
        ("base", "de-es", "zero-shot"),
        ("other", "fr-en", "original"),
        ("other", "de-en", "supervised"),
    ]
    assert len(two_parents.pairs("other")) == 2
    assert {recipe.parent for recipe in two_parents.recipe_catalog.recipes("other")} == {"other"}


def test_the_recipe_of_a_pair(filled: Registry) -> None:
    recipe = filled.recipe_catalog.recipe("de", "es")
    assert str(recipe) == "zero-shot de-es: source base/de-en:1, xattn base/fr-es:1, target base/fr-es:1"
    assert filled.recipe_catalog.recipe("de", "es", kind="zero-shot") == recipe
    assert str(filled.recipe_catalog.recipe("de", "es", xattn="de-en")).startswith(
        "zero-shot de-es: source base/de-en:1, xattn base/de"
    )
    assert filled.recipe_catalog.recipe("de", "es", xattn="parent").cross_attention is None
    assert filled.recipe_catalog.recipe("fr", "en").kind == "original"


def test_retention_through_a_module(filled: Registry) -> None:
    recipe = filled.recipe_catalog.recipe("fr", "en", kind="retention:de-en:1")
    assert str(recipe) == "retention fr-en: source base, xattn base/de-en:1, target base"
    assert recipe == filled.recipe_catalog.recipe("fr", "en", xattn="base/de-en")
    assert recipe in filled.recipe_catalog.recipes()
    with pytest.raises(UnknownNameError, match=r"^retention:de-en: .* not of de-en; expected a pair of fr-en$"):
        filled.recipe_catalog.recipe("de", "en", kind="retention:de-en")
    for kind in ("retention:", "retention:parent"):
        with pytest.raises(UnknownNameError, match="is not the name of a module"):
            filled.recipe_catalog.recipe("fr", "en", kind=kind)
    with pytest.raises(
        IncompatibleError, match=r"retention:de-en names the cross-attention .* leave out xattn \(fr-es\)"
    ):
        filled.recipe_catalog.recipe("fr", "en", kind="retention:de-en", xattn="fr-es")


def test_what_is_no_recipe(two_parents: Registry) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown pair 'es-de'.*; expected one of: de-en, de-es, fr-en, fr-es"):
        two_parents.recipe_catalog.recipe("es", "de", parent="base")
    with pytest.raises(LanguageError, match="a language is never paired with itself"):
        two_parents.recipe_catalog.recipe("de", "de", parent="base")
    for kind in ("retention", "best"):
        with pytest.raises(
            UnknownNameError,
            match=f"unknown recipe '{kind}'; expected original, supervised, bridge, pivot, zero-shot, ret",
        ):
            two_parents.recipe_catalog.recipe("fr", "en", parent="base", kind=kind)
    with pytest.raises(IncompatibleError, match="base/de-en:1 belongs to the parent base, not to other"):
        two_parents.recipe_catalog.recipe("fr", "en", parent="other", kind="retention:base/de-en")


def test_corpora_are_noted_once(filled: Registry, corpus: CorpusRecord) -> None:
    assert filled.catalog.corpora() == [corpus]
    assert filled.register_corpus(replace(corpus, name="another name")) == corpus
    other = replace(corpus, digest="b" * 64, name="a")
    assert filled.register_corpus(other) == other
    assert filled.catalog.corpora() == [other, corpus]


def test_scores_are_found_by_what_is_given(filled: Registry) -> None:
    german, zero_shot = filled.recipe_catalog.recipe("de", "en"), filled.recipe_catalog.recipe("de", "es")
    written = [score(german, 30.0), score(german, 55.0, metric="chrf"), score(zero_shot, 20.0)]
    assert filled.register_scores(written) == written
    assert filled.scores() == written
    assert filled.scores(Pair("de", "en")) == written[:2]
    assert filled.scores(metric="bleu", parent="base") == [written[0], written[2]]
    assert filled.scores(kind="zero-shot") == written[2:]
    assert filled.scores(Pair("fr", "en")) == []
    with pytest.raises(UnknownNameError, match="unknown parent 'none'"):
        filled.scores(parent="none")


def test_listed_scores_are_of_the_translations_that_pairs_are_listed_with(filled: Registry) -> None:
    german, zero_shot = filled.recipe_catalog.recipe("de", "en"), filled.recipe_catalog.recipe("de", "es")
    off_target = {"value": 40.0, "reference_value": 1.0}
    chosen = [
        score(german, 30.0),
        score(german, 55.0, metric="chrf"),
        score(zero_shot, 20.0),
        replace(score(zero_shot, 0.0, metric="offtarget"), **off_target),
    ]
    others = [
        score(german, 60.0, metric="chrf", beam=1),
        score(german, 70.0, metric="chrf", sentences=10, test_digest="d" * 64),
        score(german, 80.0, metric="chrf", signature="nrefs:2|case:mixed|tok:13a|"),
    ]
    filled.register_scores([*others, *chosen])
    found = filled.catalog.listed_scores("base", {"chrf", "offtarget"})
    assert [(one.recipe, one.test_digest, one.beam, one.metric, one.value) for one in found] == [
        (one.recipe, one.test_digest, one.beam, one.metric, one.value) for one in (chosen[1], chosen[3])
    ]
    assert [one.is_wrong_language for one in found] == [False, True]
    assert len(filled.catalog.listed_scores("base", {"bleu"})) == 2
    with pytest.raises(UnknownNameError, match="unknown parent 'none'"):
        filled.catalog.listed_scores("none", {"bleu"})


def test_a_measurement_made_again_replaces_the_value(filled: Registry) -> None:
    recipe = filled.recipe_catalog.recipe("de", "en")
    filled.register_scores([score(recipe, 30.0), score(recipe, 29.0, beam=1)])
    again = score(recipe, 31.0, copy_value=None)
    filled.register_scores([again])
    assert sorted((found.beam, found.value, found.copy_value) for found in filled.scores()) == [
        (1, 29.0, 1.5),
        (5, 31.0, None),
    ]
    assert again in filled.scores()


def test_scores_are_noted_all_or_none(filled: Registry) -> None:
    recipe = filled.recipe_catalog.recipe("de", "en")
    with pytest.raises(UnknownNameError, match="unknown parent 'nobody'"):
        filled.register_scores([score(recipe, 30.0), score(recipe, 30.0, parent="nobody")])
    assert filled.scores() == []


def test_pairs_show_their_best_bleu_on_the_largest_test_set(filled: Registry) -> None:
    german = filled.recipe_catalog.recipe("de", "en")
    retention = score(filled.recipe_catalog.recipe("fr", "en", kind="retention:de-en"), 40.0)
    few = score(german, 80.0, sentences=10, test_digest="d" * 64)
    others = [few, score(german, 20.0, beam=1), score(german, 90.0, metric="chrf"), retention]
    filled.register_scores([*others, score(german, 30.0)])
    assert [(str(entry.pair), entry.score) for entry in filled.pairs()] == [
        ("fr-en", None),
        ("de-en", BestScore("django", "e" * 64, 30.0, 1.5, "BLEU|nrefs:1", 100, 5)),
        ("fr-es", None),
        ("de-es", None),
    ]


def test_variants_are_kept_and_never_shown(filled: Registry) -> None:
    german = filled.recipe_catalog.recipe("de", "en")
    signatures = ["nrefs:1|case:lc|tok:13a|", "nrefs:2|case:mixed|tok:13a|", "nrefs:var|case:lc|tok:13a|"]
    variants = [score(german, 60.0, sentences=200, signature=signature) for signature in signatures]
    filled.register_scores(variants)
    assert {str(entry.pair): entry.score for entry in filled.pairs()}["de-en"] is None
    plain = score(german, 20.0, signature="nrefs:1|case:mixed|tok:13a|")
    filled.register_scores([*variants[:1], plain, *variants[1:]])
    assert [entry.score.value for entry in filled.pairs() if entry.score] == [20.0]
    assert [found.value for found in filled.scores(recipe=german.digest)] == [20.0]
    assert len(filled.scores(recipe=german.digest, variants=True)) == 4
    assert [one.bleu for one in filled.annotations.search("pair=de-en").found] == [20.0]
    assert filled.annotations.search("bleu>30").found == ()
    with filled.database.read() as session:
        assert list(wrongly_shown(session)) == []


@pytest.mark.parametrize(
    ("target", "signatures"),
    [
        ("cmn_Hans", ["tok:zh", "tok:13a"]),
        ("ja", ["tok:ja-mecab", "tok:char", "tok:13a"]),
        ("de", ["tok:13a", "tok:flores200"]),
    ],
)
def test_the_tokenization_that_fits_the_language_is_shown(filled: Registry, target: str, signatures: list[str]) -> None:
    """Whatever was registered first, and whichever figure is higher."""
    recipe = filled.recipe_catalog.recipe("fr", "es")
    for place, signature in reversed(list(enumerate(signatures))):
        changes = {"signature": f"nrefs:1|case:mixed|{signature}|", "pair": Pair("fr", target)}
        filled.register_scores([score(recipe, 10.0 * (1 + place), sentences=100 * (1 + place), **changes)])
        with filled.database.read() as session:
            assert session.scalars(select(schema.Score.value).where(schema.Score.shown)).all() == [10.0 * (1 + place)]
            assert list(wrongly_shown(session)) == []


def test_whatever_is_measured_again_the_best_is_shown(filled: Registry) -> None:
    """In any order, also when what was the best becomes worse: what is shown is what all scores say."""
    recipe, other, random = (
        filled.recipe_catalog.recipe("de", "en"),
        filled.recipe_catalog.recipe("fr", "es"),
        Random(1),
    )
    filled.register_scores([score(other, 50.0)])
    for _ in range(40):
        sentences, beam = random.choice([10, 100, 1000]), random.choice([1, 5])
        digest = f"{sentences:064x}"
        filled.register_scores(
            [score(recipe, random.randint(0, 4), sentences=sentences, test_digest=digest, beam=beam)]
        )
        best = max((found.sentences, found.value) for found in filled.scores(recipe=recipe.digest))
        shown = {entry.pair: entry.score for entry in filled.pairs()}
        found = shown[recipe.pair]
        assert found is not None
        assert (found.sentences, found.value) == best
        assert shown[other.pair] == BestScore("django", "e" * 64, 50.0, 1.5, "BLEU|nrefs:1", 100, 5)


@pytest.mark.parametrize(
    "wrong", [{"sentences": 0}, {"sentences": -5}, {"sentences": 2**63}, {"beam": 0}, {"beam": 2**31}]
)
def test_sentences_and_beams_that_cannot_be(filled: Registry, wrong: dict[str, int]) -> None:
    (name, count), recipe = next(iter(wrong.items())), filled.recipe_catalog.recipe("de", "en")
    with pytest.raises(InputError, match=rf"^{name} of bleu on django is {count}; it must be at least 1"):
        filled.register_scores([score(recipe, 30.0), score(recipe, 30.0, **wrong)])
    assert filled.scores() == []


def test_what_an_attempt_of_a_job_made(
    registry: Registry, parent: Parent, make_module: Callable[..., Module], lineage: Lineage
) -> None:
    job, other = "1" * 64, "2" * 64
    made = registry.register_parent("fr-en", parent, lineage=replace(lineage, job=other))
    first, second = (
        registry.register_module(
            "fr-en", make_module(parent, "de-en"), lineage=replace(lineage, job=job, attempt=attempt)
        )
        for attempt in (1, 2)
    )
    assert registry.catalog.made_by(other, 1) == made
    assert [registry.catalog.made_by(job, attempt) for attempt in (1, 2, 3)] == [first, second, None]
    registry.annotations.delete(first.full_name)
    assert registry.catalog.made_by(job, 1) is None
