"""Alignment of two embedding tables of the same side (source or target): bilingual lexicon induction as a probe.

Each word's nearest neighbours are retrieved from the other table and compared with a gold lexicon. Two similarities are
used: cosine, as Gheini, Ren and May (EMNLP 2021) do, and CSLS, which corrects for hubs, the vectors that are close to
many others (Conneau et al., *Word Translation Without Parallel Data*, ICLR 2018, arXiv 1710.04087).

Words are encoded by SentencePiece as at the start of a word, in the lexicon's spelling. No other casing is tried: a
noun that the lexicon has in lower case and the corpus only capitalised is usually split into several pieces.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from continual_mt.artifacts.side import LanguageSide
from continual_mt.artifacts.stored.serialization import StoredPiece, read_tensors, require_piece
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.errors import CorpusError, CorruptionError, IncompatibleError
from continual_mt.evaluation.alignment_result import METHODS, Method, Precision, Unit
from continual_mt.evaluation.lexicon import Lexicon

RANKS = 5
CSLS_NEIGHBOURS = 10
# The most similarities computed at once: 16 MB in float32, for vocabularies of any size.
_MAXIMUM_SIMILARITIES = 1 << 22


@dataclass(frozen=True, eq=False)
class EmbeddingTable:
    """A side's embeddings, (types, width); the side's tokenizer names the piece of each row."""

    side: LanguageSide
    embedding: Tensor

    @classmethod
    def from_pieces(cls, part: str, language: str, pieces: Mapping[str, StoredPiece]) -> EmbeddingTable:
        """Read the table from the stored pieces of a parent or module.

        ``part`` is the name of both pieces without their endings: a side, or, of a parent whose languages have their
        own vocabularies, a language's side such as ``source.es``. Raises CorruptionError if a piece is missing or
        damaged, or its embeddings do not fit the tokenizer.
        """
        tokenizer = Tokenizer(require_piece(pieces, f"{part}.model"))
        embedding = read_tensors(pieces, [part], precision=None, values=False).get(f"{part}.embedding")
        if embedding is None or embedding.shape[:1] != (tokenizer.size,):
            raise CorruptionError(
                f"{part}.safetensors: contains no embeddings of {language}; expected one row for each of the "
                f"{tokenizer.size:,} types of its tokenizer"
            )
        return cls(LanguageSide(language, tokenizer), embedding)


@dataclass(frozen=True, eq=False)
class Probe:
    """A retrieval task. All vectors have length 1.

    ``queries`` (queries, width) are the vectors of ``words``, ``candidates`` (candidates, width) those of ``labels``.
    ``population`` (any, width) are vectors of the queries' table, from which CSLS estimates which candidates are hubs.
    ``answers`` has, for each query, the rows of the correct candidates.
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
    """The result of a probe with one method. ``neighbours`` maps each query to its (at most 5) nearest candidates."""

    precision: Precision
    neighbours: Mapping[str, tuple[str, ...]]

    def to_json(self) -> dict[str, object]:
        return {
            **self.precision.to_json(),
            "neighbours": {word: list(found) for word, found in self.neighbours.items()},
        }


def align(first: EmbeddingTable, second: EmbeddingTable, lexicon: Lexicon) -> list[Alignment]:
    """Retrieve the lexicon's words of the first table in the second, with each unit and each method.

    Raises IncompatibleError if the tables have different widths, CorpusError if no entry of the lexicon can be encoded
    with both vocabularies.
    """
    widths = first.embedding.shape[1], second.embedding.shape[1]
    if widths[0] != widths[1]:
        raise IncompatibleError(
            f"embeddings: {first.side.language} and {second.side.language} have widths {widths[0]} and {widths[1]}; "
            "expected tables of the same parent, which share one space"
        )
    by_word = word_probe(first, second, lexicon)
    if not by_word.words:
        raise CorpusError(
            lexicon.path,
            f"no entry (of {len(lexicon.translations):,} words) can be encoded with the vocabularies of "
            f"{first.side.language} and {second.side.language}. Fix: use a lexicon from {first.side.language} to "
            f"{second.side.language}",
        )
    # Every one-piece entry is in the word probe as well, so only the piece probe can be empty from here on.
    probes = (piece_probe(first, second, lexicon), by_word)
    return [measure(probe, method) for probe in probes for method in METHODS]


def piece_probe(first: EmbeddingTable, second: EmbeddingTable, lexicon: Lexicon) -> Probe:
    """Build the probe of words that are a single piece of ``first`` and have a translation that is one of ``second``.

    The candidates are all pieces of ``second`` except special ones.
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
    """Build the probe of words of any number of pieces; a word's vector is the mean of its pieces' embeddings.

    The candidates are all translations in the lexicon. Words with unknown characters are left out.
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
    """Retrieve all queries of a probe and compare them with its answers."""
    if not probe.words:
        return Alignment(Precision(probe.unit, method, 0, len(probe.labels), None, None), {})
    hubs = hubness(probe.candidates, probe.population) if method == "csls" else None
    found: list[list[int]] = nearest_rows(probe.queries, probe.candidates, hubs=hubs).tolist()
    names = {word: tuple(probe.labels[row] for row in rows) for word, rows in zip(probe.words, found, strict=True)}
    at_1, at_5 = (precision_at(found, probe.answers, rank) for rank in (1, RANKS))
    return Alignment(Precision(probe.unit, method, len(names), len(probe.labels), at_1, at_5), names)


def nearest_rows(queries: Tensor, candidates: Tensor, count: int = RANKS, *, hubs: Tensor | None = None) -> Tensor:
    """Return the rows of the ``count`` candidates nearest to each query, nearest first: (queries, count) or fewer.

    ``queries`` (queries, width) and ``candidates`` (candidates, width) have rows of length 1. The similarity is cosine,
    or CSLS if ``hubs`` is given (see `hubness`). CSLS is 2·cos(x, y) − r(x) − r(y); r(x) is left out, since it is the
    same for all candidates of a query and does not change their order.
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
    """Return each candidate's mean cosine to its ``count`` nearest rows of ``population``: (candidates,).

    This is r of Conneau et al. (2018), section 2.3. ``population`` (any, width) are vectors of the queries' table.
    """
    count = min(count, len(population))
    chunks = torch.split(candidates, _chunk_size(len(population)))
    return torch.cat([(chunk @ population.T).topk(count, sorted=False).values.mean(dim=1) for chunk in chunks])


def precision_at(found: Sequence[Sequence[int]], answers: Sequence[frozenset[int]], rank: int) -> float:
    """Return the share (0 to 1) of queries with a correct answer among their first ``rank`` results."""
    hits = sum(not right.isdisjoint(rows[:rank]) for rows, right in zip(found, answers, strict=True))
    return hits / len(answers)


def one_piece_entries(first: Tokenizer, second: Tokenizer, lexicon: Lexicon) -> list[tuple[str, int, dict[str, int]]]:
    """Return the words that are a single piece and have a translation that is one, in the lexicon's order.

    Each entry is the word, its id, and its single-piece translations with their ids.
    """
    queries = _one_piece(encode_words(first, lexicon.translations))
    found = _one_piece(encode_words(second, (word for words in lexicon.translations.values() for word in words)))
    entries = [
        (word, number, {answer: found[answer] for answer in lexicon.translations[word] if answer in found})
        for word, number in queries.items()
    ]
    return [entry for entry in entries if entry[2]]


def encode_words(tokenizer: Tokenizer, words: Iterable[str]) -> dict[str, list[int]]:
    """Return each distinct word's ids, encoded as at the start of a word; leave out words with unknown pieces."""
    distinct = list(dict.fromkeys(words))
    encoded = zip(distinct, tokenizer.encode_batch(distinct), strict=True)
    return {word: ids for word, ids in encoded if ids and tokenizer.unknown not in ids}


def _one_piece(spellings: Mapping[str, Sequence[int]]) -> dict[str, int]:
    return {word: ids[0] for word, ids in spellings.items() if len(ids) == 1}


def pool(embedding: Tensor, spellings: Sequence[Sequence[int]]) -> Tensor:
    """Return the mean of the rows of ``embedding`` (types, width) that encode each word: (words, width)."""
    lengths = torch.tensor([0, *map(len, spellings)])
    ids = torch.tensor([number for ids in spellings for number in ids], dtype=torch.long)
    return functional.embedding_bag(ids, embedding.detach().float(), lengths.cumsum(0)[:-1], mode="mean")


def unit_rows(vectors: Tensor) -> Tensor:
    """Return the rows scaled to length 1, in float32; a zero row stays zero."""
    return functional.normalize(vectors.detach().float(), dim=1)


def ordinary_ids(tokenizer: Tokenizer) -> list[int]:
    """Return all ids except those of special tokens and of bytes, which mean nothing alone."""
    special = {tokenizer.pad, tokenizer.unknown, tokenizer.start, tokenizer.end, *tokenizer.byte_types}
    return [number for number in range(tokenizer.size) if number not in special]


def _chunk_size(width: int) -> int:
    return max(1, _MAXIMUM_SIMILARITIES // max(1, width))
