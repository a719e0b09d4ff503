from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import MarianTokenizer

from continual_mt.data.tokenizer import Tokenizer
from continual_mt.errors import CorruptionError, IncompatibleError
from continual_mt.interchange.huggingface.tokenizers.reading import read_vocabulary
from continual_mt.interchange.huggingface.tokenizers.vocabulary import ImportedVocabulary
from tests.continual_mt.interchange.huggingface.published import (
    numbered,
    sentencepiece_model,
    sides,
    used_pieces,
    write_marian,
)
from tests.continual_mt.interchange.huggingface.tokenizers.conftest import Compare, Text

pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")


@pytest.fixture(scope="module", params=["unigram", "bpe"])
def models(request: pytest.FixtureRequest, django_catalogs: Text) -> tuple[bytes, bytes]:
    """French to English and German."""
    target = django_catalogs["en"] + django_catalogs["de"]
    kind = request.param
    return sentencepiece_model(django_catalogs["fr"], 500, kind), sentencepiece_model(target, 500, kind)


@pytest.fixture(scope="module")
def shared(
    models: tuple[bytes, bytes], django_catalogs: Text, tmp_path_factory: pytest.TempPathFactory
) -> tuple[MarianTokenizer, ImportedVocabulary]:
    """One vocabulary of the pieces that half of the text is split into, with characters that the models lack."""
    source = used_pieces(models[0], django_catalogs["fr"][::2])
    target = used_pieces(models[1], django_catalogs["en"][::2])
    vocabulary = numbered("</s>", "<unk>", ">>eng<<", ">>deu<<", *source, *target, "ж", "日本語", "<pad>")
    folder = write_marian(tmp_path_factory.mktemp("marian") / "shared", models, vocabulary)
    return MarianTokenizer.from_pretrained(folder), read_vocabulary(folder)


@pytest.fixture(scope="module")
def separate(
    models: tuple[bytes, bytes], django_catalogs: Text, tmp_path_factory: pytest.TempPathFactory
) -> tuple[MarianTokenizer, ImportedVocabulary]:
    """Two vocabularies of different sizes."""
    source = numbered("</s>", "<unk>", *used_pieces(models[0], django_catalogs["fr"]), "<pad>")
    target = numbered("</s>", "<unk>", *used_pieces(models[1], django_catalogs["en"]), "<pad>")
    folder = write_marian(tmp_path_factory.mktemp("marian") / "separate", models, source, target)
    return MarianTokenizer.from_pretrained(folder), read_vocabulary(folder)


def test_shared_vocabulary(shared: tuple[MarianTokenizer, ImportedVocabulary], assert_same: Compare) -> None:
    original, found = shared
    assert found.source.size == found.target.size == len(original.encoder)
    assert found.source.pieces == found.target.pieces == list(original.encoder)
    assert_same(original, found.source)
    assert_same(original, found.target, encode=lambda sentence: original(text_target=sentence).input_ids[:-1])


def test_the_vocabulary_lacks_pieces_and_has_others(
    shared: tuple[MarianTokenizer, ImportedVocabulary],
) -> None:
    """What the comparison relies on: pieces without a type, types without a piece, and runs of unknown characters."""
    original, found = shared
    lacking = [piece for piece in map(original.spm_source.id_to_piece, range(3, 500)) if piece not in original.encoder]
    assert lacking
    ids = found.source.encode("ж 日本語 жж 日")
    assert ids == original("ж 日本語 жж 日", add_special_tokens=False).input_ids
    assert {"ж", "日本語", "<unk>"} <= {found.source.pieces[number] for number in ids}
    assert found.source.decode([found.source.pieces.index("日本語"), found.source.pieces.index("<pad>")]) == "日本語"
    with pytest.raises(IndexError):
        found.source.decode([found.source.size])


def test_separate_vocabularies(separate: tuple[MarianTokenizer, ImportedVocabulary], assert_same: Compare) -> None:
    original, found = separate
    assert found.source.pieces == list(original.encoder)
    assert found.target.pieces == list(original.target_encoder)
    assert found.source.size != found.target.size
    assert [side.pieces[side.pad] for side in (found.source, found.target)] == ["<pad>"] * 2
    assert found.target.start == found.target.pad != found.source.pad
    assert_same(original, found.source, decode=False)  # the original decodes the target's ids only
    assert_same(original, found.target, encode=lambda sentence: original(text_target=sentence).input_ids[:-1])
    assert (found.languages, found.target_languages) == ({}, ())


@given(text=st.text(st.sampled_from("abcdeéè ,.жщ日本語½…　\u00a0\u0301😀<>")))
def test_any_text(shared: tuple[MarianTokenizer, ImportedVocabulary], text: str) -> None:
    original, found = shared
    assert found.source.encode(text) == original(text, add_special_tokens=False).input_ids


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
@pytest.mark.parametrize("options", [{"user_defined_symbols": ["<br>", "&apos;"]}, {"byte_fallback": True}])
def test_user_defined_pieces_and_bytes(
    django_catalogs: Text, tmp_path: Path, kind: str, options: dict[str, object]
) -> None:
    """Some of them are in the vocabulary, and some are not."""
    model = sentencepiece_model(django_catalogs["en"], 550, kind, **options)
    types = [*used_pieces(model, django_catalogs["en"]), "<br>", "<0xE6>", "<0xD0>"]
    vocabulary = numbered("</s>", "<unk>", *types, "<pad>")
    folder = write_marian(tmp_path / "model", (model, model), vocabulary)
    original, found = MarianTokenizer.from_pretrained(folder), read_vocabulary(folder)
    for text in ("a<br>b <br> c", "&apos; x&apos;y <br>", "ж<br>日本 😀", *django_catalogs["de"][:50]):
        assert found.source.encode(text) == original(text, add_special_tokens=False).input_ids


def test_special_ids(shared: tuple[MarianTokenizer, ImportedVocabulary]) -> None:
    original, found = shared
    for tokenizer in (found.source, found.target):
        assert (tokenizer.pad, tokenizer.unknown, tokenizer.end) == (original.pad_token_id, 1, 0)
        assert tokenizer.start == tokenizer.pad == tokenizer.size - 1


def test_the_source_is_marked_with_the_target_language(
    shared: tuple[MarianTokenizer, ImportedVocabulary], separate: tuple[MarianTokenizer, ImportedVocabulary]
) -> None:
    original, found = shared
    assert found.languages == {"eng": 2, "deu": 3}
    assert (found.source_languages, found.target_languages) == ((), ("eng", "deu"))
    (side, target), sentence = sides(found, "fra-deu"), "Le nom d’utilisateur"
    assert original(f">>deu<< {sentence}").input_ids == side.frame_source(side.encode(sentence))
    assert target == found.target
    assert found.target.before_target == (original.pad_token_id,)
    original, found = separate
    assert sides(found, "fra-eng") == (found.source, found.target)
    assert original(sentence).input_ids == found.source.frame_source(found.source.encode(sentence))


@pytest.mark.parametrize("token", ["</s>", "<pad>", ">>deu<<"])
def test_no_text_encodes_to_special_tokens(shared: tuple[MarianTokenizer, ImportedVocabulary], token: str) -> None:
    """The original encodes these to their tokens, wherever they are in a text."""
    original, found = shared
    assert original.convert_tokens_to_ids(token) in original(f"{token} a").input_ids
    assert found.source.pieces.index(token) not in found.source.encode(f"{token} a {token}")


def test_bytes_make_the_tokenizer(shared: tuple[MarianTokenizer, ImportedVocabulary], text: Text) -> None:
    _, found = shared
    copy = Tokenizer(found.source.model)
    assert copy == found.source
    assert copy.encode_batch(text["de"]) == found.source.encode_batch(text["de"])


def test_another_start(models: tuple[bytes, bytes], tmp_path: Path) -> None:
    vocabulary = numbered("</s>", "<unk>", "<s>", "a", "<pad>")
    folder = write_marian(tmp_path / "model", models, vocabulary)
    (folder / "generation_config.json").write_text('{"decoder_start_token_id": 2}')
    assert read_vocabulary(folder).target.start == 2
    for number, name in ((3, "'a'"), (9, "None")):
        (folder / "generation_config.json").write_text(json.dumps({"decoder_start_token_id": number}))
        expected = f"decoder_start_token_id is {number}, the id of {name}; expected that of a special token"
        with pytest.raises(IncompatibleError, match=expected):
            read_vocabulary(folder)


def test_only_one_file_has_the_start(models: tuple[bytes, bytes], tmp_path: Path) -> None:
    """As in transformers: where it is missing, the token that begins texts is taken."""
    folder = write_marian(tmp_path / "model", models, numbered("</s>", "<unk>", "<s>", "a", "<pad>"))
    generation = folder / "generation_config.json"
    generation.write_text("{}")
    assert read_vocabulary(folder).target.start == 4
    generation.write_text('{"num_beams": 4, "bos_token_id": 2}')
    assert read_vocabulary(folder).target.start == 2
    generation.write_text('{"num_beams": 4}')
    with pytest.raises(IncompatibleError, match=r"neither .* nor bos_token_id is set in generation_config.json; expec"):
        read_vocabulary(folder)
    generation.write_text('{"num_beams": 4, "bos_token_id": 3}')
    with pytest.raises(IncompatibleError, match=r"bos_token_id is 3, the id of 'a'; expected that of a special token"):
        read_vocabulary(folder)


@pytest.mark.parametrize("value", [True, 2.0, "2", [2]])
@pytest.mark.parametrize("key", ["decoder_start_token_id", "pad_token_id"])
def test_an_id_that_is_no_whole_number(models: tuple[bytes, bytes], tmp_path: Path, key: str, value: object) -> None:
    folder = write_marian(tmp_path / "model", models, numbered("</s>", "<unk>", "<s>", "a", "<pad>"))
    (folder / "generation_config.json").write_text(json.dumps({"decoder_start_token_id": 2} | {key: value}))
    with pytest.raises(IncompatibleError, match=f"^{re.escape(f'{key} is {value!r}; expected a whole number')}"):
        read_vocabulary(folder)


@pytest.mark.parametrize(
    ("vocabulary", "problem"),
    [
        ({"</s>": 0, "<unk>": 1, "<pad>": 3}, "no type has the id 2; expected ids from 0 to 2"),
        ({"</s>": 0, "<unk>": 1, "a": 1, "<pad>": 2}, "'<unk>' and 'a' have the same id, 1"),
        ({"</s>": 0, "<unk>": 1, "<pad>": "2"}, "the id of '<pad>' is '2'; expected a whole number"),
        ({"</s>": 0, "<unk>": 1, "x": 2}, "the pad token '<pad>' is not in the vocabulary"),
    ],
)
def test_a_vocabulary_that_does_not_fit(
    models: tuple[bytes, bytes], tmp_path: Path, vocabulary: dict[str, int], problem: str
) -> None:
    folder = write_marian(tmp_path / "model", models, {"<pad>": 2} | vocabulary)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    with pytest.raises(IncompatibleError, match=rf"vocab\.json: {problem}"):
        read_vocabulary(folder)


def test_ids_that_differ_from_the_configuration(models: tuple[bytes, bytes], tmp_path: Path) -> None:
    folder = write_marian(tmp_path / "model", models, numbered("<unk>", "</s>", "a", "<pad>"))
    with pytest.raises(IncompatibleError, match="'</s>' has the id 1, but eos_token_id is 0"):
        read_vocabulary(folder)


def test_a_type_that_is_not_text(models: tuple[bytes, bytes], tmp_path: Path) -> None:
    folder = write_marian(tmp_path / "model", models, numbered("</s>", "<unk>", "\ud800", "<pad>"))
    with pytest.raises(CorruptionError, match=r"the type '\\ud800' is not valid Unicode"):
        read_vocabulary(folder)
