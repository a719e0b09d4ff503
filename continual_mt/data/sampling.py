"""How often the sentence pairs of each of several corpora are drawn, so that small ones are not drowned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Item = TypeVar("Item")


def drawn_sentences(sizes: Sequence[int], temperature: float) -> list[int]:
    """Return how many sentences an epoch has of each of several corpora, given how many each has.

    Their shares are in proportion to ``size ** (1 / temperature)``, as in Arivazhagan et al., *Massively Multilingual
    Neural Machine Translation in the Wild*, 2019. Each sentence is drawn at least once, those of the largest corpus
    just once.
    """
    largest = max(sizes)
    return [round(size * (largest / size) ** (1 - 1 / temperature)) for size in sizes]


def repeated(items: Iterable[Item], size: int, drawn: int, *, first: int = 0) -> Iterator[Item]:
    """Yield items so often that ``size`` of them are ``drawn``: all equally often, but for one time more or less.

    Those that come once more are spread evenly. ``first`` is the number of the first item.
    """
    for number, item in enumerate(items, first):
        # In whole numbers, which are exact on every machine.
        for _ in range((number + 1) * drawn // size - number * drawn // size):
            yield item


def repeated_indices(count: int, size: int, drawn: int) -> NDArray[np.int64]:
    """Return what `repeated` yields of the numbers from 0 to ``count`` - 1: an array of int64."""
    ends = np.arange(count + 1, dtype=np.int64) * drawn // size
    return np.repeat(np.arange(count, dtype=np.int64), np.diff(ends))
