"""The training loss of one language pair."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from continual_mt.data.batching import Batch, Indices, make_batch
from continual_mt.data.tokenized_corpus import TokenizedCorpus
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.model.operations.cross_entropy import linear_cross_entropy
from continual_mt.model.transformer import Transformer
from continual_mt.training.encoder_cache import EncodedSources


@dataclass(frozen=True)
class PairLoss:
    """The loss of a pair's model on sentences of its corpus.

    If ``encoder_frozen``, encoder states are read from the cache ``encoded``; without a cache they are computed for
    each batch, without gradient. Both give the same states up to rounding, because a frozen encoder has no dropout.
    """

    model: Transformer
    corpus: TokenizedCorpus
    source: Tokenizer
    target: Tokenizer
    encoder_frozen: bool
    encoded: EncodedSources | None = None

    def count_tokens(self, indices: Indices) -> int:
        """Return the number of target tokens of these sentences, end tokens included."""
        return int(self.corpus.target_lengths[indices].sum()) + len(indices)

    def loss(self, indices: Indices, label_smoothing: float) -> Tensor:
        """Return the summed label-smoothed cross-entropy of these sentences, in nats: a scalar with gradient."""
        batch = make_batch(self.corpus, indices, self.source, self.target).to(self.model.device)
        return token_loss(self.model, batch, label_smoothing, self._encoder_states(batch, indices))

    def _encoder_states(self, batch: Batch, indices: Indices) -> Tensor | None:
        """Return the states of a frozen encoder, (rows, width); None if the encoder trains."""
        if not self.encoder_frozen:
            return None
        if self.encoded is not None:
            return self.encoded.rows(indices, batch.source_layout).to(self.model.device)
        with torch.no_grad():
            return self.model.encode(batch.source, batch.source_layout)


def token_loss(model: Transformer, batch: Batch, label_smoothing: float, encoded: Tensor | None = None) -> Tensor:
    """Return the summed label-smoothed cross-entropy over real (unpadded) target tokens, in nats.

    ``encoded`` (rows, width) are the encoder's states, if they are known already.
    """
    if encoded is None:
        encoded = model.encode(batch.source, batch.source_layout)
    states = model.decode(batch.inputs, batch.target_layout, encoded, batch.source_layout)
    return linear_cross_entropy(states, model.target.projection, model.target.bias, batch.labels, label_smoothing)
