"""The interface of everything that translates: text in, text out. Each back end searches over token sequences."""

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
    from continual_mt.artifacts.pivot import AnyRecipe

BATCH_TOKENS = 8192


class Hypothesis(NamedTuple):
    """Target token ids without start and end, and their length-normalised log-probability in nats.

    The score is NaN if the search ran with ``scored=False``.
    """

    tokens: list[int]
    score: float


class Translation(NamedTuple):
    """A text and its length-normalised log-probability in nats; for a text in parts, the mean over its parts.

    ``unknown`` is the number of unknown tokens that the model chose. The text is without them.
    """

    text: str
    score: float
    unknown: int = 0


@dataclass(frozen=True)
class Search:
    """Options of a search. Raises InputError for values out of range.

    Args:
        beam: the beam size; 1 is greedy search.
        length_penalty: the exponent of the length that scores are divided by, 0 to 10.
        best: hypotheses to return per sentence, at most ``beam``.
        batch_tokens: the most source tokens × beam in a batch, padding included.
        scored: whether to compute scores; greedy search is faster without.
        processes: single-threaded processes that share the batches. Used by the PyTorch back end on CPUs under Linux,
            unless this process is a daemon, which may not start others; ignored elsewhere.
        pivot_best: hypotheses of a pivot's first leg that its second leg translates, at most ``beam``; ignored by
            other models. See `continual_mt.inference.pivot_model`.
    """

    beam: int = 5
    length_penalty: float = 1.0
    best: int = 1
    batch_tokens: int = BATCH_TOKENS
    scored: bool = True
    processes: int = 1
    pivot_best: int = 1

    def __post_init__(self) -> None:
        for name in ("beam", "best", "batch_tokens", "processes", "pivot_best"):
            value = getattr(self, name)
            if not isinstance(value, Integral) or not 1 <= int(value) < 2**31:
                raise InputError(f"{name}: is {value}; expected a whole number of at least 1, below 2**31")
        if not 0 <= self.length_penalty <= 10:
            raise InputError(f"length_penalty: is {self.length_penalty}; expected a number from 0 to 10")
        for name in ("best", "pivot_best"):
            if (value := getattr(self, name)) > self.beam:
                raise InputError(
                    f"{name}: is {value}; expected at most the beam size, {self.beam}. Fix: lower {name} or raise beam"
                )


class Translator(ABC):
    """Translates text of one pair, with one model or with several in turn."""

    pair: Pair
    source: LanguageSide
    target: LanguageSide
    recipe: AnyRecipe | None

    @abstractmethod
    def translations(
        self, sentences: Sequence[str], search: Search, progress: Callable[[int], None] | None = None
    ) -> list[list[Translation]]:
        """Translate as `translate` does; returns up to ``search.best`` translations per sentence, with scores."""

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
        """Translate sentences; returns one translation per sentence, in order. A blank sentence gives an empty one.

        A sentence that is too long for the model is translated in parts, divided at spaces if possible. The options are
        those of `Search`; ``progress`` is called with the number of parts done.

        Raises InputError for options out of range and for a sentence with a line break or a lone surrogate, and
        ProcessError if a worker process cannot start or fails.
        """
        search = Search(beam, length_penalty, 1, batch_tokens, scored=False, processes=processes)
        return [best[0].text for best in self.translations(sentences, search, progress)]


class TokenTranslator(Translator):
    """One model, which searches over token sequences."""

    @property
    @abstractmethod
    def maximum_tokens(self) -> int:
        """The most tokens of a source sequence, end token not included."""

    @abstractmethod
    def search(
        self, sources: Sequence[list[int]], search: Search, progress: Callable[[int], None] | None = None
    ) -> list[list[Hypothesis]]:
        """Return up to ``search.best`` hypotheses of each source, best first.

        ``sources`` are token ids without an end token, at most ``maximum_tokens`` long. ``progress`` is called with the
        number of sources done.
        """

    def translations(
        self, sentences: Sequence[str], search: Search, progress: Callable[[int], None] | None = None
    ) -> list[list[Translation]]:
        parts = [
            segment(sentence, number, self.source.tokenizer, self.maximum_tokens)
            for number, sentence in enumerate(checked(sentences), start=1)
        ]
        found = iter(self.search([part for sentence in parts for part in sentence], search, progress))
        return [join_parts([next(found) for _ in sentence], self.target) for sentence in parts]


def checked(sentences: Sequence[str]) -> Sequence[str]:
    """Raise InputError for a single string, which is a sequence of strings, too."""
    if isinstance(sentences, str):
        raise InputError("sentences: got a string; expected a list of strings. Fix: translate([text])")
    return sentences


def join_parts(parts: Sequence[Sequence[Hypothesis]], target: LanguageSide) -> list[Translation]:
    """Join the translations of a sentence's parts: the best of each part, then the second best of each, and so on."""
    if not parts:
        return [Translation("", 0.0)]
    return [
        Translation(
            " ".join(target.tokenizer.decode(hypothesis.tokens) for hypothesis in rank),
            sum(hypothesis.score for hypothesis in rank) / len(rank),
            sum(hypothesis.tokens.count(target.tokenizer.unknown) for hypothesis in rank),
        )
        for rank in zip(*parts, strict=False)  # stops at the part with the fewest hypotheses
    ]
