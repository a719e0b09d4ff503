"""Vocabularies that are looked up by name: no text is split into a piece with the name of a special token."""

from __future__ import annotations

import pytest
import sentencepiece

from continual_mt.data.control_pieces import with_control_pieces
from continual_mt.data.tokenizer import VOCABULARY_END, Tokenizer
from continual_mt.data.tokenizer_training import train_tokenizer
from continual_mt.interchange.exported_vocabulary import control_types, splitting_model, type_names
from tests.continual_mt.interchange.many_languages import Tokenizers

TOKENS = ["__fr__", "мир_"]


@pytest.fixture(scope="module")
def cyrillic() -> Tokenizer:
    """Without Latin letters: '__fr__' in a text is one unknown piece."""
    return with_control_pieces(train_tokenizer(lambda: ["привет мир", "как дела друг"] * 50, 40), TOKENS)


def test_only_what_a_text_can_be_split_into_gets_another_name(cyrillic: Tokenizer) -> None:
    names = type_names(cyrillic)
    changed = {piece: name for piece, name in zip(cyrillic.pieces, names, strict=True) if piece != name}
    assert changed == {"<pad>": "<pad >", "<s>": "<s >", "</s>": "</s >", "__fr__": "__fr_ _"}


def test_the_model_splits_any_text_into_types_by_name(cyrillic: Tokenizer) -> None:
    names = type_names(cyrillic)
    processor = sentencepiece.SentencePieceProcessor(model_proto=splitting_model(cyrillic, names))
    types = {name: number for number, name in enumerate(names)}
    for text in ("привет __fr__ мир_", "</s> __fr__<pad>", "как <unk> дела", ""):
        found = [types.get(piece, cyrillic.unknown) for piece in processor.encode(text, out_type=str)]
        assert found == cyrillic.encode(text)


def test_a_vocabulary_without_such_names_keeps_its_model(django_tokenizers: dict[str, Tokenizer]) -> None:
    german = django_tokenizers["de"]
    assert splitting_model(german, type_names(german)) is german.model
    assert control_types(german) == sorted({german.pad, german.start, german.end})


def test_imported_vocabularies(pairs_with_tokens: dict[str, Tokenizers], django_catalogs: dict[str, list[str]]) -> None:
    for name in ("marian", "m2m100", "nllb"):
        tokenizer = pairs_with_tokens[name][0]
        names = type_names(tokenizer)
        processor = sentencepiece.SentencePieceProcessor(model_proto=splitting_model(tokenizer, names))
        assert processor.piece_to_id(VOCABULARY_END) == processor.unk_id()
        types = {piece: number for number, piece in enumerate(names)}
        for text in [*django_catalogs["es"][:100], "漢字 __es__ >>deu<< </s> ж"]:
            found = [types.get(piece, tokenizer.unknown) for piece in processor.encode(text, out_type=str)]
            assert found == tokenizer.encode(text)


def test_a_start_token_is_added_by_the_model(pairs_with_tokens: dict[str, Tokenizers]) -> None:
    tokenizer = pairs_with_tokens["m2m100"][0]
    (token,) = tokenizer.side_tokens.before
    model = splitting_model(tokenizer, type_names(tokenizer), start=token)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model, add_bos=True)
    assert processor.encode("hola", out_type=str)[0] == "__es__"
