from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.errors import CorruptionError, IncompatibleError, LanguageError, UnknownNameError
from registry import Input, Lineage, Registry
from registry.recipes.embeddings import check_comparable, embeddings_of, two_embeddings

MakeParent = Callable[..., Parent]
MakeModule = Callable[..., Module]


def chosen(registry: Registry, first: str, second: str, side: str | None = None) -> list[str | None]:
    tables = two_embeddings(registry.recipe_catalog, registry.parent("base"), (first, second), side)  # type: ignore[arg-type]
    assert tables[0].side == tables[1].side == (side or tables[0].side)
    return [table.module for table in tables]


def test_every_table_of_a_parent(filled: Registry) -> None:
    tables = embeddings_of(filled.catalog, filled.parent())
    assert [(table.side, str(table)) for table in tables] == [
        ("source", "fr of base"),
        ("target", "en of base"),
        ("source", "de of base/de-en:1"),
        ("target", "es of base/fr-es:1"),
    ]
    assert tables[2].digest == filled.module("de-en").pieces["source.safetensors"]


def test_a_table_is_read_without_the_rest(filled: Registry, parent: Parent, make_module: MakeModule) -> None:
    own, _, of_module, target = embeddings_of(filled.catalog, filled.parent())
    needed = {filled.parent().pieces[name] for name in ("source.safetensors", "source.model")}
    for digest in set(filled.parent().pieces.values()) - needed:
        filled.blobs.path(digest).unlink()
    read = filled.load_embedding(own)
    assert torch.equal(read.embedding, parent.tensors["source.embedding"])
    assert read.side == parent.sides(parent.pair)[0]
    module = make_module(parent, "de-en", seed=1)
    assert torch.equal(filled.load_embedding(of_module).embedding, module.tensors["source.embedding"])
    assert filled.load_embedding(target).side.language == "es"
    filled.blobs.path(own.digest).unlink()
    with pytest.raises(CorruptionError, match=f"blob {own.digest} is missing"):
        filled.load_embedding(own)


def test_a_language_is_the_parents_else_that_of_the_module_that_stands_for_its_pair(
    filled: Registry, parent: Parent, make_module: MakeModule, lineage: Lineage
) -> None:
    assert chosen(filled, "de", "fr") == ["base/de-en:1", None]
    filled.register_module("base", make_module(parent, "de-en", seed=5), lineage=lineage)
    shared = replace(lineage, inputs=(Input("start", "base/de-en:1"),))
    filled.register_module("base", make_module(parent, "de-en", seed=6), lineage=shared)
    assert chosen(filled, "de", "fr") == ["base/de-en:2", None]
    assert chosen(filled, "base/de-en:3", "fr") == ["base/de-en:3", None]
    filled.annotations.set_alias("de-en@champion", 1)
    assert chosen(filled, "de", "fr") == ["base/de-en:1", None]
    filled.annotations.set_alias("de-en@candidate", 3)
    assert chosen(filled, "de-en@candidate", "fr") == ["base/de-en:3", None]
    assert chosen(filled, "en", "fr-es:1") == [None, "base/fr-es:1"]


def test_a_language_on_both_sides(filled: Registry, parent: Parent, make_module: MakeModule, lineage: Lineage) -> None:
    for pair in ("pt-en", "fr-pt", "fr-de"):
        filled.register_module("base", make_module(parent, pair), lineage=lineage)
    assert chosen(filled, "de", "pt", "source") == ["base/de-en:1", "base/pt-en:1"]
    assert chosen(filled, "de", "pt", "target") == ["base/fr-de:1", "base/fr-pt:1"]
    assert chosen(filled, "pt", "en") == ["base/fr-pt:1", None]
    with pytest.raises(IncompatibleError, match="de and pt are on both sides; say which: source or target"):
        chosen(filled, "de", "pt")


def test_names_that_stand_for_no_two_tables(filled: Registry, make_parent: MakeParent, lineage: Lineage) -> None:
    with pytest.raises(UnknownNameError, match="unknown language 'pt'; expected one of: de, en, es, fr"):
        chosen(filled, "pt", "fr")
    with pytest.raises(UnknownNameError, match="on the same side: de is on the source side; es is on the target side"):
        chosen(filled, "de", "es")
    with pytest.raises(UnknownNameError, match="on the target side: de is on the source side; fr is on the source"):
        chosen(filled, "de", "fr", "target")
    with pytest.raises(LanguageError, match="de-de: a language is never paired with itself"):
        chosen(filled, "de", "de-en:1")
    filled.register_parent("other", make_parent(seed=9), lineage=lineage)
    with pytest.raises(UnknownNameError, match="unknown module 'other/de-en:1'"):
        chosen(filled, "other/de-en:1", "fr")


def test_tables_of_two_spaces_are_not_compared(filled: Registry) -> None:
    source, target, *_ = embeddings_of(filled.catalog, filled.parent())
    with pytest.raises(IncompatibleError) as caught:
        check_comparable(source, target)
    assert str(caught.value) == (
        "fr of base is on the source side and en of base on the target side; only embeddings of one side of one parent "
        "lie in one space"
    )
