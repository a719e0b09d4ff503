"""The layers of the Transformer: attention and feed-forward network, each with residual connection and layer norm.

Layer norms come after the residual connection (post-norm; Vaswani et al., 2017) or before the computation (pre-norm;
Xiong et al., *On Layer Normalization in the Transformer Architecture*, ICML 2020), as the architecture states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from continual_mt.model.architecture import Activation, Architecture
from continual_mt.model.low_rank import low_rank_product
from continual_mt.model.operations.attention import attend
from continual_mt.model.operations.dropout import dropout_add
from continual_mt.model.operations.kv_cache import KeysAndValues
from continual_mt.model.operations.linear import linear
from continual_mt.model.operations.packing import BatchLayout

_ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu_,
    "swish": functional.silu,
    "gelu": functional.gelu,
}

NORM_EPSILON = 1e-5

Member = TypeVar("Member", bound=nn.Module)


class Linear(nn.Linear):
    """A linear layer that computes in the dtype of its input.

    ``lora_a`` and ``lora_b`` are the factors of a low-rank update of its matrix, if there is one.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.lora_a: nn.Parameter | None = None
        self.lora_b: nn.Parameter | None = None

    def reset_parameters(self) -> None:
        """Do nothing: starting values or stored tensors set the values, and drawing random ones would take time."""

    def forward(self, states: Tensor) -> Tensor:
        product = linear(states, self.weight, self.bias)
        if self.lora_a is None or self.lora_b is None:
            return product
        return product + low_rank_product(states, self.lora_a, self.lora_b)


class Norm(nn.LayerNorm):
    """A layer norm that computes in the dtype of its input."""

    def __init__(self, width: int) -> None:
        super().__init__(width, NORM_EPSILON)

    def reset_parameters(self) -> None:
        """Do nothing, as in ``Linear``."""

    def forward(self, states: Tensor) -> Tensor:
        weight, bias = self.weight.to(states.dtype), self.bias.to(states.dtype)
        return functional.layer_norm(states, self.normalized_shape, weight, bias, self.eps)


class Sublayer(nn.Module):
    """What attention and feed-forward network share: ``enter`` gives their input, ``leave`` adds their output."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.norm = Norm(architecture.width)
        self._norm_first = architecture.norm == "pre"

    def enter(self, states: Tensor) -> Tensor:
        """Return what the sublayer computes from: with pre-norm the normalised states, else the states."""
        return self.norm(states) if self._norm_first else states

    def leave(self, states: Tensor, output: Tensor, rate: float) -> Tensor:
        """Add the sublayer's output to its states, both (…, width), with dropout at ``rate``."""
        added = dropout_add(states, output, rate)
        return added if self._norm_first else self.norm(added)


class Attention(Sublayer):
    """Multi-head attention, used as self-attention and as cross-attention."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        width = architecture.width
        self.heads = architecture.heads
        self.query, self.key, self.value, self.output = (Linear(width, width) for _ in range(4))

    def _split_heads(self, rows: Tensor, layout: BatchLayout) -> Tensor:
        """Split heads and choose the dtype: (rows, width) to (sentences, heads, positions, width of a head)."""
        heads = layout.split_heads(rows, self.heads)
        # On CPUs, bfloat16 is twice as fast for products this small, but its kernels are compiled for each shape: where
        # shapes keep changing, float32 is faster.
        return (
            heads if heads.is_cuda or layout.rounded else heads.to(torch.float32, memory_format=torch.contiguous_format)
        )

    def keys_and_values(self, states: Tensor, layout: BatchLayout) -> KeysAndValues:
        """Project states (rows, width) to keys and values, both (sentences, heads, positions, width of a head).

        ``states`` are the encoder's, or in self-attention what ``enter`` returned.
        """
        return self._split_heads(self.key(states), layout), self._split_heads(self.value(states), layout)

    def forward(
        self,
        states: Tensor,
        entered: Tensor,
        layout: BatchLayout,
        keys_values: KeysAndValues,
        mask: Tensor | None,
        rate: float,
    ) -> Tensor:
        """Attend to ``keys_values`` from ``states``: (rows, width) to (rows, width).

        ``entered`` is what ``enter`` returned for the states. ``mask`` is added to the attention scores; see
        ``attend``. ``rate`` is the dropout rate.
        """
        mixed = self.context(self.query(entered), layout, keys_values, mask)
        return self.leave(states, self.output(mixed), rate)

    def context(self, queries: Tensor, layout: BatchLayout, keys_values: KeysAndValues, mask: Tensor | None) -> Tensor:
        """Return the context vectors (rows, width) of projected queries (rows, width), before the output projection."""
        keys, values = keys_values
        return layout.merge_heads(attend(self._split_heads(queries, layout), keys, values, mask).to(queries.dtype))


class FeedForward(Sublayer):
    """Two linear layers with an activation between them."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        width, inner = architecture.width, architecture.feed_forward
        self.inner, self.outer = Linear(width, inner), Linear(inner, width)
        self.activation = _ACTIVATIONS[architecture.activation]

    def forward(self, states: Tensor, rate: float) -> Tensor:
        return self.leave(states, self.outer(self.activation(self.inner(self.enter(states)))), rate)


class Adapter(nn.Module):
    """A bottleneck after a layer (Houlsby et al., ICML 2019), of the form of Bapna and Firat (EMNLP 2019).

    It adds ``up`` · ReLU(``down`` · ``norm``(states)) to the states. ``size`` is that of the bottleneck.
    """

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.norm = Norm(width)
        self.down, self.up = Linear(width, size), Linear(size, width)

    def forward(self, states: Tensor) -> Tensor:
        return states + cast(Tensor, self.up(torch.relu_(self.down(self.norm(states)))))


class Layer(nn.Module):
    """Self-attention and feed-forward network. Cross-attention is not included, because it is a separate group.

    ``adapter`` is applied after them, if there is one.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.attention = Attention(architecture)
        self.feed_forward = FeedForward(architecture)
        self.adapter: Adapter | None = None

    def finish(self, states: Tensor, rate: float) -> Tensor:
        """Compute what follows attention: (rows, width) to (rows, width). ``rate`` is the dropout rate."""
        states = self.feed_forward(states, rate)
        return states if self.adapter is None else cast(Tensor, self.adapter(states))


class Stack(nn.Module, Generic[Member]):
    """Numbered layers of one kind, and the layer norm after the last one if there is one."""

    def __init__(self, members: Iterable[Member], norm: Norm | None = None) -> None:
        super().__init__()
        self._length = 0
        for member in members:
            self.add_module(str(self._length), member)
            self._length += 1
        self.norm = norm

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Member:
        if index >= self._length:
            raise IndexError(index)
        return cast(Member, getattr(self, str(index)))

    def __iter__(self) -> Iterator[Member]:
        return (self[index] for index in range(self._length))

    def finish(self, states: Tensor) -> Tensor:
        """Apply the final layer norm, if there is one, to the last layer's states."""
        return states if self.norm is None else cast(Tensor, self.norm(states))
