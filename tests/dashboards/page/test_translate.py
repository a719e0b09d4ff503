from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from continual_mt.errors import InputError, UnknownNameError
from dashboards.page import translate
from dashboards.page.translate import MAX_CHARACTERS, SentenceTranslator
from registry import Lineage, Registry
from tests.registry.conftest import MakeModule, MakeParent


def test_a_sentence_and_its_recipe(filled: Registry, home: Path) -> None:
    sentences = SentenceTranslator(lambda: Registry.open(home))
    for pair in ("de-es", "fr-en", "de-es"):
        source, target = pair.split("-")
        translated = sentences.translate(source, target, "base", " Guten\nTag ")
        assert translated.recipe == filled.recipe_catalog.recipe(source, target)
        assert translated.text == filled.assemble(source, target).translate(["Guten Tag"])[0]
    sentences.close()


def test_text_that_cannot_be_translated_is_rejected(home: Path) -> None:
    sentences = SentenceTranslator(lambda: Registry.open(home))
    with pytest.raises(InputError, match=r"text: 2,001 characters; expected at most 2,000"):
        sentences.translate("fr", "en", "base", "a" * (MAX_CHARACTERS + 1))
    with pytest.raises(UnknownNameError, match="unknown pair 'en-fr'"):
        sentences.translate("en", "fr", "base", "a")
    sentences.close()


def test_another_registry_at_the_same_location_is_noticed(
    home: Path, empty_home: Path, make_parent: MakeParent, make_module: MakeModule, lineage: Lineage
) -> None:
    sentences = SentenceTranslator(lambda: Registry.open(home))
    sentences.translate("de", "en", "base", "Guten Tag")
    shutil.rmtree(home)
    shutil.copytree(empty_home, home)
    with Registry.open(home) as registry:
        parent = make_parent(seed=5)
        registry.register_parent("base", parent, lineage=lineage)
        registry.register_module("base", make_module(parent, "de-en", seed=6), lineage=lineage)
        expected = registry.assemble("de", "en")
        translated = sentences.translate("de", "en", "base", "Guten Tag")
        assert (translated.recipe, translated.text) == (expected.recipe, expected.translate(["Guten Tag"])[0])
    sentences.close()


def test_the_cache_is_emptied_when_it_has_too_many_modules(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translate, "MAX_CACHED_MODULES", 1)
    sentences = SentenceTranslator(lambda: Registry.open(home))
    assert sentences.translate("de", "es", "base", "Guten Tag") == sentences.translate("de", "es", "base", "Guten Tag")
    sentences.close()
