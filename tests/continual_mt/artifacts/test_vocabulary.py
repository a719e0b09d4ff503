from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.recipe import Recipe
from continual_mt.artifacts.stored.serialization import json_piece, parameter_shapes, read_json
from continual_mt.artifacts.vocabulary import is_shared, named_tokenizers, tensor_shapes, tokenizer_of
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.errors import CorruptionError, IncompatibleError
from continual_mt.inference.assembly import assemble
from continual_mt.languages import Pair
from continual_mt.model.architecture import Architecture
from continual_mt.model.language_sides import part_of

LEARNED = Architecture(
    width=16,
    heads=2,
    encoder_layers=1,
    decoder_layers=1,
    feed_forward=24,
    maximum_positions=48,
    positions="learned",
    embedding_norm=True,
    tied_output=False,
)


def test_the_tokenizers_of_an_end(django_tokenizers: dict[str, Tokenizer]) -> None:
    shared, own = django_tokenizers["es"], {"pt": django_tokenizers["pt"], "es": django_tokenizers["es"]}
    assert (is_shared(shared), is_shared(own)) == (True, False)
    assert tokenizer_of(shared, "de") is shared
    assert (tokenizer_of(own, "pt"), tokenizer_of(own, "de")) == (django_tokenizers["pt"], None)
    assert named_tokenizers("target", shared) == {"target": shared}
    assert list(named_tokenizers("source", own)) == ["source.es", "source.pt"]


def test_the_shapes_of_a_shared_parent_are_those_of_a_pair(django_tokenizers: dict[str, Tokenizer]) -> None:
    source, target = django_tokenizers["es"], django_tokenizers["en"]
    sizes = {"source": source.size, "target": target.size}
    assert tensor_shapes(LEARNED, source, target) == parameter_shapes(LEARNED, sizes)


@pytest.mark.parametrize("architecture", [Architecture(width=16, heads=2, feed_forward=24), LEARNED])
def test_pieces_hold_a_side_each_and_are_read_back(
    architecture: Architecture, make_own: Callable[[Architecture], Parent]
) -> None:
    parent = make_own(architecture)
    pieces = parent.pieces()
    sides = [f"{part}.{ending}" for part in parent.tokenizers for ending in ("model", "safetensors")]
    bodies = [f"{group}.safetensors" for group in ("encoder", "decoder", "cross_attention")]
    assert sorted(pieces) == sorted(["parent.json", *sides, *bodies])
    assert read_json(pieces, "parent.json")["vocabularies"] == "own"
    again = Parent.from_pieces(pieces)
    assert (again.fingerprint, again.vocabularies, again.languages) == (parent.fingerprint, "own", parent.languages)
    assert again.pieces() == pieces
    assert all(torch.equal(again.tensors[name], tensor) for name, tensor in parent.tensors.items())


def test_a_parent_whose_languages_share_a_vocabulary_does_not_name_them(parent: Parent) -> None:
    assert parent.vocabularies == "shared"
    assert "vocabularies" not in read_json(parent.pieces(), "parent.json")


def test_a_pair_has_its_own_tensors_and_tokenizers(own: Parent) -> None:
    pair = Pair("es", "pt")
    tensors, (source, target) = own.tensors_of(pair), own.sides(pair)
    assert tensors["source.embedding"] is own.tensors["source.es.embedding"]
    assert tensors["target.bias"] is own.tensors["target.pt.bias"]
    assert (source.tokenizer, target.tokenizer) == (own.tokenizer("source", "es"), own.tokenizer("target", "pt"))
    # No sentence has a token that names its language.
    assert (source.tokenizer.before_source, target.tokenizer.before_target) == ((), (target.tokenizer.start,))
    assert "source.embedding" not in own.tensors_of(Pair("de", "en"))


def test_what_all_languages_would_share_is_refused(own: Parent) -> None:
    with pytest.raises(IncompatibleError, match=r"has a vocabulary for each language\. Fix: name the source language"):
        _ = own.source_tokenizer
    with pytest.raises(IncompatibleError, match="has no target vocabulary of de"):
        own.sides(Pair("es", "de"))


def test_the_fingerprint_depends_on_each_vocabulary(own: Parent, make_own: Callable[[Architecture], Parent]) -> None:
    model = own.tokenizer("target", "pt").model.replace(b"\xe2\x96\x81de", b"\xe2\x96\x81ed", 1)
    assert isinstance(own.target, dict)
    assert replace(own, target=own.target | {"pt": Tokenizer(model)}).fingerprint != own.fingerprint
    assert make_own(own.architecture).fingerprint == own.fingerprint


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocabularies": "other"}, "parent.json: unknown vocabularies 'other'; expected own"),
        ({"vocabularies": "shared"}, "parent.json: unknown vocabularies 'shared'; expected own"),
        ({"targets": [["de", "de", None]]}, r"missing piece target\.de\.model"),
    ],
)
def test_damaged_pieces_are_named(own: Parent, changes: dict[str, object], message: str) -> None:
    pieces = own.pieces()
    pieces["parent.json"] = json_piece(read_json(pieces, "parent.json") | changes)
    with pytest.raises(CorruptionError, match=message):
        Parent.from_pieces(pieces)


def test_tensors_of_another_side_are_refused(own: Parent) -> None:
    pieces = own.pieces()
    pieces["source.es.safetensors"] = pieces["source.en.safetensors"]
    with pytest.raises(CorruptionError, match=r"source\.es\.safetensors: contains tensors of another group"):
        Parent.from_pieces(pieces)


def test_one_end_alone_cannot_have_vocabularies_for_each_language(own: Parent) -> None:
    with pytest.raises(CorruptionError, match="one end has a vocabulary for each language; expected both or neither"):
        replace(own, source=own.tokenizer("source", "es"))


def test_half_precision_keeps_the_sides(own: Parent) -> None:
    half = own.stored_in("bfloat16")
    again = Parent.from_pieces(half.pieces())
    assert (again.fingerprint, again.vocabularies) == (half.fingerprint, "own")
    assert again.fingerprint != own.fingerprint


def test_models_of_its_pairs_share_the_body_and_the_sides(own: Parent) -> None:
    def model(pair: str) -> dict[str, int]:
        parsed = Pair.parse(pair)
        recipe = Recipe("original", parsed, "own", own.fingerprint, several=own.languages.several)
        assembled = assemble(recipe, own, {})
        assert assembled.translate(["Añadir un fichero"]) != [""]
        return {name: tensor.data_ptr() for name, tensor in assembled.transformer.state_dict().items()}

    one, other = model("es-en"), model("es-pt")
    same = {part_of(name.replace("target.", "target.x.")) for name in one if one[name] == other[name]}
    assert same == {"source.embedding", "encoder", "decoder", "cross_attention"}


@pytest.mark.parametrize("scope", ["embeddings", "xattn", "half", "scratch"])
def test_a_module_fits_the_sides_of_its_pair(
    own: Parent, make_module: Callable[..., Module], django_tokenizers: dict[str, Tokenizer], scope: str
) -> None:
    for pair in ("de-en", "de-pt", "es-de"):
        module = make_module(pair, scope, parent=own)
        again = Module.from_pieces(module.pieces())
        again.check_fits(own)
        parsed = Pair.parse(pair)
        assert again.digest == module.digest
        shapes = {name: tuple(tensor.shape) for name, tensor in module.tensors.items()}
        if scope == "scratch":
            assert shapes["source.embedding"][0] == django_tokenizers[parsed.source].size
            assert shapes["target.embedding"][0] == django_tokenizers[parsed.target].size
