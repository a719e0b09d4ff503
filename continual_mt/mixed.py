"""Sentences of different pairs in one batch: what the pairs share is computed for all of them together.

Pairs with the same source side share the encoder's work, a sentence that goes into several languages is encoded once;
all pairs of a body share the decoder's layers. Embeddings, cross-attention and projection are each pair's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor

from continual_mt.batches import pad
from continual_mt.decoding import EncodedBatch, search_batch
from continual_mt.layout import Grid, Packed, padding_mask
from continual_mt.pair_model import PairModel
from continual_mt.sentences import by_length, divided
from continual_mt.transformer import KeysAndValues, Transformer, remembered
from continual_mt.translator import BATCH_TOKENS, Hypothesis, Search, joined


class Request(NamedTuple):
    """A sentence, and the model that is to translate it."""

    model: PairModel
    sentence: str


class _Part(NamedTuple):
    request: int
    model: PairModel
    tokens: list[int]


def translate_mixed(
    requests: Sequence[Request], *, beam: int = 5, length_penalty: float = 1.0, batch_tokens: int = BATCH_TOKENS
) -> list[str]:
    """One translation a request, in order. Models of one body go into batches together, others one after the other.

    Blank and over-long sentences are treated as by ``PairModel.translate``, which raises the same errors.
    """
    search = Search(beam, length_penalty, 1, batch_tokens)
    parts = [
        _Part(number - 1, model, tokens)
        for number, (model, sentence) in enumerate(requests, start=1)
        for tokens in divided(sentence, number, model.source.tokenizer, model.maximum_tokens)
    ]
    found: list[list[list[Hypothesis]]] = [[] for _ in requests]
    results: dict[int, list[Hypothesis]] = {}
    for members in _by(range(len(parts)), lambda i: _decoder_of(parts[i].model.transformer)):
        for chosen in by_length([parts[i].tokens for i in members], search.batch_tokens // search.beam):
            together = sorted((members[i] for i in chosen), key=lambda i: id(parts[i].model))
            best = search_batch(_encode([parts[i] for i in together]), beam, length_penalty)
            results.update(zip(together, best, strict=True))
    for i, part in enumerate(parts):
        found[part.request].append(results[i])
    return [joined(sentence, model.target)[0].text for sentence, (model, _) in zip(found, requests, strict=True)]


def _by(items: Sequence[int], key: Callable[[int], int]) -> list[list[int]]:
    return [list(members) for _, members in groupby(sorted(items, key=key), key)]


def _decoder_of(model: Transformer) -> int:
    """The same for models that share their decoder's weights."""
    return next(model.decoder.parameters()).data_ptr()


def _encoder_of(model: Transformer) -> tuple[int, int]:
    return model.source.embedding.data_ptr(), next(model.encoder.parameters()).data_ptr()


@torch.inference_mode()
def _encode(parts: Sequence[_Part]) -> EncodedBatch:
    """Parts that stand together by model, encoded; each different source once."""
    states, longest = _source_states(parts)
    segments = [(model, len(list(members))) for model, members in groupby(part.model for part in parts)]
    device = parts[0].model.transformer.device
    seen: list[list[KeysAndValues]] = []
    first = 0
    for model, count in segments:
        rows, layout = states[first : first + count].flatten(0, 1), Grid(count, longest, device)
        seen.append([cross.keys_and_values(rows, layout) for cross in model.transformer.cross_attention])
        first += count
    lengths = torch.tensor([len(part.tokens) + 1 for part in parts], device=device)
    return EncodedBatch(
        lengths=lengths,
        starts=torch.tensor([part.model.target.tokenizer.start for part in parts], device=device),
        ends=torch.tensor([part.model.target.tokenizer.end for part in parts], device=device),
        mask=padding_mask(lengths, longest),
        seen=[_joined([of_model[i] for of_model in seen]) for i in range(len(seen[0]))],
        step=_MixedStep([model.transformer for model, _ in segments], [count for _, count in segments]),
        longest=parts[0].model.transformer.architecture.maximum_positions,
    )


def _source_states(parts: Sequence[_Part]) -> tuple[Tensor, int]:
    """(parts, longest, width): the encoder's states, and how long the longest source is."""
    longest = max(len(part.tokens) for part in parts) + 1
    transformer = parts[0].model.transformer
    states = torch.zeros(len(parts), longest, transformer.architecture.width, device=transformer.device)
    encoders = sorted(range(len(parts)), key=lambda i: _encoder_of(parts[i].model.transformer))
    for _, group in groupby(encoders, lambda i: _encoder_of(parts[i].model.transformer)):
        members = list(group)
        model = parts[members[0]].model
        different = dict.fromkeys(tuple(parts[i].tokens) for i in members)
        places = {tokens: place for place, tokens in enumerate(different)}
        end, filler = model.source.tokenizer.end, model.source.tokenizer.pad
        tokens, lengths = pad([[*ids, end] for ids in different], filler)
        layout = Packed.of(lengths.to(transformer.device))
        encoded = model.transformer.encode(layout.tokens(tokens.to(transformer.device)), layout)
        grid = layout.spread(encoded, 1)[:, 0]
        chosen = torch.tensor([places[tuple(parts[i].tokens)] for i in members], device=transformer.device)
        states[torch.tensor(members, device=transformer.device), : grid.shape[1]] = grid[chosen]
    return states, longest


def _joined(seen: Sequence[KeysAndValues]) -> KeysAndValues:
    return torch.cat([keys for keys, _ in seen]), torch.cat([values for _, values in seen])


class _MixedStep:
    """A decoding step of several models, whose sentences stand together; see ``decoding.Step``."""

    def __init__(self, models: Sequence[Transformer], counts: Sequence[int]) -> None:
        self._models = models
        self._owners = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))

    def __call__(
        self,
        rows: Tensor,
        last: Tensor,
        position: int,
        seen: Sequence[KeysAndValues],
        mask: Tensor,
        cache: list[KeysAndValues],
    ) -> Tensor:
        count, beam = last.shape
        segments = self._segments(rows)
        body = self._models[0]
        alone = Grid(count * beam, 1, last.device, position)

        def embedded(model: Transformer, tokens: Tensor) -> Tensor:
            table = model.target.embedding
            # A beam wider than a small vocabulary has hypotheses without hope, of types that it has not got.
            return model.embed(table, tokens.clamp(max=len(table) - 1), Grid(len(tokens), 1, last.device, position))

        states = torch.cat([embedded(model, last[part].flatten()) for model, part in segments])
        for i, layer in enumerate(body.decoder):
            so_far = remembered(cache[i], layer.attention.keys_and_values(states, alone), position)
            states = layer.attention(states, alone, so_far, None, 0.0).view(count, beam, -1)
            looked = []
            for model, part in segments:
                layout = Grid(part.stop - part.start, beam, last.device)
                of_part = seen[i][0][part], seen[i][1][part]
                looked.append(model.cross_attention[i](states[part].flatten(0, 1), layout, of_part, mask[part], 0.0))
            states = layer.feed_forward(torch.cat(looked), 0.0)
        return self._project(states.view(count, beam, -1), segments)

    def _segments(self, rows: Tensor) -> list[tuple[Transformer, slice]]:
        counts = torch.bincount(self._owners[rows.cpu()], minlength=len(self._models)).tolist()
        segments, first = [], 0
        for model, count in zip(self._models, counts, strict=True):
            if count:
                segments.append((model, slice(first, first + count)))
            first += count
        return segments

    def _project(self, states: Tensor, segments: Sequence[tuple[Transformer, slice]]) -> Tensor:
        """Logits over the largest vocabulary; a smaller one has no more types to offer."""
        size = max(len(model.target.bias) for model, _ in segments)
        logits = states.new_full((*states.shape[:2], size), -torch.inf)
        for model, part in segments:
            logits[part, :, : len(model.target.bias)] = model.project(states[part])
        return logits
