"""Translation on the device gives the text that the CPU gives, greedily and with a beam."""

from __future__ import annotations

import pytest
import torch

from continual_mt.artifacts.parent import Parent
from continual_mt.inference.torch_model import PairModel
from continual_mt.model.transformer import Transformer

pytestmark = pytest.mark.cuda


def on(where: torch.device, parent: Parent) -> PairModel:
    transformer = Transformer.pointing_at(parent.architecture, parent.tensors).to(where)
    return PairModel(parent.pair, transformer, *parent.sides(parent.pair))


@pytest.mark.parametrize("beam", [1, 4])
def test_float32_gives_the_text_of_the_cpu(
    parent: Parent, device: torch.device, held_out: dict[str, list[str]], beam: int
) -> None:
    found = on(device, parent).translate(held_out["fr"], beam=beam)
    assert found == on(torch.device("cpu"), parent).translate(held_out["fr"], beam=beam)
    # It translates: what compares equal is not the same few words for every sentence.
    right = sum(ours == reference for ours, reference in zip(found, held_out["en"], strict=True))
    assert right > len(found) / 2, found


def test_logits_in_float32_are_those_of_the_cpu(
    parent: Parent, device: torch.device, held_out: dict[str, list[str]]
) -> None:
    pairs = held_out["fr"], held_out["en"]
    both = on(device, parent).logits(*pairs), on(torch.device("cpu"), parent).logits(*pairs)
    for found, expected in zip(*both, strict=True):
        torch.testing.assert_close(found.cpu(), expected, rtol=1e-4, atol=1e-4)
