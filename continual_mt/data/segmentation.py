"""From text to the token sequences that a model can take, and how they go into batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from continual_mt.data.tokenizer import Tokenizer
from continual_mt.errors import InputError


def segment(sentence: str, number: int, tokenizer: Tokenizer, limit: int) -> list[list[int]]:
    """The ids of a sentence, in parts of at most ``limit``, divided at spaces if it has any; none for a blank one.

    Raises InputError, naming the sentence by its ``number``, for what is no text, and for a line break or half a
    surrogate pair.
    """
    if not isinstance(sentence, str):
        raise InputError(f"sentence {number} is {sentence!r:.80}, which is no text")
    if "\n" in sentence or "\r" in sentence:
        raise InputError(f"sentence {number} holds a line break; give one sentence at a time")
    if any("\ud800" <= character <= "\udfff" for character in sentence):
        raise InputError(f"sentence {number} holds half a surrogate pair, which is no text; decode its bytes as UTF-8")
    if not sentence.strip():
        return []  # asked of the text: to a tokenizer, some kinds of space are unknown characters
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
        if len(kept) > limit:  # one word that alone is over the limit, as a line without spaces is
            *whole, kept = (kept[first : first + limit] for first in range(0, len(kept), limit))
            yield from whole
    if kept:
        yield kept


def length_batches(sequences: Sequence[Sequence[int]], batch_tokens: int, min_batches: int = 1) -> Iterator[list[int]]:
    """Batches of places, the longest sequences first, of at most ``batch_tokens`` tokens with padding and ends.

    They are smaller where there would be fewer than ``min_batches`` of them.
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
