"""SentencePiece tokenizers, one per side of a model."""

from __future__ import annotations

import hashlib
import io
import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import islice

import sentencepiece

from continual_mt.errors import CorpusError, CorruptionError

VOCABULARY_SIZES = (32_000, 16_000, 8_000, 4_000, 2_000, 1_000, 500, 250, 125)
TOKENS_PER_TYPE = 100
"""Tokens per type that the corpus must have for a vocabulary size to be chosen (Gheini, Ren and May, 2021)."""

TYPES_PER_ROOT = 20
"""Types per square root of the corpus's tokens, for a vocabulary whose embeddings start from word translations."""

TRAINING_SENTENCES = 1_000_000
_BATCH = 4_096

EnoughTokens = Callable[[int], int]
"""Returns how many tokens a corpus must have for a vocabulary of so many types."""


def tokens_to_learn(types: int) -> int:
    """Return the tokens that embeddings need that start as noise: TOKENS_PER_TYPE for each type."""
    return types * TOKENS_PER_TYPE


def tokens_to_start(types: int) -> int:
    """Return the tokens that are needed to start embeddings from word translations, which far fewer tokens tell.

    The number of types grows with the square root of the tokens, as the number of a text's words does (Heaps' law).
    """
    return types**2 // TYPES_PER_ROOT**2


Sentences = Callable[[], Iterable[str]]
"""Returns the sentences from the beginning at each call: choosing a vocabulary size takes several passes."""


class Tokenizer:
    """A trained SentencePiece model. Two tokenizers are equal if their models are equal byte by byte.

    ``pad``, ``unknown``, ``start`` and ``end`` are the special ids of the model; ``size`` is the number of types,
    special ones included. Pickling stores the bytes of the model. Raises CorruptionError if ``model`` is not a
    SentencePiece model or lacks a special piece.
    """

    def __init__(self, model: bytes) -> None:
        self.model = bytes(model)
        self.digest = hashlib.sha256(self.model).hexdigest()
        self._processor = sentencepiece.SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(self.model)
        except RuntimeError as error:
            raise CorruptionError(f"invalid SentencePiece model of {len(self.model)} bytes ({error})") from error
        self.size: int = self._processor.get_piece_size()
        self.pad: int = self._processor.pad_id()
        self.unknown: int = self._processor.unk_id()
        self.start: int = self._processor.bos_id()
        self.end: int = self._processor.eos_id()
        specials = {"pad": self.pad, "unknown": self.unknown, "start": self.start, "end": self.end}
        missing = [name for name, number in specials.items() if not 0 <= number < self.size]
        if missing:
            raise CorruptionError(
                f"SentencePiece model: missing special pieces {', '.join(missing)}; expected {', '.join(specials)}"
            )
        self._specials = frozenset(specials.values())

    @cached_property
    def pieces(self) -> list[str]:
        """The text of each type, by id."""
        return [self._processor.id_to_piece(number) for number in range(self.size)]

    def encode(self, sentence: str) -> list[int]:
        """Encode a sentence, without start and end. No text encodes to the ids ``pad``, ``start`` or ``end``."""
        ids: list[int] = self._processor.encode(sentence, out_type=int)
        return ids

    def encode_batch(self, sentences: Sequence[str]) -> list[list[int]]:
        ids: list[list[int]] = self._processor.encode(list(sentences), out_type=int)
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Decode ids to text; special ids are ignored. Raises IndexError for an id outside the vocabulary."""
        text: str = self._processor.decode([int(number) for number in ids if int(number) not in self._specials])
        return text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tokenizer) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> tuple[type[Tokenizer], tuple[bytes]]:
        return Tokenizer, (self.model,)

    def __repr__(self) -> str:
        return f"Tokenizer(size={self.size}, digest={self.digest[:12]})"


def train_tokenizer(
    sentences: Sentences,
    size: int | None = None,
    *,
    seed: int = 0,
    origin: str = "the training corpus",
    enough_tokens: EnoughTokens = tokens_to_learn,
    counted: Sentences | None = None,
) -> Tokenizer:
    """Train a BPE tokenizer. Equal sentences, size and seed give equal bytes.

    Args:
        sentences: returns the sentences; it is called several times.
        size: the number of types. None selects the largest of VOCABULARY_SIZES for which the corpus has
            ``enough_tokens``. If no size qualifies, it selects the smallest that has room for the characters of the
            corpus.
        seed: selects the sample that is used of a corpus of more than TRAINING_SENTENCES sentences, to bound memory.
        origin: the name of the corpus in error messages.
        enough_tokens: the tokens that each vocabulary size needs.
        counted: the sentences whose tokens are counted to choose the size; all by default. Text without translation
            makes better pieces, but tells nothing about what they mean.

    Raises:
        CorpusError: if the text is empty, or ``size`` is too large for the text or too small for its characters.
    """
    count, characters = _measure(sentences)
    if not characters:
        raise CorpusError(origin, "no text to train a tokenizer on; expected at least one sentence that is not blank")
    sample = _sampled(sentences, count, seed)
    if counted is None:
        counted = sentences
    else:
        count, characters = _measure(counted)
    try:
        if size is not None:
            return _train(sample, size)
        # A token is at least one character or the start of a word, which bounds the number of tokens: most sizes are
        # too large for a small corpus and need not be trained.
        for candidate in VOCABULARY_SIZES:
            needed = enough_tokens(candidate)
            if characters + count < needed:
                continue
            with suppress(_TooManyTypesError):
                tokenizer = _train(sample, candidate)
                if _has_at_least(tokenizer, counted, needed):
                    return tokenizer
    except _TooManyTypesError as error:
        problem = f"too small for a vocabulary of {size}; expected at most {error.most}"
        raise CorpusError(origin, problem) from error
    except _TooFewTypesError as error:
        if size is not None:
            problem = f"too many characters for a vocabulary of {size}; expected at least {error.least}"
            raise CorpusError(origin, problem) from error
    return _train_smallest(sample, origin)


class _TooManyTypesError(Exception):
    def __init__(self, most: int) -> None:
        self.most = most
        super().__init__(most)


class _TooFewTypesError(Exception):
    def __init__(self, least: int) -> None:
        self.least = least
        super().__init__(least)


def _train_smallest(sample: Sentences, origin: str) -> Tokenizer:
    for candidate in reversed(VOCABULARY_SIZES):
        try:
            return _train(sample, candidate)
        except _TooFewTypesError:
            continue
        except _TooManyTypesError as error:
            return _train(sample, error.most)
    # Unlikely with real text, because SentencePiece leaves out the rarest characters.
    raise CorpusError(origin, f"too many characters for a vocabulary of {VOCABULARY_SIZES[0]}")


def _train(sample: Sentences, size: int) -> Tokenizer:
    model = io.BytesIO()
    failures: list[BaseException] = []
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_keep_exception(sample, failures),
            model_writer=model,
            model_type="bpe",
            vocab_size=size,
            # The default, nmt_nfkc, rewrites characters (½, ™, full-width forms) that reference translations contain.
            normalization_rule_name="identity",
            character_coverage=0.9995,
            pad_id=0,
            unk_id=1,
            bos_id=2,
            eos_id=3,
            # SentencePiece stores this number in the model, so the bytes would depend on the machine.
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        if failures:
            raise failures[0] from None
        if found := re.search(r"too high.*<= (\d+)", str(error)):
            raise _TooManyTypesError(int(found[1])) from error
        if found := re.search(r"smaller than required_chars\. \d+ vs (\d+)", str(error)):
            raise _TooFewTypesError(int(found[1])) from error
        raise
    return Tokenizer(model.getvalue())


def _keep_exception(sample: Sentences, failures: list[BaseException]) -> Iterator[str]:
    """Record the exception that the iterator raises: SentencePiece replaces it by a RuntimeError."""
    try:
        yield from sample()
    except GeneratorExit:
        raise
    except BaseException as error:
        failures.append(error)
        raise


def _measure(sentences: Sentences) -> tuple[int, int]:
    """Count sentences, and characters without surrounding space."""
    count = characters = 0
    for sentence in sentences():
        count += 1
        characters += len(sentence.strip())
    return count, characters


def _sampled(sentences: Sentences, count: int, seed: int) -> Sentences:
    """Return about TRAINING_SENTENCES of the sentences, the same ones at each call.

    SentencePiece can sample, too, but its generator is seeded once per process, so results would differ between calls.
    """
    if count <= TRAINING_SENTENCES:
        return sentences
    fraction = TRAINING_SENTENCES / count

    def sample() -> Iterator[str]:
        generator = random.Random(seed)
        return (sentence for sentence in sentences() if generator.random() < fraction)

    return sample


def _has_at_least(tokenizer: Tokenizer, sentences: Sentences, token_count: int) -> bool:
    """Whether the sentences have at least ``token_count`` tokens; reads no more of them than needed."""
    stream = iter(sentences())
    while batch := list(islice(stream, _BATCH)):
        token_count -= sum(map(len, tokenizer.encode_batch(batch)))
        if token_count <= 0:
            return True
    return False
