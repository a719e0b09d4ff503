"""Training SentencePiece tokenizers: their size, the rule they read text by, and the sample that they learn from."""

from __future__ import annotations

import io
import random
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import sentencepiece

from continual_mt.data.normalization import has_hangul, rule_table
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.errors import CorpusError

TokenizerRule = Literal["nfc-bytes", "identity"]
"""How a tokenizer reads text: ``nfc-bytes`` reads NFC and any white space as a space, and spells rare characters in
bytes; ``identity`` reads characters as they are and leaves out the rarest, as all tokenizers of earlier versions do.
"""
BYTE_TYPES = 256
LEAST_WITH_BYTES = 1_000
"""The smallest vocabulary that gets byte types. Smaller ones have a type for each character of their text instead."""

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


def train_tokenizer(
    sentences: Sentences,
    size: int | None = None,
    *,
    seed: int = 0,
    origin: str = "the training corpus",
    enough_tokens: EnoughTokens = tokens_to_learn,
    counted: Sentences | None = None,
    rule: TokenizerRule = "nfc-bytes",
) -> Tokenizer:
    """Train a BPE tokenizer. Equal sentences, size, seed and rule give equal bytes.

    Args:
        sentences: returns the sentences; it is called several times.
        size: the number of types, byte types not counted. None selects the largest of VOCABULARY_SIZES for which the
            corpus has ``enough_tokens``. If no size qualifies, it selects the smallest that has room for the characters
            of the corpus.
        seed: selects the sample that is used of a corpus of more than TRAINING_SENTENCES sentences, to bound memory.
        origin: the name of the corpus in error messages.
        enough_tokens: the tokens that each vocabulary size needs.
        counted: the sentences whose tokens are counted to choose the size; all by default. Text without translation
            makes better pieces, but tells nothing about what they mean.
        rule: how the tokenizer reads text. With ``nfc-bytes``, it has byte types from LEAST_WITH_BYTES types on.

    Raises:
        CorpusError: if the text is empty, or ``size`` is too large for the text or too small for its characters.
    """
    count, characters = _measure(sentences)
    if not characters:
        raise CorpusError(origin, "no text to train a tokenizer on; expected at least one sentence that is not blank")
    sample = _Sample(_sampled(sentences, count, seed), rule)
    if counted is None:
        counted = sentences
    else:
        count, characters = _measure(counted)
    try:
        if size is not None:
            return sample.train(size)
        # A token is at least one character or the start of a word, which bounds the number of tokens: most sizes are
        # too large for a small corpus and need not be trained.
        for candidate in VOCABULARY_SIZES:
            needed = enough_tokens(candidate)
            if characters + count < needed:
                continue
            with suppress(_TooManyTypesError):
                tokenizer = sample.train(candidate)
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


def _train_smallest(sample: _Sample, origin: str) -> Tokenizer:
    for candidate in reversed(VOCABULARY_SIZES):
        try:
            return sample.train(candidate)
        except _TooFewTypesError:
            continue
        except _TooManyTypesError as error:
            return sample.train(error.most)
    # Unlikely with real text, because SentencePiece leaves out the rarest characters.
    raise CorpusError(origin, f"too many characters for a vocabulary of {VOCABULARY_SIZES[0]}")


class _Sample:
    """The sentences to learn from, and the rule to read them by."""

    def __init__(self, sentences: Sentences, rule: TokenizerRule) -> None:
        self._sentences = sentences
        self._table = None if rule == "identity" else rule_table(hangul=any(map(has_hangul, sentences())))

    def train(self, size: int) -> Tokenizer:
        """Train a tokenizer of a size, byte types not counted. Raises _TooManyTypesError and _TooFewTypesError."""
        if self._table is None:
            return Tokenizer(_train(self._sentences, size, normalization_rule_name="identity"))
        bytes_ = BYTE_TYPES if size >= LEAST_WITH_BYTES else 0
        spelling: dict[str, Any] = {"byte_fallback": True} if bytes_ else {"character_coverage": 1.0}
        with tempfile.TemporaryDirectory() as folder:
            (table := Path(folder) / "rule.tsv").write_text(self._table, encoding="ascii")
            try:
                model = _train(self._sentences, size + bytes_, normalization_rule_tsv=str(table), **spelling)
            except _TooManyTypesError as error:
                raise _TooManyTypesError(error.most - bytes_) from error
            except _TooFewTypesError as error:
                raise _TooFewTypesError(error.least - bytes_) from error
        return Tokenizer(_without_path(model))


def _train(sentences: Sentences, size: int, **options: Any) -> bytes:
    model = io.BytesIO()
    failures: list[BaseException] = []
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_keep_exception(sentences, failures),
            model_writer=model,
            model_type="bpe",
            vocab_size=size,
            pad_id=0,
            unk_id=1,
            bos_id=2,
            eos_id=3,
            # SentencePiece stores this number in the model, so the bytes would depend on the machine.
            num_threads=1,
            minloglevel=2,
            **{"character_coverage": 0.9995, **options},
        )
    except RuntimeError as error:
        if failures:
            raise failures[0] from None
        if found := re.search(r"too high.*<= (\d+)", str(error)):
            raise _TooManyTypesError(int(found[1])) from error
        if found := re.search(r"smaller than required_chars\. \d+ vs (\d+)", str(error)):
            raise _TooFewTypesError(int(found[1])) from error
        raise
    return model.getvalue()


def _without_path(model: bytes) -> bytes:
    """Remove the path of the rule's table, which SentencePiece stores beside the compiled rule."""
    from sentencepiece import sentencepiece_model_pb2

    proto = sentencepiece_model_pb2.ModelProto.FromString(model)  # type: ignore[attr-defined]  # generated at runtime
    proto.normalizer_spec.ClearField("normalization_rule_tsv")
    stored: bytes = proto.SerializeToString()
    return stored


def _keep_exception(sentences: Sentences, failures: list[BaseException]) -> Iterator[str]:
    """Record the exception that the iterator raises: SentencePiece replaces it by a RuntimeError."""
    try:
        yield from sentences()
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
