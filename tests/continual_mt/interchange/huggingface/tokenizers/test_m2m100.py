from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import M2M100Tokenizer

from continual_mt.errors import IncompatibleError
from continual_mt.interchange.huggingface.tokenizers.language_codes import M2M100, WMT21
from continual_mt.interchange.huggingface.tokenizers.reading import read_vocabulary
from continual_mt.interchange.huggingface.tokenizers.vocabulary import ImportedVocabulary
from tests.continual_mt.interchange.huggingface.published import sides, used_pieces, write_m2m100
from tests.continual_mt.interchange.huggingface.tokenizers.conftest import Compare, Text


@pytest.fixture(scope="module")
def folder(bpe: bytes, text: Text, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vocabulary of the pieces of part of the text, and of two types that are not pieces of the model."""
    types = used_pieces(bpe, [*text["fr"], *text["de"][::3]])
    return write_m2m100(tmp_path_factory.mktemp("m2m100") / "model", bpe, [*types, "ж", "日本語"], len(M2M100))


@pytest.fixture(scope="module")
def original(folder: Path) -> M2M100Tokenizer:
    return M2M100Tokenizer.from_pretrained(folder, src_lang="fr", tgt_lang="de")


@pytest.fixture(scope="module")
def found(folder: Path) -> ImportedVocabulary:
    return read_vocabulary(folder)


def test_ids_are_those_of_the_original(
    original: M2M100Tokenizer, found: ImportedVocabulary, assert_same: Compare, bpe: bytes
) -> None:
    assert found.source is found.target
    assert found.source.pieces[: len(original.encoder)] == list(original.encoder)
    assert set(used_pieces(bpe, ["ж"])) - set(original.encoder) == set()
    assert_same(original, found.source)


@given(text=st.text(st.sampled_from("abcdeéü ,.жщ日本語½…　\u0301😀<>_")))
def test_any_text(original: M2M100Tokenizer, found: ImportedVocabulary, text: str) -> None:
    assert found.source.encode(text) == original(text, add_special_tokens=False).input_ids


def test_special_ids_and_languages(original: M2M100Tokenizer, found: ImportedVocabulary) -> None:
    tokenizer = found.target
    assert (tokenizer.pad, tokenizer.end, tokenizer.unknown, tokenizer.start) == (1, 2, 3, 2)
    assert tokenizer.size == len(original.encoder) + 100 + 8
    assert tuple(found.languages) == found.source_languages == found.target_languages == M2M100
    assert found.languages == {code: original.get_lang_id(code) for code in M2M100}
    assert tokenizer.pieces[found.languages["fr"]] == "__fr__"
    assert tokenizer.decode([found.languages["fr"], *tokenizer.encode("Nom"), tokenizer.size - 1]) == "Nom"


def test_where_languages_go(original: M2M100Tokenizer, found: ImportedVocabulary) -> None:
    side, target = sides(found, "fr-de")
    assert side.frame_source(side.encode("Nom")) == original("Nom").input_ids
    assert target.before_target == (2, *original(text_target="Nom").input_ids[:1])


@pytest.mark.parametrize("token", ["<s>", "</s>", "<pad>", "__fr__"])
def test_no_text_encodes_to_special_tokens(found: ImportedVocabulary, token: str) -> None:
    assert found.source.pieces.index(token) not in found.source.encode(f"{token} a {token}")


def test_the_languages_of_wmt21(bpe: bytes, text: Text, tmp_path: Path) -> None:
    folder = write_m2m100(tmp_path / "model", bpe, used_pieces(bpe, text["fr"]), len(WMT21))
    settings = {"tokenizer_class": "M2M100Tokenizer", "language_codes": "wmt21"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    original = M2M100Tokenizer.from_pretrained(folder)
    assert read_vocabulary(folder).languages == {code: original.get_lang_id(code) for code in WMT21}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"language_codes": "wmt22"}))
    with pytest.raises(IncompatibleError, match="unknown language_codes 'wmt22'; expected m2m100, wmt21"):
        read_vocabulary(folder)


def test_language_tokens_in_the_vocabulary(bpe: bytes, tmp_path: Path) -> None:
    folder = write_m2m100(tmp_path / "model", bpe, ["a", "__fr__"], len(M2M100))
    with pytest.raises(IncompatibleError, match="contains __fr__; expected language tokens only after its ids"):
        read_vocabulary(folder)


def test_as_transformers_saves_it(
    folder: Path, original: M2M100Tokenizer, found: ImportedVocabulary, tmp_path: Path
) -> None:
    original.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    assert read_vocabulary(tmp_path) == found
