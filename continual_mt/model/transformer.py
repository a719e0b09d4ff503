"""The encoder–decoder Transformer. Its five children are the paper's five groups, so each group can be exchanged.

Layers are post-norm with sinusoidal positions, as in Marian (Junczys-Dowmunt et al., 2018). Masks are computed from
lengths, so this module needs no special ids. Hidden states are rows, one per token; ``continual_mt.model.packing``
describes how rows correspond to sentences and positions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import lru_cache
from typing import Generic, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from continual_mt.model.architecture import Activation, Architecture
from continual_mt.model.attention import attend
from continual_mt.model.dropout import dropout, dropout_add
from continual_mt.model.kv_cache import KeysAndValues, KVCache
from continual_mt.model.linear import linear
from continual_mt.model.packing import BatchLayout, PackedLayout, PaddedLayout
from continual_mt.model.replica import replica

_ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu_,
    "swish": functional.silu,
    "gelu": functional.gelu,
}

MATRIX_GAIN = 0.32
"""Scale of newly initialised matrices; see ``initialise``."""

NORM_EPSILON = 1e-5

Member = TypeVar("Member", bound=nn.Module)


@lru_cache(maxsize=32)
def sinusoidal_positions(positions: int, width: int, device: torch.device) -> Tensor:
    """Return position embeddings (positions, width): sines in the first half, cosines in the second, as in Marian."""
    angles = torch.arange(positions, dtype=torch.float64)[:, None] / torch.pow(
        10000.0, torch.arange(0, width, 2, dtype=torch.float64) / width
    )
    return torch.cat([angles.sin(), angles.cos()], dim=1).to(device, torch.float32)


class Linear(nn.Linear):
    """A linear layer that computes in the dtype of its input."""

    def reset_parameters(self) -> None:
        """Do nothing: ``initialise`` or stored tensors set the values, and drawing random ones would take time."""

    def forward(self, states: Tensor) -> Tensor:
        return linear(states, self.weight, self.bias)


class Norm(nn.LayerNorm):
    """A layer norm that computes in the dtype of its input."""

    def reset_parameters(self) -> None:
        """Do nothing, as in ``Linear``."""

    def forward(self, states: Tensor) -> Tensor:
        weight, bias = self.weight.to(states.dtype), self.bias.to(states.dtype)
        return functional.layer_norm(states, self.normalized_shape, weight, bias, self.eps)


class Attention(nn.Module):
    """Multi-head attention with residual connection and layer norm, used as self-attention and as cross-attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (Linear(width, width) for _ in range(4))
        self.norm = Norm(width, NORM_EPSILON)

    def _split_heads(self, rows: Tensor, layout: BatchLayout) -> Tensor:
        """Split heads and choose the dtype: (rows, width) to (sentences, heads, positions, width of a head)."""
        heads = layout.split_heads(rows, self.heads)
        # On CPUs, bfloat16 is twice as fast for products this small, but its kernels are compiled for each shape: where
        # shapes keep changing, float32 is faster.
        return (
            heads if heads.is_cuda or layout.rounded else heads.to(torch.float32, memory_format=torch.contiguous_format)
        )

    def keys_and_values(self, states: Tensor, layout: BatchLayout) -> KeysAndValues:
        """Project states (rows, width) to keys and values, both (sentences, heads, positions, width of a head)."""
        return self._split_heads(self.key(states), layout), self._split_heads(self.value(states), layout)

    def forward(
        self, states: Tensor, layout: BatchLayout, keys_values: KeysAndValues, mask: Tensor | None, rate: float
    ) -> Tensor:
        """Attend to ``keys_values`` from ``states``: (rows, width) to (rows, width).

        ``mask`` is added to the attention scores; see ``attend``. ``rate`` is the dropout rate.
        """
        mixed = self.context(self.query(states), layout, keys_values, mask)
        return cast(Tensor, self.norm(dropout_add(states, self.output(mixed), rate)))

    def context(self, queries: Tensor, layout: BatchLayout, keys_values: KeysAndValues, mask: Tensor | None) -> Tensor:
        """Return the context vectors (rows, width) of projected queries (rows, width), before the output projection."""
        keys, values = keys_values
        return layout.merge_heads(attend(self._split_heads(queries, layout), keys, values, mask).to(queries.dtype))


class FeedForward(nn.Module):
    """Two linear layers with an activation between them, residual connection and layer norm."""

    def __init__(self, width: int, inner: int, activation: Activation) -> None:
        super().__init__()
        self.inner, self.outer = Linear(width, inner), Linear(inner, width)
        self.norm = Norm(width, NORM_EPSILON)
        self.activation = _ACTIVATIONS[activation]

    def forward(self, states: Tensor, rate: float) -> Tensor:
        return cast(Tensor, self.norm(dropout_add(states, self.outer(self.activation(self.inner(states))), rate)))


class Stack(nn.ModuleList, Generic[Member]):
    """A ``ModuleList`` whose iterator has the type of its members."""

    def __iter__(self) -> Iterator[Member]:
        return cast(Iterator[Member], super().__iter__())


class Layer(nn.Module):
    """Self-attention and feed-forward network. Cross-attention is not included, because it is a separate group."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.attention = Attention(architecture.width, architecture.heads)
        self.feed_forward = FeedForward(architecture.width, architecture.feed_forward, architecture.activation)


class Source(nn.Module):
    """θ_src: the source language's token embeddings."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.empty(size, width))


class Target(nn.Module):
    """θ_tgt: the target language's token embeddings, tied with the output projection, and its output bias."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.empty(size, width))
        self.bias = nn.Parameter(torch.empty(size))


class Transformer(nn.Module):
    """The model of one pair. Its parameters have the names that ``architecture.parameter_names`` lists.

    ``computation`` is the dtype of hidden states, and so of the matrix products; ``dropout`` is the dropout rate, which
    applies in training mode only.
    """

    def __init__(self, architecture: Architecture, source_size: int, target_size: int) -> None:
        super().__init__()
        self.architecture = architecture
        self.dropout = 0.0
        self.computation = torch.float32
        self.source = Source(source_size, architecture.width)
        self.encoder = Stack[Layer](Layer(architecture) for _ in range(architecture.encoder_layers))
        self.decoder = Stack[Layer](Layer(architecture) for _ in range(architecture.decoder_layers))
        self.cross_attention = Stack[Attention](
            Attention(architecture.width, architecture.heads) for _ in range(architecture.decoder_layers)
        )
        self.target = Target(target_size, architecture.width)

    @classmethod
    def pointing_at(cls, architecture: Architecture, tensors: Mapping[str, Tensor]) -> Transformer:
        """Build a frozen model whose parameters are the given tensors, without copying: pairs share their body.

        Raises ValueError, listing their names, if tensors are missing, unknown or of the wrong shape.
        """
        template, shapes = _template(architecture)
        rows = {f"{side}.embedding": len(tensors.get(f"{side}.embedding", ())) for side in ("source", "target")}
        rows["target.bias"] = rows["target.embedding"]
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
        """Return a model with other, frozen sides that shares this model's body and cross-attention.

        Gradients of the shared parameters accumulate in this model. ``sides`` maps full names, such as
        ``source.embedding``, to tensors.
        """
        given = {name: tensor.to(self.device, self.computation) for name, tensor in sides.items()}
        model = Transformer.pointing_at(self.architecture, {**self.state_dict(), **given})
        model.encoder, model.decoder, model.cross_attention = self.encoder, self.decoder, self.cross_attention
        model.computation, model.dropout = self.computation, self.dropout
        return model

    @property
    def device(self) -> torch.device:
        return self.target.embedding.device

    @property
    def _dropout_rate(self) -> float:
        # Without gradients, states are computed to be kept, for example in the encoder cache.
        return self.dropout if self.training and torch.is_grad_enabled() else 0.0

    def embed(self, table: Tensor, tokens: Tensor, position_ids: Tensor) -> Tensor:
        """Look up tokens and add position embeddings.

        ``table`` is (vocabulary, width); ``tokens`` and ``position_ids`` are (rows,). Returns (rows, width).
        """
        scale = math.sqrt(self.architecture.width) if self.architecture.scale_embedding else 1.0
        positions = sinusoidal_positions(self.architecture.maximum_positions, self.architecture.width, tokens.device)
        embedded = functional.embedding(tokens, table) * scale + positions[position_ids]
        return dropout(embedded.to(self.computation), self._dropout_rate)

    def encode(self, tokens: Tensor, layout: PackedLayout) -> Tensor:
        """Encode source tokens: (rows,) to (rows, width)."""
        return self.encode_embedded(self.embed(self.source.embedding, tokens, layout.position_ids), layout)

    def encode_embedded(self, states: Tensor, layout: PackedLayout) -> Tensor:
        """Encode embedded tokens: (rows, width) to (rows, width). The embeddings may come from several source sides."""
        mask = layout.mask
        for layer in self.encoder:
            keys_values = layer.attention.keys_and_values(states, layout)
            states = layer.attention(states, layout, keys_values, mask, self._dropout_rate)
            states = layer.feed_forward(states, self._dropout_rate)
        return states

    def decode(self, tokens: Tensor, layout: BatchLayout, encoded: Tensor, source: PackedLayout) -> Tensor:
        """Decode with teacher forcing: target inputs (rows,) to states (rows, width).

        ``layout`` is that of the target; ``encoded`` is what ``encode`` returned, and ``source`` its layout.
        """
        states, mask = self.embed(self.target.embedding, tokens, layout.position_ids), source.mask
        positions = layout.max_length
        # A padding mask is not needed: padding is on the right, and the causal mask hides it from all tokens.
        causal = torch.full((positions, positions), -torch.inf, device=tokens.device).triu(1)
        for layer, cross in zip(self.decoder, self.cross_attention, strict=True):
            keys_values = layer.attention.keys_and_values(states, layout)
            states = layer.attention(states, layout, keys_values, causal, self._dropout_rate)
            states = cross(states, layout, cross.keys_and_values(encoded, source), mask, self._dropout_rate)
            states = layer.feed_forward(states, self._dropout_rate)
        return states

    def step(self, last: Tensor, cache: KVCache) -> Tensor:
        """Decode one step: tokens ``last`` (sentences, beam) to logits of the next (sentences, beam, vocabulary).

        The caller has called ``cache.begin_step()``; the keys and values of this step are appended to the cache.
        """
        count, beam = last.shape
        # All hypotheses of a sentence are queries to the same keys; the ancestry mask tells them apart.
        layout = PaddedLayout(count, beam, last.device)
        tokens = last.flatten()
        states = self.embed(self.target.embedding, tokens, torch.full_like(tokens, cache.position))
        for i, (layer, cross) in enumerate(zip(self.decoder, self.cross_attention, strict=True)):
            keys_values = cache.append(i, layer.attention.keys_and_values(states, layout))
            states = layer.attention(states, layout, keys_values, cache.beam_ancestry_mask, 0.0)
            states = cross(states, layout, cache.cross_keys_values[i], cache.mask, 0.0)
            states = layer.feed_forward(states, 0.0)
        logits: Tensor = self.project(states).view(count, beam, -1)
        return logits

    def project(self, states: Tensor) -> Tensor:
        """Project states (…, width) to logits (…, target vocabulary)."""
        return linear(states, self.target.embedding, self.target.bias)

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
def _template(architecture: Architecture) -> tuple[Transformer, dict[str, torch.Size]]:
    """Return a model on the meta device, with empty vocabularies, to copy from, and the shapes of its parameters."""
    with torch.device("meta"):
        model = Transformer(architecture, 0, 0).eval()
    return model, {name: parameter.shape for name, parameter in model.named_parameters()}


@torch.no_grad()
def initialise(tensor: Tensor, name: str, generator: torch.Generator) -> None:
    """Initialise a parameter in place: norm weights with 1, biases with 0, others from a normal distribution.

    The standard deviation of embeddings is width^-½ (Vaswani et al., 2017). That of matrices is MATRIX_GAIN times
    the smaller dimension^-½, for example 0.02 at width 256: a layer then begins near the identity, and a post-norm
    model learns much faster than with Glorot initialisation.
    """
    if name.endswith(".bias"):
        tensor.zero_()
    elif ".norm." in name:
        tensor.fill_(1.0)
    elif name.endswith(".embedding"):
        tensor.normal_(0.0, tensor.shape[1] ** -0.5, generator=generator)
    else:
        tensor.normal_(0.0, MATRIX_GAIN * min(tensor.shape) ** -0.5, generator=generator)


def initial_tensors(
    architecture: Architecture, names: tuple[str, ...], sizes: Mapping[str, int], seed: int
) -> dict[str, Tensor]:
    """Return newly initialised float32 tensors for the named parameters; equal seeds give equal tensors.

    ``sizes`` has the vocabulary sizes of ``source`` and ``target``.
    """
    with torch.device("meta"):
        shapes = Transformer(architecture, sizes["source"], sizes["target"]).state_dict()
    generator = torch.Generator().manual_seed(seed)
    fresh = {name: torch.empty(shapes[name].shape) for name in names}
    for name, tensor in fresh.items():
        initialise(tensor, name, generator)
    return fresh
