from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from continual_mt.model.packing import EXACT, PackedLayout, PaddedLayout, Rounding

ROUNDINGS = st.sampled_from([EXACT, Rounding(rows=4), Rounding(rows=64, positions=4, sentences=16)])
Lengths = st.lists(st.integers(1, 9), min_size=1, max_size=6)


def rows_of(layout: PackedLayout, width: int = 6) -> Tensor:
    """Every row another value, the fillers too, so that a row in the wrong place is seen."""
    return torch.arange(1.0, len(layout.position_ids) * width + 1).view(-1, width)


@given(Lengths, ROUNDINGS)
def test_sentences_lie_one_behind_the_other(lengths: list[int], rounding: Rounding) -> None:
    layout = PackedLayout.from_lengths(torch.tensor(lengths), rounding)
    rows = rows_of(layout)
    assert layout.token_count == sum(lengths)
    assert len(rows) % rounding.rows == 0
    assert layout.token_count < len(rows) <= layout.token_count + rounding.rows
    grid = layout.split_heads(rows, 2)
    first = 0
    for sentence, length in enumerate(lengths):
        of_sentence = grid[sentence, :, :length].transpose(0, 1).flatten(1)
        assert torch.equal(of_sentence, rows[first : first + length])
        assert layout.position_ids[first : first + length].tolist() == list(range(length))
        first += length
    sentences, _, positions, _ = grid.shape
    assert sentences % rounding.sentences == positions % rounding.positions == 0
    assert len(lengths) <= sentences < len(lengths) + rounding.sentences
    assert max(lengths) <= positions < max(lengths) + rounding.positions
    assert layout.rounded == (rounding != EXACT)


@given(Lengths, ROUNDINGS)
def test_collecting_undoes_spreading(lengths: list[int], rounding: Rounding) -> None:
    layout = PackedLayout.from_lengths(torch.tensor(lengths), rounding)
    rows = rows_of(layout)
    assert torch.equal(
        layout.merge_heads(layout.split_heads(rows, 3))[: layout.token_count], rows[: layout.token_count]
    )


@given(Lengths, ROUNDINGS)
def test_gradients_are_those_of_plain_indexing(lengths: list[int], rounding: Rounding) -> None:
    """Fillers neither get nor give a gradient; every real row gets its own."""
    layout = PackedLayout.from_lengths(torch.tensor(lengths), rounding)
    rows = rows_of(layout).requires_grad_()
    weights = torch.randn(len(layout.position_ids), 6)
    weights[layout.token_count :] = 0
    collected = layout.merge_heads(layout.split_heads(rows, 2).tanh())
    (collected * weights).sum().backward()
    expected = weights * (1 - rows.detach().tanh() ** 2)
    assert rows.grad is not None
    torch.testing.assert_close(rows.grad, expected, rtol=1e-4, atol=1e-6)


def test_the_mask_hides_what_lies_behind_a_sentence() -> None:
    mask = PackedLayout.from_lengths(torch.tensor([1, 3])).mask
    assert mask.shape == (2, 1, 1, 3)
    assert mask[:, 0, 0].tolist() == [[0.0, -torch.inf, -torch.inf], [0.0, 0.0, 0.0]]


def test_a_filler_sentence_has_something_to_look_at() -> None:
    mask = PackedLayout.from_lengths(torch.tensor([3]), Rounding(positions=4, sentences=2)).mask
    assert mask[:, 0, 0].tolist() == [[0.0, 0.0, 0.0, -torch.inf], [0.0] + [-torch.inf] * 3]


def test_tokens_as_rows() -> None:
    layout = PackedLayout.from_lengths(torch.tensor([1, 2]), Rounding(rows=4))
    assert layout.append_padding(torch.tensor([5, 6, 7]), 9).tolist() == [5, 6, 7, 9]
    assert layout.pack(torch.tensor([[5, 0], [6, 7]])).tolist()[:3] == [5, 6, 7]


def test_a_grid_only_changes_its_shape() -> None:
    layout = PaddedLayout(2, 3, torch.device("cpu"))
    rows = torch.arange(24.0).view(6, 4)
    grid = layout.split_heads(rows, 2)
    assert torch.equal(grid[1, 0], rows[3:, :2])
    assert torch.equal(layout.merge_heads(grid), rows)
    assert layout.position_ids.tolist() == [0, 1, 2] * 2
