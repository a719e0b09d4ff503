"""Alignment: how near words of one meaning lie in two embedding tables of one side.

Bilingual lexicon induction, as a probe only: a word of one table is looked up among the words of the other, and a gold
lexicon says whether what lies nearest translates it. By cosine, as Gheini, Ren and May (2021) do, and by CSLS, which
takes from hubs, which are near to everything, what that puts them ahead (Conneau et al., *Word Translation Without
Parallel Data*, 2018, arXiv 1710.04087).

A word is looked up as SentencePiece writes it at the beginning of a word, in the lexicon's own spelling: where that is
lower case and the corpus knows only a capital, the word has not got one piece, and no other spelling is tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from continual_mt.artifacts.serialization import read_tensors, require_piece
from continual_mt.artifacts.side import LanguageSide
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.errors import CorpusError, CorruptionError, IncompatibleError
from continual_mt.evaluation.alignment_result import METHODS, Method, Precision, Unit
from continual_mt.evaluation.lexicon import Lexicon
from continual_mt.languages import SideName

RANKS = 5
CSLS_NEIGHBOURS = 10
# Similarities held at once: 16 MB in float32, whatever the vocabularies' sizes.
_MAXIMUM_SIMILARITIES = 1 << 22


@dataclass(frozen=True, eq=False)
class EmbeddingTable:
    """The embeddings of a side, [types, width], and the side whose tokenizer says what its rows stand for."""

    side: LanguageSide
    embedding: Tensor

    @classmethod
    def from_pieces(cls, side: SideName, language: str, pieces: Mapping[str, bytes]) -> EmbeddingTable:
        """From those pieces of a parent or module that hold one side. Raises CorruptionError, naming the piece."""
        tokenizer = Tokenizer(require_piece(pieces, f"{side}.model"))
        embedding = read_tensors(pieces, [side]).get(f"{side}.embedding")
        if embedding is None or embedding.shape[:1] != (tokenizer.size,):
            raise CorruptionError(
                f"{side}.safetensors holds no embeddings of the {tokenizer.size:,} types of {language}"
            )
        return cls(LanguageSide(language, tokenizer), embedding)


@dataclass(frozen=True, eq=False)
class Probe:
    """What is looked up, and where. All rows have length 1.

    ``queries`` [queries, width] are the ``words``; ``candidates`` [candidates, width] are called ``labels``;
    ``population`` [any, width] is what stands beside the queries in their table, by which CSLS knows a hub; ``answers``
    are, for each query, the rows of the candidates that are right.
    """

    unit: Unit
    words: Sequence[str]
    queries: Tensor
    labels: Sequence[str]
    candidates: Tensor
    population: Tensor
    answers: Sequence[frozenset[int]]


@dataclass(frozen=True)
class Alignment:
    """What one method found. ``neighbours`` gives, for each query, the up to 5 nearest candidates."""

    precision: Precision
    neighbours: Mapping[str, tuple[str, ...]]

    def to_json(self) -> dict[str, object]:
        return {
            **self.precision.to_json(),
            "neighbours": {word: list(found) for word, found in self.neighbours.items()},
        }


def align(first: EmbeddingTable, second: EmbeddingTable, lexicon: Lexicon) -> list[Alignment]:
    """Look the lexicon's words up from the first table to the second, by each unit and method.

    Raises IncompatibleError for tables of different widths, CorpusError when no entry of the lexicon can be written
    with both vocabularies.
    """
    widths = first.embedding.shape[1], second.embedding.shape[1]
    if widths[0] != widths[1]:
        raise IncompatibleError(
            f"the embeddings of {first.side.language} and {second.side.language} have widths {widths[0]} and "
            f"{widths[1]}; only those on one parent lie in one space"
        )
    by_word = word_probe(first, second, lexicon)
    if not by_word.words:
        raise CorpusError(
            lexicon.path,
            f"none of its {len(lexicon.translations):,} words can be written with the pieces of {first.side.language} "
            f"and its translation with those of {second.side.language}; is this the lexicon of these languages?",
        )
    # Every one-piece entry is an entry of the other kind as well, so that one alone may be empty.
    probes = (piece_probe(first, second, lexicon), by_word)
    return [measure(probe, method) for probe in probes for method in METHODS]


def piece_probe(first: EmbeddingTable, second: EmbeddingTable, lexicon: Lexicon) -> Probe:
    """Words that are one piece of ``first`` and have a translation that is one of ``second``, among all its pieces.

    The special pieces are no candidates.
    """
    entries = one_piece_entries(first.side.tokenizer, second.side.tokenizer, lexicon)
    candidates = ordinary_ids(second.side.tokenizer)
    rows = {number: row for row, number in enumerate(candidates)}
    return Probe(
        unit="piece",
        words=[word for word, _, _ in entries],
        queries=unit_rows(first.embedding[[number for _, number, _ in entries]]),
        labels=[second.side.tokenizer.pieces[number] for number in candidates],
        candidates=unit_rows(second.embedding[candidates]),
        population=unit_rows(first.embedding[ordinary_ids(first.side.tokenizer)]),
        answers=[frozenset(rows[number] for number in answers.values()) for _, _, answers in entries],
    )


def word_probe(first: EmbeddingTable, second: EmbeddingTable, lexicon: Lexicon) -> Probe:
    """Words of any number of pieces, each the mean of their embeddings, among all translations in the lexicon.

    Words that hold a character which the vocabulary has not got are left out.
    """
    queries = encode_words(first.side.tokenizer, lexicon.translations)
    found = encode_words(second.side.tokenizer, (word for words in lexicon.translations.values() for word in words))
    rows = {word: row for row, word in enumerate(found)}
    answers = {
        word: frozenset(rows[answer] for answer in lexicon.translations[word] if answer in rows) for word in queries
    }
    words = [word for word in queries if answers[word]]
    pooled = unit_rows(pool(first.embedding, [queries[word] for word in words]))
    candidates = unit_rows(pool(second.embedding, list(found.values())))
    return Probe("word", words, pooled, list(found), candidates, pooled, [answers[word] for word in words])


def measure(probe: Probe, method: Method) -> Alignment:
    """Look up all queries of a probe."""
    if not probe.words:
        return Alignment(Precision(probe.unit, method, 0, len(probe.labels), None, None), {})
    hubs = hubness(probe.candidates, probe.population) if method == "csls" else None
    found: list[list[int]] = nearest_rows(probe.queries, probe.candidates, hubs=hubs).tolist()
    names = {word: tuple(probe.labels[row] for row in rows) for word, rows in zip(probe.words, found, strict=True)}
    at_1, at_5 = (precision_at(found, probe.answers, rank) for rank in (1, RANKS))
    return Alignment(Precision(probe.unit, method, len(names), len(probe.labels), at_1, at_5), names)


def nearest_rows(queries: Tensor, candidates: Tensor, count: int = RANKS, *, hubs: Tensor | None = None) -> Tensor:
    """The rows of the ``count`` candidates nearest to each query, nearest first: [queries, count], or all there are.

    ``queries`` [queries, width] and ``candidates`` [candidates, width] have rows of length 1. By cosine; with ``hubs``,
    which ``hubness`` gives, by CSLS. That is 2·cos(x, y) − r(x) − r(y), but r(x) moves no candidate of a query past
    another, so it is never computed.
    """
    count = min(count, len(candidates))
    found = []
    for chunk in torch.split(queries, _chunk_size(len(candidates))):
        scores = chunk @ candidates.T
        if hubs is not None:
            scores.mul_(2).sub_(hubs)
        found.append(scores.topk(count).indices)
    return torch.cat(found)


def hubness(candidates: Tensor, population: Tensor, count: int = CSLS_NEIGHBOURS) -> Tensor:
    """How near each candidate is to what is nearest to it: r of Conneau et al. (2018), section 2.3. [candidates]

    The mean cosine to its ``count`` nearest rows of ``population`` [any, width], which is the queries' table.
    """
    count = min(count, len(population))
    chunks = torch.split(candidates, _chunk_size(len(population)))
    return torch.cat([(chunk @ population.T).topk(count, sorted=False).values.mean(dim=1) for chunk in chunks])


def precision_at(found: Sequence[Sequence[int]], answers: Sequence[frozenset[int]], rank: int) -> float:
    """The share of queries with a right answer among the first ``rank`` that were found."""
    hits = sum(not right.isdisjoint(rows[:rank]) for rows, right in zip(found, answers, strict=True))
    return hits / len(answers)


def one_piece_entries(first: Tokenizer, second: Tokenizer, lexicon: Lexicon) -> list[tuple[str, int, dict[str, int]]]:
    """Each word that is one piece and has a translation that is, in the lexicon's order.

    The word, its id, and the ids of its one-piece translations.
    """
    queries = _one_piece(encode_words(first, lexicon.translations))
    found = _one_piece(encode_words(second, (word for words in lexicon.translations.values() for word in words)))
    entries = [
        (word, number, {answer: found[answer] for answer in lexicon.translations[word] if answer in found})
        for word, number in queries.items()
    ]
    return [entry for entry in entries if entry[2]]


def encode_words(tokenizer: Tokenizer, words: Iterable[str]) -> dict[str, list[int]]:
    """Each word, once, and the ids that write it at the beginning of a word; without those that have unknown parts."""
    distinct = list(dict.fromkeys(words))
    encoded = zip(distinct, tokenizer.encode_batch(distinct), strict=True)
    return {word: ids for word, ids in encoded if ids and tokenizer.unknown not in ids}


def _one_piece(spellings: Mapping[str, Sequence[int]]) -> dict[str, int]:
    return {word: ids[0] for word, ids in spellings.items() if len(ids) == 1}


def pool(embedding: Tensor, spellings: Sequence[Sequence[int]]) -> Tensor:
    """The mean of the rows of ``embedding`` [types, width] that each word is spelt with: [words, width]."""
    lengths = torch.tensor([0, *map(len, spellings)])
    ids = torch.tensor([number for ids in spellings for number in ids], dtype=torch.long)
    return functional.embedding_bag(ids, embedding.detach().float(), lengths.cumsum(0)[:-1], mode="mean")


def unit_rows(vectors: Tensor) -> Tensor:
    """The same rows with length 1, in float32; one of zeros stays so."""
    return functional.normalize(vectors.detach().float(), dim=1)


def ordinary_ids(tokenizer: Tokenizer) -> list[int]:
    """All ids but the special ones."""
    special = {tokenizer.pad, tokenizer.unknown, tokenizer.start, tokenizer.end}
    return [number for number in range(tokenizer.size) if number not in special]


def _chunk_size(width: int) -> int:
    return max(1, _MAXIMUM_SIMILARITIES // max(1, width))
