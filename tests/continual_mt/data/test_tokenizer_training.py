from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sentencepiece
from sentencepiece import sentencepiece_model_pb2

from continual_mt.data import tokenizer_training
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.data.tokenizer_training import (
    LEAST_WITH_BYTES,
    TOKENS_PER_TYPE,
    VOCABULARY_SIZES,
    tokens_to_start,
    train_tokenizer,
)
from continual_mt.errors import CorpusError


@pytest.fixture(scope="module")
def german(django_catalogs: dict[str, list[str]]) -> list[str]:
    return django_catalogs["de"]


@pytest.fixture(scope="module")
def tokenizer(german: list[str]) -> Tokenizer:
    return train_tokenizer(lambda: german, 400)


def test_the_same_text_gives_the_same_bytes_in_another_process(
    tokenizer: Tokenizer, django_text_files: dict[str, Path]
) -> None:
    program = (
        "import sys, pathlib; from continual_mt.data.tokenizer_training import train_tokenizer;"
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
    size = chosen.size - len(chosen.byte_types)
    larger = VOCABULARY_SIZES[VOCABULARY_SIZES.index(size) - 1]
    assert sum(map(len, chosen.encode_batch(text))) >= size * TOKENS_PER_TYPE
    with_larger = train_tokenizer(lambda: text, larger)
    assert sum(map(len, with_larger.encode_batch(text))) < larger * TOKENS_PER_TYPE


def test_a_start_that_knows_words_needs_fewer_tokens_per_type(german: list[str]) -> None:
    """The number of types is at most 20 times the root of the number of tokens."""
    tokenizer = train_tokenizer(lambda: german, enough_tokens=tokens_to_start)
    assert tokenizer.size > train_tokenizer(lambda: german).size
    tokens = sum(map(len, tokenizer.encode_batch(german)))
    assert tokenizer.size - len(tokenizer.byte_types) <= 20 * tokens**0.5


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
    found = train_tokenizer(lambda: german, largest)
    assert found.size - len(found.byte_types) == largest


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
    monkeypatch.setattr(tokenizer_training, "TRAINING_SENTENCES", 200)
    first, again = (train_tokenizer(lambda: german, 300, seed=1) for _ in range(2))
    other = train_tokenizer(lambda: german, 300, seed=2)
    assert first == again != other


def test_bytes_do_not_count_in_the_size(german: list[str]) -> None:
    tokenizer = train_tokenizer(lambda: german, LEAST_WITH_BYTES)
    assert (tokenizer.size, len(tokenizer.byte_types)) == (LEAST_WITH_BYTES + 256, 256)
    assert tokenizer.pieces[min(tokenizer.byte_types)] == "<0x00>"


def test_a_small_vocabulary_has_no_bytes_and_every_character_of_its_text(german: list[str]) -> None:
    text = [*german, "ein Ω, einmal"]
    tokenizer = train_tokenizer(lambda: text, LEAST_WITH_BYTES - 1)
    assert (tokenizer.size, tokenizer.byte_types) == (LEAST_WITH_BYTES - 1, frozenset())
    assert tokenizer.decode(tokenizer.encode("ein Ω")) == "ein Ω"


def test_tokenizers_of_earlier_versions_are_trained_to_the_same_bytes(german: list[str]) -> None:
    tokenizer = train_tokenizer(lambda: german, 400, rule="identity")
    assert tokenizer.digest == "f029d993b626317244ff60887d08a9aa1312ce0ad2caa6bc3ede74ea0c0b5845"
    assert tokenizer.byte_types == frozenset()


def test_new_tokenizers_are_trained_to_these_bytes(german: list[str]) -> None:
    """Additions with equal specs share a tokenizer, whatever the machine and the version of Python."""
    assert (
        train_tokenizer(lambda: german, 1000).digest
        == "d889b902736cc2e171a2dd746af966a112849ef859354bc2cf75fd610b881a91"
    )


def test_the_model_has_the_rule_and_no_path_of_this_machine(tokenizer: Tokenizer) -> None:
    proto = sentencepiece_model_pb2.ModelProto.FromString(tokenizer.model)  # type: ignore[attr-defined]
    assert proto.normalizer_spec.normalization_rule_tsv == ""
    assert b".tsv" not in tokenizer.model
    processor = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.model)
    assert processor.normalize("scho\u0308n\u202fwar") == "▁schön▁war"


def test_korean_syllables_are_composed_where_the_text_has_korean(german: list[str]) -> None:
    jamo = "\u1112\u1161\u11ab\u1100\u1173\u11af"
    korean = train_tokenizer(lambda: [*german, "한글 문서"], 400)
    assert korean.normalized(jamo) == "한글"
    assert train_tokenizer(lambda: german, 400).normalized(jamo) == jamo
