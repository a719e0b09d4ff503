"""The pairs that a job trains on: their texts, read and identified, and how their development is scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from continual_mt.config.corpus_spec import TrainedPair
from continual_mt.config.spec import AdditionSpec, ParentSpec
from continual_mt.data.sampling import drawn_sentences
from continual_mt.errors import MisuseError, SpecError
from continual_mt.evaluation.tokenization import bleu_tokenization, check_installed, earlier_tokenization
from continual_mt.languages import Pair
from registry.corpora import ResolvedCorpus, read_corpus

Result = TypeVar("Result")


@dataclass(frozen=True)
class ResolvedPair:
    """A pair that a job trains on, with its texts.

    An epoch has ``drawn`` of its sentence pairs: all of them once, unless there are several pairs.
    """

    pair: Pair
    train: ResolvedCorpus
    dev: ResolvedCorpus
    drawn: int

    @property
    def sentences(self) -> int:
        return self.train.summary.sentences - self.train.summary.empty


class Problems:
    """Collects misuse, so that all of it is reported at once."""

    def __init__(self) -> None:
        self._errors: list[MisuseError] = []

    def attempt(self, action: Callable[[], Result]) -> Result | None:
        try:
            return action()
        except MisuseError as error:
            self._errors.append(error)
            return None

    def raise_any(self, origin: str) -> None:
        if len(self._errors) == 1:
            raise self._errors[0]
        if self._errors:
            raise SpecError(origin, [str(error) for error in self._errors])


@dataclass(frozen=True)
class _PairRead:
    """A pair of a spec, and its texts; None for one that has a problem."""

    pair: Pair
    train: ResolvedCorpus | None
    dev: ResolvedCorpus | None

    def read(self) -> tuple[Pair, ResolvedCorpus, ResolvedCorpus]:
        assert self.train is not None
        assert self.dev is not None
        return self.pair, self.train, self.dev


def read_pair(one: TrainedPair, spec: ParentSpec | AdditionSpec, cache: Path, problems: Problems) -> _PairRead:
    pair = Pair.parse(one.pair)
    problems.attempt(lambda: check_installed(development_tokenization(spec, pair)))
    train = problems.attempt(lambda: read_corpus(one.train, pair, cache))
    return _PairRead(pair, train, problems.attempt(lambda: read_corpus(one.dev, pair, cache)))


def resolved_pairs(
    spec: ParentSpec | AdditionSpec, texts: Sequence[tuple[Pair, ResolvedCorpus, ResolvedCorpus]]
) -> tuple[ResolvedPair, ...]:
    """The pairs of a job, given each pair's training and development text."""
    temperature = spec.sampling_temperature if isinstance(spec, ParentSpec) else 1.0
    sizes = [train.summary.sentences - train.summary.empty for _, train, _ in texts]
    return tuple(
        ResolvedPair(pair, train, dev, drawn)
        for (pair, train, dev), drawn in zip(texts, drawn_sentences(sizes, temperature), strict=True)
    )


def development_tokenization(spec: ParentSpec | AdditionSpec, pair: Pair) -> str:
    """The tokenization of a pair's development score."""
    given = spec.training.development_tokenization
    if given is None and isinstance(spec, ParentSpec) and spec.pairs:
        of_pair = {one.pair: one.development_tokenization for one in spec.pairs}
        return of_pair.get(str(pair)) or bleu_tokenization(pair.target)
    return given or earlier_tokenization(pair.target)


def with_tokenization(spec: ParentSpec | AdditionSpec) -> ParentSpec | AdditionSpec:
    """Write the tokenization of the development score of each pair into a spec.

    It is left out for one pair where absence of the key means the same.
    """
    if isinstance(spec, ParentSpec) and spec.pairs and spec.training.development_tokenization is None:
        fitting_each = (
            one.development_tokenization or bleu_tokenization(Pair.parse(one.pair).target) for one in spec.pairs
        )
        written = zip(spec.pairs, fitting_each, strict=True)
        pairs = tuple(one.model_copy(update={"development_tokenization": fitting}) for one, fitting in written)
        return spec.model_copy(update={"pairs": pairs})
    if spec.pair is None or spec.training.development_tokenization is not None:
        return spec
    target = Pair.parse(spec.pair).target
    fitting = bleu_tokenization(target)
    if fitting != earlier_tokenization(target):
        training = spec.training.model_copy(update={"development_tokenization": fitting})
        return spec.model_copy(update={"training": training})
    return spec
