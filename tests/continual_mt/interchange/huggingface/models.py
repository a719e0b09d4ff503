"""Random models of each family that can be imported, as transformers builds them."""

from __future__ import annotations

import torch
from transformers import (
    M2M100Config,
    M2M100ForConditionalGeneration,
    MarianConfig,
    MarianMTModel,
    MBartConfig,
    MBartForConditionalGeneration,
    PreTrainedModel,
)

SHAPE: dict[str, object] = {
    "vocab_size": 40,
    "d_model": 16,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "max_position_embeddings": 32,
    "init_std": 0.5,
}


def ready(model: PreTrainedModel) -> PreTrainedModel:
    """With biases and norms that are not 0 and 1, and the attention that our engine computes on CPUs."""
    model.eval().set_attn_implementation("eager")
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith(".bias") or "norm" in name or name == "final_logits_bias":
                tensor += torch.randn(tensor.shape) / 4
    return model


def marian(seed: int = 0, **changes: object) -> PreTrainedModel:
    """A random Marian model with one vocabulary per side."""
    values = {
        **SHAPE,
        "decoder_vocab_size": 30,
        "share_encoder_decoder_embeddings": False,
        "decoder_start_token_id": 2,
        "eos_token_id": 3,
        "forced_eos_token_id": None,
        "pad_token_id": 0,
    }
    torch.manual_seed(seed)
    return ready(MarianMTModel(MarianConfig(**(values | changes))))


def mbart(**changes: object) -> PreTrainedModel:
    torch.manual_seed(0)
    return ready(MBartForConditionalGeneration(MBartConfig(**(SHAPE | changes))))


def m2m100(**changes: object) -> PreTrainedModel:
    torch.manual_seed(0)
    return ready(M2M100ForConditionalGeneration(M2M100Config(**(SHAPE | changes))))


FAMILIES = {
    "marian, relu": lambda: marian(activation_function="relu", scale_embedding=True),
    "marian, swish": lambda: marian(activation_function="swish", scale_embedding=True),
    "marian, gelu, not scaled": lambda: marian(activation_function="gelu", scale_embedding=False),
    "marian, one vocabulary": lambda: marian(share_encoder_decoder_embeddings=True, decoder_vocab_size=40),
    "mbart": mbart,
    "mbart, scaled": lambda: mbart(scale_embedding=True),
    "m2m100": m2m100,
    "m2m100, another pad": lambda: m2m100(pad_token_id=5),
}
