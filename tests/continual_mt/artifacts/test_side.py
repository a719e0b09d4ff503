from __future__ import annotations

import pickle

from continual_mt.artifacts.side import LanguageSide
from continual_mt.data.tokenizer import Tokenizer


def test_equality_and_pickling(django_tokenizers: dict[str, Tokenizer]) -> None:
    side = LanguageSide("en", django_tokenizers["en"])
    assert side == LanguageSide("en", Tokenizer(django_tokenizers["en"].model))
    assert side != LanguageSide("en", django_tokenizers["es"])
    assert side != LanguageSide("es", django_tokenizers["en"])
    assert pickle.loads(pickle.dumps(side)) == side  # noqa: S301  # our own bytes, as Ray sends them
