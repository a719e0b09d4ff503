"""Two-dimensional maps of the space that two embedding tables share, for plots of words and their translations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from continual_mt.data.tokenizer import Tokenizer
from continual_mt.errors import CorpusError
from continual_mt.evaluation.alignment import EmbeddingTable, one_piece_entries, ordinary_ids, unit_rows
from continual_mt.evaluation.lexicon import Lexicon

MAXIMUM_WORDS = 100
# In most languages shorter pieces at the start of a word are rarely whole words. The word-start mark counts as one.
_MINIMUM_LENGTH = 3
_WORD_START = "▁"
_SEED = 0
# Extra directions and power iterations make the randomised method as accurate as the exact one.
_DIRECTIONS, _PASSES = 32, 8


@dataclass(frozen=True)
class JointMap:
    """Words as points in a plane: ``labels``, ``languages`` and coordinates ``xy``, one entry per word.

    ``links`` are pairs of indices, a word and its translation. ``explained`` are the shares (0 to 1) of the variance
    along x and y.
    """

    labels: tuple[str, ...]
    languages: tuple[str, ...]
    xy: tuple[tuple[float, float], ...]
    links: tuple[tuple[int, int], ...]
    explained: tuple[float, float]

    def to_json(self) -> dict[str, object]:
        points = zip(self.labels, self.languages, self.xy, strict=True)
        return {
            "points": [{"label": label, "language": language, "xy": list(xy)} for label, language, xy in points],
            "links": [list(link) for link in self.links],
            "explained": list(self.explained),
        }


def joint_map(
    first: EmbeddingTable, second: EmbeddingTable, lexicon: Lexicon, maximum_words: int = MAXIMUM_WORDS
) -> JointMap:
    """Map the most frequent single-piece words of ``first`` and their single-piece translations in ``second``.

    Frequency is judged by id, since SentencePiece numbers its merges in the order in which it makes them, most frequent
    first. A first letter of many words therefore counts as frequent if the lexicon has it as a word. Raises CorpusError
    if no entry of the lexicon is a single piece in both vocabularies.
    """
    entries = sorted(
        one_piece_entries(first.side.tokenizer, second.side.tokenizer, lexicon), key=lambda entry: entry[1]
    )
    if not entries:
        raise CorpusError(
            lexicon.path,
            f"no entry is a single piece in the vocabularies of both {first.side.language} and "
            f"{second.side.language}. Fix: use a larger vocabulary, which has more whole words",
        )
    words = {word: number for word, number, _ in entries[:maximum_words]}
    answers = {answer: number for _, _, found in entries[:maximum_words] for answer, number in found.items()}
    point = {answer: len(words) + row for row, answer in enumerate(answers)}
    links = [(row, point[answer]) for row, (_, _, found) in enumerate(entries[:maximum_words]) for answer in found]
    return _build_map([(first, words), (second, answers)], links)


def frequent_map(first: EmbeddingTable, second: EmbeddingTable, maximum_words: int = MAXIMUM_WORDS) -> JointMap:
    """Map the most frequent pieces of each table, by id, that look like words. There are no links.

    Some of them are only the start of words: without a lexicon the two cannot be distinguished.
    """
    words_by_table = [(table, _most_frequent(table.side.tokenizer, maximum_words)) for table in (first, second)]
    return _build_map(words_by_table, links=())


def _most_frequent(tokenizer: Tokenizer, maximum_words: int) -> dict[str, int]:
    def rank(number: int) -> tuple[bool, int]:
        piece = tokenizer.pieces[number]
        return not (piece.startswith(_WORD_START) and len(piece) > _MINIMUM_LENGTH and piece[1:].isalpha()), number

    # Other pieces come last instead of being left out: scripts without spaces have no pieces that start a word.
    chosen = sorted(ordinary_ids(tokenizer), key=rank)[:maximum_words]
    return {tokenizer.pieces[number].removeprefix(_WORD_START): number for number in chosen}


def _build_map(
    words_by_table: Sequence[tuple[EmbeddingTable, Mapping[str, int]]], links: Iterable[tuple[int, int]]
) -> JointMap:
    """Project the words of each table (label to id); ``links`` are indices over the words of all tables in order."""
    xy, explained = project_to_plane(
        torch.cat([unit_rows(table.embedding[list(words.values())]) for table, words in words_by_table])
    )
    return JointMap(
        labels=tuple(word for _, words in words_by_table for word in words),
        languages=tuple(table.side.language for table, words in words_by_table for _ in words),
        xy=tuple(_pair(row) for row in xy.tolist()),
        links=tuple(links),
        explained=_pair(explained.tolist()),
    )


def project_to_plane(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Project vectors on their first two principal components.

    ``vectors`` (points, width) need at least two rows and two columns. Returns coordinates, (points, 2), and the shares
    of the variance along x and y, (2,). The result is deterministic: the randomised method (Halko, Martinsson and
    Tropp, 2011) has a fixed seed, and each axis is oriented so that its largest weight is positive.
    """
    centred = vectors - vectors.mean(dim=0)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(_SEED)
        _, _, directions = torch.pca_lowrank(centred, min(_DIRECTIONS, *centred.shape), center=False, niter=_PASSES)
    axes = directions[:, :2]
    largest = axes.gather(0, axes.abs().argmax(dim=0, keepdim=True))
    xy = centred @ (axes * largest.sign())
    # Identical points have no variance; avoid 0 / 0.
    total = centred.square().sum().clamp(min=torch.finfo(centred.dtype).tiny)
    return xy, xy.square().sum(dim=0) / total


def _pair(values: Sequence[float]) -> tuple[float, float]:
    return values[0], values[1]
