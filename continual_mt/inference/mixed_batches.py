"""Translating sentences of several language pairs in one batch.

Pairs with the same decoder go through its layers together. Pairs with the same encoder, side or cross-attention share
those matrix products, too. A sentence that is translated into several languages is encoded once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from continual_mt.data.batching import pad
from continual_mt.data.segmentation import length_batches, segment
from continual_mt.inference.beam_search import EncodedBatch, search_batch
from continual_mt.inference.pivot_model import PivotModel, one_line
from continual_mt.inference.torch_model import PairModel
from continual_mt.inference.translator import BATCH_TOKENS, Hypothesis, Search, join_parts
from continual_mt.model.layers import Attention
from continual_mt.model.operations.kv_cache import KeysAndValues, KVCache
from continual_mt.model.operations.linear import prepacked_weights
from continual_mt.model.operations.packing import PackedLayout, PaddedLayout, padding_mask
from continual_mt.model.transformer import Transformer
from continual_mt.threads import computing


class Request(NamedTuple):
    """A sentence and the model that translates it."""

    model: PairModel | PivotModel[PairModel]
    sentence: str


class _Step(NamedTuple):
    """A sentence and the one model that it goes through next."""

    model: PairModel
    sentence: str


class _Weights(NamedTuple):
    """Identifies the weights of a model's groups: equal for models that share all of them."""

    source: int
    encoder: int
    cross_attention: int
    decoder: int
    target: int

    @classmethod
    def of(cls, model: Transformer) -> _Weights:
        return cls(*(_identity(getattr(model, group)) for group in cls._fields))


def _identity(group: nn.Module) -> int:
    """Return a number for the memory of all of a group's parameters: two groups may share some and differ in others."""
    return hash(tuple((name, parameter.data_ptr()) for name, parameter in group.named_parameters()))


class _Part(NamedTuple):
    step: int
    model: PairModel
    weights: _Weights
    tokens: list[int]

    @property
    def transformer(self) -> Transformer:
        return self.model.transformer

    @property
    def framed(self) -> list[int]:
        """The encoder's input."""
        return self.model.source.tokenizer.frame_source(self.tokens)


def translate_mixed(
    requests: Sequence[Request], *, beam: int = 5, length_penalty: float = 1.0, batch_tokens: int = BATCH_TOKENS
) -> list[str]:
    """Translate each request; returns one translation per request, in order.

    Requests whose models share a decoder share batches; different decoders are used one after the other. The second
    legs of pivots follow after all else. Options, blank and long sentences, and errors are as in
    `Translator.translate`.
    """
    search = Search(beam, length_penalty, 1, batch_tokens, scored=False)
    first = [_Step(model.first if isinstance(model, PivotModel) else model, sentence) for model, sentence in requests]
    found = _translate(first, search)
    pivots = [(i, request.model) for i, request in enumerate(requests) if isinstance(request.model, PivotModel)]
    second = _translate([_Step(model.second, one_line(found[i])) for i, model in pivots], search)
    for (i, _), translation in zip(pivots, second, strict=True):
        found[i] = translation
    return found


def _translate(steps: Sequence[_Step], search: Search) -> list[str]:
    distinct = {id(model): model for model, _ in steps}
    weights = {key: _Weights.of(model.transformer) for key, model in distinct.items()}
    parts = [
        _Part(number - 1, model, weights[id(model)], tokens)
        for number, (model, sentence) in enumerate(steps, start=1)
        for tokens in segment(sentence, number, model.source.tokenizer, model.maximum_tokens)
    ]
    found: list[list[list[Hypothesis]]] = [[] for _ in steps]
    results: dict[int, list[Hypothesis]] = {}
    for members in _group_by(range(len(parts)), lambda i: _decoder_key(parts[i])):
        with prepacked_weights(len(members) * search.beam):
            for chosen in length_batches([parts[i].tokens for i in members], search.batch_tokens // search.beam):
                batch = sorted((members[i] for i in chosen), key=lambda i: _sort_key(parts[i]))
                with computing():
                    best = search_batch(_encode([parts[i] for i in batch]), search)
                results.update(zip(batch, best, strict=True))
    for i, part in enumerate(parts):
        found[part.step].append(results[i])
    return [join_parts(sentence, model.target)[0].text for sentence, (model, _) in zip(found, steps, strict=True)]


def _group_by(items: Sequence[int], key: Callable[[int], tuple[int, ...]]) -> list[list[int]]:
    return [list(members) for _, members in groupby(sorted(items, key=key), key)]


def _decoder_key(part: _Part) -> tuple[int, ...]:
    """Identify a decoder: equal for models that share its weights, begin with as many tokens, and ban as many."""
    target = part.model.target.tokenizer
    return part.weights.decoder, len(target.before_target), len(target.side_tokens.banned)


def _sort_key(part: _Part) -> tuple[int, int, int]:
    """Return a sort key that groups parts by target side, then by cross-attention."""
    return part.weights.target, part.weights.cross_attention, id(part.model)


def _by_source(part: _Part) -> int:
    return part.weights.source


def _by_target(part: _Part) -> int:
    return part.weights.target


def _by_cross_attention(part: _Part) -> int:
    return part.weights.cross_attention


class _Segment(NamedTuple):
    """Consecutive sentences of a batch (``part``) that share some of the weights of ``model``."""

    model: Transformer
    part: slice


def _segments(parts: Sequence[_Part], key: Callable[[_Part], int]) -> list[_Segment]:
    """Divide a batch into runs of parts with equal ``key``."""
    segments, first = [], 0
    for _, group in groupby(parts, key):
        members = list(group)
        segments.append(_Segment(members[0].transformer, slice(first, first + len(members))))
        first += len(members)
    return segments


@torch.inference_mode()
def _encode(parts: Sequence[_Part]) -> EncodedBatch:
    """Encode the parts of a batch, which are in the order of `_sort_key`."""
    states, longest = _source_states(parts)
    first = parts[0].transformer
    device = first.device
    cross_keys_values: list[list[KeysAndValues]] = []
    for model, part in _segments(parts, _by_cross_attention):
        rows, layout = states[part].flatten(0, 1), PaddedLayout(part.stop - part.start, longest, device)
        cross_keys_values.append([cross.keys_and_values(rows, layout) for cross in model.cross_attention])
    lengths = torch.tensor([len(part.framed) for part in parts], device=device)
    return EncodedBatch(
        lengths=lengths,
        start_ids=torch.tensor([part.model.target.tokenizer.before_target for part in parts], device=device),
        end_ids=torch.tensor([part.model.target.tokenizer.end for part in parts], device=device),
        mask=padding_mask(lengths, longest),
        cross_keys_values=[
            _concatenate([of_segment[i] for of_segment in cross_keys_values]) for i in range(len(cross_keys_values[0]))
        ],
        step=_MixedStep(parts),
        maximum_positions=first.architecture.maximum_positions,
        banned=torch.tensor(
            [part.model.target.tokenizer.side_tokens.banned for part in parts], dtype=torch.long, device=device
        ),
    )


class _Source(NamedTuple):
    """A sentence to encode, and what encodes it. Equal ones are encoded once."""

    encoder: int
    side: int
    tokens: tuple[int, ...]


def _source_states(parts: Sequence[_Part]) -> tuple[Tensor, int]:
    """Return the encoders' states, (parts, longest, width), and the length of the longest source."""
    sources = [_Source(part.weights.encoder, part.weights.source, tuple(part.framed)) for part in parts]
    part_of = dict(zip(sources, parts, strict=True))
    distinct = sorted(part_of, key=lambda source: (source.encoder, source.side))
    device = parts[0].transformer.device
    grids = [
        _encoded([part_of[source] for source in group])
        for group in (list(members) for _, members in groupby(distinct, lambda source: source.encoder))
    ]
    longest = max(grid.shape[1] for grid in grids)
    if len(grids) > 1:
        grids = [functional.pad(grid, (0, 0, 0, longest - grid.shape[1])) for grid in grids]
    position_of = {source: place for place, source in enumerate(distinct)}
    return torch.cat(grids)[torch.tensor([position_of[source] for source in sources], device=device)], longest


def _encoded(parts: Sequence[_Part]) -> Tensor:
    """Encode parts with one encoder, which are grouped by source side: (parts, longest, width)."""
    # Padding tokens are dropped by the packed layout, so that their id does not matter.
    padded, lengths = pad([part.framed for part in parts], 0)
    first = parts[0].transformer
    device = first.device
    layout = PackedLayout.from_lengths(lengths.to(device))
    tokens = layout.pack(padded.to(device))
    offsets = [0, *lengths.cumsum(0).tolist()]
    offsets[-1] = len(tokens)  # padding rows belong to the last segment
    embedded = []
    for model, part in _segments(parts, _by_source):
        rows = slice(offsets[part.start], offsets[part.stop])
        embedded.append(model.embed(model.source, tokens[rows], layout.position_ids[rows]))
    encoded = first.encode_embedded(torch.cat(embedded), layout)
    return layout.split_heads(encoded, 1)[:, 0]


def _concatenate(cross_keys_values: Sequence[KeysAndValues]) -> KeysAndValues:
    return torch.cat([keys for keys, _ in cross_keys_values]), torch.cat([values for _, values in cross_keys_values])


class _MixedStep:
    """The `DecoderStep` of a batch of several models."""

    def __init__(self, parts: Sequence[_Part]) -> None:
        self._parts, self._decoder = parts, parts[0].transformer.decoder
        self._cached_segments: tuple[Tensor, list[_Segment], list[_Segment]] | None = None

    def _segments(self, rows: Tensor) -> tuple[list[_Segment], list[_Segment]]:
        """Return the segments by target side and by cross-attention; recomputed only when sentences were removed."""
        if self._cached_segments is None or self._cached_segments[0] is not rows:
            parts = [self._parts[row] for row in rows.tolist()]
            self._cached_segments = rows, _segments(parts, _by_target), _segments(parts, _by_cross_attention)
        return self._cached_segments[1:]

    def __call__(self, rows: Tensor, last: Tensor, cache: KVCache) -> Tensor:
        by_target, by_cross_attention = self._segments(rows)
        count, beam = last.shape
        layout = PaddedLayout(count, beam, last.device)
        states = torch.cat([_embed(model, last[part].flatten(), cache.position) for model, part in by_target])
        for i, layer in enumerate(self._decoder):
            entered = layer.attention.enter(states)
            keys_values = cache.append(i, layer.attention.keys_and_values(entered, layout))
            states = layer.attention(states, entered, layout, keys_values, cache.beam_ancestry_mask, 0.0)
            by_rows = [
                (model.cross_attention[i], slice(part.start * beam, part.stop * beam))
                for model, part in by_cross_attention
            ]
            states = layer.finish(_cross_attend(states, by_rows, layout, cache.cross_keys_values[i], cache.mask), 0.0)
        return _project(self._decoder.finish(states).view(count, beam, -1), by_target)


def _cross_attend(
    states: Tensor,
    by_rows: Sequence[tuple[Attention, slice]],
    layout: PaddedLayout,
    cross_keys_values: KeysAndValues,
    mask: Tensor,
) -> Tensor:
    """Do as ``Attention.forward`` with several cross-attentions: only the products with their weights are separate."""
    queries = torch.cat([attention.query(attention.enter(states[rows])) for attention, rows in by_rows])
    mixed = by_rows[0][0].context(queries, layout, cross_keys_values, mask)
    return torch.cat([attention.leave(states[rows], attention.output(mixed[rows]), 0.0) for attention, rows in by_rows])


def _embed(model: Transformer, tokens: Tensor, position: int) -> Tensor:
    # If the beam is wider than this pair's vocabulary, it has hypotheses with ids outside it; their score is -inf.
    last = len(model.target.bias) - 1
    return model.embed(model.target, tokens.clamp(max=last), torch.full_like(tokens, position))


def _project(states: Tensor, segments: Sequence[_Segment]) -> Tensor:
    """Return logits over the largest vocabulary; the rest of a smaller one is -inf."""
    if len(segments) == 1:
        return segments[0].model.project(states)
    size = max(len(model.target.bias) for model, _ in segments)
    logits = states.new_full((*states.shape[:2], size), -torch.inf)
    for model, part in segments:
        logits[part, :, : len(model.target.bias)] = model.project(states[part])
    return logits
