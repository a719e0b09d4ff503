"""A model that translates one pair: a transformer, the two sides, and the recipe that it was made from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from continual_mt.batches import pad
from continual_mt.decoding import beam_search, greedy_search
from continual_mt.errors import InputError
from continual_mt.languages import Pair
from continual_mt.side import Side
from continual_mt.transformer import Transformer

if TYPE_CHECKING:
    from continual_mt.recipe import Recipe

LOGITS_BATCH = 20


@dataclass(frozen=True)
class PairModel:
    """Weights may be shared with other pairs: nothing here writes to them."""

    pair: Pair
    transformer: Transformer
    source: Side
    target: Side
    recipe: Recipe | None = None

    def translate(
        self,
        sentences: Sequence[str],
        *,
        beam: int = 5,
        length_penalty: float = 1.0,
        batch_tokens: int = 4096,
        progress: Callable[[int], None] | None = None,
    ) -> list[str]:
        """One translation a sentence, in order; a blank sentence gives an empty one. ``beam`` 1 is greedy search.

        A sentence of more tokens than the model has positions is translated in pieces, divided at spaces if it has any.
        ``progress`` is called with the number of pieces done. Raises InputError for a sentence with a line break or
        with half a surrogate pair.
        """
        if beam < 1:
            raise InputError(f"beam is {beam}; it must be at least 1")
        pieces = [list(self._pieces(sentence, number)) for number, sentence in enumerate(sentences, start=1)]
        flat = [tokens for divided in pieces for tokens in divided]
        translated = iter(self._translate_tokens(flat, beam, length_penalty, batch_tokens, progress))
        return [" ".join(next(translated) for _ in divided) for divided in pieces]

    def _pieces(self, sentence: str, number: int) -> Iterator[list[int]]:
        if "\n" in sentence or "\r" in sentence:
            raise InputError(f"sentence {number} holds a line break; give one sentence at a time")
        if any("\ud800" <= character <= "\udfff" for character in sentence):
            raise InputError(
                f"sentence {number} holds half a surrogate pair, which is no text; decode its bytes as UTF-8"
            )
        if not sentence.strip():
            return  # asked of the text: to a tokenizer, some kinds of space are unknown characters
        limit = self.transformer.architecture.maximum_positions - 1
        tokens = self.source.tokenizer.encode(sentence)
        if len(tokens) <= limit:
            if tokens:
                yield tokens
            return
        kept: list[int] = []
        for word in sentence.split():
            pieces = self.source.tokenizer.encode(word)
            if kept and len(kept) + len(pieces) > limit:
                yield kept
                kept = []
            kept = kept + pieces
            while len(kept) > limit:  # one word that alone is over the limit, as a line without spaces is
                yield kept[:limit]
                kept = kept[limit:]
        if kept:
            yield kept

    def _translate_tokens(
        self,
        sources: list[list[int]],
        beam: int,
        length_penalty: float,
        batch_tokens: int,
        progress: Callable[[int], None] | None,
    ) -> list[str]:
        results = [""] * len(sources)
        order = sorted(range(len(sources)), key=lambda i: (-len(sources[i]), i))
        done = 0
        while done < len(order):
            longest = len(sources[order[done]]) + 1
            chosen = order[done : done + max(1, batch_tokens // (longest * beam))]
            for i, text in zip(
                chosen, self._translate_batch([sources[i] for i in chosen], beam, length_penalty), strict=True
            ):
                results[i] = text
            done += len(chosen)
            if progress:
                progress(done)
        return results

    def _translate_batch(self, sources: list[list[int]], beam: int, length_penalty: float) -> list[str]:
        end = self.source.tokenizer.end
        tokens, lengths = pad([[*source, end] for source in sources], self.source.tokenizer.pad)
        tokens, lengths = tokens.to(self.transformer.device), lengths.to(self.transformer.device)
        start, stop = self.target.tokenizer.start, self.target.tokenizer.end
        if beam == 1:
            best = greedy_search(self.transformer, tokens, lengths, start, stop)
        else:
            found = beam_search(self.transformer, tokens, lengths, start, stop, beam, length_penalty)
            best = [hypotheses[0] for hypotheses in found]
        return [self.target.tokenizer.decode(hypothesis.tokens) for hypothesis in best]

    @torch.inference_mode()
    def logits(self, sources: Sequence[str], references: Sequence[str]) -> Iterator[Tensor]:
        """Teacher-forced float32 logits (sentences, positions, vocabulary), in fixed batches of LOGITS_BATCH sentences.

        Sentences are cut at the model's positions: this is for comparing models, not for translating.
        """
        limit = self.transformer.architecture.maximum_positions - 1
        source, target = self.source.tokenizer, self.target.tokenizer
        for first in range(0, len(sources), LOGITS_BATCH):
            chosen = slice(first, first + LOGITS_BATCH)
            tokens, lengths = pad([[*source.encode(text)[:limit], source.end] for text in sources[chosen]], source.pad)
            inputs, _ = pad([[target.start, *target.encode(text)[:limit]] for text in references[chosen]], target.pad)
            device = self.transformer.device
            yield self.transformer(tokens.to(device), lengths.to(device), inputs.to(device))

    def logits_digest(self, sources: Sequence[str], references: Sequence[str]) -> str:
        """SHA-256 over the bits of ``logits``: equal digests mean bit-equal models on these sentences."""
        digest = hashlib.sha256()
        for logits in self.logits(sources, references):
            digest.update(logits.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()
