"""Translating sentences of several language pairs in one batch.

Pairs with the same decoder go through its layers together. Pairs with the same encoder, side or cross-attention share
those matrix products, too. A sentence that is translated into several languages is encoded once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from continual_mt.data.batching import pad
from continual_mt.data.segmentation import length_batches, segment
from continual_mt.inference.beam_search import EncodedBatch, search_batch
from continual_mt.inference.torch_model import PairModel
from continual_mt.inference.translator import BATCH_TOKENS, Hypothesis, Search, join_parts
from continual_mt.model.kv_cache import KeysAndValues, KVCache
from continual_mt.model.layers import Attention
from continual_mt.model.linear import prepacked_weights
from continual_mt.model.packing import PackedLayout, PaddedLayout, padding_mask
from continual_mt.model.transformer import Transformer
from continual_mt.threads import computing


class Request(NamedTuple):
    """A sentence and the model that translates it."""

    model: PairModel
    sentence: str


class _Part(NamedTuple):
    request: int
    model: PairModel
    tokens: list[int]

    @property
    def framed(self) -> list[int]:
        """The encoder's input."""
        return self.model.source.tokenizer.frame_source(self.tokens)


def translate_mixed(
    requests: Sequence[Request], *, beam: int = 5, length_penalty: float = 1.0, batch_tokens: int = BATCH_TOKENS
) -> list[str]:
    """Translate each request; returns one translation per request, in order.

    Requests whose models share a decoder share batches; different decoders are used one after the other. Options, blank
    and long sentences, and errors are as in `Translator.translate`.
    """
    search = Search(beam, length_penalty, 1, batch_tokens, scored=False)
    parts = [
        _Part(number - 1, model, tokens)
        for number, (model, sentence) in enumerate(requests, start=1)
        for tokens in segment(sentence, number, model.source.tokenizer, model.maximum_tokens)
    ]
    found: list[list[list[Hypothesis]]] = [[] for _ in requests]
    results: dict[int, list[Hypothesis]] = {}
    for members in _group_by(range(len(parts)), lambda i: _decoder_id(parts[i].model)):
        with prepacked_weights(len(members) * beam):
            for chosen in length_batches([parts[i].tokens for i in members], search.batch_tokens // search.beam):
                batch = sorted((members[i] for i in chosen), key=lambda i: _sort_key(parts[i].model))
                with computing():
                    best = search_batch(_encode([parts[i] for i in batch]), search)
                results.update(zip(batch, best, strict=True))
    for i, part in enumerate(parts):
        found[part.request].append(results[i])
    return [join_parts(sentence, model.target)[0].text for sentence, (model, _) in zip(found, requests, strict=True)]


def _group_by(items: Sequence[int], key: Callable[[int], tuple[int, ...]]) -> list[list[int]]:
    return [list(members) for _, members in groupby(sorted(items, key=key), key)]


def _decoder_id(model: PairModel) -> tuple[int, ...]:
    """Identify a decoder: equal for models that share its weights, begin with as many tokens, and ban as many."""
    target = model.target.tokenizer
    decoder = next(model.transformer.decoder.parameters()).data_ptr()
    return decoder, len(target.before_target), len(target.side_tokens.banned)


def _sort_key(model: PairModel) -> tuple[int, int, int]:
    """Return a sort key that groups models by target side, then by cross-attention."""
    return _target_id(model.transformer), _cross_attention_id(model.transformer), id(model)


def _source_id(model: Transformer) -> int:
    return model.source.embedding.data_ptr()


def _encoder_id(model: Transformer) -> int:
    return next(model.encoder.parameters()).data_ptr()


def _target_id(model: Transformer) -> int:
    return model.target.embedding.data_ptr()


def _cross_attention_id(model: Transformer) -> int:
    return next(model.cross_attention.parameters()).data_ptr()


class _Segment(NamedTuple):
    """Consecutive sentences of a batch (``part``) that share some of the weights of ``model``."""

    model: Transformer
    part: slice


def _segments(models: Sequence[Transformer], key: Callable[[Transformer], int]) -> list[_Segment]:
    """Divide a batch, given each sentence's model, into runs of models with equal ``key``."""
    segments, first = [], 0
    for _, group in groupby(models, key):
        members = list(group)
        segments.append(_Segment(members[0], slice(first, first + len(members))))
        first += len(members)
    return segments


@torch.inference_mode()
def _encode(parts: Sequence[_Part]) -> EncodedBatch:
    """Encode the parts of a batch, which are in the order of `_sort_key`."""
    states, longest = _source_states(parts)
    models = [part.model.transformer for part in parts]
    device = models[0].device
    cross_keys_values: list[list[KeysAndValues]] = []
    for model, part in _segments(models, _cross_attention_id):
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
        step=_MixedStep(models),
        maximum_positions=models[0].architecture.maximum_positions,
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
    models = [part.model.transformer for part in parts]
    sources = [
        _Source(_encoder_id(model), _source_id(model), tuple(part.framed))
        for model, part in zip(models, parts, strict=True)
    ]
    model_of = {source: part.model for source, part in zip(sources, parts, strict=True)}
    distinct = sorted(model_of, key=lambda source: (source.encoder, source.side))
    device = models[0].device
    grids = [
        _encoded([model_of[source] for source in group], [source.tokens for source in group])
        for group in (list(members) for _, members in groupby(distinct, lambda source: source.encoder))
    ]
    longest = max(grid.shape[1] for grid in grids)
    if len(grids) > 1:
        grids = [functional.pad(grid, (0, 0, 0, longest - grid.shape[1])) for grid in grids]
    position_of = {source: place for place, source in enumerate(distinct)}
    return torch.cat(grids)[torch.tensor([position_of[source] for source in sources], device=device)], longest


def _encoded(models: Sequence[PairModel], sentences: Sequence[tuple[int, ...]]) -> Tensor:
    """Encode sentences of models with one encoder, which are grouped by source side: (sentences, longest, width)."""
    transformers = [model.transformer for model in models]
    # Padding tokens are dropped by the packed layout, so that their id does not matter.
    padded, lengths = pad(sentences, 0)
    device = transformers[0].device
    layout = PackedLayout.from_lengths(lengths.to(device))
    tokens = layout.pack(padded.to(device))
    offsets = [0, *lengths.cumsum(0).tolist()]
    offsets[-1] = len(tokens)  # padding rows belong to the last segment
    embedded = []
    for model, part in _segments(transformers, _source_id):
        rows = slice(offsets[part.start], offsets[part.stop])
        embedded.append(model.embed(model.source, tokens[rows], layout.position_ids[rows]))
    encoded = transformers[0].encode_embedded(torch.cat(embedded), layout)
    return layout.split_heads(encoded, 1)[:, 0]


def _concatenate(cross_keys_values: Sequence[KeysAndValues]) -> KeysAndValues:
    return torch.cat([keys for keys, _ in cross_keys_values]), torch.cat([values for _, values in cross_keys_values])


class _MixedStep:
    """The `DecoderStep` of a batch of several models; ``models`` has each sentence's model."""

    def __init__(self, models: Sequence[Transformer]) -> None:
        self._models = models
        self._cached_segments: tuple[Tensor, list[_Segment], list[_Segment]] | None = None

    def _segments(self, rows: Tensor) -> tuple[list[_Segment], list[_Segment]]:
        """Return the segments by target side and by cross-attention; recomputed only when sentences were removed."""
        if self._cached_segments is None or self._cached_segments[0] is not rows:
            models = [self._models[row] for row in rows.tolist()]
            self._cached_segments = rows, _segments(models, _target_id), _segments(models, _cross_attention_id)
        return self._cached_segments[1:]

    def __call__(self, rows: Tensor, last: Tensor, cache: KVCache) -> Tensor:
        by_target, by_cross_attention = self._segments(rows)
        count, beam = last.shape
        layout = PaddedLayout(count, beam, last.device)
        states = torch.cat([_embed(model, last[part].flatten(), cache.position) for model, part in by_target])
        for i, layer in enumerate(self._models[0].decoder):
            entered = layer.attention.enter(states)
            keys_values = cache.append(i, layer.attention.keys_and_values(entered, layout))
            states = layer.attention(states, entered, layout, keys_values, cache.beam_ancestry_mask, 0.0)
            by_rows = [
                (model.cross_attention[i], slice(part.start * beam, part.stop * beam))
                for model, part in by_cross_attention
            ]
            states = layer.feed_forward(
                _cross_attend(states, by_rows, layout, cache.cross_keys_values[i], cache.mask), 0.0
            )
        return _project(self._models[0].decoder.finish(states).view(count, beam, -1), by_target)


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
