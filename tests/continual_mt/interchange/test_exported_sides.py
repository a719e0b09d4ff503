from __future__ import annotations

from dataclasses import replace

import pytest

from continual_mt.artifacts.side import LanguageSide
from continual_mt.data.tokenizer import SideTokens, Tokenizer
from continual_mt.errors import IncompatibleError
from continual_mt.interchange.exported_sides import check_sides
from tests.continual_mt.interchange.conftest import BASE, MakeModel


@pytest.mark.parametrize("tokens", [SideTokens(before=(7,)), SideTokens(after=(7,))])
def test_tokens_of_languages_are_refused(
    tokens: SideTokens, make_model: MakeModel, django_tokenizers: dict[str, Tokenizer]
) -> None:
    model = make_model(BASE, django_tokenizers["es"], django_tokenizers["de"])
    check_sides(model)
    other = replace(model, target=LanguageSide("de", model.target.tokenizer.with_side_tokens(tokens)))
    with pytest.raises(IncompatibleError, match=r"^es-de: its target side de has tokens of languages, which this form"):
        check_sides(other)
