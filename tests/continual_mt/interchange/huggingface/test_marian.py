from __future__ import annotations

import pytest
import torch
from transformers import MarianConfig, MarianMTModel

from continual_mt.artifacts.serialization import check_tensors
from continual_mt.errors import IncompatibleError
from continual_mt.interchange.huggingface.marian import from_hugging_face, hugging_face_names
from continual_mt.model.architecture import Architecture, parameter_names
from continual_mt.model.transformer import Transformer


def marian(seed: int = 0, **changes: object) -> MarianMTModel:
    """A random Marian model with one vocabulary per side and a non-zero bias."""
    values: dict[str, object] = {
        "vocab_size": 40,
        "decoder_vocab_size": 30,
        "share_encoder_decoder_embeddings": False,
        "d_model": 16,
        "encoder_layers": 2,
        "decoder_layers": 3,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 24,
        "decoder_ffn_dim": 24,
        "max_position_embeddings": 32,
        "decoder_start_token_id": 2,
        "eos_token_id": 3,
        "forced_eos_token_id": None,
        "pad_token_id": 0,
        "init_std": 0.5,
    }
    torch.manual_seed(seed)
    model = MarianMTModel(MarianConfig(**(values | changes))).eval()
    model.set_attn_implementation("eager")
    torch.nn.init.normal_(model.final_logits_bias)
    return model


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return padded source tokens, their lengths and target inputs."""
    generator = torch.Generator().manual_seed(5)
    lengths = torch.tensor([3, 9, 1, 6])
    source = torch.randint(4, 40, (4, 9), generator=generator)
    source[torch.arange(9)[None] >= lengths[:, None]] = 0
    return source, lengths, torch.randint(0, 30, (4, 7), generator=generator)


@pytest.mark.parametrize("activation", ["relu", "swish", "gelu"])
@pytest.mark.parametrize("scale", [True, False])
def test_logits_equal_transformers(activation: str, scale: bool) -> None:
    theirs = marian(activation_function=activation, scale_embedding=scale)
    architecture, tensors = from_hugging_face(theirs)
    source, lengths, inputs = batch()
    mask = (torch.arange(9)[None] < lengths[:, None]).long()
    with torch.no_grad():
        expected = theirs(input_ids=source, attention_mask=mask, decoder_input_ids=inputs).logits
        found = Transformer.pointing_at(architecture, tensors)(source, lengths, inputs)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert float(found.std()) > 0.5  # the logits are not trivially equal


def test_architecture_and_tensors() -> None:
    theirs = marian()
    architecture, tensors = from_hugging_face(theirs)
    assert architecture == Architecture(
        width=16,
        heads=4,
        encoder_layers=2,
        decoder_layers=3,
        feed_forward=24,
        activation="gelu",
        scale_embedding=False,
        maximum_positions=32,
    )
    check_tensors(tensors, architecture, parameter_names(architecture), {"source": 40, "target": 30})
    assert torch.equal(tensors["target.bias"], theirs.final_logits_bias[0])
    assert set(hugging_face_names(architecture)) == set(parameter_names(architecture))
    shared = {tensor.data_ptr() for tensor in theirs.state_dict().values()}
    assert not shared & {tensor.data_ptr() for tensor in tensors.values()}


def test_half_precision_is_read_as_float32() -> None:
    _, tensors = from_hugging_face(marian().half())
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"share_encoder_decoder_embeddings": True, "decoder_vocab_size": 40},
            "source and target share their embeddings; expected separate ones",
        ),
        ({"activation_function": "gelu_new"}, "its activation is 'gelu_new'; expected one of relu, swish"),
        ({"decoder_attention_heads": 2}, "different numbers of attention heads"),
        ({"decoder_ffn_dim": 32}, "feed-forward layers of different widths"),
        (
            {"encoder_attention_heads": 16, "decoder_attention_heads": 16},
            "width: 16 does not fit 16 heads",
        ),
    ],
)
def test_a_model_that_we_would_not_compute_exactly_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(IncompatibleError, match=f"^marian model: cannot be imported: .*{message}"):
        from_hugging_face(marian(**changes))


def test_all_differences_are_listed() -> None:
    with pytest.raises(IncompatibleError, match="attention heads; its encoder and decoder have feed-forward"):
        from_hugging_face(marian(decoder_attention_heads=2, decoder_ffn_dim=32))


def test_another_model_type_is_refused() -> None:
    model = marian()
    model.config.model_type = "mbart"
    with pytest.raises(IncompatibleError, match=r"^mbart model: cannot be imported: expected model_type 'marian'"):
        from_hugging_face(model)


def test_weights_that_are_not_marians_are_refused() -> None:
    untied = marian()
    untied.lm_head.weight = torch.nn.Parameter(torch.zeros(30, 16))
    with pytest.raises(IncompatibleError, match="its output projection differs from its target embedding"):
        from_hugging_face(untied)
    trained = marian()
    with torch.no_grad():
        trained.model.decoder.embed_positions.weight[3] += 0.1
    with pytest.raises(IncompatibleError, match=r"embed_positions\.weight is not sinusoidal"):
        from_hugging_face(trained)
    larger = marian()
    larger.register_buffer("adapter", torch.zeros(1))
    with pytest.raises(IncompatibleError, match="missing or unexpected tensors: adapter"):
        from_hugging_face(larger)
