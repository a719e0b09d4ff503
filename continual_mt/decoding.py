"""Greedy and beam search over token ids, with cached keys and values.

Scores are sums of log-probabilities divided by length ** length_penalty (Wu et al., 2016, in its common simple form); a
sentence is finished when no running hypothesis can still beat the worst of its ``beam`` finished ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from continual_mt.layout import Packed
from continual_mt.transformer import KeysAndValues, Transformer
from continual_mt.translator import Hypothesis

CACHE_STEP = 8
"""Positions by which the cache of keys and values grows."""


class Step(Protocol):
    """Logits (sentences, beam, vocabulary) of what follows ``last`` (sentences, beam) at ``position``.

    ``rows`` says which sentences of the batch are still running; ``seen`` and ``mask`` are theirs, and ``cache`` has
    room for the self-attentions' keys and values up to this position, which are written to it.
    """

    def __call__(
        self,
        rows: Tensor,
        last: Tensor,
        position: int,
        seen: Sequence[KeysAndValues],
        mask: Tensor,
        cache: list[KeysAndValues],
    ) -> Tensor: ...


@dataclass
class EncodedBatch:
    """Sentences that were encoded: what a search begins with.

    ``lengths``, ``starts`` and ``ends`` (sentences,) are source tokens, and the special ids of each one's target;
    ``seen`` are each cross-attention's keys and values, ``longest`` the positions that the model has.
    """

    lengths: Tensor
    starts: Tensor
    ends: Tensor
    mask: Tensor
    seen: list[KeysAndValues]
    step: Step
    longest: int


@torch.inference_mode()
def encode(model: Transformer, source: Tensor, lengths: Tensor, start: int, end: int) -> EncodedBatch:
    """Encode sentences of one pair. ``source`` is (sentences, positions), padded; ``lengths`` counts the end token."""
    layout = Packed.of(lengths)
    encoded = model.encode(layout.tokens(source), layout)
    return EncodedBatch(
        lengths=lengths,
        starts=torch.full_like(lengths, start),
        ends=torch.full_like(lengths, end),
        mask=layout.mask,
        seen=[cross.keys_and_values(encoded, layout) for cross in model.cross_attention],
        step=lambda rows, last, position, seen, mask, cache: model.step(last, position, seen, mask, cache),
        longest=model.architecture.maximum_positions,
    )


class _Running:
    """The sentences still running: ``rows`` are their places in the batch."""

    def __init__(self, batch: EncodedBatch, beam: int) -> None:
        self.rows = torch.arange(len(batch.lengths), device=batch.lengths.device)
        # Twice the source and a little more: longer hypotheses are repetitions, and they would hold up their batch.
        self.limits = (2 * batch.lengths + 20).clamp(max=batch.longest - 1)
        self.ends, self.mask, self.seen = batch.ends, batch.mask, batch.seen
        keys = batch.seen[0][0]
        empty = keys.new_empty(len(self.rows) * beam, keys.shape[1], 0, keys.shape[3])
        self.cache = [(empty, empty) for _ in batch.seen]
        self._step = batch.step

    def step(self, last: Tensor, position: int) -> Tensor:
        """Logits (sentences, beam, vocabulary) of what follows ``last`` (sentences, beam)."""
        if position == self.cache[0][0].shape[2]:
            self.cache = [(_with_room(keys), _with_room(values)) for keys, values in self.cache]
        return self._step(self.rows, last, position, self.seen, self.mask, self.cache).float()

    def keep(self, alive: Tensor, beam: int) -> None:
        """Drop finished sentences, so that nothing is computed for them any more."""
        chosen = alive.nonzero().squeeze(1)
        self.rows, self.limits, self.ends = self.rows[chosen], self.limits[chosen], self.ends[chosen]
        self.mask = self.mask[chosen]
        self.seen = [(keys[chosen], values[chosen]) for keys, values in self.seen]
        self.reorder((chosen[:, None] * beam + torch.arange(beam, device=chosen.device)).flatten())

    def reorder(self, rows: Tensor) -> None:
        self.cache = [(keys.index_select(0, rows), values.index_select(0, rows)) for keys, values in self.cache]


def _with_room(cache: Tensor) -> Tensor:
    rows, heads, _, width = cache.shape
    return torch.cat([cache, cache.new_empty(rows, heads, CACHE_STEP, width)], dim=2)


def search_batch(batch: EncodedBatch, beam: int, length_penalty: float) -> list[list[Hypothesis]]:
    """The best hypotheses of each sentence, best first; a beam of 1 is greedy search."""
    if beam == 1:
        return [[best] for best in greedy_search(batch, length_penalty)]
    return beam_search(batch, beam, length_penalty)


@torch.inference_mode()
def greedy_search(batch: EncodedBatch, length_penalty: float = 1.0) -> list[Hypothesis]:
    """The best token at each step; the penalty only tells how scores are normalised."""
    running, last = _Running(batch, 1), batch.starts[:, None]
    found: list[list[int]] = [[] for _ in running.rows]
    scores = [0.0] * len(found)
    ended = [False] * len(found)
    position = 0
    while len(running.rows):
        logits = running.step(last, position)[:, 0]
        best, last = logits.max(-1, keepdim=True)
        best = best - logits.logsumexp(-1, keepdim=True)
        position += 1
        finished = last[:, 0] == running.ends
        for row, token, score, end in zip(
            running.rows.tolist(), last[:, 0].tolist(), best[:, 0].tolist(), finished.tolist(), strict=True
        ):
            found[row].append(token)
            scores[row] += score
            ended[row] = end
        alive = ~finished & (running.limits > position)
        if not alive.all():
            running.keep(alive, 1)
            last = last[alive]
    return [
        Hypothesis(tokens[:-1] if end else tokens, score / len(tokens) ** length_penalty)
        for tokens, score, end in zip(found, scores, ended, strict=True)
    ]


@dataclass
class _Beams:
    """Hypotheses of the running sentences: scores (sentences, beam) and tokens (sentences, beam, length)."""

    tokens: Tensor
    scores: Tensor
    finished_tokens: Tensor
    finished_scores: Tensor

    def keep(self, alive: Tensor) -> None:
        self.tokens, self.scores = self.tokens[alive], self.scores[alive]
        self.finished_tokens, self.finished_scores = self.finished_tokens[alive], self.finished_scores[alive]

    def finish(self, tokens: Tensor, scores: Tensor) -> None:
        """Merge (sentences, n, length) new finished hypotheses in; those that do not count have score -inf."""
        beam = self.finished_scores.shape[1]
        missing = tokens.shape[2] - self.finished_tokens.shape[2]
        padded = torch.nn.functional.pad(self.finished_tokens, (0, missing), value=-1)
        self.finished_scores, order = torch.cat([self.finished_scores, scores], dim=1).topk(beam, dim=1)
        self.finished_tokens = _choose(torch.cat([padded, tokens], dim=1), order)


def _choose(tokens: Tensor, order: Tensor) -> Tensor:
    return tokens.gather(1, order[..., None].expand(-1, -1, tokens.shape[2]))


def _extend(beams: _Beams, logits: Tensor, ends: Tensor, penalty: float) -> Tensor:
    """Advance every hypothesis by one token; returns (sentences, beam): which hypothesis each new one continues."""
    beam, vocabulary = logits.shape[1:]
    # 2 × beam candidates always hold beam that do not end: each hypothesis can end in one way only. None that is not
    # among as many of its own hypothesis can be among them, so most of the vocabulary is looked at once.
    few = min(2 * beam, vocabulary)
    of_each, tokens_of_each = logits.topk(few, dim=2)
    of_each = of_each - logits.logsumexp(2, keepdim=True) + beams.scores[..., None]
    scores, flat = of_each.flatten(1).topk(min(2 * beam, beam * few), dim=1)
    origin, token = flat // few, tokens_of_each.flatten(1).gather(1, flat)
    tokens = torch.cat([_choose(beams.tokens, origin), token[..., None]], dim=2)
    ended = token == ends[:, None]
    among_best = torch.arange(scores.shape[1], device=token.device) < beam
    normalised = scores / tokens.shape[2] ** penalty
    beams.finish(tokens, normalised.masked_fill(~(ended & among_best), -torch.inf))
    beams.scores, chosen = scores.masked_fill(ended, -torch.inf).topk(beam, dim=1)
    beams.tokens = _choose(tokens, chosen)
    return origin.gather(1, chosen)


@torch.inference_mode()
def beam_search(batch: EncodedBatch, beam: int, length_penalty: float) -> list[list[Hypothesis]]:
    """The ``beam`` best hypotheses of each sentence, best first."""
    count, device = len(batch.lengths), batch.lengths.device
    running = _Running(batch, beam)
    beams = _Beams(
        tokens=torch.empty(count, beam, 0, dtype=torch.long, device=device),
        scores=torch.tensor([0.0] + [-torch.inf] * (beam - 1), device=device).repeat(count, 1),
        finished_tokens=torch.empty(count, beam, 0, dtype=torch.long, device=device),
        finished_scores=torch.full((count, beam), -torch.inf, device=device),
    )
    last = batch.starts[:, None].repeat(1, beam)
    results: list[list[Hypothesis]] = [[] for _ in range(count)]
    position = 0
    while len(running.rows):
        origin = _extend(beams, running.step(last, position), running.ends, length_penalty)
        position += 1
        attainable = beams.scores[:, 0] / position**length_penalty
        at_limit = running.limits <= position
        unfinished = (beams.scores / position**length_penalty).masked_fill(~at_limit[:, None], -torch.inf)
        done = at_limit | (beams.finished_scores[:, -1] >= attainable)
        if done.any():
            beams.finish(beams.tokens, unfinished)
            _collect(results, running, beams, done)
        first = torch.arange(len(origin), device=device)[:, None] * beam
        running.reorder((first + origin).flatten())
        if done.any():
            running.keep(~done, beam)
            beams.keep(~done)
        last = beams.tokens[:, :, -1]
    return results


def _collect(results: list[list[Hypothesis]], running: _Running, beams: _Beams, done: Tensor) -> None:
    for row, end, hypotheses, scores in zip(
        running.rows[done].tolist(),
        running.ends[done].tolist(),
        beams.finished_tokens[done].tolist(),
        beams.finished_scores[done].tolist(),
        strict=True,
    ):
        for hypothesis, score in zip(hypotheses, scores, strict=True):
            if score > -torch.inf:
                kept = [token for token in hypothesis if token not in (end, -1)]
                results[row].append(Hypothesis(kept, score))
