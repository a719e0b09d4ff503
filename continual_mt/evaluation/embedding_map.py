"""A map of the space that two embedding tables share: words and their translations as points of a plane."""

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
# Shorter pieces that begin a word are in most languages a part of many words and none of their own.
_MINIMUM_LENGTH = 3
_WORD_START = "▁"
_SEED = 0
# More directions than the two that are drawn, and repeated passes, make the randomised method as good as exact.
_DIRECTIONS, _PASSES = 32, 8


@dataclass(frozen=True)
class JointMap:
    """Points of a plane, one a word: its label, its language and its place. ``links`` join a word to its translation.

    ``explained`` are the shares of the points' variance that lie along x and y: what they leave is not on the map.
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
    """The ``most`` most frequent words that are one piece in ``first``, and the translations that are in ``second``.

    Frequent is what has a small id, since SentencePiece numbers its merges in the order in which it makes them. So a
    letter that many words begin with counts as frequent, where the lexicon has it as a word. Raises CorpusError when no
    entry of the lexicon is one piece in both.
    """
    entries = sorted(
        one_piece_entries(first.side.tokenizer, second.side.tokenizer, lexicon), key=lambda entry: entry[1]
    )
    if not entries:
        raise CorpusError(
            lexicon.path,
            f"no word of it is one piece of {first.side.language} with a translation that is one of "
            f"{second.side.language}, so there is nothing to draw; larger vocabularies have more whole words",
        )
    words = {word: number for word, number, _ in entries[:maximum_words]}
    answers = {answer: number for _, _, found in entries[:maximum_words] for answer, number in found.items()}
    point = {answer: len(words) + row for row, answer in enumerate(answers)}
    links = [(row, point[answer]) for row, (_, _, found) in enumerate(entries[:maximum_words]) for answer in found]
    return _build_map([(first, words), (second, answers)], links)


def frequent_map(first: EmbeddingTable, second: EmbeddingTable, maximum_words: int = MAXIMUM_WORDS) -> JointMap:
    """The ``most`` most frequent pieces of each table that can be words, by their ids, without links.

    Many of them only begin words: that there is such a word, only a lexicon could tell.
    """
    words_by_table = [(table, _most_frequent(table.side.tokenizer, maximum_words)) for table in (first, second)]
    return _build_map(words_by_table, links=())


def _most_frequent(tokenizer: Tokenizer, maximum_words: int) -> dict[str, int]:
    def rank(number: int) -> tuple[bool, int]:
        piece = tokenizer.pieces[number]
        return not (piece.startswith(_WORD_START) and len(piece) > _MINIMUM_LENGTH and piece[1:].isalpha()), number

    # What cannot be a word comes last, for scripts that are written without spaces.
    chosen = sorted(ordinary_ids(tokenizer), key=rank)[:maximum_words]
    return {tokenizer.pieces[number].removeprefix(_WORD_START): number for number in chosen}


def _build_map(
    words_by_table: Sequence[tuple[EmbeddingTable, Mapping[str, int]]], links: Iterable[tuple[int, int]]
) -> JointMap:
    """Tables, each with the ids of those of its words that are shown; links count the points through all of them."""
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
    """Principal components: places in the plane of most variance, [points, 2], and the shares of x and y in it, [2].

    ``vectors`` are [points, width], two at least of each. The same vectors give the same places: the randomised method
    (Halko, Martinsson and Tropp, 2011) runs from a fixed seed, and each axis points to where its largest weight is.
    """
    centred = vectors - vectors.mean(dim=0)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(_SEED)
        _, _, directions = torch.pca_lowrank(centred, min(_DIRECTIONS, *centred.shape), center=False, niter=_PASSES)
    axes = directions[:, :2]
    largest = axes.gather(0, axes.abs().argmax(dim=0, keepdim=True))
    xy = centred @ (axes * largest.sign())
    # Where all points are the same there is no variance to share.
    total = centred.square().sum().clamp(min=torch.finfo(centred.dtype).tiny)
    return xy, xy.square().sum(dim=0) / total


def _pair(values: Sequence[float]) -> tuple[float, float]:
    return values[0], values[1]
