"""Sparse matrices by rows, with the few operations that word translations need.

Sums are taken in one order and in double precision, so that equal input gives equal bytes on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from continual_mt.data.tokenized_corpus import flat_indices

CELLS_AT_ONCE = 1 << 22
"""The most cells of a dense table that are held at once while rows are computed."""

Integers = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SparseRows:
    """A sparse matrix by rows: row ``i`` has ``values[offsets[i]:offsets[i + 1]]`` in ``columns[…]``, in order."""

    offsets: Integers
    columns: npt.NDArray[np.int32]
    values: npt.NDArray[np.float32]
    width: int

    @property
    def rows(self) -> int:
        return len(self.offsets) - 1

    def row(self, number: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """Return the columns and the values of a row."""
        chosen = slice(self.offsets[number], self.offsets[number + 1])
        return self.columns[chosen], self.values[chosen]

    def row_numbers(self) -> Integers:
        """Return the row of each value."""
        return np.repeat(np.arange(self.rows), np.diff(self.offsets))

    @classmethod
    def of(cls, rows: Integers, columns: Integers, values: Numbers, shape: tuple[int, int]) -> SparseRows:
        """Build the matrix from its entries, in any order; no two are in the same place."""
        order = np.lexsort((columns, rows))
        offsets = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=shape[0]))]).astype(np.int64)
        return cls(offsets, columns[order].astype(np.int32), values[order].astype(np.float32), shape[1])

    def transposed(self) -> SparseRows:
        """Return the matrix with rows and columns exchanged."""
        columns = self.columns.astype(np.int64)
        return SparseRows.of(columns, self.row_numbers(), self.values.astype(np.float64), (self.width, self.rows))

    @classmethod
    def empty(cls, shape: tuple[int, int]) -> SparseRows:
        """Return a matrix without entries."""
        nothing = np.empty(0, dtype=np.int64)
        return cls.of(nothing, nothing, np.empty(0), shape)

    def with_exponent(self, exponent: int) -> SparseRows:
        """Return the values raised to a power, then divided by the sum of their row."""
        rows = self.row_numbers()
        powers = self.values.astype(np.float64) ** exponent
        sums = weighted_sums(rows, powers, self.rows)
        return SparseRows.of(rows, self.columns.astype(np.int64), powers / sums[rows], (self.rows, self.width))

    def times(self, other: SparseRows) -> SparseRows:
        """Return the element-wise product with a matrix of the same shape."""
        first, second = (one.row_numbers() * one.width + one.columns for one in (self, other))
        keys, places, others = np.intersect1d(first, second, assume_unique=True, return_indices=True)
        values = self.values[places].astype(np.float64) * other.values[others]
        return SparseRows.of(keys // self.width, keys % self.width, values, (self.rows, self.width))

    @classmethod
    def sum(cls, matrices: Sequence[SparseRows]) -> SparseRows:
        """Return the sum of one or more matrices of the same shape."""
        width = matrices[0].width
        keys = np.concatenate([one.row_numbers() * width + one.columns for one in matrices])
        values = np.concatenate([one.values.astype(np.float64) for one in matrices])
        present, places = np.unique(keys, return_inverse=True)
        sums = weighted_sums(places, values, len(present))
        return cls.of(present // width, present % width, sums, (matrices[0].rows, width))

    def strongest(self, count: int, least: float) -> SparseRows:
        """Return the ``count`` largest values of each row that are at least ``least``; of equal ones the first."""
        rows = self.row_numbers()
        order = np.lexsort((self.columns, -self.values, rows))
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order)) - np.repeat(self.offsets[:-1], np.diff(self.offsets))
        kept = (rank < count) & (self.values >= least)
        return SparseRows.of(
            rows[kept],
            self.columns[kept].astype(np.int64),
            self.values[kept].astype(np.float64),
            (self.rows, self.width),
        )

    def product(self, other: SparseRows) -> SparseRows:
        """Return the matrix product, (rows, width of ``other``)."""
        found: list[tuple[Integers, Integers, Numbers]] = []
        at_once = max(1, CELLS_AT_ONCE // max(1, other.width))
        for first in range(0, self.rows, at_once):
            last = min(first + at_once, self.rows)
            part = slice(self.offsets[first], self.offsets[last])
            middle = self.columns[part].astype(np.int64)
            lengths = other.offsets[middle + 1] - other.offsets[middle]
            entries = flat_indices(other.offsets[middle], lengths)
            rows = np.repeat(np.arange(first, last), np.diff(self.offsets[first : last + 1])) - first
            weights = np.repeat(self.values[part].astype(np.float64), lengths) * other.values[entries]
            keys = np.repeat(rows, lengths) * other.width + other.columns[entries]
            sums = weighted_sums(keys, weights, (last - first) * other.width)
            present = np.flatnonzero(sums)
            found.append((first + present // other.width, present % other.width, sums[present]))
        return joined(found, (self.rows, other.width))


def weighted_sums(keys: npt.NDArray[Any], weights: npt.NDArray[Any], size: int) -> Numbers:
    """Return the sum of the weights of each key, taken in their order: (size,)."""
    return cast(Numbers, np.bincount(keys, weights=weights, minlength=size))


def joined(found: list[tuple[Integers, Integers, Numbers]], shape: tuple[int, int]) -> SparseRows:
    """Build one matrix from the entries (rows, columns, values) of its parts."""
    rows, columns, values = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return SparseRows.of(rows, columns, values, shape)
