"""Sparse matrices against dense ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from continual_mt.initialisation.sparse_rows import SparseRows


def sparse(dense: np.ndarray[Any, Any]) -> SparseRows:
    rows, columns = np.nonzero(dense)
    return SparseRows.of(rows, columns, dense[rows, columns], dense.shape)


def dense(rows: SparseRows) -> np.ndarray[Any, Any]:
    found = np.zeros((rows.rows, rows.width))
    found[rows.row_numbers(), rows.columns] = rows.values
    return found


def matrices(rows: int, columns: int) -> st.SearchStrategy[np.ndarray[Any, Any]]:
    values = st.sampled_from([0.0, 0.0, 0.25, 0.5, 1.0])
    return st.lists(values, min_size=rows * columns, max_size=rows * columns).map(
        lambda cells: np.array(cells).reshape(rows, columns)
    )


@given(matrices(3, 4), matrices(3, 4), matrices(4, 5))
def test_sparse_rows_compute_as_dense_matrices(
    first: np.ndarray[Any, Any], second: np.ndarray[Any, Any], third: np.ndarray[Any, Any]
) -> None:
    one, other = sparse(first), sparse(second)
    assert (dense(one) == first).all()
    assert (dense(one.transposed()) == first.T).all()
    assert (dense(one.times(other)) == first * second).all()
    assert np.allclose(dense(one.product(sparse(third))), first @ third)
    assert np.allclose(dense(SparseRows.sum([one, other])), first + second)
    sums = (first**2).sum(axis=1, keepdims=True)
    assert np.allclose(dense(one.with_exponent(2)), np.divide(first**2, sums, out=first * 0, where=sums > 0))


def test_the_strongest_values_of_a_row() -> None:
    found = sparse(np.array([[0.1, 0.5, 0.5, 0.2], [0.0, 0.0, 0.05, 0.0]])).strongest(2, least=0.1)
    assert dense(found).tolist() == [[0.0, 0.5, 0.5, 0.0], [0.0] * 4]
