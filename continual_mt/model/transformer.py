"""The encoder–decoder Transformer. Its five children are the paper's five groups, so each group can be exchanged.

By default, layers are post-norm with sinusoidal positions, as in Marian (Junczys-Dowmunt et al., 2018). Masks are
computed from lengths, so this module needs no special ids. Hidden states are rows, one per token;
``continual_mt.model.operations.packing`` describes how rows correspond to sentences and positions.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache

import torch
from torch import Tensor, nn

from continual_mt.model.architecture import ADAPTER, GROUPS, Architecture, group_of
from continual_mt.model.embeddings import Source, Target
from continual_mt.model.layers import Adapter, Attention, Layer, Linear, Norm, Stack
from continual_mt.model.low_rank import FACTORS
from continual_mt.model.operations.dropout import dropout
from continual_mt.model.operations.kv_cache import KVCache
from continual_mt.model.operations.linear import linear
from continual_mt.model.operations.packing import BatchLayout, PackedLayout, PaddedLayout
from continual_mt.model.replica import replica


class Transformer(nn.Module):
    """The model of one pair. Its parameters have the names that ``architecture.parameter_names`` lists.

    ``computation`` is the dtype of hidden states, and so of the matrix products; ``dropout`` is the dropout rate, which
    applies in training mode only.
    """

    def __init__(self, architecture: Architecture, source_size: int, target_size: int) -> None:
        super().__init__()

        def final_norm() -> Norm | None:
            return Norm(architecture.width) if architecture.final_norm else None

        self.architecture = architecture
        self.dropout = 0.0
        self.computation = torch.float32
        self.source = Source(source_size, architecture)
        self.encoder = Stack[Layer]((Layer(architecture) for _ in range(architecture.encoder_layers)), final_norm())
        self.decoder = Stack[Layer]((Layer(architecture) for _ in range(architecture.decoder_layers)), final_norm())
        self.cross_attention = Stack[Attention](Attention(architecture) for _ in range(architecture.decoder_layers))
        self.target = Target(target_size, architecture)

    @classmethod
    def pointing_at(cls, architecture: Architecture, tensors: Mapping[str, Tensor]) -> Transformer:
        """Build a frozen model whose parameters are the given tensors, without copying: pairs share their body.

        There may be tensors that a scope adds: factors of low-rank updates, and adapters. Raises ValueError, listing
        their names, if tensors are missing, unknown or of the wrong shape.
        """
        added = frozenset(
            (name, tensor.shape) for name, tensor in tensors.items() if name.endswith(FACTORS) or ADAPTER in name
        )
        template, shapes = _template(architecture, added)
        rows = {f"{side}.embedding": len(tensors.get(f"{side}.embedding", ())) for side in ("source", "target")}
        rows["target.bias"] = rows["target.output"] = rows["target.embedding"]
        expected = {name: (rows.get(name, shape[0]), *shape[1:]) for name, shape in shapes.items()}
        given = {name: tensor.shape for name, tensor in tensors.items()}
        if wrong := sorted({name for name, _ in expected.items() ^ given.items()}):
            raise ValueError(f"tensors do not match the architecture: {', '.join(wrong)}")
        return replica(template, tensors)

    def computing_in(self, dtype: torch.dtype, kept: Collection[str] = ()) -> Transformer:
        """Return a frozen model with the same weights that computes in ``dtype``.

        Weights are cast once. Those named in ``kept``, and those that have this dtype already, are shared.
        """
        tensors = {name: tensor if name in kept else tensor.to(dtype) for name, tensor in self.state_dict().items()}
        model = Transformer.pointing_at(self.architecture, tensors)
        model.computation = dtype
        return model

    def with_sides(self, sides: Mapping[str, Tensor]) -> Transformer:
        """Return a model with other, frozen sides that shares all else with this model.

        Gradients of the shared parameters accumulate in this model. ``sides`` maps full names, such as
        ``source.embedding``, to tensors: all those of a group, which may also be one of the body.
        """
        replaced = {group_of(name) for name in sides}
        given = {name: tensor.to(self.device, self.computation) for name, tensor in sides.items()}
        shared = {name: tensor for name, tensor in self.state_dict().items() if group_of(name) not in replaced}
        model = Transformer.pointing_at(self.architecture, shared | given)
        for group in GROUPS:
            if group not in replaced:
                setattr(model, group, getattr(self, group))
        model.computation, model.dropout = self.computation, self.dropout
        return model

    @property
    def device(self) -> torch.device:
        return self.target.embedding.device

    @property
    def _dropout_rate(self) -> float:
        # Without gradients, states are computed to be kept, for example in the encoder cache.
        return self.dropout if self.training and torch.is_grad_enabled() else 0.0

    def embed(self, side: Source, tokens: Tensor, position_ids: Tensor) -> Tensor:
        """Embed tokens by a source or target side: ``tokens`` and ``position_ids`` (rows,) to states (rows, width)."""
        return dropout(side.embed(tokens, position_ids, self.computation), self._dropout_rate)

    def encode(self, tokens: Tensor, layout: PackedLayout) -> Tensor:
        """Encode source tokens: (rows,) to (rows, width)."""
        return self.encode_embedded(self.embed(self.source, tokens, layout.position_ids), layout)

    def encode_embedded(self, states: Tensor, layout: PackedLayout) -> Tensor:
        """Encode embedded tokens: (rows, width) to (rows, width). The embeddings may come from several source sides."""
        mask = layout.mask
        for layer in self.encoder:
            entered = layer.attention.enter(states)
            keys_values = layer.attention.keys_and_values(entered, layout)
            states = layer.attention(states, entered, layout, keys_values, mask, self._dropout_rate)
            states = layer.finish(states, self._dropout_rate)
        return self.encoder.finish(states)

    def decode(self, tokens: Tensor, layout: BatchLayout, encoded: Tensor, source: PackedLayout) -> Tensor:
        """Decode with teacher forcing: target inputs (rows,) to states (rows, width).

        ``layout`` is that of the target; ``encoded`` is what ``encode`` returned, and ``source`` its layout.
        """
        states, mask = self.embed(self.target, tokens, layout.position_ids), source.mask
        positions = layout.max_length
        # A padding mask is not needed: padding is on the right, and the causal mask hides it from all tokens.
        causal = torch.full((positions, positions), -torch.inf, device=tokens.device).triu(1)
        for layer, cross in zip(self.decoder, self.cross_attention, strict=True):
            entered = layer.attention.enter(states)
            keys_values = layer.attention.keys_and_values(entered, layout)
            states = layer.attention(states, entered, layout, keys_values, causal, self._dropout_rate)
            keys_values = cross.keys_and_values(encoded, source)
            states = cross(states, cross.enter(states), layout, keys_values, mask, self._dropout_rate)
            states = layer.finish(states, self._dropout_rate)
        return self.decoder.finish(states)

    def step(self, last: Tensor, cache: KVCache) -> Tensor:
        """Decode one step: tokens ``last`` (sentences, beam) to logits of the next (sentences, beam, vocabulary).

        The caller has called ``cache.begin_step()``; the keys and values of this step are appended to the cache.
        """
        count, beam = last.shape
        # All hypotheses of a sentence are queries to the same keys; the ancestry mask tells them apart.
        layout = PaddedLayout(count, beam, last.device)
        tokens = last.flatten()
        states = self.embed(self.target, tokens, torch.full_like(tokens, cache.position))
        for i, (layer, cross) in enumerate(zip(self.decoder, self.cross_attention, strict=True)):
            entered = layer.attention.enter(states)
            keys_values = cache.append(i, layer.attention.keys_and_values(entered, layout))
            states = layer.attention(states, entered, layout, keys_values, cache.beam_ancestry_mask, 0.0)
            states = cross(states, cross.enter(states), layout, cache.cross_keys_values[i], cache.mask, 0.0)
            states = layer.finish(states, 0.0)
        return self.project(self.decoder.finish(states)).view(count, beam, -1)

    def project(self, states: Tensor) -> Tensor:
        """Project states (…, width) to logits (…, target vocabulary)."""
        return linear(states, self.target.projection, self.target.bias)

    def forward(self, source: Tensor, source_lengths: Tensor, inputs: Tensor) -> Tensor:
        """Compute teacher-forced logits (sentences, target positions, target vocabulary).

        ``source`` is (sentences, source positions), padded on the right to ``source_lengths`` (sentences,); ``inputs``
        is (sentences, target positions), padded on the right.
        """
        packed = PackedLayout.from_lengths(source_lengths)
        layout = PaddedLayout(len(inputs), inputs.shape[1], inputs.device)
        encoded = self.encode(packed.pack(source), packed)
        logits = self.project(self.decode(inputs.flatten(), layout, encoded, packed))
        return logits.view(len(inputs), inputs.shape[1], -1)


@lru_cache(maxsize=32)
def _template(
    architecture: Architecture, added: frozenset[tuple[str, torch.Size]]
) -> tuple[Transformer, dict[str, torch.Size]]:
    """Return a model on the meta device, with empty vocabularies, to copy from, and the shapes of its parameters.

    ``added`` are the names and shapes of tensors that a scope adds.
    """
    with torch.device("meta"):
        model = Transformer(architecture, 0, 0).eval()
        modules = dict(model.named_modules())
        for name, shape in sorted(added):
            owner, _, factor = name.rpartition(".")
            module = modules.get(owner.partition(ADAPTER)[0])
            if isinstance(module, Linear):
                setattr(module, factor, nn.Parameter(torch.empty(shape)))
            elif isinstance(module, Layer) and name.endswith(".down.weight"):
                module.adapter = Adapter(architecture.width, shape[0])
    return model, {name: parameter.shape for name, parameter in model.named_parameters()}
