"""Segment sentences into token sequences that fit a model, and group these into batches for translation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from continual_mt.data.tokenizer import Tokenizer
from continual_mt.errors import InputError


def segment(sentence: str, number: int, tokenizer: Tokenizer, limit: int) -> list[list[int]]:
    """Tokenize a sentence and split it into segments of at most ``limit`` ids, at spaces where possible.

    Returns an empty list for a blank sentence. Raises InputError, with the ``number`` of the sentence, if it is not a
    ``str``, contains a line break, or contains an unpaired surrogate.
    """
    if not isinstance(sentence, str):
        raise InputError(f"sentence {number}: {sentence!r:.80} is not text; expected a str")
    if "\n" in sentence or "\r" in sentence:
        raise InputError(
            f"sentence {number}: contains a line break; expected one sentence. Fix: pass one string per sentence"
        )
    if any("\ud800" <= character <= "\udfff" for character in sentence):
        raise InputError(
            f"sentence {number}: contains an unpaired surrogate; expected valid Unicode. Fix: decode its bytes as UTF-8"
        )
    if not sentence.strip():
        return []  # tested on the text, because tokenizers encode some kinds of space as unknown characters
    tokens = tokenizer.encode(sentence)
    if len(tokens) <= limit:
        return [tokens] if tokens else []
    return list(_split_at_spaces(sentence, tokenizer, limit))


def _split_at_spaces(sentence: str, tokenizer: Tokenizer, limit: int) -> Iterator[list[int]]:
    kept: list[int] = []
    for word in sentence.split():
        tokens = tokenizer.encode(word)
        if kept and len(kept) + len(tokens) > limit:
            yield kept
            kept = []
        kept = kept + tokens
        if len(kept) > limit:  # a single word over the limit, for example a line without spaces
            *whole, kept = (kept[first : first + limit] for first in range(0, len(kept), limit))
            yield from whole
    if kept:
        yield kept


def length_batches(sequences: Sequence[Sequence[int]], batch_tokens: int, min_batches: int = 1) -> Iterator[list[int]]:
    """Group sequences into batches of indices, longest sequences first.

    A batch has at most ``batch_tokens`` tokens, padding and end tokens included, or a single sequence. Batches are made
    smaller if there would be fewer than ``min_batches``.
    """
    order = sorted(range(len(sequences)), key=lambda i: (-len(sequences[i]), i))
    if min_batches > 1:
        batch_tokens = min(batch_tokens, sum(len(sequence) + 1 for sequence in sequences) // min_batches)
    first = 0
    while first < len(order):
        longest = len(sequences[order[first]]) + 1
        last = first + max(1, batch_tokens // longest)
        yield order[first:last]
        first = last
