from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.recipe import ModuleKey, Recipe
from continual_mt.errors import IncompatibleError, InputError, StorageError
from continual_mt.inference import ctranslate2_model
from continual_mt.inference.assembly import assemble
from continual_mt.inference.backends import select_backend
from continual_mt.inference.ctranslate2_model import CTranslate2Model, Precision, load_or_convert
from continual_mt.inference.torch_model import PairModel
from continual_mt.inference.translator import Search
from continual_mt.languages import Pair
from continual_mt.model.architecture import Activation, parameter_names
from continual_mt.model.initial_values import initial_tensors

MakeModule = Callable[..., Module]


@pytest.fixture(scope="module")
def peaked_parent(parent: Parent) -> Parent:
    """A parent with large weights, whose token probabilities are far from ties."""
    architecture = replace(parent.architecture, width=32, encoder_layers=2, decoder_layers=3)
    sizes = {"source": parent.source_tokenizer.size, "target": parent.target_tokenizer.size}
    tensors = initial_tensors(architecture, parameter_names(architecture), sizes, seed=4)
    scaled = {name: tensor * 6 if tensor.dim() == 2 else tensor for name, tensor in tensors.items()}
    scaled["target.bias"] = torch.randn(len(scaled["target.bias"]), generator=torch.Generator().manual_seed(1))
    return replace(parent, architecture=architecture, tensors=scaled)


def original(parent: Parent) -> PairModel:
    return assemble(Recipe("original", parent.pair, "base", parent.fingerprint), parent, {})


@pytest.fixture(scope="module")
def sentences(django_catalogs: dict[str, list[str]]) -> list[str]:
    return [text for text in django_catalogs["es"] if len(text) < 60][:40]


@pytest.mark.parametrize("activation", ["relu", "swish"])
@pytest.mark.parametrize("scale", [True, False])
def test_greedy_search_equals_the_reference(
    peaked_parent: Parent, sentences: list[str], tmp_path: Path, activation: Activation, scale: bool
) -> None:
    architecture = replace(peaked_parent.architecture, activation=activation, scale_embedding=scale)
    model = original(replace(peaked_parent, architecture=architecture))
    fast = load_or_convert(model, tmp_path, precision="float32")
    sources = [parent_tokens for text in sentences if (parent_tokens := model.source.tokenizer.encode(text))]
    for ours, theirs in zip(model.search(sources, Search(beam=1)), fast.search(sources, Search(beam=1)), strict=True):
        # This model seldom predicts the end token, and CTranslate2's maximum length is that of the longest source.
        assert theirs[0].tokens[: len(ours[0].tokens)] == ours[0].tokens


def test_a_new_side_uses_its_own_vocabulary(parent: Parent, make_module: MakeModule, tmp_path: Path) -> None:
    module = make_module("es-de")
    key = ModuleKey("es-de", module.digest)
    recipe = Recipe("supervised", Pair("es", "de"), "base", parent.fingerprint, None, key, key)
    fast = load_or_convert(assemble(recipe, parent, {"es-de": module}), tmp_path, precision="float32")
    assert (fast.pair, fast.recipe) == (Pair("es", "de"), recipe)
    assert len(fast.translate(["Hola", "", "Buenos días"], beam=2)) == 3


def test_each_line_gives_one_line_and_long_ones_are_divided(peaked_parent: Parent, tmp_path: Path) -> None:
    fast = load_or_convert(original(peaked_parent), tmp_path)
    translated = fast.translate(["uno", "", " ", "una palabra " * 60, "dos"], beam=2)
    assert len(translated) == 5
    assert translated[1:3] == ["", ""]
    assert translated[3]


def test_n_best_translations_are_sorted(peaked_parent: Parent, tmp_path: Path, sentences: list[str]) -> None:
    found = load_or_convert(original(peaked_parent), tmp_path).translations(sentences[:4], Search(beam=4, best=3))
    for translations in found:
        scores = [translation.score for translation in translations]
        assert len(scores) == 3
        assert scores == sorted(scores, reverse=True)


def test_a_recipe_is_converted_once(peaked_parent: Parent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = original(peaked_parent)
    expected = load_or_convert(model, tmp_path).translate(["Hola"], beam=1)
    monkeypatch.setattr(ctranslate2_model, "_convert", None)  # a second conversion would fail
    assert load_or_convert(model, tmp_path).translate(["Hola"], beam=1) == expected
    assert not [path for path in (tmp_path / "ctranslate2").iterdir() if path.is_dir() and "int8" not in path.name]


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_conversion_does_not_change_the_shared_weights(
    peaked_parent: Parent, tmp_path: Path, precision: Precision
) -> None:
    before = {name: tensor.clone() for name, tensor in peaked_parent.tensors.items()}
    load_or_convert(original(peaked_parent), tmp_path, precision=precision)
    assert all(torch.equal(before[name], tensor) for name, tensor in peaked_parent.tensors.items())


@pytest.mark.parametrize("damage", ["truncate", "delete", "empty", "flip a weight", "flip the header", "a file"])
def test_a_damaged_conversion_is_converted_again(peaked_parent: Parent, tmp_path: Path, damage: str) -> None:
    model = original(peaked_parent)
    expected = load_or_convert(model, tmp_path).translate(["Hola"], beam=1)
    (folder,) = (path for path in (tmp_path / "ctranslate2").iterdir() if path.is_dir())
    if damage == "truncate":
        os.truncate(folder / "model.bin", 1000)
    if damage.startswith("flip"):
        content = bytearray((folder / "model.bin").read_bytes())
        content[4 if damage == "flip the header" else len(content) // 2] ^= 0xFF
        (folder / "model.bin").write_bytes(content)
    if damage == "a file":
        shutil.rmtree(folder)
        folder.touch()
        folder.with_suffix(".partial").touch()
        assert load_or_convert(model, tmp_path).translate(["Hola"], beam=1) == expected
        return
    for path in folder.iterdir():
        if damage == "empty" or (damage == "delete" and path.name.startswith("target")):
            path.unlink()
    assert load_or_convert(model, tmp_path).translate(["Hola"], beam=1) == expected


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_a_translation_may_be_empty(peaked_parent: Parent, tmp_path: Path, penalty: float) -> None:
    """CTranslate2's default forbids the end token at the first step."""
    bias = peaked_parent.tensors["target.bias"].clone()
    bias[peaked_parent.target_tokenizer.end] = 200.0
    model = original(replace(peaked_parent, tensors={**peaked_parent.tensors, "target.bias": bias}))
    fast = load_or_convert(model, tmp_path, precision="float32")
    search = Search(4, penalty)
    (ours,), (theirs,) = (one.search([[5, 6, 7]], search) for one in (model, fast))
    assert ours[0].tokens == theirs[0].tokens == []
    assert theirs[0].score == pytest.approx(ours[0].score, abs=1e-4)


def test_a_long_source_is_not_truncated(parent: Parent, tmp_path: Path) -> None:
    """CTranslate2's default would cut sources at 1,024 tokens."""
    architecture = replace(parent.architecture, maximum_positions=3000)
    fast = load_or_convert(original(replace(parent, architecture=architecture)), tmp_path, precision="float32")
    first = [10 + number % 200 for number in range(1500)]
    second = first[:1100] + [10 + number % 90 for number in range(400)]
    found = fast.search([first, second], Search(beam=1))
    assert found[0][0].score != found[1][0].score


def test_models_without_recipe_and_unwritable_caches_are_refused(
    parent: Parent, peaked_parent: Parent, tmp_path: Path
) -> None:
    without_recipe = replace(original(peaked_parent), recipe=None)
    with pytest.raises(IncompatibleError, match=r"^backend ctranslate2: the model has no recipe"):
        load_or_convert(without_recipe, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot be written \(Not a directory\)"):
        load_or_convert(original(peaked_parent), tmp_path / "file")


def test_selecting_a_backend(peaked_parent: Parent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = original(peaked_parent)
    assert select_backend(model, "torch", tmp_path) is model
    assert isinstance(select_backend(model, "ctranslate2", tmp_path), CTranslate2Model)
    assert isinstance(select_backend(model, "auto", tmp_path), CTranslate2Model)
    with pytest.raises(InputError, match=r"^backend: unknown value 'onnx'; expected one of auto, torch, ctranslate2"):
        select_backend(model, "onnx", tmp_path)
    (tmp_path / "file").write_text("")
    assert select_backend(model, "auto", tmp_path / "file") is model
    assert select_backend(without_recipe := replace(model, recipe=None), "auto", tmp_path) is without_recipe
    monkeypatch.setattr(ctranslate2_model, "is_available", lambda: False)
    assert select_backend(model, "auto", tmp_path) is model
    with pytest.raises(
        IncompatibleError, match=r"the package is not installed. Fix: pip install ctranslate2, or choose torch"
    ):
        select_backend(model, "ctranslate2", tmp_path)


def test_scores_are_nan_if_not_requested(peaked_parent: Parent, sentences: list[str], tmp_path: Path) -> None:
    model = original(peaked_parent)
    fast = load_or_convert(model, tmp_path, precision="float32")
    sources = [model.source.tokenizer.encode(text) for text in sentences[:5]]
    bare = fast.search(sources, Search(beam=1, scored=False))
    scored = fast.search(sources, Search(beam=1))
    assert [best.tokens for (best,) in bare] == [best.tokens for (best,) in scored]
    assert all(math.isnan(best.score) for (best,) in bare)
