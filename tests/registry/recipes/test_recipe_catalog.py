"""Which recipe is taken, how a caller overrides it, and how the same model is had again."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text, update

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.errors import IncompatibleError, InputError, RegistryError, UnknownNameError
from continual_mt.languages import Pair
from continual_mt.model.scopes import Scope
from registry import Lineage, Registry, ScoreRecord
from registry.database import schema
from tests.registry.backends import Backend
from tests.registry.scored import score

MakeModule = Callable[..., Module]


@pytest.fixture
def versions(filled: Registry, parent: Parent, make_module: MakeModule, lineage: Lineage) -> Registry:
    """``de-en`` and ``fr-es`` in three versions each, ``fr-es:3`` from scratch."""
    for pair, scope, seed in (("de-en", "xattn", 3), ("de-en", "body", 4), ("fr-es", "xattn", 5)):
        filled.register_module("base", make_module(parent, pair, scope, seed), lineage=lineage)
    filled.register_module("base", make_module(parent, "fr-es", "scratch", 6), lineage=lineage)
    return filled


def parts(registry: Registry, source: str, target: str, **choice: object) -> tuple[str | None, ...]:
    recipe = registry.recipe_catalog.recipe(source, target, **choice)  # type: ignore[arg-type]  # the test's own words
    keys = recipe.source, recipe.cross_attention, recipe.target
    return tuple(key.name.removeprefix("base/") if key else None for key in keys)


def give_score(registry: Registry, module: str, right: int, test: str = "flickr") -> float:
    pair = registry.module(module).pair
    return score(registry, registry.recipe_catalog.recipe(pair.source, pair.target, kind=module), right, test)


def test_without_a_word_the_newest_version_is_taken(versions: Registry) -> None:
    assert parts(versions, "de", "en") == ("de-en:3", "de-en:3", None)
    assert parts(versions, "fr", "es") == ("fr-es:3", "fr-es:3", "fr-es:3")
    assert parts(versions, "de", "es") == ("de-en:3", "fr-es:2", "fr-es:2")


def test_a_version_is_pinned(versions: Registry) -> None:
    assert parts(versions, "de", "en", modules=["de-en:2"]) == ("de-en:2", "de-en:2", None)
    assert parts(versions, "de", "es", modules=["de-en:1"]) == ("de-en:1", "fr-es:2", "fr-es:2")
    assert parts(versions, "de", "es", modules=["de-en:1", "base/fr-es:1"]) == ("de-en:1", "fr-es:1", "fr-es:1")
    assert parts(versions, "de", "es", modules=["de-en:1"], xattn="fr-es:1") == ("de-en:1", "fr-es:1", "fr-es:2")


def test_a_pair_that_was_pinned_to_scratch_takes_part_in_no_other(versions: Registry) -> None:
    assert parts(versions, "fr", "es", modules=["fr-es:3"]) == ("fr-es:3", "fr-es:3", "fr-es:3")
    with pytest.raises(UnknownNameError, match=r"unknown pair 'de-es'.*; expected one of: de-en, fr-en, fr-es"):
        versions.recipe_catalog.recipe("de", "es", modules=["fr-es:3"])


def test_pins_that_contradict_each_other_are_refused(versions: Registry) -> None:
    with pytest.raises(IncompatibleError, match="both base/de-en:1 and base/de-en:2 are given; say which one"):
        versions.recipe_catalog.recipe("de", "es", modules=["de-en:1", "de-en:2"])


def test_a_pin_that_has_no_part_is_refused(versions: Registry) -> None:
    with pytest.raises(
        IncompatibleError, match=r"base/fr-es:1 has no part in the recipe supervised de-en: .*; leave it"
    ):
        versions.recipe_catalog.recipe("de", "en", modules=["fr-es:1"])
    with pytest.raises(IncompatibleError, match="base/de-en:1 has no part in the recipe original fr-en"):
        versions.assemble("fr", "en", modules=["de-en:1"])


def test_the_champion_stands_for_its_pair(versions: Registry) -> None:
    versions.annotations.set_alias("de-en@champion", 1)
    versions.annotations.set_alias("de-en@candidate", 2)
    give_score(versions, "de-en:3", 39)
    for choice in ({}, {"test": "flickr"}):
        assert parts(versions, "de", "en", **choice) == ("de-en:1", "de-en:1", None)
        assert parts(versions, "de", "es", **choice)[0] == "de-en:1"
    assert parts(versions, "de", "en", modules=["de-en@candidate"]) == ("de-en:2", "de-en:2", None)
    assert parts(versions, "de", "en", modules=["de-en:3"]) == ("de-en:3", "de-en:3", None)
    assert versions.module("de-en").full_name == "base/de-en:1"
    versions.annotations.remove_alias("de-en@champion")
    assert versions.module("de-en").full_name == "base/de-en:3"
    assert parts(versions, "de", "en") == ("de-en:3", "de-en:3", None)


def test_the_best_on_a_named_test_set(versions: Registry) -> None:
    for module, right in (("de-en:1", 31), ("de-en:2", 15), ("fr-es:1", 12), ("fr-es:2", 11)):
        give_score(versions, module, right)
    give_score(versions, "de-en:2", 30, test="other")
    assert parts(versions, "de", "en", test="flickr") == ("de-en:1", "de-en:1", None)
    # One sentence more does not show that the older version is better.
    assert parts(versions, "de", "es", test="flickr") == ("de-en:1", "fr-es:2", "fr-es:2")
    assert parts(versions, "de", "es", test="flickr", modules=["de-en:2"]) == ("de-en:2", "fr-es:2", "fr-es:2")
    assert parts(versions, "de", "en", test="other") == ("de-en:2", "de-en:2", None)
    assert parts(versions, "fr", "es", test="other") == ("fr-es:3", "fr-es:3", "fr-es:3")
    with pytest.raises(
        UnknownNameError, match=r"unknown test set 'flicker' \(did you mean flickr\?\); expected one of: flickr, other"
    ):
        versions.recipe_catalog.recipe("de", "en", test="flicker")


def test_all_pairs_by_the_same_rules(versions: Registry) -> None:
    value = give_score(versions, "de-en:1", 31)
    for choice in ({}, {"modules": ["de-en:2"]}, {"test": "flickr"}):
        for entry in versions.pairs(**choice):  # type: ignore[arg-type]
            used = choice if "de" in (entry.pair.source, entry.pair.target) or "test" in choice else {}
            assert entry.recipe == versions.recipe_catalog.recipe(entry.pair.source, entry.pair.target, **used)  # type: ignore[arg-type]
    shown = {str(entry.pair): entry.score.value for entry in versions.pairs(test="flickr") if entry.score}
    assert shown == {"de-en": value}


def test_what_was_deleted_stands_for_nothing(versions: Registry) -> None:
    row = schema.Artifact.__table__
    number = text("SELECT id FROM modules WHERE version = 3 AND source = 'de'").columns(row.c.id).scalar_subquery()
    versions.database.write(
        lambda session: session.execute(
            update(row).where(row.c.id == number).values(deleted=versions.parent().created, deleted_by="me")
        )
    )
    assert parts(versions, "de", "en") == ("de-en:2", "de-en:2", None)
    assert [module.version for module in versions.modules() if module.pair == Pair("de", "en")] == [1, 2]
    with pytest.raises(UnknownNameError, match="base/de-en:3 was deleted by me; restore it with 'continual-mt regi"):
        versions.recipe_catalog.recipe("de", "en", modules=["de-en:3"])


@pytest.mark.parametrize(
    ("pair", "choice"),
    [
        (("fr", "en"), {}),
        (("de", "en"), {"modules": ["de-en:1"]}),
        (("fr", "es"), {}),
        (("de", "es"), {"xattn": "de-en:2"}),
        (("de", "es"), {"xattn": "parent"}),
        (("fr", "en"), {"recipe": "retention:de-en"}),
    ],
)
def test_a_digest_gives_the_same_model_again(
    versions: Registry, pair: tuple[str, str], choice: dict[str, object], make_module: MakeModule, lineage: Lineage
) -> None:
    sentences, references = ["Guten Tag"], ["Hello"]
    model = versions.assemble(*pair, **choice)  # type: ignore[arg-type]
    assert model.recipe is not None
    newer = make_module(versions.load_parent(), "de-en", "xattn", 17)
    versions.register_module("base", newer, lineage=lineage)
    for digest in (model.recipe.digest, model.recipe.digest[:8]):
        again = versions.assemble(digest)
        assert again.recipe == model.recipe
        assert again.logits_digest(sentences, references) == model.logits_digest(sentences, references)


def test_digests_that_give_no_model(versions: Registry) -> None:
    with pytest.raises(
        UnknownNameError, match=r"unknown recipe 0{64}: it was never run or scored with the registry in"
    ):
        versions.assemble("0" * 64)
    for wrong in ("de", "DE-EN", "3f5a", "F" * 64, "0" * 65, "../../etc", "x" * 10_000_000):
        with pytest.raises(UnknownNameError, match="is not the digest of a recipe: it has to be 8 to 64 hexadecimal"):
            versions.assemble(wrong)
    digest = versions.recipe_catalog.recipe("de", "en").digest
    with pytest.raises(UnknownNameError, match="was never run or scored"):
        versions.assemble(digest)
    versions.assemble("de", "en")
    with pytest.raises(
        IncompatibleError, match="a recipe's digest identifies the model; leave out parent, recipe, xattn"
    ):
        versions.assemble(digest, xattn="parent")
    versions.database.write(lambda s: s.execute(update(schema.Recipe).values(source_module="base/fr-es:1")))
    with pytest.raises(RegistryError, match=f"have the contents of the recipe {digest}; its database was changed from"):
        versions.assemble(digest)


def test_a_digest_outlives_one_of_two_versions_of_the_same_content(
    filled: Registry, parent: Parent, make_module: MakeModule, lineage: Lineage
) -> None:
    digest = filled.assemble("de", "en").recipe.digest  # type: ignore[union-attr]
    filled.register_module("base", make_module(parent, "de-en", seed=1), lineage=lineage)
    filled.annotations.delete("de-en:1")
    recipe = filled.assemble(digest).recipe
    assert recipe is not None
    assert (recipe.digest, str(recipe)) == (
        digest,
        "supervised de-en: source base/de-en:2, xattn base/de-en:2, target base",
    )
    filled.annotations.delete("de-en:2")
    with pytest.raises(UnknownNameError, match="base/de-en:1 was deleted by"):
        filled.assemble(digest)


def test_a_text_is_no_list_of_modules(versions: Registry) -> None:
    with pytest.raises(InputError, match=r"modules is a string; expected a list of names; write modules=\['de-en:1'\]"):
        versions.assemble("de", "en", modules="de-en:1")


def test_several_recipes_that_begin_alike(versions: Registry) -> None:
    recipe = versions.recipe_catalog.recipe("de", "en")
    versions.assemble("de", "en")
    twin = recipe.digest[:8] + "0" * 56
    versions.database.write(
        lambda session: session.execute(
            text(
                "INSERT INTO recipes (digest, parent_id, kind, source, target) "
                f"SELECT '{twin}', parent_id, kind, source, target FROM recipes"
            )
        )
    )
    with pytest.raises(UnknownNameError, match=f"several recipes begin with {twin[:8]}; write more of its digits"):
        versions.assemble(twin[:8])
    assert versions.assemble(recipe.digest).recipe == recipe


def test_scores_make_a_recipe_known(versions: Registry) -> None:
    value = give_score(versions, "de-en:1", 31)
    recipe = versions.recipe_catalog.recipe("de", "en", modules=["de-en:1"])
    assert versions.recipe_catalog.recipe_of(recipe.digest) == recipe
    assert [one.value for one in versions.scores(recipe=recipe.digest)] == [value]
    assert [one.value for one in versions.scores(module="base/de-en:1")] == [value]
    assert versions.scores(module="base/de-en:2") == []


def test_a_registry_that_cannot_be_written_to_still_assembles(
    versions: Registry, backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    refusing = {
        "sqlite": "CREATE TRIGGER refuse BEFORE INSERT ON recipes BEGIN SELECT RAISE(ABORT, 'no'); END",
        "postgresql": "CREATE RULE refuse AS ON INSERT TO recipes DO INSTEAD SELECT 1 / 0",
    }
    versions.database.write(lambda session: session.execute(text(refusing[backend.name])))
    with caplog.at_level(logging.WARNING):
        recipe = versions.assemble("de", "en").recipe
    assert recipe is not None
    assert f"the recipe {recipe} can be run, but not be found by its digest later: " in caplog.text


SCOPES: list[Scope] = ["embeddings", "xattn", "xattn-random", "body", "scratch"]


@pytest.mark.parametrize("scope", SCOPES)
def test_a_module_knows_its_supervised_recipe(
    filled: Registry, parent: Parent, make_module: MakeModule, lineage: Lineage, scope: Scope, home: Path
) -> None:
    for pair in ("de-en", "fr-es"):
        record = filled.register_module("base", make_module(parent, pair, scope, 9), lineage=replace(lineage, run="r"))
        recipe = filled.recipe_catalog.recipe(record.pair.source, record.pair.target, kind="supervised")
        with filled.database.read() as session:
            row = session.query(schema.Module).filter_by(digest=record.digest).one()
            assert row.recipe_digest == recipe.digest
            assert not row.shared


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_no_score(versions: Registry, value: float) -> None:
    recipe = versions.recipe_catalog.recipe("de", "en", kind="de-en:1")
    measured = {"test": "flickr", "test_digest": "e" * 64, "metric": "bleu", "value": value, "copy_value": None}
    with pytest.raises(InputError, match=rf"bleu on flickr is {value}, which is not a finite number"):
        versions.register_scores([ScoreRecord.of(recipe, **measured, signature="s", sentences=9, beam=5)])  # type: ignore[arg-type]
    assert versions.scores() == []
