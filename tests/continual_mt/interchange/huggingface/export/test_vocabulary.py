"""Which tokens the exported tokenizer can add, and which ids special tokens get."""

from __future__ import annotations

from dataclasses import replace

import pytest

from continual_mt.artifacts.side import LanguageSide
from continual_mt.data.tokenizer import SideTokens, Tokenizer
from continual_mt.errors import IncompatibleError
from continual_mt.inference.torch_model import PairModel
from continual_mt.interchange.huggingface.export.vocabulary import vocabularies_of
from tests.continual_mt.interchange.conftest import BASE, MakeModel


@pytest.fixture(scope="module")
def model(make_model: MakeModel, django_tokenizers: dict[str, Tokenizer]) -> PairModel:
    return make_model(BASE, django_tokenizers["es"], django_tokenizers["de"])


def with_tokens(model: PairModel, source: SideTokens, target: SideTokens) -> PairModel:
    return replace(
        model,
        source=LanguageSide("es", model.source.tokenizer.with_side_tokens(source)),
        target=LanguageSide("de", model.target.tokenizer.with_side_tokens(target)),
    )


@pytest.mark.parametrize(
    ("source", "target", "problem"),
    [
        (SideTokens(before=(7, 8)), SideTokens(), "it has 2 tokens before a source"),
        (SideTokens(after=(7, 8, 9)), SideTokens(), "it has 3 tokens after the end of a source"),
        (SideTokens(), SideTokens(before=(7, 8)), "it has 2 tokens before a translation"),
    ],
)
def test_more_tokens_than_the_tokenizer_can_add_are_refused(
    source: SideTokens, target: SideTokens, problem: str, model: PairModel
) -> None:
    message = (
        "^es-de: transformers' tokenizer cannot put its tokens around sentences: "
        f"{problem}, and the tokenizer can add one. Fix: --format ctranslate2, which puts any$"
    )
    with pytest.raises(IncompatibleError, match=message):
        vocabularies_of(with_tokens(model, source, target))


def test_the_ids_stay_where_special_tokens_have_the_same(model: PairModel) -> None:
    found = vocabularies_of(with_tokens(model, SideTokens(before=(7,)), SideTokens(start=8)))
    assert (found.before, found.after) == (7, None)
    for side in (found.source, found.target):
        assert side.order == list(range(side.size))


def test_the_token_after_a_source_has_the_id_of_a_type_of_the_target_without_text(model: PairModel) -> None:
    found = vocabularies_of(with_tokens(model, SideTokens(after=(7,)), SideTokens()))
    source, target = found.source, found.target
    assert source.place[7] == target.place[model.target.tokenizer.start] == 3
    assert sorted(target.order) == list(range(target.size))
