from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import MBart50Tokenizer, MBartTokenizer, NllbTokenizer

from continual_mt.errors import CorruptionError, IncompatibleError
from continual_mt.interchange.huggingface.tokenizers.language_codes import MBART, MBART50, NLLB
from continual_mt.interchange.huggingface.tokenizers.reading import read_vocabulary
from continual_mt.interchange.huggingface.tokenizers.vocabulary import ImportedVocabulary
from tests.continual_mt.interchange.huggingface.published import (
    FIRST,
    pieces,
    sentencepiece_model,
    sides,
    write_mbart,
    write_nllb,
)
from tests.continual_mt.interchange.huggingface.tokenizers.conftest import Compare


@dataclass(frozen=True)
class Case:
    folder: Path
    original: Any
    found: ImportedVocabulary
    french: str
    german: str


def mbart(folder: Path, model: bytes, kind: Any, codes: tuple[str, ...]) -> Case:
    write_mbart(folder, model, kind.__name__, codes)
    original = kind.from_pretrained(folder, src_lang="fr_XX", tgt_lang="de_DE")
    return Case(folder, original, read_vocabulary(folder), "fr_XX", "de_DE")


@pytest.fixture(scope="module")
def mbart50(unigram: bytes, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return mbart(tmp_path_factory.mktemp("mbart") / "model", unigram, MBart50Tokenizer, MBART50)


@pytest.fixture(scope="module")
def mbart_cc25(unigram: bytes, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return mbart(tmp_path_factory.mktemp("mbart") / "model", unigram, MBartTokenizer, MBART)


@pytest.fixture(scope="module")
def nllb(bpe: bytes, tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = write_nllb(tmp_path_factory.mktemp("nllb") / "model", bpe, NLLB)
    original = NllbTokenizer.from_pretrained(folder, src_lang="fra_Latn", tgt_lang="deu_Latn")
    return Case(folder, original, read_vocabulary(folder), "fra_Latn", "deu_Latn")


@pytest.fixture(params=["mbart50", "mbart_cc25", "nllb"])
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.getfixturevalue(request.param)
    return found


def test_ids_are_those_of_the_original(case: Case, assert_same: Compare) -> None:
    assert case.found.source is case.found.target
    assert_same(case.original, case.found.source)


def test_any_type_decodes_as_in_the_original(case: Case) -> None:
    for number in range(len(case.original)):
        expected = case.original.decode([number], skip_special_tokens=True)
        assert case.found.target.decode([number]).strip() == expected.strip()


LETTERS = st.text(st.sampled_from("abcdeéèüß ,.жщ日本語½…Ａ'\"«»😀<>-"))


@given(text=LETTERS.map(str.strip))
def test_any_text_to_mbart50(mbart50: Case, text: str) -> None:
    assert mbart50.found.source.encode(text) == mbart50.original(text, add_special_tokens=False).input_ids


@given(text=LETTERS)
def test_any_text_to_mbart(mbart_cc25: Case, text: str) -> None:
    assert mbart_cc25.found.source.encode(text) == mbart_cc25.original(text, add_special_tokens=False).input_ids


@given(text=LETTERS.map(str.strip))
def test_any_text_to_nllb(nllb: Case, text: str) -> None:
    assert nllb.found.source.encode(text) == nllb.original(text, add_special_tokens=False).input_ids


def test_white_space_to_mbart(mbart_cc25: Case) -> None:
    spaces = filter(str.isspace, map(chr, range(0x3001)))
    for text in (f"a{space}b" for space in spaces):
        assert mbart_cc25.found.source.encode(text) == mbart_cc25.original(text, add_special_tokens=False).input_ids


def test_a_space_at_the_end_is_no_text(mbart50: Case, nllb: Case) -> None:
    """transformers 5 gives it a type of its own; SentencePiece, with which the models were trained, does not."""
    for case in (mbart50, nllb):
        ids = case.original("Nom", add_special_tokens=False).input_ids
        space = case.original.convert_tokens_to_ids("▁")
        assert case.original("Nom ", add_special_tokens=False).input_ids == [*ids, space]
        assert case.found.source.encode(" Nom ") == case.found.source.encode("Nom") == ids


def test_languages(case: Case) -> None:
    codes = {"mbart": MBART, "mbart50": MBART50, "nllb": NLLB}[case.found.family]
    assert tuple(case.found.languages) == case.found.source_languages == case.found.target_languages == codes
    assert case.found.languages == {code: case.original.convert_tokens_to_ids(code) for code in codes}


def test_special_ids(case: Case) -> None:
    tokenizer = case.found.target
    assert (tokenizer.pad, tokenizer.end, tokenizer.unknown, tokenizer.start) == (1, 2, 3, 2)
    assert tokenizer.size == len(case.original) + (2 if case.found.family == "nllb" else 0)
    for token in (*FIRST, "<mask>", case.french):
        assert tokenizer.pieces[case.original.convert_tokens_to_ids(token)] == token


def test_where_languages_go(case: Case) -> None:
    side, target = sides(case.found, f"{case.french}-{case.german}")
    assert side.frame_source(side.encode("Nom")) == case.original("Nom").input_ids
    language = case.found.languages[case.german]
    assert target.before_target == ((language,) if case.found.family == "mbart" else (2, language))


def test_legacy_nllb_has_the_language_after_the_text(bpe: bytes, tmp_path: Path) -> None:
    folder = write_nllb(tmp_path / "model", bpe, NLLB, legacy_behaviour=True)
    original = NllbTokenizer.from_pretrained(folder, src_lang="fra_Latn")
    found = read_vocabulary(folder)
    side, _ = sides(found, "fra_Latn-deu_Latn")
    assert side.frame_source(side.encode("Nom")) == original("Nom").input_ids
    assert original("Nom").input_ids == [*found.source.encode("Nom"), 2, found.languages["fra_Latn"]]


@pytest.mark.parametrize("token", ["<s>", "</s>", "<mask>", "{french}", "<unused 900>"])
def test_no_text_encodes_to_special_tokens(case: Case, token: str) -> None:
    """The original encodes these to their tokens, wherever they are in a text."""
    token = token.format(french=case.french)
    special = {*case.found.languages.values(), 0, 1, 2, *range(len(case.original) - 1, case.found.source.size)}
    assert special.isdisjoint(case.found.source.encode(f"{token} a{token}"))


def saved_by_transformers(case: Case, folder: Path) -> Path:
    """Write the folder as transformers 5 does: without the SentencePiece model."""
    case.original.save_pretrained(folder)
    shutil.copy(case.folder / "config.json", folder)
    return folder


def test_a_folder_without_the_sentencepiece_model(case: Case, tmp_path: Path, assert_same: Compare) -> None:
    found = read_vocabulary(saved_by_transformers(case, tmp_path / "saved"))
    assert found.source.pieces == case.found.source.pieces
    assert (found.family, found.languages) == (case.found.family, case.found.languages)
    assert_same(case.original, found.source)


def test_a_folder_with_both_files_is_one_with_the_sentencepiece_model(case: Case, bpe: bytes, tmp_path: Path) -> None:
    saved = saved_by_transformers(case, tmp_path / "saved")
    shutil.copy(case.folder / "sentencepiece.bpe.model", saved)
    assert read_vocabulary(saved) == case.found


def test_nllb_without_tokenizer_json_has_the_published_codes(
    nllb: Case, bpe: bytes, tmp_path: Path, assert_same: Compare
) -> None:
    """transformers 5 itself lacks the language tokens then."""
    found = read_vocabulary(write_nllb(tmp_path / "model", bpe, NLLB, files=["model"]))
    assert found == nllb.found
    assert (found.languages["eng_Latn"] - found.languages["ace_Arab"], len(found.languages)) == (46, 202)


def test_a_language_that_was_added_to_nllb(bpe: bytes, tmp_path: Path) -> None:
    folder = write_nllb(tmp_path / "model", bpe, [*NLLB, "tyv_Cyrl"], files=["json"])
    original = NllbTokenizer.from_pretrained(folder)
    assert read_vocabulary(folder).languages["tyv_Cyrl"] == original.convert_tokens_to_ids("tyv_Cyrl") > 600


def change_json(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        content = json.loads((folder / "tokenizer.json").read_text())
        change(content)
        (folder / "tokenizer.json").write_text(json.dumps(content))

    return changed


def move_a_merge(merges: list[list[str]]) -> None:
    """Move to the end the first of two merges that make the same piece."""
    made = ["".join(merge) for merge in merges]
    merges.append(merges.pop(next(number for number, piece in enumerate(made) if piece == made[number + 1])))


def change_config(**values: object) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | values))

    return changed


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (change_json(lambda content: move_a_merge(content["model"]["merges"])), "the merges for .* are not together"),
        (change_json(lambda content: content["model"]["merges"].pop()), "1 merges differ from those of SentencePiece"),
        (change_json(lambda content: content["model"].update(byte_fallback=True)), "spells rare characters in bytes"),
        (change_json(lambda content: content["model"].update(type="WordPiece")), "a WordPiece model; expected Unigram"),
        (
            change_json(lambda content: content["added_tokens"].append({"id": 9, "content": "<x>", "special": True})),
            "have the same id, 9",
        ),
        (
            change_json(lambda content: content["added_tokens"].append({"id": 999, "content": "<x>", "special": True})),
            "no type has the id 80[0-9]",
        ),
        (
            change_json(lambda content: content["added_tokens"].append({"id": 0, "content": "</s>", "special": True})),
            "'</s>' has two ids, 2 and 0",
        ),
        (
            change_json(lambda content: content["added_tokens"].append({"id": 804, "content": "x", "special": False})),
            "the added token 'x' is not special",
        ),
        (change_config(vocab_size=500), r"80[0-9] types, but config.json has 500 embeddings; expected at least 80"),
        (change_config(vocab_size=5000), "has 5000 embeddings; expected at most 256 more. Fix: get the model's own"),
        (change_config(vocab_size=None), "config.json has None embeddings; expected at least"),
        (change_config(pad_token_id=0), "'<pad>' has the id 1, but pad_token_id is 0"),
    ],
)
def test_a_folder_that_does_not_fit(bpe: bytes, tmp_path: Path, change: Callable[[Path], None], problem: str) -> None:
    change(folder := write_nllb(tmp_path / "model", bpe, NLLB, files=["json"]))
    with pytest.raises(IncompatibleError, match=problem):
        read_vocabulary(folder)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (change_json(lambda content: content.pop("model")), "KeyError: 'model'"),
        (change_json(lambda content: content.update(added_tokens=[1])), "TypeError"),
        (change_json(lambda content: content["normalizer"].update(normalizers="x")), "TypeError"),
        (change_json(lambda content: content["added_tokens"][0].update(id=float("inf"))), "OverflowError"),
        (change_json(lambda content: content["model"].update(vocab=[["\ud800", 0]])), "UnicodeEncodeError"),
        (
            change_json(lambda content: content["normalizer"]["normalizers"][0].update(precompiled_charsmap="é")),
            "ValueError",
        ),
    ],
)
def test_an_invalid_tokenizer_json(bpe: bytes, tmp_path: Path, change: Callable[[Path], None], problem: str) -> None:
    change(folder := write_nllb(tmp_path / "model", bpe, NLLB, files=["json"]))
    with pytest.raises(CorruptionError, match=rf"tokenizer\.json: invalid tokenizer \({problem}"):
        read_vocabulary(folder)


def test_files_of_different_vocabularies(bpe: bytes, unigram: bytes, tmp_path: Path) -> None:
    folder = write_nllb(tmp_path / "model", bpe, NLLB)
    (folder / "sentencepiece.bpe.model").write_bytes(unigram)
    expected = f"sentencepiece.bpe.model and tokenizer.json differ: id 4 is {pieces(unigram)[0]!r} in the first"
    with pytest.raises(IncompatibleError, match=expected):
        read_vocabulary(folder)


def test_a_model_with_other_special_ids(django_catalogs: dict[str, list[str]], tmp_path: Path) -> None:
    model = sentencepiece_model(django_catalogs["en"], 300, pad_id=0, unk_id=1, bos_id=2, eos_id=3)
    folder = write_mbart(tmp_path / "model", model, "MBartTokenizer", MBART)
    with pytest.raises(IncompatibleError, match="starts with <pad>, <unk>, <s>; expected <unk>, <s>, </s>"):
        read_vocabulary(folder)


@pytest.mark.parametrize(
    ("options", "piece"), [({"user_defined_symbols": ["<br>"]}, "<br>"), ({"byte_fallback": True}, "<0x00>")]
)
def test_pieces_that_published_models_lack(
    django_catalogs: dict[str, list[str]], tmp_path: Path, options: dict[str, Any], piece: str
) -> None:
    model = sentencepiece_model(django_catalogs["en"], 600, **options)
    folder = write_mbart(tmp_path / "model", model, "MBart50Tokenizer", MBART50)
    with pytest.raises(IncompatibleError, match=f"the piece '{piece}' is user-defined, unused or a byte"):
        read_vocabulary(folder)
