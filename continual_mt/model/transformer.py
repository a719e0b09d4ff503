"""The encoder–decoder that computes. Its five children are the paper's five groups, so any of them can be exchanged.

Layers are post-norm with sinusoidal positions, as in Marian (Junczys-Dowmunt et al., 2018). Masks are explicit and come
from lengths: no side's special ids are known here. States are rows, one a token; their layout says whose they are.
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
NORM_EPSILON = 1e-5

Member = TypeVar("Member", bound=nn.Module)


@lru_cache(maxsize=32)
def sinusoidal_positions(positions: int, width: int, device: torch.device) -> Tensor:
    """(positions, width): sines in the first half, cosines in the second, as Marian has them."""
    angles = torch.arange(positions, dtype=torch.float64)[:, None] / torch.pow(
        10000.0, torch.arange(0, width, 2, dtype=torch.float64) / width
    )
    return torch.cat([angles.sin(), angles.cos()], dim=1).to(device, torch.float32)


class Linear(nn.Linear):
    """Computes in the dtype of what comes in, whatever that of its weights."""

    def reset_parameters(self) -> None:
        """Nothing: values come from ``initialise`` or from a piece, and drawing others would take time."""

    def forward(self, states: Tensor) -> Tensor:
        return linear(states, self.weight, self.bias)


class Norm(nn.LayerNorm):
    """Layer norm, in the dtype of what comes in."""

    def reset_parameters(self) -> None:
        """Nothing, as in ``Linear``."""

    def forward(self, states: Tensor) -> Tensor:
        weight, bias = self.weight.to(states.dtype), self.bias.to(states.dtype)
        return functional.layer_norm(states, self.normalized_shape, weight, bias, self.eps)


class Attention(nn.Module):
    """Multi-head attention with its residual connection and norm; self- and cross-attention alike."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (Linear(width, width) for _ in range(4))
        self.norm = Norm(width, NORM_EPSILON)

    def _split_heads(self, rows: Tensor, layout: BatchLayout) -> Tensor:
        """(rows, width) to (sentences, heads, positions, width of a head), ready to be multiplied."""
        heads = layout.split_heads(rows, self.heads)
        # On CPUs such small products are twice as fast in bfloat16, unless they are compiled for each new shape.
        return (
            heads if heads.is_cuda or layout.rounded else heads.to(torch.float32, memory_format=torch.contiguous_format)
        )

    def keys_and_values(self, states: Tensor, layout: BatchLayout) -> KeysAndValues:
        """Project (rows, width) once, for all the queries that will look at it."""
        return self._split_heads(self.key(states), layout), self._split_heads(self.value(states), layout)

    def forward(
        self, states: Tensor, layout: BatchLayout, keys_values: KeysAndValues, mask: Tensor | None, rate: float
    ) -> Tensor:
        """(rows, width) in and out. ``mask`` is added to the scores; ``rate`` is dropout's."""
        mixed = self.context(self.query(states), layout, keys_values, mask)
        return cast(Tensor, self.norm(dropout_add(states, self.output(mixed), rate)))

    def context(self, queries: Tensor, layout: BatchLayout, keys_values: KeysAndValues, mask: Tensor | None) -> Tensor:
        """What queries (rows, width) take from what is keys_values; no weights take part in it."""
        keys, values = keys_values
        return layout.merge_heads(attend(self._split_heads(queries, layout), keys, values, mask).to(queries.dtype))


class FeedForward(nn.Module):
    """Two linear maps with an activation between them, residual connection and norm."""

    def __init__(self, width: int, inner: int, activation: Activation) -> None:
        super().__init__()
        self.inner, self.outer = Linear(width, inner), Linear(inner, width)
        self.norm = Norm(width, NORM_EPSILON)
        self.activation = _ACTIVATIONS[activation]

    def forward(self, states: Tensor, rate: float) -> Tensor:
        return cast(Tensor, self.norm(dropout_add(states, self.outer(self.activation(self.inner(states))), rate)))


class Stack(nn.ModuleList, Generic[Member]):
    """A list of modules that says what they are."""

    def __iter__(self) -> Iterator[Member]:
        return cast(Iterator[Member], super().__iter__())


class Layer(nn.Module):
    """Self-attention and feed-forward; a decoder layer's cross-attention lives apart, in its own group."""

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
    """The model of one pair. Parameters are named exactly as ``architecture.parameter_names`` lists them.

    ``computation`` is the dtype of states, and of the products that they go through.
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
        """A frozen model whose parameters *are* the given tensors: nothing is copied, so pairs share their body.

        Raises ValueError for tensors that are not the architecture's, by name and shape.
        """
        template, shapes = _template(architecture)
        rows = {f"{side}.embedding": len(tensors.get(f"{side}.embedding", ())) for side in ("source", "target")}
        rows["target.bias"] = rows["target.embedding"]
        wanted = {name: (rows.get(name, shape[0]), *shape[1:]) for name, shape in shapes.items()}
        given = {name: tensor.shape for name, tensor in tensors.items()}
        if wrong := sorted({name for name, _ in wanted.items() ^ given.items()}):
            raise ValueError(f"not the tensors of this architecture: {', '.join(wrong)}")
        return replica(template, tensors)

    def computing_in(self, dtype: torch.dtype, kept: Collection[str] = ()) -> Transformer:
        """A frozen model of the same values that computes in ``dtype``.

        Its weights are cast once; those of the names ``kept`` stay as they are and are shared with this one.
        """
        tensors = {name: tensor if name in kept else tensor.to(dtype) for name, tensor in self.state_dict().items()}
        model = Transformer.pointing_at(self.architecture, tensors)
        model.computation = dtype
        return model

    def with_sides(self, sides: Mapping[str, Tensor]) -> Transformer:
        """This model between other, frozen sides; body and cross-attention are the very same, gradients included."""
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
        # Where no gradient is wanted, what is computed is a value to keep.
        return self.dropout if self.training and torch.is_grad_enabled() else 0.0

    def embed(self, table: Tensor, tokens: Tensor, places: Tensor) -> Tensor:
        """Rows of a table of embeddings, each with the position that its place in the sentence has."""
        scale = math.sqrt(self.architecture.width) if self.architecture.scale_embedding else 1.0
        positions = sinusoidal_positions(self.architecture.maximum_positions, self.architecture.width, tokens.device)
        embedded = functional.embedding(tokens, table) * scale + positions[places]
        return dropout(embedded.to(self.computation), self._dropout_rate)

    def encode(self, tokens: Tensor, layout: PackedLayout) -> Tensor:
        """Source tokens (rows,) to states (rows, width)."""
        return self.encode_embedded(self.embed(self.source.embedding, tokens, layout.position_ids), layout)

    def encode_embedded(self, states: Tensor, layout: PackedLayout) -> Tensor:
        """What the encoder makes of embedded rows, whosever tables they come from."""
        mask = layout.mask
        for layer in self.encoder:
            keys_values = layer.attention.keys_and_values(states, layout)
            states = layer.attention(states, layout, keys_values, mask, self._dropout_rate)
            states = layer.feed_forward(states, self._dropout_rate)
        return states

    def decode(self, tokens: Tensor, layout: BatchLayout, encoded: Tensor, source: PackedLayout) -> Tensor:
        """Teacher-forced decoder states (rows, width) for target inputs (rows,), over what ``encode`` gave."""
        states, mask = self.embed(self.target.embedding, tokens, layout.position_ids), source.mask
        positions = layout.max_length
        # No padding mask here: a real token never looks to its right, where the padding is.
        causal = torch.full((positions, positions), -torch.inf, device=tokens.device).triu(1)
        for layer, cross in zip(self.decoder, self.cross_attention, strict=True):
            keys_values = layer.attention.keys_and_values(states, layout)
            states = layer.attention(states, layout, keys_values, causal, self._dropout_rate)
            states = cross(states, layout, cross.keys_and_values(encoded, source), mask, self._dropout_rate)
            states = layer.feed_forward(states, self._dropout_rate)
        return states

    def step(self, last: Tensor, cache: KVCache) -> Tensor:
        """Logits (sentences, beam, vocabulary) of what follows the tokens ``last`` (sentences, beam)."""
        count, beam = last.shape
        # The hypotheses of a sentence look at it, and at what they share, as so many queries.
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
        """(…, width) → logits (…, target vocabulary)."""
        return linear(states, self.target.embedding, self.target.bias)

    def forward(self, source: Tensor, source_lengths: Tensor, inputs: Tensor) -> Tensor:
        """Teacher-forced logits (sentences, target positions, target vocabulary) for padded tokens."""
        packed = PackedLayout.from_lengths(source_lengths)
        layout = PaddedLayout(len(inputs), inputs.shape[1], inputs.device)
        encoded = self.encode(packed.pack(source), packed)
        logits = self.project(self.decode(inputs.flatten(), layout, encoded, packed))
        return logits.view(len(inputs), inputs.shape[1], -1)


@lru_cache(maxsize=32)
def _template(architecture: Architecture) -> tuple[Transformer, dict[str, torch.Size]]:
    """A model that is never run, of which others are replicas, and the shapes of its parameters; types it has none."""
    with torch.device("meta"):
        model = Transformer(architecture, 0, 0).eval()
    return model, {name: parameter.shape for name, parameter in model.named_parameters()}


@torch.no_grad()
def initialise(tensor: Tensor, name: str, generator: torch.Generator) -> None:
    """Fill a new parameter in place: norms with 1, biases with 0, embeddings and matrices with scaled noise.

    Embeddings have deviation width^-½ (Vaswani et al., 2017). Matrices have a third of that, 0.02 at width 256:
    a layer begins near the identity, and a post-norm model learns much faster than from Glorot's values.
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
    """Fresh tensors for the named parameters; ``sizes`` gives the vocabularies of ``source`` and ``target``."""
    with torch.device("meta"):
        shapes = Transformer(architecture, sizes["source"], sizes["target"]).state_dict()
    generator = torch.Generator().manual_seed(seed)
    fresh = {name: torch.empty(shapes[name].shape) for name in names}
    for name, tensor in fresh.items():
        initialise(tensor, name, generator)
    return fresh
