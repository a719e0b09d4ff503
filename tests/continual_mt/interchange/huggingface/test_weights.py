from __future__ import annotations

import re

import pytest
import torch
from transformers import PreTrainedModel, T5Config

from continual_mt.artifacts.stored.serialization import check_tensors
from continual_mt.errors import IncompatibleError
from continual_mt.interchange.huggingface.weights import convert, from_hugging_face, hugging_face_names
from continual_mt.model.architecture import Architecture, parameter_names
from continual_mt.model.transformer import Transformer
from tests.continual_mt.interchange.huggingface.models import FAMILIES, m2m100, marian, mbart


@pytest.fixture(params=list(FAMILIES))
def theirs(request: pytest.FixtureRequest) -> PreTrainedModel:
    return FAMILIES[request.param]()


def logits(model: PreTrainedModel, source: torch.Tensor, mask: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=source, attention_mask=mask, decoder_input_ids=inputs).logits
    return found


def batch(pad: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return padded source tokens, their lengths and target inputs without pad, which some models give no position."""
    generator = torch.Generator().manual_seed(5)
    lengths = torch.tensor([3, 9, 1, 6])
    source = torch.randint(6, 40, (4, 9), generator=generator)
    source[torch.arange(9)[None] >= lengths[:, None]] = pad
    return source, lengths, torch.randint(6, 30, (4, 7), generator=generator)


def test_logits_of_a_batch_equal_transformers(theirs: PreTrainedModel) -> None:
    architecture, tensors = from_hugging_face(theirs)
    source, lengths, inputs = batch(theirs.config.pad_token_id)
    mask = (torch.arange(9)[None] < lengths[:, None]).long()
    expected = logits(theirs, source, mask, inputs)
    with torch.no_grad():
        found = Transformer.pointing_at(architecture, tensors)(source, lengths, inputs)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(found.argmax(-1), expected.argmax(-1))
    assert float(found.std()) > 0.5  # the logits are not trivially equal


def test_logits_of_single_sentences_are_bit_equal(theirs: PreTrainedModel) -> None:
    model = Transformer.pointing_at(*from_hugging_face(theirs))
    source, lengths, inputs = batch(theirs.config.pad_token_id)
    for tokens, length, given in zip(source, lengths, inputs, strict=True):
        tokens = tokens[None, :length]
        expected = logits(theirs, tokens, torch.ones_like(tokens), given[None])
        with torch.no_grad():
            assert torch.equal(model(tokens, length[None], given[None]), expected)


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


def test_what_positions_need() -> None:
    config = m2m100().config
    config.pad_token_id, config.max_position_embeddings = None, 1_000_001
    expected = "its pad_token_id is None, from .*; its max_position_embeddings is 1,000,001; expected 1,000,000 at most"
    with pytest.raises(IncompatibleError, match=f"^m2m_100 model: cannot be imported: {expected}"):
        convert(config, {})


@pytest.mark.parametrize("name", ["model.shared.weight", "lm_head.weight", "model.decoder.embed_positions.weight"])
@pytest.mark.parametrize("shape", [(), (16,)])
def test_tables_of_another_shape_are_refused(name: str, shape: tuple[int, ...]) -> None:
    theirs = mbart()
    tensors = {key: tensor for key, tensor in theirs.state_dict().items() if "embed_tokens" not in key}
    expected = re.escape(f"mbart model: cannot be imported: {name} has the shape {shape}; expected two dimensions")
    with pytest.raises(IncompatibleError, match=expected):
        convert(theirs.config, {**tensors, name: torch.zeros(shape)})


def test_another_model_type_is_refused() -> None:
    config = T5Config()
    with pytest.raises(IncompatibleError, match=r"^t5 model: cannot be imported: .* expected model_type marian, mbart"):
        convert(config, {})


def test_a_separate_output_projection_is_read() -> None:
    untied = marian()
    untied.lm_head.weight = torch.nn.Parameter(torch.randn(30, 16))
    architecture, tensors = from_hugging_face(untied)
    assert not architecture.tied_output
    source, lengths, inputs = batch(0)
    expected = logits(untied, source[:1, :3], torch.ones(1, 3), inputs[:1])
    with torch.no_grad():
        assert torch.equal(
            Transformer.pointing_at(architecture, tensors)(source[:1, :3], lengths[:1], inputs[:1]), expected
        )


def test_weights_that_are_not_marians_are_refused() -> None:
    trained = marian()
    with torch.no_grad():
        trained.model.decoder.embed_positions.weight[3] += 0.1
    with pytest.raises(IncompatibleError, match=r"embed_positions\.weight is not sinusoidal"):
        from_hugging_face(trained)
    larger = marian()
    larger.register_buffer("adapter", torch.zeros(1))
    with pytest.raises(IncompatibleError, match="missing or unexpected tensors: adapter"):
        from_hugging_face(larger)
    headless = {name: tensor for name, tensor in marian().state_dict().items() if "embed_tokens" not in name}
    with pytest.raises(IncompatibleError, match=r"it has no tensor model.encoder.embed_tokens.weight; expected"):
        convert(marian().config, headless)
