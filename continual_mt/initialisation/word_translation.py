"""Word translation probabilities from parallel text, by IBM model 1.

The words are the types of the two tokenizers. Model 1 (Brown, Della Pietra, Della Pietra and Mercer, *The Mathematics
of Statistical Machine Translation: Parameter Estimation*, Computational Linguistics 1993) has no empty word here.

Sums are taken in one order and in double precision, so that equal text gives equal bytes on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from continual_mt.artifacts.stored.optional_pieces import WORD_TRANSLATIONS
from continual_mt.data.tokenized_corpus import TokenizedCorpus, flat_indices
from continual_mt.errors import CorruptionError
from continual_mt.initialisation.sparse_rows import (
    CELLS_AT_ONCE,
    Integers,
    Numbers,
    SparseRows,
    joined,
    weighted_sums,
)
from continual_mt.languages import SideName

if TYPE_CHECKING:
    from continual_mt.artifacts.parent import Parent

ROUNDS = 6
KEPT = 32
"""The most translations that are kept of a type."""
LEAST = 1e-3
"""Translations with a smaller probability are dropped."""
MOST_LINKS = 150_000_000
"""The most links (a token with one token of the other side's sentence) that are counted; a larger text is sampled."""

MOST_TYPES = 1 << 16
"""Of a larger vocabulary, as of a parent of many languages, only the types that occur are counted, if they are few.

The last bits of sums depend on what is counted together, so smaller vocabularies are counted whole, as ever.
"""

_LINKS_AT_ONCE = 1 << 21
_FAINT = 1e-6  # of a type's probability: what is dropped between rounds, which bounds the memory


@dataclass(frozen=True, eq=False)
class WordTranslations:
    """A parent's word translation table: p(source type | target type) by target type, and the reverse."""

    source_given_target: SparseRows
    target_given_source: SparseRows

    @classmethod
    def count(
        cls, corpus: TokenizedCorpus, sizes: tuple[int, int], progress: Callable[[int], None] = lambda done: None
    ) -> WordTranslations:
        """Count a parent's text, tokenized as it was trained on. ``sizes`` are those of source and target.

        ``progress`` is called with the number of rounds done, of 2 × ROUNDS.
        """
        source, target = sizes
        return cls(
            translation_probabilities(corpus, "target", (target, source), progress=progress),
            translation_probabilities(corpus, "source", sizes, progress=lambda done: progress(ROUNDS + done)),
        )

    def to_bytes(self) -> bytes:
        """Return the stored form, a safetensors file; equal tables give equal bytes."""
        return save(
            {
                f"{name}.{part}": values
                for name, rows in (
                    ("source_given_target", self.source_given_target),
                    ("target_given_source", self.target_given_source),
                )
                for part, values in (("offsets", rows.offsets), ("columns", rows.columns), ("values", rows.values))
            }
        )

    @classmethod
    def of_parent(cls, stored: bytes, parent: Parent) -> WordTranslations:
        """Read what ``to_bytes`` returned: the table of a parent whose languages share a vocabulary an end.

        Raises CorruptionError unless it is a table of the parent's vocabularies.
        """
        source, target = parent.source_tokenizer.size, parent.target_tokenizer.size
        try:
            arrays = load(stored)
        except (SafetensorError, ValueError, KeyError) as error:
            raise CorruptionError(f"{WORD_TRANSLATIONS}: not a safetensors file ({error})") from error
        return cls(
            _read_rows(arrays, "source_given_target", (target, source)),
            _read_rows(arrays, "target_given_source", (source, target)),
        )


def _read_rows(arrays: Mapping[str, npt.NDArray[Any]], name: str, shape: tuple[int, int]) -> SparseRows:
    offsets, columns, values = (arrays.get(f"{name}.{part}") for part in ("offsets", "columns", "values"))
    if (
        offsets is None
        or columns is None
        or values is None
        or [str(array.dtype) for array in (offsets, columns, values)] != ["int64", "int32", "float32"]
        or offsets.shape != (shape[0] + 1,)
        or offsets[0] != 0
        or (np.diff(offsets) < 0).any()
        or not columns.shape == values.shape == (offsets[-1],)
        or not ((columns >= 0) & (columns < shape[1])).all()
        or not ((values > 0) & (values <= 1.001)).all()  # also refuses NaN
    ):
        raise CorruptionError(f"{WORD_TRANSLATIONS}: {name} is not a table of {shape[0]:,} × {shape[1]:,} types")
    return SparseRows(offsets, columns, values, shape[1])


def translation_probabilities(
    corpus: TokenizedCorpus,
    given: SideName,
    sizes: tuple[int, int],
    *,
    seed: int = 0,
    rounds: int = ROUNDS,
    most_links: int = MOST_LINKS,
    progress: Callable[[int], None] = lambda done: None,
) -> SparseRows:
    """Return p(type of the other side | type of the side ``given``), one row per type that is given.

    Args:
        sizes: the numbers of types of the sides, ``given`` first.
        seed: selects the sentence pairs of a text with more than ``most_links`` links.
        progress: called after each round with the number of rounds done.

    Rows of types that do not occur are empty. A row keeps at most KEPT translations, each of at least LEAST, and is not
    normalised again, so that its sum tells how much was dropped.
    """
    text = _Text.of(corpus, given, sizes, seed, most_links)
    table: SparseRows | None = None
    for done in range(rounds):
        table = _normalised(text.expected_counts(table))
        progress(done + 1)
    assert table is not None
    found = table.transposed().strongest(KEPT, LEAST)
    given_types, other_types = text.types
    rows, columns = given_types[found.row_numbers()], other_types[found.columns]
    return SparseRows.of(rows, columns, found.values.astype(np.float64), sizes)


def _normalised(counts: SparseRows) -> SparseRows:
    """From expected counts, one row per type of the other side, to p(row | column), in the same layout."""
    columns = counts.columns
    totals = weighted_sums(columns, counts.values, counts.width)
    values = counts.values.astype(np.float64) / totals[columns]
    kept = values >= _FAINT
    return SparseRows.of(
        counts.row_numbers()[kept], columns[kept].astype(np.int64), values[kept], (counts.rows, counts.width)
    )


@dataclass(frozen=True, eq=False)
class _Text:
    """The sampled text. ``given`` are the tokens of one side, sentence by sentence, with ``starts`` and ``lengths``.

    ``sentences`` are the sentences of the other side's tokens in the order of their types; ``offsets`` divides them by
    type. Types are numbered by their places in ``types``, which has the ids that are counted, of ``given`` first.
    """

    given: npt.NDArray[np.int32]
    starts: Integers
    lengths: Integers
    sentences: npt.NDArray[np.int32]
    offsets: Integers
    types: tuple[Integers, Integers]

    @property
    def sizes(self) -> tuple[int, int]:
        return len(self.types[0]), len(self.types[1])

    @classmethod
    def of(cls, corpus: TokenizedCorpus, given: SideName, sizes: tuple[int, int], seed: int, most_links: int) -> _Text:
        chosen = _sample(corpus, seed, most_links)
        other: SideName = "target" if given == "source" else "source"
        tokens, lengths = corpus.gather(given, chosen)
        others, other_lengths = corpus.gather(other, chosen)
        (tokens, types), (others, other_types) = _counted(tokens, sizes[0]), _counted(others, sizes[1])
        sentences = np.repeat(np.arange(len(chosen), dtype=np.int32), other_lengths)
        order = np.argsort(others, kind="stable")
        counts = np.bincount(others, minlength=len(other_types))
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        starts = np.cumsum(lengths) - lengths
        return cls(tokens.astype(np.int32), starts, lengths, sentences[order], offsets, (types, other_types))

    def expected_counts(self, table: SparseRows | None) -> SparseRows:
        """Return how often each type of the other side (row) is expected to translate each type (column).

        ``table`` has the probabilities in the same layout; without it all are equal.
        """
        return joined([self._counts_of_rows(*rows, table) for rows in self._groups()], (self.sizes[1], self.sizes[0]))

    def _groups(self) -> Iterator[tuple[int, int]]:
        """Divide the rows into groups whose counts fit into memory as a dense table."""
        at_once = max(1, CELLS_AT_ONCE // max(1, self.sizes[0]))
        for first in range(0, self.sizes[1], at_once):
            yield first, min(first + at_once, self.sizes[1])

    def _counts_of_rows(self, first: int, last: int, table: SparseRows | None) -> tuple[Integers, Integers, Numbers]:
        width = self.sizes[0]
        known = None
        if table is not None:
            known = np.zeros((last - first) * width, dtype=np.float32)
            part = slice(table.offsets[first], table.offsets[last])
            rows = np.repeat(np.arange(last - first), np.diff(table.offsets[first : last + 1]))
            known[rows * width + table.columns[part]] = table.values[part]
        counts = np.zeros((last - first) * width)
        rows = np.repeat(np.arange(last - first), np.diff(self.offsets[first : last + 1]))
        sentences = self.sentences[self.offsets[first] : self.offsets[last]]
        for chosen in self._chunks(sentences):
            lengths = self.lengths[sentences[chosen]]
            tokens = self.given[flat_indices(self.starts[sentences[chosen]], lengths)]
            keys = np.repeat(rows[chosen] * width, lengths) + tokens
            counts += self._share_out(keys, lengths, known, len(counts))
        present = np.flatnonzero(counts)
        return first + present // width, present % width, counts[present]

    def _chunks(self, sentences: npt.NDArray[np.int32]) -> Iterator[slice]:
        """Divide the tokens of a group so that the links of each part fit into memory."""
        ends = np.cumsum(self.lengths[sentences])
        first = 0
        while first < len(sentences):
            done = ends[first - 1] if first else 0
            last = max(first + 1, int(np.searchsorted(ends, done + _LINKS_AT_ONCE, side="right")))
            yield slice(first, last)
            first = last

    @staticmethod
    def _share_out(keys: Integers, lengths: Integers, known: npt.NDArray[np.float32] | None, cells: int) -> Numbers:
        """Share each token out over the tokens that it may translate: the expectation step."""
        if known is None:
            return weighted_sums(keys, np.repeat(1.0 / lengths, lengths), cells)
        likely = known[keys].astype(np.float64)
        tokens = np.repeat(np.arange(len(lengths)), lengths)
        sums = weighted_sums(tokens, likely, len(lengths))
        # A token whose translations were all dropped as too faint is left out.
        inverse = np.divide(1.0, sums, out=np.zeros_like(sums), where=sums > 0)
        return weighted_sums(keys, likely * np.repeat(inverse, lengths), cells)


def _counted(ids: Integers, size: int) -> tuple[Integers, Integers]:
    """Return the places of ids among the types that are counted, and these types, in order."""
    if size > MOST_TYPES:
        types = np.unique(ids)
        if 2 * len(types) < size:
            return np.searchsorted(types, ids), types
    return ids, np.arange(size)


def _sample(corpus: TokenizedCorpus, seed: int, most_links: int) -> Integers:
    """Return the sentence pairs to count: all, or so many of them in a random order that their links are few enough."""
    links = corpus.source_lengths.astype(np.int64) * corpus.target_lengths
    if links.sum() <= most_links:
        return np.arange(len(corpus))
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(corpus))
    count = int(np.searchsorted(np.cumsum(links[order]), most_links, side="right"))
    return np.sort(order[: max(1, count)])
