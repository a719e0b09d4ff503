"""Each kind of recipe: which of its pieces come from the parent and which from a module."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.recipe import ModuleKey, Recipe, RecipeKind
from continual_mt.errors import IncompatibleError, UnknownNameError
from continual_mt.inference.assembly import assemble
from continual_mt.languages import Pair
from continual_mt.model.scopes import Scope

MakeModule = Callable[..., Module]
PT, DE = "es-en/pt-en:1", "es-en/es-de:1"


@pytest.fixture
def modules(make_module: MakeModule) -> dict[str, Module]:
    return {PT: make_module("pt-en"), DE: make_module("es-de")}


def make_recipe(parent: Parent, modules: dict[str, Module], kind: RecipeKind, pair: str, *parts: str | None) -> Recipe:
    """``parts`` are source, cross-attention and target, by module name."""
    keys = [name and ModuleKey(name, modules[name].digest) for name in parts]
    return Recipe(kind, Pair.parse(pair), "es-en", parent.fingerprint, *keys)  # type: ignore[arg-type]


Origins = dict[str, str]
ROWS: list[tuple[RecipeKind, str, str | None, str | None, str | None]] = [
    ("original", "es-en", None, None, None),
    ("supervised", "pt-en", PT, PT, None),
    ("supervised", "es-de", None, DE, DE),
    ("zero-shot", "pt-de", PT, DE, DE),
    ("zero-shot", "pt-de", PT, PT, DE),
    ("zero-shot", "pt-de", PT, None, DE),
    ("retention", "es-en", None, PT, None),
    ("retention", "es-en", None, DE, None),
]


@pytest.mark.parametrize(("kind", "pair", "source", "cross_attention", "target"), ROWS)
def test_pieces_are_those_of_the_recipe_and_are_not_copied(
    parent: Parent,
    modules: dict[str, Module],
    kind: RecipeKind,
    pair: str,
    source: str | None,
    cross_attention: str | None,
    target: str | None,
) -> None:
    recipe = make_recipe(parent, modules, kind, pair, source, cross_attention, target)
    model = assemble(recipe, parent, modules)
    origins = {"source": source, "cross_attention": cross_attention, "target": target}
    for name, parameter in model.transformer.named_parameters():
        origin = origins.get(name.partition(".")[0])
        tensors = parent.tensors if origin is None else modules[origin].tensors
        assert parameter.data_ptr() == tensors[name].data_ptr()
        assert not parameter.requires_grad
    own_source, own_target = parent.sides(model.pair)
    assert model.source == (own_source if source is None else modules[source].new_side)
    assert model.target == (own_target if target is None else modules[target].new_side)
    assert (model.pair, model.recipe) == (Pair.parse(pair), recipe)
    assert len(model.translate(["uno dos", ""], beam=2)) == 2


@pytest.mark.parametrize(("pair", "module"), [("pt-en", PT), ("es-de", DE)])
@pytest.mark.parametrize("scope", ["embeddings", "xattn", "xattn-random", "half", "body", "scratch"])
def test_a_supervised_pair_of_every_scope(
    parent: Parent, make_module: MakeModule, pair: str, module: str, scope: Scope
) -> None:
    """``body`` and ``scratch`` store encoder and decoder with the cross-attention; other pieces are the parent's."""
    modules = {module: make_module(pair, scope)}
    groups = modules[module].groups
    parts = [module if group in groups else None for group in ("source", "cross_attention", "target")]
    model = assemble(make_recipe(parent, modules, "supervised", pair, *parts), parent, modules)
    for name, parameter in model.transformer.named_parameters():
        from_module = name.partition(".")[0] in groups
        assert parameter.data_ptr() == (modules[module].tensors if from_module else parent.tensors)[name].data_ptr()
    assert model.source.language == pair[:2]
    assert model.target.language == pair[3:]
    assert model.source.tokenizer.size == len(model.transformer.source.embedding)
    assert model.target.tokenizer.size == len(model.transformer.target.embedding)


def test_pairs_share_their_body(parent: Parent, modules: dict[str, Module]) -> None:
    models = [assemble(make_recipe(parent, modules, *row), parent, modules) for row in ROWS]
    for name in parent.tensors:
        if name.partition(".")[0] in ("encoder", "decoder"):
            pointers = {dict(model.transformer.named_parameters())[name].data_ptr() for model in models}
            assert pointers == {parent.tensors[name].data_ptr()}


HALVES: list[tuple[RecipeKind, str, str | None, str | None, str | None, Origins]] = [
    # A half source takes its encoder along; a half target its cross-attention and decoder.
    ("zero-shot", "pt-de", PT, DE, DE, {"encoder": PT, "cross_attention": DE, "decoder": DE}),
    ("zero-shot", "pt-de", PT, None, DE, {"encoder": PT}),
    # The original pair through the whole child, which brings no side.
    ("retention", "es-en", None, PT, None, {"encoder": PT}),
    ("retention", "es-en", None, DE, None, {"cross_attention": DE, "decoder": DE}),
]


@pytest.mark.parametrize(("kind", "pair", "source", "between", "target", "origins"), HALVES)
def test_halves_meet_at_the_encoders_output(
    parent: Parent,
    make_module: MakeModule,
    kind: RecipeKind,
    pair: str,
    source: str | None,
    between: str | None,
    target: str | None,
    origins: Origins,
) -> None:
    modules = {PT: make_module("pt-en", "half"), DE: make_module("es-de", "half")}
    model = assemble(make_recipe(parent, modules, kind, pair, source, between, target), parent, modules)
    expected = {"source": source, "target": target, **origins}
    for name, parameter in model.transformer.named_parameters():
        origin = expected.get(name.partition(".")[0])
        tensors = parent.tensors if origin is None else modules[origin].tensors
        assert parameter.data_ptr() == tensors[name].data_ptr()
    assert len(model.translate(["uno dos"], beam=2)) == 1


def test_two_encoders_are_refused_by_name(parent: Parent, make_module: MakeModule) -> None:
    modules = {PT: make_module("pt-en", "half"), DE: make_module("es-de", "body")}
    message = f"^pt-de: would need two encoders, that of {PT} and that of {DE}. Fix: "
    with pytest.raises(IncompatibleError, match=message):
        assemble(make_recipe(parent, modules, "zero-shot", "pt-de", PT, DE, DE), parent, modules)


def test_assembling_does_not_change_the_parent(parent: Parent, modules: dict[str, Module]) -> None:
    original = make_recipe(parent, modules, "original", "es-en", None, None, None)
    sources, references = ["Dos hombres.", "¿Qué tal?"], ["Two men.", "How are you?"]
    before, fingerprint = assemble(original, parent, modules).logits_digest(sources, references), parent.fingerprint
    for row in ROWS:
        assemble(make_recipe(parent, modules, *row), parent, modules).translate(["uno"], beam=2)
    assert assemble(original, parent, modules).logits_digest(sources, references) == before
    assert Parent.from_pieces(parent.pieces()).fingerprint == fingerprint


def test_modules_change_the_logits(parent: Parent, modules: dict[str, Module]) -> None:
    retention = make_recipe(parent, modules, "retention", "es-en", None, PT, None)
    original = make_recipe(parent, modules, "original", "es-en", None, None, None)
    text = ["Dos hombres."], ["Two men."]
    first, second = (next(assemble(recipe, parent, modules).logits(*text)) for recipe in (original, retention))
    assert not torch.equal(first, second)


def test_another_parent_is_refused(parent: Parent, modules: dict[str, Module]) -> None:
    tensors = parent.tensors | {"target.bias": parent.tensors["target.bias"] + 1}
    other = replace(parent, tensors=tensors)
    recipe = make_recipe(parent, modules, "supervised", "pt-en", PT, PT, None)
    with pytest.raises(
        IncompatibleError, match=f"made for another parent; expected fingerprint {parent.fingerprint[:12]}, got "
    ):
        assemble(recipe, other, modules)
    with pytest.raises(IncompatibleError, match=r"was trained on the parent .*, not on es-en"):
        assemble(replace(recipe, fingerprint=other.fingerprint), other, modules)


def test_missing_modules_and_other_digests_are_refused(
    parent: Parent, modules: dict[str, Module], make_module: MakeModule
) -> None:
    recipe = make_recipe(parent, modules, "zero-shot", "pt-de", PT, DE, DE)
    with pytest.raises(UnknownNameError, match=f"needs module {DE}. Fix: pass it in modules"):
        assemble(recipe, parent, {PT: modules[PT]})
    other = make_module("es-de", seed=9)
    message = f"module {DE}: has digest {other.digest[:12]}; expected {modules[DE].digest[:12]}, as in the recipe"
    with pytest.raises(IncompatibleError, match=message):
        assemble(recipe, parent, modules | {DE: other})


def test_parts_of_another_pair_are_refused(parent: Parent, modules: dict[str, Module]) -> None:
    recipe = make_recipe(parent, modules, "zero-shot", "pt-de", PT, DE, None)
    with pytest.raises(IncompatibleError, match=r"^recipe zero-shot pt-de: .*: its target side is en; expected de"):
        assemble(recipe, parent, modules)


def test_a_module_that_lacks_the_piece_is_refused(
    parent: Parent, modules: dict[str, Module], make_module: MakeModule
) -> None:
    with pytest.raises(IncompatibleError, match=f"module {DE}: stores no source "):
        assemble(make_recipe(parent, modules, "original", "es-en", DE, None, None), parent, modules)
    plain = {PT: make_module("pt-en", "embeddings")}
    with pytest.raises(IncompatibleError, match=f"module {PT}: stores no cross_attention "):
        assemble(make_recipe(parent, plain, "supervised", "pt-en", PT, PT, None), parent, plain)
