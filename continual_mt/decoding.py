"""Greedy and beam search over token ids, with cached keys and values.

Scores are sums of log-probabilities divided by length ** length_penalty (Wu et al., 2016, in its common simple form); a
sentence is finished when no running hypothesis can still beat the worst of its ``beam`` finished ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from continual_mt.layout import Packed
from continual_mt.transformer import KeysAndValues, Transformer


class Hypothesis(NamedTuple):
    """Target tokens without start and end, and their length-normalised log-probability."""

    tokens: list[int]
    score: float


@dataclass
class _Sentences:
    """What decoding knows of the sentences still running: ``rows`` are their places in the batch."""

    rows: Tensor
    limits: Tensor
    mask: Tensor
    seen: list[KeysAndValues]
    cache: list[KeysAndValues]

    def keep(self, alive: Tensor, beam: int) -> None:
        """Drop finished sentences, so that nothing is computed for them any more."""
        chosen = alive.nonzero().squeeze(1)
        self.rows, self.limits, self.mask = self.rows[chosen], self.limits[chosen], self.mask[chosen]
        self.seen = [(keys[chosen], values[chosen]) for keys, values in self.seen]
        self.reorder((chosen[:, None] * beam + torch.arange(beam, device=chosen.device)).flatten())

    def reorder(self, rows: Tensor) -> None:
        self.cache = [(keys[rows], values[rows]) for keys, values in self.cache]


def _begin(model: Transformer, source: Tensor, lengths: Tensor, beam: int) -> _Sentences:
    layout = Packed.of(lengths)
    encoded = model.encode(layout.tokens(source), layout)
    seen = [cross.keys_and_values(encoded, layout) for cross in model.cross_attention]
    # Twice the source and a little more: longer hypotheses are repetitions, and they would hold up their batch.
    limits = (2 * lengths + 20).clamp(max=model.architecture.maximum_positions - 1)
    keys = seen[0][0]
    empty = keys.new_empty(len(source) * beam, keys.shape[1], 0, keys.shape[3])
    return _Sentences(
        rows=torch.arange(len(source), device=source.device),
        limits=limits,
        mask=layout.mask,
        seen=seen,
        cache=[(empty, empty) for _ in model.decoder],
    )


def _step(model: Transformer, sentences: _Sentences, last: Tensor, position: int) -> Tensor:
    """Log-probabilities (sentences, beam, vocabulary) of what follows ``last`` (sentences, beam)."""
    return model.step(last, position, sentences.seen, sentences.mask, sentences.cache).float().log_softmax(-1)


@torch.inference_mode()
def greedy_search(model: Transformer, source: Tensor, lengths: Tensor, start: int, end: int) -> list[Hypothesis]:
    """The best token at each step. ``source`` is (sentences, positions), padded; ``lengths`` counts the end token."""
    if not len(source):
        return []
    sentences = _begin(model, source, lengths, 1)
    last = torch.full((len(source), 1), start, device=source.device)
    found: list[list[int]] = [[] for _ in range(len(source))]
    scores = [0.0] * len(source)
    position = 0
    while len(sentences.rows):
        best, last = _step(model, sentences, last, position)[:, 0].max(-1, keepdim=True)
        position += 1
        for row, token, score in zip(sentences.rows.tolist(), last[:, 0].tolist(), best[:, 0].tolist(), strict=True):
            found[row].append(token)
            scores[row] += score
        alive = (last[:, 0] != end) & (sentences.limits > position)
        if not alive.all():
            sentences.keep(alive, 1)
            last = last[alive]
    return [
        Hypothesis(tokens[:-1] if tokens[-1] == end else tokens, score / len(tokens))
        for tokens, score in zip(found, scores, strict=True)
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


def _extend(beams: _Beams, log_probabilities: Tensor, end: int, penalty: float) -> Tensor:
    """Advance every hypothesis by one token; returns (sentences, beam): which hypothesis each new one continues."""
    _, beam, vocabulary = log_probabilities.shape
    # 2 × beam candidates always hold beam that do not end: each hypothesis can end in one way only.
    scores, flat = (beams.scores[..., None] + log_probabilities).flatten(1).topk(2 * beam, dim=1)
    origin, token = flat // vocabulary, flat % vocabulary
    tokens = torch.cat([_choose(beams.tokens, origin), token[..., None]], dim=2)
    ended = token == end
    among_best = torch.arange(2 * beam, device=token.device) < beam
    normalised = scores / tokens.shape[2] ** penalty
    beams.finish(tokens, normalised.masked_fill(~(ended & among_best), -torch.inf))
    beams.scores, chosen = scores.masked_fill(ended, -torch.inf).topk(beam, dim=1)
    beams.tokens = _choose(tokens, chosen)
    return origin.gather(1, chosen)


@torch.inference_mode()
def beam_search(
    model: Transformer, source: Tensor, lengths: Tensor, start: int, end: int, beam: int, length_penalty: float
) -> list[list[Hypothesis]]:
    """The ``beam`` best hypotheses of each sentence, best first. Arguments as for ``greedy_search``."""
    if not len(source):
        return []
    count, device = len(source), source.device
    sentences = _begin(model, source, lengths, beam)
    beams = _Beams(
        tokens=torch.empty(count, beam, 0, dtype=torch.long, device=device),
        scores=torch.tensor([0.0] + [-torch.inf] * (beam - 1), device=device).repeat(count, 1),
        finished_tokens=torch.empty(count, beam, 0, dtype=torch.long, device=device),
        finished_scores=torch.full((count, beam), -torch.inf, device=device),
    )
    last = torch.full((count, beam), start, device=device)
    results: list[list[Hypothesis]] = [[] for _ in range(count)]
    position = 0
    while len(sentences.rows):
        origin = _extend(beams, _step(model, sentences, last, position), end, length_penalty)
        position += 1
        attainable = beams.scores[:, 0] / position**length_penalty
        at_limit = sentences.limits <= position
        unfinished = (beams.scores / position**length_penalty).masked_fill(~at_limit[:, None], -torch.inf)
        done = at_limit | (beams.finished_scores[:, -1] >= attainable)
        if done.any():
            beams.finish(beams.tokens, unfinished)
            _collect(results, sentences.rows[done], beams.finished_tokens[done], beams.finished_scores[done], end)
        first = torch.arange(len(origin), device=device)[:, None] * beam
        sentences.reorder((first + origin).flatten())
        if done.any():
            sentences.keep(~done, beam)
            beams.keep(~done)
        last = beams.tokens[:, :, -1]
    return results


def _collect(results: list[list[Hypothesis]], rows: Tensor, tokens: Tensor, scores: Tensor, end: int) -> None:
    for row, hypotheses, values in zip(rows.tolist(), tokens.tolist(), scores.tolist(), strict=True):
        for hypothesis, score in zip(hypotheses, values, strict=True):
            if score > -torch.inf:
                kept = [token for token in hypothesis if token not in (end, -1)]
                results[row].append(Hypothesis(kept, score))
