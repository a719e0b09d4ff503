"""The PyTorch back end, the reference: a transformer with its source and target side."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from continual_mt.artifacts.side import LanguageSide
from continual_mt.data.batching import pad
from continual_mt.data.segmentation import length_batches
from continual_mt.inference.beam_search import encode, search_batch
from continual_mt.inference.translator import Hypothesis, Search, TokenTranslator
from continual_mt.inference.worker_processes import possible, shared_out
from continual_mt.languages import Pair
from continual_mt.model.operations.linear import prepacked_weights
from continual_mt.model.transformer import Transformer
from continual_mt.threads import computing

if TYPE_CHECKING:
    from continual_mt.artifacts.choice import Choice
    from continual_mt.artifacts.recipe import Recipe

LOGITS_BATCH = 20


@dataclass(frozen=True)
class PairModel(TokenTranslator):
    """A model of one pair in PyTorch. Its weights may be shared with other pairs, and are never written to.

    ``why`` has the candidates and the reason, where the registry chose the recipe.
    """

    pair: Pair
    transformer: Transformer
    source: LanguageSide
    target: LanguageSide
    recipe: Recipe | None = None
    why: Choice | None = None

    def because(self, why: Choice) -> PairModel:
        """The same model with the choice that its recipe is the result of."""
        return replace(self, why=why)

    @property
    def maximum_tokens(self) -> int:
        positions = self.transformer.architecture.maximum_positions
        return min(side.tokenizer.room(positions) for side in (self.source, self.target))

    def search(
        self, sources: Sequence[list[int]], search: Search, progress: Callable[[int], None] | None = None
    ) -> list[list[Hypothesis]]:
        results: list[list[Hypothesis]] = [[] for _ in sources]
        done = 0
        several = self.transformer.device.type == "cpu" and possible()
        processes = min(search.processes, len(sources)) if several else 1
        batches = list(length_batches(sources, search.batch_tokens // search.beam, processes))
        work = partial(self._search_chosen, sources, search)
        found = shared_out(work, batches, processes) if processes > 1 else (work(batch) for batch in batches)
        # If ``progress`` raises, closing ends the worker processes at once.
        with prepacked_weights(len(sources) * search.beam), closing(found):
            for batch in found:
                for i, hypotheses in batch:
                    results[i] = [Hypothesis(*hypothesis) for hypothesis in hypotheses]
                done += len(batch)
                if progress:
                    progress(done)
        return results

    def _search_chosen(
        self, sources: Sequence[list[int]], search: Search, chosen: list[int]
    ) -> list[tuple[int, list[Hypothesis]]]:
        with computing():
            found = self._search_batch([sources[i] for i in chosen], search)
        return [(i, hypotheses[: search.best]) for i, hypotheses in zip(chosen, found, strict=True)]

    def _search_batch(self, sources: list[list[int]], search: Search) -> list[list[Hypothesis]]:
        frame = self.source.tokenizer.frame_source
        tokens, lengths = pad([frame(source) for source in sources], self.source.tokenizer.pad)
        tokens, lengths = tokens.to(self.transformer.device), lengths.to(self.transformer.device)
        target = self.target.tokenizer
        start, banned = target.before_target, target.side_tokens.banned
        return search_batch(encode(self.transformer, tokens, lengths, start, target.end, banned), search)

    @torch.inference_mode()
    def logits(self, sources: Sequence[str], references: Sequence[str]) -> Iterator[Tensor]:
        """Yield teacher-forced float32 logits, (sentences, positions, vocabulary), in batches of `LOGITS_BATCH`.

        Batches are fixed so that equal models give equal bits. Sentences are cut at the model's maximum length, since
        logits serve to compare models and not to translate.
        """
        limit = self.maximum_tokens
        source, target = self.source.tokenizer, self.target.tokenizer
        for first in range(0, len(sources), LOGITS_BATCH):
            chosen = slice(first, first + LOGITS_BATCH)
            framed = [source.frame_source(source.encode(text)[:limit]) for text in sources[chosen]]
            tokens, lengths = pad(framed, source.pad)
            inputs, _ = pad(
                [[*target.before_target, *target.encode(text)[:limit]] for text in references[chosen]], target.pad
            )
            device = self.transformer.device
            with computing():
                logits = self.transformer(tokens.to(device), lengths.to(device), inputs.to(device))
            yield logits

    def logits_digest(self, sources: Sequence[str], references: Sequence[str]) -> str:
        """Return the SHA-256 of the bits of ``logits``. Equal digests mean bit-equal logits on these sentences."""
        digest = hashlib.sha256()
        for logits in self.logits(sources, references):
            digest.update(logits.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()
