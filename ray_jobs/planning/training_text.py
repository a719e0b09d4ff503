"""The texts of a training task, which workers tokenize, and those that choose its checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from continual_mt.artifacts.parent_languages import listed
from continual_mt.config.corpus_spec import CorpusSpec
from continual_mt.config.hyperparameters import TrainingSettings
from continual_mt.data.corpora.corpus import Corpus
from continual_mt.data.tokenized_corpus import (
    Fetch,
    MixedPart,
    TokenizedCorpus,
    mixture_key,
    tokenize_corpus,
    tokenize_mixture,
    tokens_key,
)
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.languages import Pair


@dataclass(frozen=True)
class TrainingText:
    """The training text of a pair, with the digest that it had when the driver read it, and its two tokenizers."""

    pair: Pair
    spec: CorpusSpec
    digest: str
    source: Tokenizer
    target: Tokenizer
    maximum_tokens: int

    @property
    def title(self) -> str:
        return str(self.pair)

    @property
    def key(self) -> str:
        return tokens_key(self.digest, self.source, self.target, self.maximum_tokens)

    def tokenize(self, cache: Path, fetch: Fetch | None = None) -> TokenizedCorpus:
        """Raises what `tokenize_corpus` does."""
        return tokenize_corpus(
            self.spec.open(self.pair, cache),
            self.digest,
            self.source,
            self.target,
            cache,
            maximum_tokens=self.maximum_tokens,
            fetch=fetch,
        )


@dataclass(frozen=True)
class MixedText:
    """The training texts of several pairs, as one. ``drawn`` has, for each, how many of how many sentences are drawn.

    Their tokenizers have the tables that all pairs share, and the tokens of the pair's languages.
    """

    texts: tuple[TrainingText, ...]
    drawn: tuple[tuple[int, int], ...]
    maximum_tokens: int

    @property
    def title(self) -> str:
        return listed(text.title for text in self.texts)

    @property
    def key(self) -> str:
        return mixture_key(self._parts(), self.maximum_tokens)

    def tokenize(self, cache: Path, fetch: Fetch | None = None) -> TokenizedCorpus:
        """Raises what `tokenize_mixture` does."""
        return tokenize_mixture(self._parts(cache), cache, maximum_tokens=self.maximum_tokens, fetch=fetch)

    def _parts(self, cache: Path = Path()) -> list[MixedPart]:
        return [
            MixedPart(text.spec.open(text.pair, cache), text.digest, text.source, text.target, sentences, drawn)
            for text, (drawn, sentences) in zip(self.texts, self.drawn, strict=True)
        ]


@dataclass(frozen=True)
class SeparateTexts:
    """The training texts of several pairs, whose batches stay apart. ``drawn`` is as of `MixedText`.

    Each has the tokenizers of its two languages.
    """

    texts: tuple[TrainingText, ...]
    drawn: tuple[tuple[int, int], ...]
    maximum_tokens: int

    @property
    def title(self) -> str:
        return listed(text.title for text in self.texts)


@dataclass(frozen=True)
class DevelopmentText:
    """The sentences of a pair, and their translations, that choose the checkpoint, with the pair's tokenizers."""

    pair: Pair
    sentences: tuple[tuple[str, str], ...]
    source: Tokenizer
    target: Tokenizer
    tokenization: str


def usable_sentences(corpus: Corpus, settings: TrainingSettings) -> tuple[tuple[str, str], ...]:
    """The first sentence pairs of a development text, as many as are used, without those with an empty side."""
    pairs = ((pair.source, pair.target) for pair in corpus.read() if pair.source.strip() and pair.target.strip())
    return tuple(islice(pairs, settings.development_sentences))
