"""Which architecture of ours computes a model of Hugging Face's transformers: Marian, mBART, and M2M100 with NLLB."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from continual_mt.errors import IncompatibleError
from continual_mt.model.architecture import Activation, Architecture

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

_ACTIVATIONS: dict[str, Activation] = {"relu": "relu", "swish": "swish", "silu": "swish", "gelu": "gelu"}
_FIRST_POSITION = 1
"""M2M100 numbers the positions of a sentence from here, counted from its padding token's id."""
_MOST_POSITIONS = 1_000_000
"""The positions of a formula are computed in memory, and no model has texts as long as this."""

_FAMILIES: dict[str, dict[str, Any]] = {
    "marian": {},
    "mbart": {"norm": "pre", "final_norm": True, "positions": "learned", "embedding_norm": True},
    "m2m_100": {"norm": "pre", "final_norm": True, "positions": "sinusoidal-fairseq"},
}


def architecture_of(config: PreTrainedConfig) -> Architecture:
    """Return the architecture that computes what this configuration describes.

    Whether the output projection is separate is not stated there: see ``weights``. Raises IncompatibleError if our
    engine would not compute the model exactly; it lists all differences.
    """
    if problems := list(_problems(config)):
        raise refused(config, "; ".join(problems))
    family = dict(_FAMILIES[config.model_type])
    if config.model_type == "m2m_100":
        family["position_offset"] = config.pad_token_id + _FIRST_POSITION
    try:
        return Architecture(
            width=config.d_model,
            heads=config.encoder_attention_heads,
            encoder_layers=config.encoder_layers,
            decoder_layers=config.decoder_layers,
            feed_forward=config.encoder_ffn_dim,
            activation=_ACTIVATIONS[config.activation_function],
            scale_embedding=config.scale_embedding,
            maximum_positions=config.max_position_embeddings,
            **family,
        )
    except ValueError as error:
        raise refused(config, str(error)) from error


def refused(config: PreTrainedConfig, problem: str) -> IncompatibleError:
    return IncompatibleError(f"{config.model_type} model: cannot be imported: {problem}")


def _problems(config: PreTrainedConfig) -> Iterator[str]:
    if config.model_type not in _FAMILIES:
        yield f"its layers are computed otherwise; expected model_type {', '.join(_FAMILIES)}"
        return
    if config.activation_function not in _ACTIVATIONS:
        yield f"its activation is {config.activation_function!r}; expected one of {', '.join(_ACTIVATIONS)}"
    if config.encoder_attention_heads != config.decoder_attention_heads:
        yield "its encoder and decoder have different numbers of attention heads"
    if config.encoder_ffn_dim != config.decoder_ffn_dim:
        yield "its encoder and decoder have feed-forward layers of different widths"
    if config.model_type == "m2m_100" and type(config.pad_token_id) is not int:
        yield f"its pad_token_id is {config.pad_token_id!r:.80}, from which positions are counted; expected an id"
    if config.max_position_embeddings > _MOST_POSITIONS:
        yield f"its max_position_embeddings is {config.max_position_embeddings:,}; expected {_MOST_POSITIONS:,} at most"
