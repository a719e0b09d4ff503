from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from continual_mt.data import tokenizer as tokenizer_module
from continual_mt.data.tokenizer import TOKENS_PER_TYPE, VOCABULARY_SIZES, Tokenizer, tokens_to_start, train_tokenizer
from continual_mt.errors import CorpusError, CorruptionError


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


def test_the_same_text_gives_the_same_bytes_in_another_process(
    tokenizer: Tokenizer, django_text_files: dict[str, Path]
) -> None:
    program = (
        "import sys, pathlib; from continual_mt.data.tokenizer import train_tokenizer;"
        "lines = pathlib.Path(sys.argv[1]).read_text(encoding='utf-8').split('\\n')[:-1];"
        "print(train_tokenizer(lambda: lines, 400).digest)"
    )
    command = [sys.executable, "-c", program, str(django_text_files["de"])]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    assert found.stdout.strip() == tokenizer.digest
    assert found.stderr == ""


def test_the_chosen_size_leaves_enough_tokens_per_type(german: list[str]) -> None:
    text = german * 40
    chosen = train_tokenizer(lambda: text)
    larger = VOCABULARY_SIZES[VOCABULARY_SIZES.index(chosen.size) - 1]
    assert sum(map(len, chosen.encode_batch(text))) >= chosen.size * TOKENS_PER_TYPE
    with_larger = train_tokenizer(lambda: text, larger)
    assert sum(map(len, with_larger.encode_batch(text))) < larger * TOKENS_PER_TYPE


def test_a_start_that_knows_words_needs_fewer_tokens_per_type(german: list[str]) -> None:
    """The number of types is at most 20 times the root of the number of tokens."""
    tokenizer = train_tokenizer(lambda: german, enough_tokens=tokens_to_start)
    assert tokenizer.size > train_tokenizer(lambda: german).size
    tokens = sum(map(len, tokenizer.encode_batch(german)))
    assert tokenizer.size <= 20 * tokens**0.5


def test_more_text_makes_other_pieces_and_not_more_of_them(german: list[str]) -> None:
    few = german[:60]
    alone = train_tokenizer(lambda: few, enough_tokens=tokens_to_start)
    helped = train_tokenizer(lambda: [*few, *german], enough_tokens=tokens_to_start, counted=lambda: few)
    assert helped.size == alone.size
    assert helped.pieces != alone.pieces
    assert train_tokenizer(lambda: german, enough_tokens=tokens_to_start).size > alone.size


def test_tiny_text_still_gets_a_tokenizer(german: list[str]) -> None:
    assert train_tokenizer(lambda: german[:30]).size in VOCABULARY_SIZES
    assert 4 < train_tokenizer(lambda: ["Hallo du"]).size < 125


def test_the_error_for_a_too_large_size_states_the_maximum(german: list[str]) -> None:
    with pytest.raises(
        CorpusError, match=r"^train\.de: too small for a vocabulary of 20000; expected at most"
    ) as caught:
        train_tokenizer(lambda: german, 20_000, origin="train.de")
    largest = int(str(caught.value).rsplit(" ", 1)[1])
    assert train_tokenizer(lambda: german, largest).size == largest


def test_the_error_for_a_too_small_size_states_the_minimum(german: list[str]) -> None:
    with pytest.raises(CorpusError, match=r"too many characters for a vocabulary of 20; expected at least") as caught:
        train_tokenizer(lambda: german, 20)
    smallest = int(str(caught.value).rsplit(" ", 1)[1])
    assert train_tokenizer(lambda: german, smallest).size == smallest


@pytest.mark.parametrize("text", [[], ["", "  "]])
def test_empty_text_is_rejected(text: list[str]) -> None:
    with pytest.raises(CorpusError, match="no text to train a tokenizer on"):
        train_tokenizer(lambda: text)


@pytest.mark.parametrize("error", [CorpusError("train.de", "gone", 7), KeyboardInterrupt("stop")])
def test_exceptions_of_the_reader_are_not_replaced(german: list[str], error: BaseException) -> None:
    passes = 0

    def fail_on_the_second_pass() -> Iterator[str]:
        nonlocal passes
        passes += 1
        yield from german
        if passes == 2:
            raise error

    with pytest.raises(type(error)) as caught:
        train_tokenizer(fail_on_the_second_pass, 400)
    assert caught.value is error


def test_large_text_is_sampled_by_seed(german: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer_module, "TRAINING_SENTENCES", 200)
    first, again = (train_tokenizer(lambda: german, 300, seed=1) for _ in range(2))
    other = train_tokenizer(lambda: german, 300, seed=2)
    assert first == again != other
