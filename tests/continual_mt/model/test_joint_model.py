from __future__ import annotations

import torch

from continual_mt.artifacts.parent import Parent
from continual_mt.languages import Pair
from continual_mt.model.architecture import Architecture
from continual_mt.model.initial_values import initial_tensors
from continual_mt.model.joint_model import JointModel
from continual_mt.model.language_sides import stored_names, with_language

ES_EN, ES_PT, EN_PT = Pair("es", "en"), Pair("es", "pt"), Pair("en", "pt")


def test_parameters_are_the_parents_tensors_each_once(own: Parent) -> None:
    model = JointModel(own.architecture, own.tensors, [ES_EN, ES_PT, EN_PT])
    found = dict(model.named_parameters())
    assert set(found) == set(stored_names(own.architecture, ["en", "es"], ["en", "pt"]))
    assert all(found[name].data_ptr() == tensor.data_ptr() for name, tensor in own.tensors.items())
    assert model.of(ES_EN).source is model.of(ES_PT).source
    assert model.of(EN_PT).target is model.of(ES_PT).target
    assert model.of(ES_EN).encoder is model.of(EN_PT).encoder


def test_models_compute_as_those_of_their_pairs(own: Parent) -> None:
    model = JointModel(own.architecture, own.tensors, [ES_EN, EN_PT]).computing_in(torch.bfloat16, ["source.es.bias"])
    assert model.of(EN_PT).computation == torch.bfloat16
    assert {parameter.dtype for _, parameter in model.named_parameters()} == {torch.bfloat16}
    model.dropout = 0.25
    assert (model.dropout, model.of(EN_PT).dropout, model.of(ES_EN).dropout) == (0.25, 0.25, 0.25)
    assert model.train().of(EN_PT).training
    kept = JointModel(own.architecture, own.tensors, [ES_EN]).computing_in(torch.bfloat16, ["source.es.embedding"])
    assert kept.of(ES_EN).source.embedding.data_ptr() == own.tensors["source.es.embedding"].data_ptr()


def test_a_language_may_have_the_tag_of_a_method() -> None:
    """Tongan is ``to``, which a module dictionary of PyTorch refuses as a key."""
    small = Architecture(width=8, heads=2, encoder_layers=1, decoder_layers=1, feed_forward=12)
    plain = initial_tensors(
        small, ("source.embedding", "target.embedding", "target.bias"), dict.fromkeys(("source", "target"), 9), 1
    )
    pair = Pair("to", "en")
    tensors = {
        with_language(name, pair.language("source" if name.startswith("source") else "target")): tensor
        for name, tensor in plain.items()
    }
    body = [name for name in stored_names(small, ["to"], ["en"]) if not name.startswith(("source", "target"))]
    tensors |= initial_tensors(small, tuple(body), {"source": 9, "target": 9}, 1)
    assert "source.to.embedding" in dict(JointModel(small, tensors, [pair]).named_parameters())
