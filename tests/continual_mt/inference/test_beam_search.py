"""Greedy and beam search, compared with transformers' ``generate`` and with teacher-forced scores."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from transformers import GenerationConfig, MarianConfig, MarianMTModel

from continual_mt.data.batching import pad
from continual_mt.inference.beam_search import beam_search, encode, greedy_search
from continual_mt.inference.translator import Hypothesis
from continual_mt.interchange.huggingface.weights import from_hugging_face
from continual_mt.model.transformer import Transformer

PAD, START, END = 0, 2, 3
BEAM = 4


def marian(seed: int, end_bias: float = 0.0, deviation: float = 1.0) -> MarianMTModel:
    """A random Marian model, peaked enough to avoid ties; ``end_bias`` makes the end token more or less likely."""
    torch.manual_seed(seed)
    model = MarianMTModel(
        MarianConfig(
            vocab_size=40,
            decoder_vocab_size=30,
            share_encoder_decoder_embeddings=False,
            d_model=16,
            encoder_layers=1,
            decoder_layers=2,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=24,
            decoder_ffn_dim=24,
            max_position_embeddings=64,
            pad_token_id=PAD,
            decoder_start_token_id=START,
            eos_token_id=END,
            forced_eos_token_id=None,
            init_std=deviation,
        )
    ).eval()
    model.set_attn_implementation("eager")
    model.final_logits_bias[0, END] = end_bias
    return model


def to_transformer(model: MarianMTModel) -> Transformer:
    return Transformer.pointing_at(*from_hugging_face(model))


def sources(seed: int, count: int = 8, length: int = 5) -> tuple[Tensor, Tensor]:
    """Sentences of one length, so that all have the same maximum target length."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(4, 40, (count, length), generator=generator)
    tokens[:, -1] = END
    return tokens, torch.full((count,), length)


def generate(
    model: MarianMTModel,
    tokens: Tensor,
    lengths: Tensor,
    beam: int,
    penalty: float,
    forced: int | None = None,
    banned: Sequence[int] = (),
) -> list[list[list[int]]]:
    """Return the hypotheses of transformers, best first, without start, end and ``forced`` first tokens."""
    configuration = GenerationConfig(
        num_beams=beam,
        num_return_sequences=beam,
        length_penalty=penalty,
        early_stopping=False,
        do_sample=False,
        max_new_tokens=2 * int(lengths[0]) + 20 + (forced is not None),
        forced_bos_token_id=forced,
        bad_words_ids=[[number] for number in banned] or None,
        renormalize_logits=bool(banned),
        decoder_start_token_id=START,
        eos_token_id=END,
        pad_token_id=PAD,
        bos_token_id=START,
    )
    mask = (torch.arange(tokens.shape[1])[None] < lengths[:, None]).long()
    model.generation_config = configuration
    rows = model.generate(input_ids=tokens, attention_mask=mask, generation_config=configuration).tolist()
    # transformers pads after the end token; before it, pad is an ordinary token.
    first = 1 if forced is None else 2
    cut = [row[first : row.index(END, first)] if END in row[first:] else row[first:] for row in rows]
    return [cut[first : first + beam] for first in range(0, len(cut), beam)]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("end_bias", [0.0, 4.0])
def test_greedy_search_equals_transformers(seed: int, end_bias: float) -> None:
    model = marian(seed, end_bias)
    tokens, lengths = sources(seed)
    expected = [hypotheses[0] for hypotheses in generate(model, tokens, lengths, 1, 1.0)]
    found = greedy_search(encode(to_transformer(model), tokens, lengths, [START], END))
    assert [hypothesis.tokens for hypothesis in found] == expected


def test_the_greedy_cases_include_end_tokens_and_length_limits() -> None:
    """Otherwise the comparison above would not cover both ways of ending."""
    lengths_found = {
        len(hypothesis.tokens)
        for seed in range(4)
        for bias in (0.0, 4.0)
        for hypothesis in greedy_search(encode(to_transformer(marian(seed, bias)), *sources(seed), [START], END))
    }
    assert 30 in lengths_found
    assert len(lengths_found) > 5


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("penalty", [1.0, 0.6, 0.0])
@pytest.mark.parametrize("end_bias", [0.0, 4.0])
def test_beam_search_equals_transformers(seed: int, penalty: float, end_bias: float) -> None:
    model = marian(seed, end_bias)
    tokens, lengths = sources(seed)
    expected = generate(model, tokens, lengths, BEAM, penalty)
    found = beam_search(encode(to_transformer(model), tokens, lengths, [START], END), BEAM, penalty)
    assert [[hypothesis.tokens for hypothesis in hypotheses] for hypotheses in found] == expected


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("beam", "penalty"), [(1, 1.0), (BEAM, 1.0), (BEAM, 0.6), (BEAM, 0.0)])
def test_a_forced_first_token_is_as_in_transformers(seed: int, beam: int, penalty: float) -> None:
    """It counts for the length that scores are divided by."""
    model = marian(seed, 4.0)
    tokens, lengths = sources(seed)
    expected = generate(model, tokens, lengths, beam, penalty, forced=7)
    batch = encode(to_transformer(model), tokens, lengths, [START, 7], END)
    found = beam_search(batch, beam, penalty) if beam > 1 else [[best] for best in greedy_search(batch, penalty)]
    assert [[hypothesis.tokens for hypothesis in hypotheses] for hypotheses in found] == expected


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("beam", [1, BEAM])
def test_banned_tokens_are_as_in_transformers(seed: int, beam: int) -> None:
    model = marian(seed, 4.0)
    tokens, lengths = sources(seed)
    free = {token for found in generate(model, tokens, lengths, beam, 1.0) for row in found for token in row}
    banned = sorted(free)[::2]
    expected = generate(model, tokens, lengths, beam, 1.0, banned=banned)
    batch = encode(to_transformer(model), tokens, lengths, [START], END, banned)
    found = beam_search(batch, beam, 1.0) if beam > 1 else [[best] for best in greedy_search(batch)]
    assert [[hypothesis.tokens for hypothesis in hypotheses] for hypotheses in found] == expected


def ragged() -> tuple[list[list[int]], Tensor, Tensor]:
    generator = torch.Generator().manual_seed(9)
    rows = [[*torch.randint(4, 40, (length,), generator=generator).tolist(), END] for length in (7, 1, 12, 3, 5, 0, 22)]
    return rows, *pad(rows, PAD)


def teacher_forced(model: Transformer, source: list[int], hypothesis: Hypothesis, ended: bool) -> Tensor:
    """Return log-probabilities, (tokens, vocabulary), at each token of a hypothesis and, if it ``ended``, its end."""
    labels = [*hypothesis.tokens, END] if ended else hypothesis.tokens
    inputs = torch.tensor([[START, *labels[:-1]]])
    return model(torch.tensor([source]), torch.tensor([len(source)]), inputs).log_softmax(-1)[0]


@pytest.mark.parametrize("end_bias", [0.0, 4.0])
def test_greedy_tokens_and_scores_equal_teacher_forcing(end_bias: float) -> None:
    """This shows that cached keys and values equal recomputed ones."""
    model = to_transformer(marian(1, end_bias))
    rows, tokens, lengths = ragged()
    for row, hypothesis in zip(rows, greedy_search(encode(model, tokens, lengths, [START], END)), strict=True):
        ended = len(hypothesis.tokens) < min(2 * len(row) + 20, 63)
        log_probabilities = teacher_forced(model, row, hypothesis, ended)
        best, chosen = log_probabilities.max(-1)
        assert chosen.tolist() == [*hypothesis.tokens, END][: len(chosen)]
        assert hypothesis.score == pytest.approx(float(best.mean()), abs=1e-4)


@pytest.mark.parametrize("penalty", [1.0, 0.6])
def test_beam_scores_equal_teacher_forcing(penalty: float) -> None:
    model = to_transformer(marian(2, 4.0))
    rows, tokens, lengths = ragged()
    for row, hypotheses in zip(
        rows, beam_search(encode(model, tokens, lengths, [START], END), BEAM, penalty), strict=True
    ):
        assert len(hypotheses) == BEAM
        assert [h.score for h in hypotheses] == sorted((h.score for h in hypotheses), reverse=True)
        assert len({tuple(hypothesis.tokens) for hypothesis in hypotheses}) == BEAM
        for hypothesis in hypotheses:
            ended = len(hypothesis.tokens) < min(2 * len(row) + 20, 63)
            log_probabilities = teacher_forced(model, row, hypothesis, ended)
            labels = torch.tensor([*hypothesis.tokens, END][: len(log_probabilities)])
            total = float(log_probabilities.gather(1, labels[:, None]).sum())
            assert hypothesis.score == pytest.approx(total / len(labels) ** penalty, abs=1e-4)


def test_results_do_not_depend_on_the_rest_of_the_batch() -> None:
    model = to_transformer(marian(3, 4.0))
    rows, tokens, lengths = ragged()
    batched = beam_search(encode(model, tokens, lengths, [START], END), BEAM, 1.0)
    greedy_batched = greedy_search(encode(model, tokens, lengths, [START], END))
    for number, row in enumerate(rows):
        alone = beam_search(encode(model, *pad([row], PAD), [START], END), BEAM, 1.0)[0]
        assert [h.tokens for h in batched[number]] == [h.tokens for h in alone]
        assert [h.score for h in batched[number]] == pytest.approx([h.score for h in alone], abs=1e-4)
        assert greedy_batched[number].tokens == greedy_search(encode(model, *pad([row], PAD), [START], END))[0].tokens


def test_a_beam_of_one_is_greedy_search() -> None:
    model = to_transformer(marian(4, 4.0))
    _, tokens, lengths = ragged()
    beams = beam_search(encode(model, tokens, lengths, [START], END), 1, 1.0)
    assert [hypotheses[0].tokens for hypotheses in beams] == [
        hypothesis.tokens for hypothesis in greedy_search(encode(model, tokens, lengths, [START], END))
    ]


def test_a_beam_as_wide_as_the_vocabulary_finds_the_best_two_tokens() -> None:
    """With every first token in the beam, nothing that ends within two tokens can be missed."""
    model = to_transformer(marian(5, 12.0))
    source = [4, 5, END]
    found = beam_search(encode(model, *pad([source], PAD), [START], END), 30, 1.0)[0]
    candidates = [Hypothesis([], 0.0), *(Hypothesis([token], 0.0) for token in range(30) if token != END)]
    scores = {}
    for hypothesis in candidates:
        log_probabilities = teacher_forced(model, source, hypothesis, ended=True)
        labels = torch.tensor([*hypothesis.tokens, END])
        scores[tuple(hypothesis.tokens)] = float(log_probabilities.gather(1, labels[:, None]).mean())
    short = {tuple(hypothesis.tokens): hypothesis.score for hypothesis in found if len(hypothesis.tokens) < 2}
    assert found[0].score >= max(scores.values()) - 1e-4
    assert len(short) > 2
    assert short == pytest.approx({tokens: scores[tokens] for tokens in short}, abs=1e-4)


def test_no_hypothesis_is_longer_than_its_limit() -> None:
    model = to_transformer(marian(6, -20.0))
    rows, tokens, lengths = ragged()
    limits = [min(2 * len(row) + 20, 63) for row in rows]
    assert 63 in limits
    assert [len(h.tokens) for h in greedy_search(encode(model, tokens, lengths, [START], END))] == limits
    for hypotheses, limit in zip(
        beam_search(encode(model, tokens, lengths, [START], END), 2, 1.0), limits, strict=True
    ):
        assert [len(hypothesis.tokens) for hypothesis in hypotheses] == [limit, limit]


def test_greedy_search_without_scores_finds_the_same_tokens() -> None:
    model, (tokens, lengths) = to_transformer(marian(3, 0.0)), sources(3)
    scored = greedy_search(encode(model, tokens, lengths, [START], END))
    bare = greedy_search(encode(model, tokens, lengths, [START], END), scored=False)
    assert [hypothesis.tokens for hypothesis in bare] == [hypothesis.tokens for hypothesis in scored]
    assert all(math.isnan(hypothesis.score) for hypothesis in bare)
    assert not any(math.isnan(hypothesis.score) for hypothesis in scored)
