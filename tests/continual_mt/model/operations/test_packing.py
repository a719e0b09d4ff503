from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from continual_mt.model.operations.packing import EXACT, PackedLayout, PaddedLayout, Rounding

ROUNDINGS = st.sampled_from([EXACT, Rounding(rows=4), Rounding(rows=64, positions=4, sentences=16)])
Lengths = st.lists(st.integers(1, 9), min_size=1, max_size=6)


def rows_of(layout: PackedLayout, width: int = 6) -> Tensor:
    """Rows of distinct values, padding included, so that every misplaced row is detected."""
    return torch.arange(1.0, len(layout.position_ids) * width + 1).view(-1, width)


@given(Lengths, ROUNDINGS)
def test_rows_are_the_sentences_one_after_another(lengths: list[int], rounding: Rounding) -> None:
    layout = PackedLayout.from_lengths(torch.tensor(lengths), rounding)
    rows = rows_of(layout)
    assert layout.token_count == sum(lengths)
    assert len(rows) % rounding.rows == 0
    is_padded = len(set(lengths)) > 1 or rounding != EXACT
    assert layout.token_count + is_padded <= len(rows) <= layout.token_count + rounding.rows
    padded = layout.split_heads(rows, 2)
    first = 0
    for sentence, length in enumerate(lengths):
        sentence_rows = padded[sentence, :, :length].transpose(0, 1).flatten(1)
        assert torch.equal(sentence_rows, rows[first : first + length])
        assert layout.position_ids[first : first + length].tolist() == list(range(length))
        first += length
    sentences, _, positions, _ = padded.shape
    assert sentences % rounding.sentences == positions % rounding.positions == 0
    assert len(lengths) <= sentences < len(lengths) + rounding.sentences
    assert max(lengths) <= positions < max(lengths) + rounding.positions
    assert layout.rounded == (rounding != EXACT)


@given(Lengths, ROUNDINGS)
def test_merge_heads_is_the_inverse_of_split_heads(lengths: list[int], rounding: Rounding) -> None:
    layout = PackedLayout.from_lengths(torch.tensor(lengths), rounding)
    rows = rows_of(layout)
    assert torch.equal(
        layout.merge_heads(layout.split_heads(rows, 3))[: layout.token_count], rows[: layout.token_count]
    )


@given(Lengths, ROUNDINGS)
def test_gradients_equal_those_of_plain_indexing(lengths: list[int], rounding: Rounding) -> None:
    """Padding rows neither receive nor pass on gradients."""
    layout = PackedLayout.from_lengths(torch.tensor(lengths), rounding)
    rows = rows_of(layout).requires_grad_()
    weights = torch.randn(len(layout.position_ids), 6)
    weights[layout.token_count :] = 0
    merged = layout.merge_heads(layout.split_heads(rows, 2).tanh())
    (merged * weights).sum().backward()
    expected = weights * (1 - rows.detach().tanh() ** 2)
    assert rows.grad is not None
    torch.testing.assert_close(rows.grad, expected, rtol=1e-4, atol=1e-6)


def test_the_mask_hides_padding() -> None:
    mask = PackedLayout.from_lengths(torch.tensor([1, 3])).mask
    assert mask.shape == (2, 1, 1, 3)
    assert mask[:, 0, 0].tolist() == [[0.0, -torch.inf, -torch.inf], [0.0, 0.0, 0.0]]


def test_an_empty_sentence_has_one_unmasked_position() -> None:
    mask = PackedLayout.from_lengths(torch.tensor([3]), Rounding(positions=4, sentences=2)).mask
    assert mask[:, 0, 0].tolist() == [[0.0, 0.0, 0.0, -torch.inf], [0.0] + [-torch.inf] * 3]


def test_pack_and_append_padding() -> None:
    layout = PackedLayout.from_lengths(torch.tensor([1, 2]), Rounding(rows=4))
    assert layout.append_padding(torch.tensor([5, 6, 7]), 9).tolist() == [5, 6, 7, 9]
    assert layout.pack(torch.tensor([[5, 0], [6, 7]])).tolist()[:3] == [5, 6, 7]


def test_padded_layout() -> None:
    layout = PaddedLayout(2, 3, torch.device("cpu"))
    rows = torch.arange(24.0).view(6, 4)
    padded = layout.split_heads(rows, 2)
    assert torch.equal(padded[1, 0], rows[3:, :2])
    assert torch.equal(layout.merge_heads(padded), rows)
    assert layout.position_ids.tolist() == [0, 1, 2] * 2
