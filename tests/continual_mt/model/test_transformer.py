from __future__ import annotations

import copy
import re

import pytest
import torch

from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.stored.serialization import parameter_shapes
from continual_mt.data.batching import pad
from continual_mt.model.architecture import Architecture, parameter_names
from continual_mt.model.embeddings import sinusoidal_positions
from continual_mt.model.initial_values import initial_tensors
from continual_mt.model.operations.packing import PackedLayout
from continual_mt.model.transformer import Transformer

SIZES = {"source": 40, "target": 30}


def test_parameter_names_and_shapes() -> None:
    architecture = Architecture(width=16, heads=2, encoder_layers=2, decoder_layers=3, feed_forward=24)
    model = Transformer(architecture, 40, 30)
    found = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    assert found == parameter_shapes(architecture, SIZES)
    assert set(found) == set(parameter_names(architecture)) == set(model.state_dict())


def test_pointing_at_shares_and_freezes_the_tensors(parent: Parent) -> None:
    model = Transformer.pointing_at(parent.architecture, parent.tensors)
    for name, parameter in model.named_parameters():
        assert parameter.data_ptr() == parent.tensors[name].data_ptr()
        assert not parameter.requires_grad
    assert not model.training


def test_pointing_at_rejects_other_tensors(parent: Parent) -> None:
    name = "encoder.0.attention.norm.bias"
    missing = {other: tensor for other, tensor in parent.tensors.items() if other != name}
    short = {**parent.tensors, name: parent.tensors[name][1:]}
    no_source = {other: tensor for other, tensor in parent.tensors.items() if other != "source.embedding"}
    surplus_name = "encoder.9.attention.norm.bias"
    surplus = {**parent.tensors, surplus_name: parent.tensors[name]}
    cases = (
        (missing, name),
        (short, name),
        (surplus, surplus_name),
        (no_source, "source.embedding"),
    )
    for given, wrong in cases:
        with pytest.raises(ValueError, match=f"^tensors do not match the architecture: {re.escape(wrong)}$"):
            Transformer.pointing_at(parent.architecture, given)


def test_with_sides_shares_the_body_and_cross_attention(model: Transformer) -> None:
    """Gradients reach the shared parameters, and neither the old nor the new sides."""
    names = [name for name in parameter_names(model.architecture) if name.startswith(("source", "target"))]
    sides = initial_tensors(model.architecture, tuple(names), SIZES, seed=5)
    whole = Transformer.pointing_at(model.architecture, {**model.state_dict(), **sides})
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith("cross_attention"))
    model.dropout = 0.5
    other = model.with_sides(sides)
    assert (other.dropout, other.training, model.training) == (0.5, False, False)
    source, lengths = pad([[5, 6, 7, 3], [8, 3]], 0)
    found = other(source, lengths, torch.tensor([[2, 20], [2, 21]]))
    assert torch.equal(found, whole(source, lengths, torch.tensor([[2, 20], [2, 21]])))
    found.sum().backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == name.startswith("cross_attention"), name
    assert all(dict(other.named_parameters())[name].grad is None for name in names)


def test_logits_do_not_depend_on_the_rest_of_the_batch(model: Transformer) -> None:
    sources = [[5, 6, 7, 3], [8, 3], [9, 10, 11, 12, 13, 14, 15, 3]]
    inputs = torch.tensor([[2, 20, 21], [2, 22, 23], [2, 24, 25]])
    tokens, lengths = pad(sources, 0)
    together = model(tokens, lengths, inputs)
    for row, source in enumerate(sources):
        alone = model(torch.tensor([source]), torch.tensor([len(source)]), inputs[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=1e-5)


def test_the_pad_id_does_not_matter(model: Transformer) -> None:
    inputs = torch.tensor([[2, 20], [2, 21]])
    sources = [[5, 3], [6, 7, 8, 3]]
    first, second = (model(*pad(sources, pad_id), inputs) for pad_id in (0, 9))
    assert torch.equal(first, second)


def test_decoder_attention_is_causal(model: Transformer) -> None:
    source, lengths = pad([[5, 6, 7, 3]], 0)
    first = model(source, lengths, torch.tensor([[2, 20, 21, 22]]))
    second = model(source, lengths, torch.tensor([[2, 20, 9, 10]]))
    assert torch.equal(first[:, :2], second[:, :2])
    assert not torch.equal(first[:, 2], second[:, 2])


def test_positions_are_sines_then_cosines() -> None:
    table = sinusoidal_positions(Architecture(width=4, heads=1, maximum_positions=8), torch.device("cpu"))[:5]
    angles = torch.tensor([[p, p / 100] for p in range(5)], dtype=torch.float64)
    torch.testing.assert_close(table, torch.cat([angles.sin(), angles.cos()], 1).float())


def test_positions_cached_in_inference_mode_can_be_used_in_training(parent: Parent) -> None:
    """Tensors created in inference mode cannot be used in autograd, but the cached positions must be."""
    sinusoidal_positions.cache_clear()
    model = copy.deepcopy(Transformer.pointing_at(parent.architecture, parent.tensors))
    source, lengths = pad([[5, 6, 3]], 0)
    with torch.inference_mode():
        model(source, lengths, torch.tensor([[2]]))
    model.requires_grad_(True).train()
    model(source, lengths, torch.tensor([[2]])).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_dropout_only_while_training(model: Transformer) -> None:
    source, lengths = pad([[5, 6, 7, 3]], 0)
    inputs = torch.tensor([[2, 20, 21]])
    model.dropout = 0.5
    assert torch.equal(model(source, lengths, inputs), model(source, lengths, inputs))
    model.train()
    assert not torch.equal(model(source, lengths, inputs), model(source, lengths, inputs))


def test_bfloat16_is_close_and_keeps_its_dtype_between_layers(model: Transformer) -> None:
    source, lengths = pad([[5, 6, 7, 3], [8, 3]], 0)
    inputs = torch.tensor([[2, 20, 21], [2, 22, 23]])
    expected = model(source, lengths, inputs)
    half = model.computing_in(torch.bfloat16, kept=["encoder.0.attention.key.weight"])
    layout = PackedLayout.from_lengths(lengths)
    states = half.encode(layout.pack(source), layout)
    found = half(source, lengths, inputs)
    assert states.dtype == found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, atol=0.1, rtol=0.1)
    kept = dict(half.named_parameters())["encoder.0.attention.key.weight"]
    assert kept.dtype == torch.float32
    assert kept.data_ptr() == dict(model.named_parameters())["encoder.0.attention.key.weight"].data_ptr()
    assert {parameter.dtype for parameter in half.parameters() if parameter is not kept} == {torch.bfloat16}
    assert not any(parameter.requires_grad for parameter in half.parameters())


def test_computing_in_the_same_dtype_copies_nothing(model: Transformer) -> None:
    same = model.computing_in(torch.float32)
    for first, second in zip(model.parameters(), same.parameters(), strict=True):
        assert first.data_ptr() == second.data_ptr()


def test_initial_tensors(architecture: Architecture) -> None:
    names = parameter_names(architecture)
    first, again, other = (initial_tensors(architecture, names, SIZES, seed) for seed in (1, 1, 2))
    assert {name: tuple(tensor.shape) for name, tensor in first.items()} == parameter_shapes(architecture, SIZES)
    for name, tensor in first.items():
        assert torch.equal(tensor, again[name])
        if name.endswith(".bias"):
            assert not tensor.any()
        elif ".norm." in name:
            assert bool((tensor == 1).all())
        else:
            assert not torch.equal(tensor, other[name])
    assert float(first["source.embedding"].std()) == pytest.approx(16**-0.5, rel=0.1)
    assert float(first["encoder.0.feed_forward.inner.weight"].std()) == pytest.approx(0.32 / 4, rel=0.15)
