"""What every back end does with text; each searches for token sequences in its own way."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, NamedTuple

from continual_mt.artifacts.side import LanguageSide
from continual_mt.data.segmentation import segment
from continual_mt.errors import InputError
from continual_mt.languages import Pair

if TYPE_CHECKING:
    from continual_mt.artifacts.recipe import Recipe

BATCH_TOKENS = 8192


class Hypothesis(NamedTuple):
    """Target tokens without start and end, and their length-normalised log-probability.

    That is not a number where a search was told that scores are not wanted.
    """

    tokens: list[int]
    score: float


class Translation(NamedTuple):
    """``score`` is the length-normalised log-probability; of a text that was translated in parts, their mean."""

    text: str
    score: float


@dataclass(frozen=True)
class Search:
    """How to search: ``beam`` 1 is greedy. ``best`` are the hypotheses wanted of each sentence.

    ``batch_tokens`` bounds source tokens times beam in a batch; ``scored`` says whether scores are wanted, which greedy
    search does better without. Batches are shared out to ``processes`` of one thread each, where PyTorch searches on
    CPUs, on Linux, and this process may have others; elsewhere there is one. Raises InputError for what makes no sense.
    """

    beam: int = 5
    length_penalty: float = 1.0
    best: int = 1
    batch_tokens: int = BATCH_TOKENS
    scored: bool = True
    processes: int = 1

    def __post_init__(self) -> None:
        for name in ("beam", "best", "batch_tokens", "processes"):
            value = getattr(self, name)
            if not isinstance(value, Integral) or not 1 <= int(value) < 2**31:
                raise InputError(f"{name} is {value}; it must be at least 1, and a whole number")
        if not 0 <= self.length_penalty <= 10:
            raise InputError(f"length_penalty is {self.length_penalty}; it must be between 0 and 10")
        if self.best > self.beam:
            raise InputError(f"best is {self.best}, but a beam of {self.beam} finds no more than {self.beam}")


class Translator(ABC):
    """A model of one pair that takes text."""

    pair: Pair
    source: LanguageSide
    target: LanguageSide
    recipe: Recipe | None

    @property
    @abstractmethod
    def maximum_tokens(self) -> int:
        """Of a source sequence, its end not counted."""

    @abstractmethod
    def search(
        self, sources: Sequence[list[int]], search: Search, progress: Callable[[int], None] | None = None
    ) -> list[list[Hypothesis]]:
        """At most ``search.best`` hypotheses of each source, the best one first."""

    def translate(
        self,
        sentences: Sequence[str],
        *,
        beam: int = 5,
        length_penalty: float = 1.0,
        batch_tokens: int = BATCH_TOKENS,
        processes: int = 1,
        progress: Callable[[int], None] | None = None,
    ) -> list[str]:
        """One translation a sentence, in order; a blank sentence gives an empty one. ``beam`` 1 is greedy search.

        A sentence of more tokens than the model has positions is translated in parts, divided at spaces if it has any.
        ``processes`` share the batches where PyTorch searches on CPUs; ``progress`` is called with the number of parts
        done. Raises InputError for a sentence with a line break or with half a surrogate pair, and ProcessError when a
        process was ended from outside.
        """
        search = Search(beam, length_penalty, 1, batch_tokens, scored=False, processes=processes)
        return [best[0].text for best in self.translations(sentences, search, progress)]

    def translations(
        self, sentences: Sequence[str], search: Search, progress: Callable[[int], None] | None = None
    ) -> list[list[Translation]]:
        """As ``translate``, with scores, and with up to ``search.best`` translations of each sentence."""
        if isinstance(sentences, str):
            raise InputError("a text was given where a list of sentences is wanted; write translate([text])")
        parts = [
            segment(sentence, number, self.source.tokenizer, self.maximum_tokens)
            for number, sentence in enumerate(sentences, start=1)
        ]
        found = iter(self.search([part for sentence in parts for part in sentence], search, progress))
        return [join_parts([next(found) for _ in sentence], self.target) for sentence in parts]


def join_parts(parts: Sequence[Sequence[Hypothesis]], target: LanguageSide) -> list[Translation]:
    """Translations of a sentence from those of its parts, rank by rank."""
    if not parts:
        return [Translation("", 0.0)]
    return [
        Translation(
            " ".join(target.tokenizer.decode(hypothesis.tokens) for hypothesis in rank),
            sum(hypothesis.score for hypothesis in rank) / len(rank),
        )
        for rank in zip(*parts, strict=False)  # as many as the part with the fewest
    ]
