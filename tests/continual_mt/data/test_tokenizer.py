from __future__ import annotations

import hashlib
import pickle
import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sentencepiece import sentencepiece_model_pb2

from continual_mt.data.tokenizer import TYPE_WITHOUT_PIECE, VOCABULARY_END, Coverage, SideTokens, Tokenizer
from continual_mt.data.tokenizer_training import train_tokenizer
from continual_mt.errors import CorruptionError

SPACES = [character for character in map(chr, range(sys.maxunicode + 1)) if character.isspace()]


@pytest.fixture(scope="module")
def german(django_catalogs: dict[str, list[str]]) -> list[str]:
    return django_catalogs["de"]


@pytest.fixture(scope="module")
def tokenizer(german: list[str]) -> Tokenizer:
    return train_tokenizer(lambda: german, 400)


def test_special_ids_are_read_from_the_model(tokenizer: Tokenizer) -> None:
    assert (tokenizer.pad, tokenizer.unknown, tokenizer.start, tokenizer.end) == (0, 1, 2, 3)
    assert tokenizer.size == 400


def test_decoding_restores_sentences(tokenizer: Tokenizer, german: list[str]) -> None:
    batch = tokenizer.encode_batch(german)
    assert batch == [tokenizer.encode(sentence) for sentence in german]
    rare = [number for number, ids in enumerate(batch) if tokenizer.unknown in ids]
    assert len(rare) < len(german) // 20
    for number, decoded in enumerate(map(tokenizer.decode, batch)):
        if number not in rare:
            assert decoded == " ".join(german[number].split())


@given(sentences=st.lists(st.lists(st.text("abdeginrstuABS,.", min_size=1), min_size=1).map(" ".join)))
def test_decoding_restores_any_text_of_known_letters(tokenizer: Tokenizer, sentences: list[str]) -> None:
    assert [tokenizer.decode(ids) for ids in tokenizer.encode_batch(sentences)] == sentences


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_no_text_encodes_to_a_control_id(tokenizer: Tokenizer, text: str) -> None:
    for sentence in (text, f"<s>{text}</s>", f"{text} <pad>"):
        assert not {tokenizer.pad, tokenizer.start, tokenizer.end} & set(tokenizer.encode(sentence))


def test_characters_are_not_normalized(german: list[str]) -> None:
    text = [*german, "½ Liter ™ Ａ"] * 3
    tokenizer = train_tokenizer(lambda: text, 400)
    assert tokenizer.decode(tokenizer.encode("½ Liter")) == "½ Liter"


def test_special_ids_are_dropped_in_decoding(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("Bitte")
    surrounded = np.array([tokenizer.start, *ids, tokenizer.unknown, tokenizer.end, tokenizer.pad], dtype=np.uint16)
    assert tokenizer.decode(surrounded) == "Bitte"
    assert tokenizer.decode([]) == ""
    with pytest.raises(IndexError):
        tokenizer.decode([400])


def test_pickling_keeps_the_bytes(tokenizer: Tokenizer) -> None:
    copy = pickle.loads(pickle.dumps(tokenizer))  # noqa: S301  Ray does this between its processes
    assert copy == tokenizer
    assert hash(copy) == hash(tokenizer)
    assert copy.model == tokenizer.model
    assert copy.encode("Bitte anmelden") == tokenizer.encode("Bitte anmelden")


@pytest.mark.parametrize("model", [b"", b"no model", b"\x00" * 100])
def test_invalid_bytes_are_rejected(model: bytes) -> None:
    with pytest.raises(CorruptionError, match="SentencePiece model"):
        Tokenizer(model)


def test_a_truncated_model_is_rejected(tokenizer: Tokenizer) -> None:
    with pytest.raises(CorruptionError, match="invalid SentencePiece model of"):
        Tokenizer(tokenizer.model[:-100])


@pytest.fixture(scope="module")
def lossless(german: list[str]) -> Tokenizer:
    return train_tokenizer(lambda: german, 1000)


@given(text=st.text())
@example("<0x41> <unk> <s> </s> <pad>")
@example("\x00a\x00 b")
@example("😀 ﷽ ½ ™ Ａ")
@example("▁ a▁b")
def test_bytes_restore_any_text(lossless: Tokenizer, text: str) -> None:
    assert lossless.decode(lossless.encode(text)) == lossless.normalized(text)
    assert lossless.unknown not in lossless.encode(text)


@given(words=st.lists(st.text("abdeginrstu", min_size=1), min_size=1), space=st.sampled_from(SPACES))
def test_any_white_space_reads_as_a_space(lossless: Tokenizer, words: list[str], space: str) -> None:
    assert lossless.encode(space.join(words)) == lossless.encode(" ".join(words))
    assert lossless.normalized(f"{space}{space.join(words)}{space}") == " ".join(words)


def test_letters_and_marks_read_as_composed_characters(
    lossless: Tokenizer, django_catalogs: dict[str, list[str]]
) -> None:
    for text in django_catalogs.values():
        for sentence in text:
            assert lossless.normalized(unicodedata.normalize("NFD", sentence)) == lossless.normalized(sentence)
            assert lossless.normalized(sentence) == " ".join(unicodedata.normalize("NFC", sentence).split())


@pytest.mark.parametrize(
    "text", ["e\u0323\u0301", "e\u0301\u0323", "\u00e9\u0323", "\u1eb9\u0301", "\u1eadn", "a\u0302\u0323n"]
)
def test_marks_are_read_in_one_order(lossless: Tokenizer, text: str) -> None:
    assert lossless.normalized(text) == unicodedata.normalize("NFC", text)


def test_coverage_counts_what_is_unknown_and_what_is_spelled_in_bytes(
    tokenizer: Tokenizer, lossless: Tokenizer
) -> None:
    text = ["Bitte 😀 anmelden", "Bitte", "éé Ж"]
    assert tokenizer.coverage(text).characters == lossless.coverage(text).characters == 13 + 1 + 5 + 3
    assert (lossless.coverage(text).unknown, tokenizer.coverage(text).in_bytes) == (0, 0)
    unknown, in_bytes = tokenizer.coverage(text).unknown, lossless.coverage(text).in_bytes
    assert 2 <= unknown <= in_bytes + 2
    assert lossless.coverage(["Bitte 😀"]) == Coverage(6, 0, 1)
    assert str(Coverage(200, 1, 3)) == "0.5% of 200 characters unknown, 1.5% spelled in bytes"
    assert str(tokenizer.coverage([])) == "0% of 0 characters unknown, 0% spelled in bytes"


def test_side_tokens_are_put_around_sentences(tokenizer: Tokenizer) -> None:
    other = tokenizer.with_side_tokens(SideTokens(before=(7,), after=(9,), start=8))
    plain = tokenizer.encode("Abbrechen")
    assert other.encode("Abbrechen") == plain
    assert tokenizer.frame_source(plain) == [*plain, tokenizer.end]
    assert other.frame_source(plain) == [7, *plain, other.end, 9]
    assert (tokenizer.before_target, other.before_target) == ((tokenizer.start,), (8, 7))
    assert (tokenizer.room(20), other.room(20)) == (19, 17)
    assert tokenizer.start != 8  # it is not changed


def test_side_tokens_are_part_of_the_identity(tokenizer: Tokenizer) -> None:
    tokens = SideTokens(before=(7,))
    other = tokenizer.with_side_tokens(tokens)
    assert other != tokenizer
    assert other == Tokenizer(tokenizer.model, tokens) == pickle.loads(pickle.dumps(other))  # noqa: S301
    assert tokenizer.digest == hashlib.sha256(tokenizer.model).hexdigest()
    others = [SideTokens(before=(8,)), SideTokens(after=(7,)), SideTokens(start=7), SideTokens(banned=(7,))]
    assert len({tokenizer.with_side_tokens(one).digest for one in [tokens, *others]}) == 5


@pytest.mark.parametrize(
    "tokens", [SideTokens((10**6,)), SideTokens(after=(-1,)), SideTokens(start=10**6), SideTokens(banned=(10**6,))]
)
def test_side_tokens_outside_the_vocabulary_are_refused(tokenizer: Tokenizer, tokens: SideTokens) -> None:
    with pytest.raises(CorruptionError, match=r"special token -?\d+: outside the vocabulary of "):
        tokenizer.with_side_tokens(tokens)
    with pytest.raises(CorruptionError, match=r"special token -?\d+: outside the vocabulary of "):
        Tokenizer(tokenizer.model, tokens)


def test_a_vocabulary_that_differs_from_the_pieces(tokenizer: Tokenizer) -> None:
    """Pieces are looked up: some are not types, and some unknown characters are."""
    model = sentencepiece_model_pb2.ModelProto.FromString(tokenizer.model)  # type: ignore[attr-defined]
    ids = tokenizer.encode("Bitte 日本 anmelden 本")
    removed = max(number for number in ids if len(tokenizer.pieces[number]) > 2)
    piece = model.pieces.pop(removed)
    for name, score in (("日本", TYPE_WITHOUT_PIECE), (VOCABULARY_END, 0)):
        model.pieces.add(piece=name, score=score, type=3)
    model.pieces.append(piece)
    found = Tokenizer(model.SerializeToString())
    assert (found.size, found.pieces[-1]) == (tokenizer.size, "日本")
    expected = [found.unknown if number == removed else number - (number > removed) for number in ids]
    expected[ids.index(tokenizer.unknown)] = found.size - 1
    assert found.encode("Bitte 日本 anmelden 本") == expected
    assert found.encode_batch(["Bitte 日本 anmelden 本"]) == [expected]
    assert expected.count(found.unknown) == 2
    assert found.decode([*found.encode("Bitte 日本"), found.start]) == "Bitte 日本"
    with pytest.raises(IndexError):
        found.decode([found.size])
