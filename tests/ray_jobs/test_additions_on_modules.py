"""Additions against the sides of other modules, bridges, and two new languages at once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from continual_mt.artifacts.recipe import Recipe
from continual_mt.config.loading import validate
from continual_mt.config.spec import AdditionSpec
from continual_mt.errors import IncompatibleError, MisuseError
from continual_mt.home import Home
from ray_jobs import Driver
from ray_jobs.cluster.evaluation_tasks import TranslationTask, translate
from ray_jobs.console import Display
from ray_jobs.reproduction.reproduce import reproduce
from ray_jobs.reproduction.rescoring import score_differences
from registry import Registry
from registry.maintenance.bundle.export import export
from registry.maintenance.bundle.validate import import_bundle
from registry.maintenance.verify import verify

Spec = Callable[..., AdditionSpec]

ADDED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("es-de", {"scope": "half"}),  # a new target, against the parent
    ("pt-en", {"scope": "half"}),  # a new source, against the parent
    ("en-de", {"initialisation": "lexical"}),  # the parent's target language as a source, against de
    ("pt-fr", {"scope": "half", "initialisation": "shared"}),  # a new target, against pt
    ("pt-de", {}),  # both exist: a bridge
    ("de-pt", {"both_new": True}),  # neither exists on its side
    ("fr-de", {"scope": "half-lora:rank=2", "initialisation": "shared"}),  # low-rank beside another's half
)


@pytest.fixture(scope="module")
def web(untrained_home: Path, addition_spec: Spec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with all of `ADDED`, each of two updates."""
    home = Path(shutil.copytree(untrained_home, tmp_path_factory.mktemp("web") / "home"))
    with Driver(Home(home), in_process=True) as driver:
        for pair, more in ADDED:
            driver.add_language(addition_spec(pair, training={"updates": 2}, **more))
    return home


@pytest.fixture
def home(web: Path, tmp_path: Path) -> Home:
    return Home(Path(shutil.copytree(web, tmp_path / "home")))


SENTENCES = ["Introduzca un número", "Seleccione una lista"]


def digests(registry: Registry) -> dict[str, str]:
    """What every pair computes, by its recipe of one model, of two fixed sentences."""
    recipes = [entry.recipe for entry in registry.pairs(pivot=False)]
    return {
        str(recipe.pair): registry.run(recipe).logits_digest(SENTENCES, SENTENCES)
        for recipe in recipes
        if isinstance(recipe, Recipe)
    }


def test_what_each_rests_on(web: Path) -> None:
    with Registry.open(web) as registry:
        found = {
            str(one.pair): (one.side, {part: key.name for part, key in one.rests_on.items()})
            for one in registry.modules()
        }
    de, pt = "es-en/es-de:1", "es-en/pt-en:1"
    assert found == {
        "es-de": ("target", {}),
        "pt-en": ("source", {}),
        "en-de": ("source", {"cross_attention": de, "target": de}),
        "pt-fr": ("target", {"source": pt}),
        "pt-de": ("none", {"source": pt, "cross_attention": de, "target": de}),
        "de-pt": ("both", {}),
        "fr-de": ("source", {"cross_attention": de, "target": de}),
    }


def test_every_pair_is_listed_once_with_its_kind(web: Path) -> None:
    with Registry.open(web) as registry:
        kinds = [(str(entry.pair), entry.kind) for entry in registry.pairs(pivot=False)]
        pivots = {str(entry.pair): entry.recipe for entry in registry.pairs() if entry.kind == "pivot"}
    assert len(dict(kinds)) == len(kinds)
    trained = {"es-de", "pt-en", "en-de", "pt-fr", "de-pt", "fr-de"}
    zero_shot = {"es-fr", "es-pt", "en-fr", "en-pt", "de-fr", "fr-pt", "de-en", "fr-en"}
    assert dict(kinds) == {
        "es-en": "original",
        "pt-de": "bridge",
        **dict.fromkeys(trained, "supervised"),
        **dict.fromkeys(zero_shot, "zero-shot"),
    }
    through = {"en-pt": "de", "fr-pt": "de", "es-pt": "de", "de-fr": "pt", "de-en": "pt"}
    assert {pair: recipe.legs[0].pair.target for pair, recipe in pivots.items()} == through


def test_the_pairs_that_existed_compute_what_they_did(
    web: Path, untrained_home: Path, addition_spec: Spec, tmp_path: Path
) -> None:
    home = Path(shutil.copytree(untrained_home, tmp_path / "home"))
    with Driver(Home(home), in_process=True) as driver:
        for pair, more in ADDED[:2]:
            driver.add_language(addition_spec(pair, training={"updates": 2}, **more))
        before = digests(driver.registry)
    with Registry.open(web) as registry:
        after = digests(registry)
    assert before.keys() == {"es-en", "es-de", "pt-en", "pt-de"}
    assert {pair for pair, digest in before.items() if after[pair] != digest} == {"pt-de"}  # which has a bridge now
    with Registry.open(web) as registry:
        zero_shot = registry.assemble("pt", "de", recipe="zero-shot")
    assert zero_shot.logits_digest(SENTENCES, SENTENCES) == before["pt-de"]


def test_a_bundle_carries_along_what_a_module_rests_on(home: Home, tmp_path: Path) -> None:
    with Registry.open(home.path) as registry, Registry.open(tmp_path / "other", create=True) as other:
        export(registry, ["pt-de"], tmp_path / "bundle", with_parent=True)
        import_bundle(other, tmp_path / "bundle")
        assert {str(one.pair) for one in other.modules()} == {"es-de", "pt-en", "pt-de"}
        for pair in (("pt", "de"), ("pt", "en"), ("es", "de")):
            models = [one.assemble(*pair) for one in (registry, other)]
            assert len({model.logits_digest(SENTENCES, SENTENCES) for model in models}) == 1
        assert verify(other, set_aside=False).problems == ()


def test_workers_of_a_cluster_get_every_module_that_a_recipe_needs(web: Path, addition_spec: Spec) -> None:
    with Driver(Home(web), in_process=True) as driver:
        (test,) = driver.resolve(addition_spec("pt-en")).tests
        registry = driver.registry
        recipes = registry.recipe_catalog.recipes()
        assert {recipe.kind for recipe in recipes} == {"original", "supervised", "bridge", "zero-shot", "retention"}
        for recipe in recipes:
            task = TranslationTask.of(registry, recipe, test, beam=1, threads=1)
            assert translate(task)[0] == registry.run(recipe).translate(test.sources, beam=1)


def test_a_module_that_was_trained_again_otherwise_is_compared_with_what_it_rests_on(home: Home) -> None:
    with Registry.open(home.path) as registry:
        for name in ("en-de", "pt-fr", "pt-de", "fr-de"):
            record = registry.module(name)
            module = registry.load_module(name)
            other = replace(module, tensors={key: tensor + 1 for key, tensor in module.tensors.items()})
            assert other.digest != record.digest
            assert score_differences(registry, record, other, [], Display()) == []


def test_the_same_spec_only_reports(home: Home, addition_spec: Spec) -> None:
    with Driver(home, in_process=True) as driver:
        for pair, more in ADDED:
            outcome = driver.add_language(addition_spec(pair, training={"updates": 2}, **more))
            assert (outcome.name, outcome.trained_now) == (f"es-en/{pair}:1", False)


@pytest.mark.parametrize("more", [{}, {"bridge": True}])
def test_a_bridge_needs_no_scope(home: Home, addition_values: Callable[..., Any], more: dict[str, Any]) -> None:
    values = addition_values("pt-de", **more)
    del values["scope"]
    with Driver(home, in_process=True) as driver:
        job = driver.resolve(validate(AdditionSpec, values, origin="the test", base=home.path))
    assert (job.spec.scope, job.base.side) == ("xattn", "none")
    assert job.spec.on == ("es-en/pt-en:1", "es-en/es-de:1")


def test_a_bridge_to_the_parents_side_starts_from_the_parents_cross_attention(home: Home, addition_spec: Spec) -> None:
    """The source en-de was trained to be read into German."""
    with Driver(home, in_process=True) as driver:
        spec = addition_spec("fr-en", bridge=True)
        assert {part: key.name for part, key in driver.resolve(spec).base.keys.items()} == {"source": "es-en/fr-de:1"}
        spec = addition_spec("pt-en", bridge=True)
        assert {part: key.name for part, key in driver.resolve(spec).base.keys.items()} == {"source": "es-en/pt-en:1"}


def test_a_module_is_not_registered_on_one_that_was_deleted(home: Home, tmp_path: Path) -> None:
    with Registry.open(home.path) as registry, Registry.open(tmp_path / "other", create=True) as other:
        export(registry, ["pt-en"], tmp_path / "first")
        import_bundle(other, tmp_path / "first")
        other.annotations.delete("pt-en:1")
        export(registry, ["pt-fr"], tmp_path / "second")
        with pytest.raises(IncompatibleError, match=r"rests on es-en/pt-en:1, which was deleted\. Fix: .* restore"):
            import_bundle(other, tmp_path / "second")
        assert other.modules() == []


def test_its_lineage_names_the_parts(web: Path) -> None:
    with Registry.open(web) as registry:
        found = registry.annotations.lineage("pt-de:1")
        dependents = registry.annotations.lineage("es-de:1").dependents
    assert [(one.name, one.detail) for one in found.made_from if one.role == "rests-on"] == [
        ("es-en/pt-en:1", "its source"),
        ("es-en/es-de:1", "its cross-attention"),
        ("es-en/es-de:1", "its target"),
    ]
    assert {one.name for one in dependents if one.holds} == {"es-en/en-de:1", "es-en/fr-de:1", "es-en/pt-de:1"}


def test_what_others_rest_on_cannot_be_deleted(home: Home) -> None:
    with Registry.open(home.path) as registry, pytest.raises(IncompatibleError, match="rests on it"):
        registry.annotations.delete("es-de:1")


@pytest.mark.parametrize("pair", ["en-de", "pt-fr", "pt-de", "de-pt", "fr-de"])
def test_each_is_reproduced_bit_for_bit(home: Home, pair: str) -> None:
    with Driver(home, in_process=True) as driver:
        assert reproduce(driver, driver.registry.module(pair)).verdict == "bit for bit"


@pytest.mark.parametrize(
    ("pair", "more", "problem"),
    [
        (
            "it-ca",
            {},
            "and no module has it as a source or ca as a target. Fix: add it-en or es-ca first",
        ),
        (
            "it-de",
            {"bridge": True},
            "a bridge connects two sides that exist, and neither es-en nor its modules have it as a source",
        ),
        ("es-en", {}, "es-en is the pair of the parent"),
        ("it-en", {"both_new": True}, "--both-new: en is a target language of the parent already"),
        ("pt-it", {"scope": "scratch"}, "the scope scratch trains a whole model, and cannot rest on other modules"),
        ("it-en", {"on": ["es-de"]}, "it-en shares a side with the parent, which it is trained against"),
        ("it-de", {"on": ["pt-en"]}, "--on pt-en: it brings neither side of it-de that is not new"),
        ("pt-de", {"scope": "body"}, "body: cannot be the scope of an addition between two sides that exist"),
        ("it-ca", {"both_new": True, "scope": "half"}, "half: cannot be the scope of an addition with two new sides"),
        ("pt-it", {"scope": "body"}, "would need two encoders, that of es-en/pt-en:1 and that of the scope body"),
        ("pt-de", {"bridge": True, "initialisation": "lexical"}, "--init lexical: a bridge has no new embeddings"),
    ],
)
def test_what_cannot_be_trained_is_refused_with_a_way_out(
    web: Path, addition_spec: Spec, corpora: Path, pair: str, more: dict[str, Any], problem: str
) -> None:
    for tag in pair.split("-"):  # text is not what is missing
        for role in ("train", "dev", "test"):
            if not (text := corpora / f"{role}.{tag}").exists():
                shutil.copy(corpora / f"{role}.es", text)
    with Driver(Home(web), in_process=True) as driver, pytest.raises(MisuseError) as caught:
        driver.resolve(addition_spec(pair, **more))
    assert problem in str(caught.value)
