"""The starting values of a new side: rows of the parent's table, weighted, and noise where there is no evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np
import torch
from torch import Tensor

from continual_mt.data.tokenized_corpus import TokenizedCorpus
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.evaluation.alignment import ordinary_ids, unit_rows
from continual_mt.initialisation.sparse_rows import CELLS_AT_ONCE, Integers, Numbers, SparseRows
from continual_mt.initialisation.word_translation import WordTranslations, translation_probabilities
from continual_mt.languages import SideName

Origin = Literal["lexical", "shared", "noise"]
ORIGINS: tuple[Origin, ...] = get_args(Origin)

EXPONENT = 2
"""The power to which translation probabilities are raised before a row's are normalised."""
FREQUENT = 10
NEAREST = 3
_ROW_PER_TYPE = ("embedding", "bias", "output")
_ROWS = 1 << 15
"""The most rows of a table that are compared at once."""


@dataclass(frozen=True)
class FrequentType:
    """One of the most frequent new types, with the parent's types that have the nearest embeddings, by cosine."""

    piece: str
    origin: Origin
    nearest: tuple[str, ...]


@dataclass(frozen=True)
class StartSummary:
    """How the types of a new side started: how many of each origin, and the most frequent ones."""

    types: Mapping[Origin, int]
    frequent: tuple[FrequentType, ...]

    def lines(self) -> list[str]:
        """Describe the start, for logs."""
        names = {"lexical": "word translations", "shared": "the parent's equal pieces", "noise": "noise"}
        total = sum(self.types.values())
        parts = ", ".join(f"{self.types[origin]:,} from {names[origin]}" for origin in ORIGINS)
        frequent = " | ".join(
            f"{one.piece} → {'noise' if one.origin == 'noise' else ' '.join(one.nearest)}" for one in self.frequent
        )
        return [f"its {total:,} types start {parts}", f"the most frequent, each with the parent's nearest: {frequent}"]

    def to_json(self) -> dict[str, object]:
        return {
            "types": dict(self.types),
            "frequent": [
                {"piece": one.piece, "origin": one.origin, "nearest": list(one.nearest)} for one in self.frequent
            ],
        }


@dataclass(frozen=True, eq=False)
class Weights:
    """Which rows of the parent's table each new type starts from.

    ``rows`` are (new types, parent's types); each row sums to 1, or is empty for a type that starts as noise.
    ``origins`` has an index into ORIGINS for each new type.
    """

    rows: SparseRows
    origins: Integers


def evidence_of_text(
    corpus: TokenizedCorpus,
    side: SideName,
    sizes: tuple[int, int],
    table: WordTranslations,
    progress: Callable[[int], None] = lambda done: None,
) -> SparseRows:
    """Return p(parent's type | new type) through the shared language: Σ p(shared | new) · p(parent's | shared).

    The first factor is counted in ``corpus``, the addition's own text, whose side ``side`` is new; ``sizes`` are its
    numbers of types, source and target. The second is the parent's ``table``, where both of its directions agree: the
    normalised product of p(parent's | shared) and p(shared | parent's) (as Liang, Taskar and Klein, *Alignment by
    Agreement*, NAACL 2006, combine them). The addition's own text is mostly too small for that.
    """
    new_first = sizes if side == "source" else (sizes[1], sizes[0])
    shared_given_new = translation_probabilities(corpus, side, new_first, progress=progress)
    forth, back = table.source_given_target, table.target_given_source
    own_given_shared, shared_given_own = (forth, back) if side == "source" else (back, forth)
    agreed = own_given_shared.times(shared_given_own.transposed()).with_exponent(1)
    return shared_given_new.product(agreed)


def combined(new: Tokenizer, own: Tokenizer, evidence: SparseRows | None) -> Weights:
    """Choose the start of each new type: by ``evidence``, else by the parent's equal piece, else noise.

    ``evidence`` is (new types, parent's types), such as word translation probabilities, not normalised; None starts
    from equal pieces alone. Special types start from the parent's special types.
    """
    shape = new.size, own.size
    lexical = SparseRows.empty(shape) if evidence is None else evidence.with_exponent(EXPONENT)
    origins = np.full(new.size, ORIGINS.index("noise"))
    origins[lexical.row_numbers()] = ORIGINS.index("lexical")
    fixed = dict(zip(_special(new), _special(own), strict=True))
    equal = [*equal_pieces(new, own), *_bytes(new, own)]
    fixed |= {number: own_number for number, own_number in equal if ORIGINS[origins[number]] == "noise"}
    origins[list(fixed)] = ORIGINS.index("shared")
    kept = ~np.isin(lexical.row_numbers(), list(fixed))
    rows = [lexical.row_numbers()[kept], np.array(list(fixed))]
    columns = [lexical.columns[kept].astype(np.int64), np.array(list(fixed.values()))]
    values = [lexical.values[kept].astype(np.float64), np.ones(len(fixed))]
    return Weights(SparseRows.of(np.concatenate(rows), np.concatenate(columns), np.concatenate(values), shape), origins)


def equal_pieces(new: Tokenizer, own: Tokenizer) -> list[tuple[int, int]]:
    """Return the ids of the pieces that both vocabularies have, special ones excluded."""
    numbers = {own.pieces[number]: number for number in ordinary_ids(own)}
    return [(number, numbers[piece]) for number in ordinary_ids(new) if (piece := new.pieces[number]) in numbers]


def _bytes(new: Tokenizer, own: Tokenizer) -> list[tuple[int, int]]:
    numbers = {own.pieces[number]: number for number in own.byte_types}
    return [(number, numbers.get(new.pieces[number], own.unknown)) for number in sorted(new.byte_types)]


def _special(tokenizer: Tokenizer) -> tuple[int, int, int, int]:
    return tokenizer.pad, tokenizer.unknown, tokenizer.start, tokenizer.end


def starting_tensors(weights: Weights, parent: Mapping[str, Tensor], noise: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the new side's tensors: weighted means of the parent's rows, and ``noise`` for types without a start.

    A mean of different vectors is short, so each is made as long as those that it is the mean of are in the (weighted)
    mean. ``noise`` names the tensors; ``parent`` has those of the same names. Learned positions and the norm of
    embeddings, which have no row per type, start as the parent's.
    """
    started = torch.from_numpy(np.diff(weights.rows.offsets) > 0)
    found = {}
    for name, fresh in noise.items():
        if name.partition(".")[2] not in _ROW_PER_TYPE:
            found[name] = parent[name].detach().to("cpu", fresh.dtype, copy=True)
            continue
        table = parent[name].detach().cpu().reshape(len(parent[name]), -1)
        mean = _mean_rows(weights.rows, table)
        if fresh.dim() > 1:
            lengths = _mean_rows(weights.rows, _lengths(table))
            short = np.sqrt((mean**2).sum(axis=1, keepdims=True))
            mean *= np.divide(lengths, short, out=np.ones_like(lengths), where=short > 0)
        found[name] = fresh.clone()
        found[name][started] = torch.from_numpy(mean).reshape(fresh.shape)[started].to(fresh.dtype)
    return found


def summarize(
    weights: Weights, new: Tokenizer, own: Tokenizer, counts: Integers, embedding: Tensor, parent: Tensor
) -> StartSummary:
    """Describe a start; ``counts`` has how often each new type occurs, ``embedding`` and ``parent`` are the tables."""
    candidates = ordinary_ids(own)
    ordinary = set(ordinary_ids(new))
    frequent = [int(number) for number in np.argsort(-counts, kind="stable") if number in ordinary][:FREQUENT]
    nearest = _nearest(unit_rows(embedding[frequent]), parent, candidates)
    return StartSummary(
        types={origin: int((weights.origins == place).sum()) for place, origin in enumerate(ORIGINS)},
        frequent=tuple(
            FrequentType(
                new.pieces[number],
                ORIGINS[weights.origins[number]],
                tuple(own.pieces[candidates[row]] for row in rows),
            )
            for number, rows in zip(frequent, nearest, strict=True)
        ),
    )


def _nearest(queries: Tensor, parent: Tensor, candidates: list[int]) -> list[list[int]]:
    """Return the places in ``candidates`` of the rows that are nearest to each query, by cosine."""
    blocks = (unit_rows(parent[candidates[first : first + _ROWS]]) for first in range(0, len(candidates), _ROWS))
    scores = torch.cat([queries @ block.T for block in blocks], dim=1)
    return cast(list[list[int]], scores.topk(min(NEAREST, len(candidates))).indices.tolist())


def _mean_rows(rows: SparseRows, table: Tensor) -> Numbers:
    """Return the weighted means, (rows, width), of the rows of ``table``; each sum is taken in the order of columns.

    Only the rows that are needed are read, and few columns at once: the table may be one of several gigabytes.
    """
    numbers, values = rows.row_numbers(), rows.values.astype(np.float64)
    needed, places = np.unique(rows.columns, return_inverse=True)
    means = np.empty((rows.rows, table.shape[1]))
    at_once = max(1, CELLS_AT_ONCE // max(1, len(needed)))
    for first in range(0, table.shape[1], at_once):
        block = table[:, first : first + at_once][torch.from_numpy(needed).long()].double()
        for number, column in enumerate(block.T.contiguous().numpy(), start=first):
            means[:, number] = np.bincount(numbers, weights=values * column[places], minlength=rows.rows)
    return means


def _lengths(table: Tensor) -> Tensor:
    """Return the length of each row, (rows, 1), in float64."""
    blocks = (block.double().numpy() for block in torch.split(table, max(1, CELLS_AT_ONCE // table.shape[1])))
    return torch.from_numpy(np.concatenate([np.sqrt((block**2).sum(axis=1, keepdims=True)) for block in blocks]))
