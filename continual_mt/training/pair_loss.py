"""The loss of one pair: of its model, on sentences of its corpus."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from continual_mt.data.batching import Batch, Indices, make_batch
from continual_mt.data.tokenized_corpus import TokenizedCorpus
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.model.cross_entropy import linear_cross_entropy
from continual_mt.model.transformer import Transformer
from continual_mt.training.encoder_cache import EncodedSources


@dataclass(frozen=True)
class PairLoss:
    """``encoded`` are kept states of a frozen encoder; without them it computes anew, the same up to rounding."""

    model: Transformer
    corpus: TokenizedCorpus
    source: Tokenizer
    target: Tokenizer
    encoder_frozen: bool
    encoded: EncodedSources | None = None

    def count_tokens(self, indices: Indices) -> int:
        """The target tokens of these sentences, their ends included."""
        return int(self.corpus.target_lengths[indices].sum()) + len(indices)

    def loss(self, indices: Indices, label_smoothing: float) -> Tensor:
        """The summed loss of these sentences, in nats, which gradients go back from."""
        batch = make_batch(self.corpus, indices, self.source, self.target).to(self.model.device)
        return token_loss(self.model, batch, label_smoothing, self._encoder_states(batch, indices))

    def _encoder_states(self, batch: Batch, indices: Indices) -> Tensor | None:
        """A frozen encoder's states, which have no dropout, so that they are always the same; None where it trains."""
        if not self.encoder_frozen:
            return None
        if self.encoded is not None:
            return self.encoded.rows(indices, batch.source_layout).to(self.model.device)
        with torch.no_grad():
            return self.model.encode(batch.source, batch.source_layout)


def token_loss(model: Transformer, batch: Batch, label_smoothing: float, encoded: Tensor | None = None) -> Tensor:
    """Summed label-smoothed cross-entropy, in nats, over real target tokens only; ``encoded`` saves the encoding."""
    if encoded is None:
        encoded = model.encode(batch.source, batch.source_layout)
    states = model.decode(batch.inputs, batch.target_layout, encoded, batch.source_layout)
    return linear_cross_entropy(states, model.target.embedding, model.target.bias, batch.labels, label_smoothing)
