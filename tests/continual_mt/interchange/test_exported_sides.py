from __future__ import annotations

from dataclasses import replace

import pytest
from sentencepiece import sentencepiece_model_pb2

from continual_mt.artifacts.side import LanguageSide
from continual_mt.data.tokenizer import VOCABULARY_END, SideTokens, Tokenizer
from continual_mt.errors import IncompatibleError
from continual_mt.inference.torch_model import PairModel
from continual_mt.interchange.exported_sides import check_sides
from tests.continual_mt.interchange.conftest import BASE, MakeModel


@pytest.fixture(scope="module")
def model(make_model: MakeModel, django_tokenizers: dict[str, Tokenizer]) -> PairModel:
    return make_model(BASE, django_tokenizers["es"], django_tokenizers["de"])


def with_tokens(model: PairModel, tokens: SideTokens) -> PairModel:
    return replace(model, target=LanguageSide("de", model.target.tokenizer.with_side_tokens(tokens)))


def test_sides_that_were_trained_here_pass(model: PairModel) -> None:
    check_sides(model, own_vocabulary=True)
    check_sides(model, own_vocabulary=False)


@pytest.mark.parametrize("own_vocabulary", [True, False])
@pytest.mark.parametrize("tokens", [SideTokens(before=(7,)), SideTokens(after=(7,))])
def test_tokens_of_languages_are_refused(own_vocabulary: bool, tokens: SideTokens, model: PairModel) -> None:
    with pytest.raises(
        IncompatibleError, match=r"^es-de: its target side de was imported with tokens of languages, which this format"
    ):
        check_sides(with_tokens(model, tokens), own_vocabulary=own_vocabulary)


@pytest.mark.parametrize("tokens", [SideTokens(start=5), SideTokens(banned=(0,))])
def test_other_special_tokens_need_a_vocabulary(tokens: SideTokens, model: PairModel) -> None:
    check_sides(with_tokens(model, tokens), own_vocabulary=True)
    with pytest.raises(
        IncompatibleError, match=r"tokens that are never chosen, or another start token, .*--format hf$"
    ):
        check_sides(with_tokens(model, tokens), own_vocabulary=False)


def test_another_vocabulary_needs_one_in_the_format(model: PairModel) -> None:
    proto = sentencepiece_model_pb2.ModelProto.FromString(model.source.tokenizer.model)  # type: ignore[attr-defined]
    proto.pieces.add(piece=VOCABULARY_END, score=0.0, type=3)
    other = replace(model, source=LanguageSide("es", Tokenizer(proto.SerializeToString())))
    check_sides(other, own_vocabulary=True)
    with pytest.raises(IncompatibleError, match=r"^es-de: its source side es was imported with a vocabulary that diff"):
        check_sides(other, own_vocabulary=False)
