"""One SentencePiece model a side: text to ids and back."""

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
TRAINING_SENTENCES = 1_000_000
_BATCH = 4_096

# Called for every pass over the text, since choosing a size takes several.
Sentences = Callable[[], Iterable[str]]


class Tokenizer:
    """A trained SentencePiece model. Two tokenizers are equal when their bytes are.

    ``pad``, ``unknown``, ``start`` and ``end`` are ids read from the model; ``size`` counts its types, the special ones
    included. Pickling ships the bytes. Raises CorruptionError when ``model`` is no SentencePiece model or lacks one of
    the special pieces.
    """

    def __init__(self, model: bytes) -> None:
        self.model = bytes(model)
        self.digest = hashlib.sha256(self.model).hexdigest()
        self._processor = sentencepiece.SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(self.model)
        except RuntimeError as error:
            raise CorruptionError(f"{len(self.model)} bytes are not a SentencePiece model ({error})") from error
        self.size: int = self._processor.get_piece_size()
        self.pad: int = self._processor.pad_id()
        self.unknown: int = self._processor.unk_id()
        self.start: int = self._processor.bos_id()
        self.end: int = self._processor.eos_id()
        specials = {"pad": self.pad, "unknown": self.unknown, "start": self.start, "end": self.end}
        missing = [name for name, number in specials.items() if not 0 <= number < self.size]
        if missing:
            raise CorruptionError(f"the SentencePiece model has no piece for {', '.join(missing)}")
        self._specials = frozenset(specials.values())

    @cached_property
    def pieces(self) -> list[str]:
        """The text of every type, by its id."""
        return [self._processor.id_to_piece(number) for number in range(self.size)]

    def encode(self, sentence: str) -> list[int]:
        """The ids of a sentence, without start and end; no text encodes to ``pad``, ``start`` or ``end``."""
        ids: list[int] = self._processor.encode(sentence, out_type=int)
        return ids

    def encode_batch(self, sentences: Sequence[str]) -> list[list[int]]:
        ids: list[list[int]] = self._processor.encode(list(sentences), out_type=int)
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, without the special ones. Raises IndexError for an id that the vocabulary has not got."""
        text: str = self._processor.decode([int(number) for number in ids if int(number) not in self._specials])
        return text

    def decode_batch(self, batch: Iterable[Iterable[int]]) -> list[str]:
        return [self.decode(ids) for ids in batch]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tokenizer) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> tuple[type[Tokenizer], tuple[bytes]]:
        return Tokenizer, (self.model,)

    def __repr__(self) -> str:
        return f"Tokenizer(size={self.size}, digest={self.digest[:12]})"


def train_tokenizer(
    sentences: Sentences, size: int | None = None, *, seed: int = 0, origin: str = "the training corpus"
) -> Tokenizer:
    """Train BPE on the sentences that each call of ``sentences`` gives; the same sentences give the same bytes.

    Without ``size`` the largest of VOCABULARY_SIZES is taken that leaves at least TOKENS_PER_TYPE tokens of the corpus
    a type; when none does, the smallest that holds the corpus's characters. A corpus of more than TRAINING_SENTENCES
    sentences is sampled with ``seed``, so memory is bounded. Raises CorpusError, naming ``origin``, when there is no
    text, or when ``size`` is more types than the text can fill or fewer than its characters need.
    """
    count, characters = _measure(sentences)
    if not characters:
        raise CorpusError(origin, "there is no text to train a tokenizer on")
    sample = _sampled(sentences, count, seed)
    try:
        if size is not None:
            return _train(sample, size)
        # A token has at least one character or stands for the start of a word, so a small corpus skips most sizes.
        for candidate in VOCABULARY_SIZES:
            if characters + count < candidate * TOKENS_PER_TYPE:
                continue
            with suppress(_TooManyTypesError):
                tokenizer = _train(sample, candidate)
                if _has_at_least(tokenizer, sentences, candidate * TOKENS_PER_TYPE):
                    return tokenizer
    except _TooManyTypesError as error:
        problem = f"too small for a vocabulary of {size}; the largest possible is {error.most}"
        raise CorpusError(origin, problem) from error
    except _TooFewTypesError as error:
        if size is not None:
            problem = f"its characters do not fit a vocabulary of {size}; the smallest possible is {error.least}"
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
    # More characters than the largest size: SentencePiece drops the rarest by coverage, so this is far from any text.
    raise CorpusError(origin, f"its characters do not fit a vocabulary of {VOCABULARY_SIZES[0]}")


def _train(sample: Sentences, size: int) -> Tokenizer:
    written = io.BytesIO()
    failures: list[BaseException] = []
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_keep_exception(sample, failures),
            model_writer=written,
            model_type="bpe",
            vocab_size=size,
            # SentencePiece's own choice, nmt_nfkc, rewrites characters (½, ™, full-width forms) that references keep.
            normalization_rule_name="identity",
            character_coverage=0.9995,
            pad_id=0,
            unk_id=1,
            bos_id=2,
            eos_id=3,
            # The number of threads is written into the model, so it must not depend on the machine.
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
    return Tokenizer(written.getvalue())


def _keep_exception(sample: Sentences, failures: list[BaseException]) -> Iterator[str]:
    """SentencePiece turns whatever its iterator raises into a RuntimeError; keep the original."""
    try:
        yield from sample()
    except GeneratorExit:
        raise
    except BaseException as error:
        failures.append(error)
        raise


def _measure(sentences: Sentences) -> tuple[int, int]:
    """Sentences and characters, the latter without surrounding space."""
    count = characters = 0
    for sentence in sentences():
        count += 1
        characters += len(sentence.strip())
    return count, characters


def _sampled(sentences: Sentences, count: int, seed: int) -> Sentences:
    """About TRAINING_SENTENCES of the sentences, the same ones each time; sampled here because SentencePiece's own
    sampling draws from a generator that is seeded once a process."""
    if count <= TRAINING_SENTENCES:
        return sentences
    share = TRAINING_SENTENCES / count

    def sampled() -> Iterator[str]:
        generator = random.Random(seed)
        return (sentence for sentence in sentences() if generator.random() < share)

    return sampled


def _has_at_least(tokenizer: Tokenizer, sentences: Sentences, wanted: int) -> bool:
    stream = iter(sentences())
    while batch := list(islice(stream, _BATCH)):
        wanted -= sum(map(len, tokenizer.encode_batch(batch)))
        if wanted <= 0:
            return True
    return False
