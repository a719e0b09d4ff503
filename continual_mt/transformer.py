"""The encoder–decoder that computes. Its five children are the paper's five groups, so any of them can be exchanged.

Layers are post-norm with sinusoidal positions, as in Marian (Junczys-Dowmunt et al., 2018). Masks are explicit and come
from lengths: no side's special ids are known here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Generic, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from continual_mt.architecture import Activation, Architecture
from continual_mt.dropout import dropout

_ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "swish": functional.silu,
    "gelu": functional.gelu,
}

MATRIX_GAIN = 0.32

Member = TypeVar("Member", bound=nn.Module)

KeysAndValues = tuple[Tensor, Tensor]
"""What an attention looks at: keys and values, both (sentences, heads, positions, width of a head)."""


@lru_cache(maxsize=32)
def sinusoidal_positions(positions: int, width: int, device: torch.device) -> Tensor:
    """(positions, width): sines in the first half, cosines in the second, as Marian has them."""
    angles = torch.arange(positions, dtype=torch.float64)[:, None] / torch.pow(
        10000.0, torch.arange(0, width, 2, dtype=torch.float64) / width
    )
    return torch.cat([angles.sin(), angles.cos()], dim=1).to(device, torch.float32)


class Attention(nn.Module):
    """Multi-head attention with its residual connection and norm; self- and cross-attention alike."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))
        self.norm = nn.LayerNorm(width)

    def _split(self, states: Tensor) -> Tensor:
        sentences, positions, width = states.shape
        return states.view(sentences, positions, self.heads, width // self.heads).transpose(1, 2)

    def keys_and_values(self, states: Tensor) -> KeysAndValues:
        """Project (sentences, positions, width) once, for all the queries that will look at it."""
        return self._split(self.key(states)), self._split(self.value(states))

    def forward(self, states: Tensor, seen: KeysAndValues, mask: Tensor | None, rate: float) -> Tensor:
        """(sentences, positions, width) in and out. ``mask`` is added to the scores; ``rate`` is dropout's."""
        keys, values = seen
        query = self._split(self.query(states))
        if query.is_cuda:
            mixed = functional.scaled_dot_product_attention(
                query, keys, values, attn_mask=None if mask is None else mask.to(query.dtype)
            )
        else:
            # On CPUs the fused kernel is several times slower than these three lines, its backward most of all.
            scores = torch.matmul(query * query.shape[-1] ** -0.5, keys.transpose(-1, -2))
            scores = scores.float() if mask is None else scores.float() + mask
            mixed = torch.matmul(scores.softmax(-1).to(values.dtype), values)
        mixed = mixed.transpose(1, 2).flatten(2)
        return normalised(self.norm, states + dropout(self.output(mixed), rate))


class FeedForward(nn.Module):
    """Two linear maps with an activation between them, residual connection and norm."""

    def __init__(self, width: int, inner: int, activation: Activation) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(width, inner), nn.Linear(inner, width)
        self.norm = nn.LayerNorm(width)
        self.activation = _ACTIVATIONS[activation]

    def forward(self, states: Tensor, rate: float) -> Tensor:
        return normalised(self.norm, states + dropout(self.outer(self.activation(self.inner(states))), rate))


def normalised(norm: nn.LayerNorm, states: Tensor) -> Tensor:
    """Layer norm that keeps the dtype of its input (autocast would return float32 and slow every sum after it)."""
    return functional.layer_norm(states.float(), norm.normalized_shape, norm.weight, norm.bias, norm.eps).to(
        states.dtype
    )


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
    """The model of one pair. Parameters are named exactly as ``architecture.parameter_names`` lists them."""

    def __init__(self, architecture: Architecture, source_size: int, target_size: int) -> None:
        super().__init__()
        self.architecture = architecture
        self.dropout = 0.0
        self.source = Source(source_size, architecture.width)
        self.encoder = Stack[Layer](Layer(architecture) for _ in range(architecture.encoder_layers))
        self.decoder = Stack[Layer](Layer(architecture) for _ in range(architecture.decoder_layers))
        self.cross_attention = Stack[Attention](
            Attention(architecture.width, architecture.heads) for _ in range(architecture.decoder_layers)
        )
        self.target = Target(target_size, architecture.width)

    @classmethod
    def pointing_at(cls, architecture: Architecture, tensors: Mapping[str, Tensor]) -> Transformer:
        """A frozen model whose parameters *are* the given tensors: nothing is copied, so pairs share their body."""
        with torch.device("meta"):
            model = cls(architecture, len(tensors["source.embedding"]), len(tensors["target.embedding"]))
        model.load_state_dict(dict(tensors), strict=True, assign=True)
        return model.requires_grad_(False).eval()

    @property
    def device(self) -> torch.device:
        return self.target.embedding.device

    def _embed(self, table: Tensor, tokens: Tensor, first_position: int = 0) -> Tensor:
        """(sentences, positions) → (sentences, positions, width), in the dtype that this computation runs in."""
        scale = math.sqrt(self.architecture.width) if self.architecture.scale_embedding else 1.0
        positions = sinusoidal_positions(self.architecture.maximum_positions, self.architecture.width, tokens.device)
        last = first_position + tokens.shape[1]
        embedded = functional.embedding(tokens, table) * scale + positions[first_position:last]
        if torch.is_autocast_enabled(tokens.device.type):
            embedded = embedded.to(torch.get_autocast_dtype(tokens.device.type))
        return dropout(embedded, self._rate)

    def embed_target(self, tokens: Tensor, first_position: int = 0) -> Tensor:
        """Target tokens (sentences, positions) as they enter the decoder, from ``first_position`` on."""
        return self._embed(self.target.embedding, tokens, first_position)

    @property
    def _rate(self) -> float:
        return self.dropout if self.training else 0.0

    def encode(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Source tokens (sentences, positions) to states (sentences, positions, width) and the mask over them."""
        mask = padding_mask(lengths, tokens.shape[1])
        states = self._embed(self.source.embedding, tokens)
        for layer in self.encoder:
            states = layer.attention(states, layer.attention.keys_and_values(states), mask, self._rate)
            states = layer.feed_forward(states, self._rate)
        return states, mask

    def decode(self, tokens: Tensor, encoded: Tensor, mask: Tensor) -> Tensor:
        """Teacher-forced decoder states (sentences, positions, width) for target inputs (sentences, positions)."""
        positions = tokens.shape[1]
        # No padding mask here: a real token never looks to its right, where the padding is.
        causal = torch.full((positions, positions), -torch.inf, device=tokens.device).triu(1)
        states = self.embed_target(tokens)
        for layer, cross in zip(self.decoder, self.cross_attention, strict=True):
            states = layer.attention(states, layer.attention.keys_and_values(states), causal, self._rate)
            states = cross(states, cross.keys_and_values(encoded), mask, self._rate)
            states = layer.feed_forward(states, self._rate)
        return states

    def project(self, states: Tensor) -> Tensor:
        """(…, width) → logits (…, target vocabulary)."""
        return functional.linear(states, self.target.embedding, self.target.bias)

    def forward(self, source: Tensor, source_lengths: Tensor, inputs: Tensor) -> Tensor:
        """Teacher-forced logits (sentences, target positions, target vocabulary)."""
        return self.project(self.decode(inputs, *self.encode(source, source_lengths)))


def padding_mask(lengths: Tensor, positions: int) -> Tensor:
    """(sentences, 1, 1, positions): zero over real tokens, minus infinity over padding; added to attention scores."""
    real = torch.arange(positions, device=lengths.device)[None] < lengths[:, None]
    return torch.where(real, 0.0, -torch.inf)[:, None, None]


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
