"""Greedy and beam search over token ids, with cached keys and values.

A hypothesis' score is its log-probability divided by length ** length_penalty, the common simple form of the length
normalisation of Wu et al., *Google's Neural Machine Translation System*, 2016. A sentence is done when no unfinished
hypothesis, if it ended now, would score higher than the worst of its ``beam`` finished ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from continual_mt.inference.translator import Hypothesis, Search
from continual_mt.model.operations.kv_cache import KeysAndValues, KVCache
from continual_mt.model.operations.packing import PackedLayout
from continual_mt.model.transformer import Transformer

COMPACTION_THRESHOLD = 0.75
"""Finished sentences are removed from the batch when at most this share is unfinished: removing copies all tensors."""


class DecoderStep(Protocol):
    """A decoding step: takes the last tokens, (sentences, beam), returns logits, (sentences, beam, vocabulary).

    ``rows`` (sentences,) are the indices, in the whole batch, of the sentences that are still in ``cache``.
    """

    def __call__(self, rows: Tensor, last: Tensor, cache: KVCache) -> Tensor: ...


@dataclass
class EncodedBatch:
    """Encoded source sentences: the input of a search.

    ``lengths`` (sentences,) count source tokens, end and language tokens included. ``start_ids`` (sentences, inputs)
    are the decoder's first inputs: the start token, and language tokens if any. ``end_ids`` (sentences,) are the end
    tokens of each sentence's target side. ``mask`` is the padding mask of the source. ``cross_keys_values`` has the
    keys and values of each cross-attention layer. ``maximum_positions`` is the model's limit of target positions.
    ``banned`` (sentences, tokens) are never chosen.
    """

    lengths: Tensor
    start_ids: Tensor
    end_ids: Tensor
    mask: Tensor
    cross_keys_values: list[KeysAndValues]
    step: DecoderStep
    maximum_positions: int
    banned: Tensor


@torch.inference_mode()
def encode(
    model: Transformer, source: Tensor, lengths: Tensor, start: Sequence[int], end: int, banned: Sequence[int] = ()
) -> EncodedBatch:
    """Encode sentences of one pair. ``source``: (sentences, positions), padded; ``lengths`` include the end token.

    ``start`` are the decoder's first inputs; ``banned`` tokens are never chosen.
    """
    layout = PackedLayout.from_lengths(lengths)
    encoded = model.encode(layout.pack(source), layout)
    return EncodedBatch(
        lengths=lengths,
        start_ids=torch.tensor(start, device=lengths.device).expand(len(lengths), -1),
        end_ids=torch.full_like(lengths, end),
        mask=layout.mask,
        cross_keys_values=[cross.keys_and_values(encoded, layout) for cross in model.cross_attention],
        step=lambda rows, last, cache: model.step(last, cache),
        maximum_positions=model.architecture.maximum_positions,
        banned=torch.tensor(banned, dtype=torch.long, device=lengths.device).expand(len(lengths), -1),
    )


class _ActiveSentences:
    """The sentences of a batch that are still in the search; ``rows`` (sentences,) are their indices in the batch.

    Finished sentences stay, and are computed in vain, until enough have finished for `COMPACTION_THRESHOLD`; ``active``
    (sentences,) is False for them.
    """

    def __init__(self, batch: EncodedBatch, beam: int) -> None:
        self.forced = batch.start_ids.shape[1] - 1
        self.rows = torch.arange(len(batch.lengths), device=batch.lengths.device)
        # Hypotheses longer than this are almost always repetitions, and would delay the whole batch.
        self.maximum_lengths = (2 * batch.lengths + 20).clamp(max=batch.maximum_positions - 1 - self.forced)
        self.end_ids, self.active = batch.end_ids, torch.ones_like(batch.lengths, dtype=torch.bool)
        self._banned = batch.banned
        self.cache = KVCache(batch.cross_keys_values, batch.mask, beam)
        self._step = batch.step
        for place in range(self.forced):
            self.step(batch.start_ids[:, place, None].expand(-1, beam))
        self.first = batch.start_ids[:, -1]
        """(sentences,) the input whose output is the first that is not forced."""

    @property
    def length(self) -> int:
        """The number of tokens of each hypothesis after this step, forced ones not included."""
        return self.cache.position + 1 - self.forced

    def step(self, last: Tensor) -> Tensor:
        """Return the logits (sentences, beam, vocabulary) of the tokens that follow ``last`` (sentences, beam)."""
        self.cache.begin_step()
        return self._step(self.rows, last, self.cache).float()

    def ban(self, logits: Tensor) -> Tensor:
        """Set the logits (sentences, beam, vocabulary) of banned tokens to -inf, in place.

        Probabilities are then those of the other tokens, as in CTranslate2.
        """
        return logits.scatter_(2, self._banned[:, None].expand(-1, logits.shape[1], -1), -torch.inf)

    def mark_finished(self, done: Tensor) -> Tensor | None:
        """Mark sentences as finished. If finished ones are removed, return the indices of the rest; else None."""
        self.active &= ~done
        running = int(self.active.sum())
        if running > COMPACTION_THRESHOLD * len(self.active):
            return None
        chosen = self.active.nonzero().squeeze(1)
        self.rows, self.maximum_lengths, self.end_ids = (
            self.rows[chosen],
            self.maximum_lengths[chosen],
            self.end_ids[chosen],
        )
        self.active = self.active[chosen]
        self._banned = self._banned[chosen]
        self.cache.select(chosen)
        return chosen


def search_batch(batch: EncodedBatch, search: Search) -> list[list[Hypothesis]]:
    """Return the best hypotheses of each sentence, best first; a beam of 1 is greedy search."""
    if search.beam == 1:
        return [[best] for best in greedy_search(batch, search.length_penalty, scored=search.scored)]
    return beam_search(batch, search.beam, search.length_penalty)


@torch.inference_mode()
def greedy_search(batch: EncodedBatch, length_penalty: float = 1.0, *, scored: bool = True) -> list[Hypothesis]:
    """Take the most probable token at each step. The penalty changes only the scores, not the tokens.

    With ``scored=False`` scores are NaN, which saves a tenth of the time.
    """
    running = _ActiveSentences(batch, 1)
    last = running.first
    tokens = torch.empty(len(last), int(running.maximum_lengths.max()), dtype=torch.long, device=last.device)
    scores = last.new_full((len(last),), 0.0 if scored else torch.nan, dtype=torch.float32)
    lengths, ended = (last.new_zeros(len(last), dtype=dtype) for dtype in (torch.long, torch.bool))
    while len(rows := running.rows):
        logits = running.ban(running.step(last[:, None]))[:, 0]
        last, position = _argmax(logits), running.length - 1
        if scored:
            best = logits.log_softmax(-1).gather(1, last[:, None])[:, 0]
            scores[rows] += best.where(running.active, 0.0)
        lengths[rows] += running.active
        tokens[rows, position] = last
        is_end = last == running.end_ids
        ended[rows] |= is_end & running.active
        remaining = running.mark_finished(is_end | (running.maximum_lengths <= position + 1))
        if remaining is not None:
            last = last[remaining]
    return [
        Hypothesis(found[: length - end], score / (length + running.forced) ** length_penalty)
        for found, score, length, end in zip(
            tokens.tolist(), scores.tolist(), lengths.tolist(), ended.tolist(), strict=True
        )
    ]


def _argmax(logits: Tensor) -> Tensor:
    """Return the index of each row's maximum. On CPUs NumPy is ten times faster than PyTorch here."""
    return logits.argmax(-1) if logits.is_cuda else torch.from_numpy(logits.numpy().argmax(-1))


@dataclass
class _Beams:
    """Unfinished and finished hypotheses: tokens (sentences, beam, length) and scores (sentences, beam)."""

    tokens: Tensor
    scores: Tensor
    finished_tokens: Tensor
    finished_scores: Tensor

    def keep(self, chosen: Tensor) -> None:
        """Remove all sentences but those at the indices ``chosen``."""
        self.tokens, self.scores = self.tokens[chosen], self.scores[chosen]
        self.finished_tokens, self.finished_scores = self.finished_tokens[chosen], self.finished_scores[chosen]

    def finish(self, tokens: Tensor, scores: Tensor) -> None:
        """Merge new finished hypotheses, (sentences, n, length); those with a score of -inf are ignored."""
        beam = self.finished_scores.shape[1]
        missing = tokens.shape[2] - self.finished_tokens.shape[2]
        padded = torch.nn.functional.pad(self.finished_tokens, (0, missing), value=-1)
        self.finished_scores, order = torch.cat([self.finished_scores, scores], dim=1).topk(beam, dim=1)
        self.finished_tokens = _select(torch.cat([padded, tokens], dim=1), order)


def _select(tokens: Tensor, order: Tensor) -> Tensor:
    return tokens.gather(1, order[..., None].expand(-1, -1, tokens.shape[2]))


def _extend(beams: _Beams, token_scores: Tensor, end_ids: Tensor, divisor: float) -> Tensor:
    """Extend all hypotheses by one token. Returns (sentences, beam): the index of the hypothesis each one extends.

    ``token_scores`` (sentences, beam, vocabulary) are log-probabilities. The scores of hypotheses that end are divided
    by ``divisor``.
    """
    beam, vocabulary = token_scores.shape[1:]
    # The best 2 × beam candidates contain at least ``beam`` that do not end, since each hypothesis can end in one way
    # only. They are among the best 2 × beam of each hypothesis, so that the whole vocabulary is scanned once only.
    per_hypothesis = min(2 * beam, vocabulary)
    top_scores, top_tokens = token_scores.topk(per_hypothesis, dim=2)
    scores, flat = (top_scores + beams.scores[..., None]).flatten(1).topk(min(2 * beam, beam * per_hypothesis), dim=1)
    origin, token = flat // per_hypothesis, top_tokens.flatten(1).gather(1, flat)
    tokens = torch.cat([_select(beams.tokens, origin), token[..., None]], dim=2)
    ended = token == end_ids[:, None]
    is_top = torch.arange(scores.shape[1], device=token.device) < beam
    normalised = scores / divisor
    beams.finish(tokens, normalised.masked_fill(~(ended & is_top), -torch.inf))
    beams.scores, chosen = scores.masked_fill(ended, -torch.inf).topk(beam, dim=1)
    beams.tokens = _select(tokens, chosen)
    return origin.gather(1, chosen)


@torch.inference_mode()
def beam_search(batch: EncodedBatch, beam: int, length_penalty: float) -> list[list[Hypothesis]]:
    """Return the ``beam`` best hypotheses of each sentence, best first."""
    count, device = len(batch.lengths), batch.lengths.device
    running = _ActiveSentences(batch, beam)
    beams = _Beams(
        tokens=torch.empty(count, beam, 0, dtype=torch.long, device=device),
        scores=torch.tensor([0.0] + [-torch.inf] * (beam - 1), device=device).repeat(count, 1),
        finished_tokens=torch.empty(count, beam, 0, dtype=torch.long, device=device),
        finished_scores=torch.full((count, beam), -torch.inf, device=device),
    )
    last = running.first[:, None].repeat(1, beam)
    results: list[list[Hypothesis]] = [[] for _ in range(count)]
    while len(running.rows):
        logits = running.step(last)
        length = running.length
        divisor = float((length + running.forced) ** length_penalty)
        running.cache.reorder(_extend(beams, running.ban(logits).log_softmax(2), running.end_ids, divisor))
        attainable = beams.scores[:, 0] / divisor
        at_limit = running.maximum_lengths <= length
        done = running.active & (at_limit | (beams.finished_scores[:, -1] >= attainable))
        if done.any():
            unfinished = (beams.scores / divisor).masked_fill(~at_limit[:, None], -torch.inf)
            beams.finish(beams.tokens, unfinished)
            _collect(results, running, beams, done)
            remaining = running.mark_finished(done)
            if remaining is not None:
                beams.keep(remaining)
        last = beams.tokens[:, :, -1]
    return results


def _collect(results: list[list[Hypothesis]], running: _ActiveSentences, beams: _Beams, done: Tensor) -> None:
    for row, end, hypotheses, scores in zip(
        running.rows[done].tolist(),
        running.end_ids[done].tolist(),
        beams.finished_tokens[done].tolist(),
        beams.finished_scores[done].tolist(),
        strict=True,
    ):
        for hypothesis, score in zip(hypotheses, scores, strict=True):
            if score > -torch.inf:
                tokens = [token for token in hypothesis if token not in (end, -1)]
                results[row].append(Hypothesis(tokens, score))
