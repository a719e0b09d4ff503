from __future__ import annotations

import torch

from continual_mt.languages import Pair
from continual_mt.model.architecture import Architecture
from continual_mt.model.initial_values import initial_joint_tensors, initial_tensors
from continual_mt.model.language_sides import of_pair, stored_names

SMALL = Architecture(
    width=8,
    heads=2,
    encoder_layers=1,
    decoder_layers=1,
    feed_forward=12,
    positions="learned",
    embedding_norm=True,
    tied_output=False,
)
SIZES = {"source.es": 40, "source.en": 50, "target.en": 60}


def test_sides_of_languages_start_as_those_of_a_pair_do() -> None:
    tensors = initial_joint_tensors(SMALL, SIZES, seed=1)
    assert set(tensors) == set(stored_names(SMALL, ["en", "es"], ["en"]))
    model = of_pair(tensors, Pair("es", "en"))
    plain = initial_tensors(SMALL, tuple(model), {"source": 40, "target": 60}, seed=1)
    for name, tensor in model.items():
        assert tensor.shape == plain[name].shape
        # Of the same distribution: norms are 1, biases 0, and tables have the standard deviation width^-½.
        torch.testing.assert_close(tensor.std(), plain[name].std(), atol=0.06, rtol=0.1)
        torch.testing.assert_close(tensor.mean(), plain[name].mean(), atol=0.1, rtol=0)


def test_a_side_starts_equal_whatever_other_languages_there_are() -> None:
    first, second = (initial_joint_tensors(SMALL, sizes, seed=1) for sizes in (SIZES, {"target.pt": 9, **SIZES}))
    assert all(torch.equal(second[name], tensor) for name, tensor in first.items())
    other = initial_joint_tensors(SMALL, SIZES, seed=2)
    assert not torch.equal(other["source.es.embedding"], first["source.es.embedding"])
    assert not torch.equal(first["source.es.embedding"], first["source.en.embedding"][:40])
