from __future__ import annotations

from dataclasses import replace

import pytest

from continual_mt.artifacts.parent_languages import ParentLanguages, ParentSide
from continual_mt.errors import IncompatibleError, InputError, LanguageError, UnknownNameError
from continual_mt.interchange.huggingface.language_choice import LanguageChoice
from tests.continual_mt.interchange.huggingface.published import small_vocabulary

NLLB = {"fra_Latn": "fra_Latn", "eng_Latn": "eng_Latn", "zho_Hans": "zho_Hans", "zho_Hant": "zho_Hant"}
MARIAN = {"fra": ">>fra<<", "fr": ">>fr<<", "deu": ">>deu<<", "qqqq": ">>qqqq<<"}
FRENCH, ENGLISH = ParentSide("fr", "fra_Latn", "fra_Latn"), ParentSide("en", "eng_Latn", "eng_Latn")


@pytest.fixture(scope="module")
def nllb() -> LanguageChoice:
    form = {
        "encoder_input": ("source language", "text", "end"),
        "decoder_input": ("start", "target language", "text", "end"),
    }
    return LanguageChoice(small_vocabulary("nllb", NLLB, **form), "m")


@pytest.fixture(scope="module")
def several() -> LanguageChoice:
    """Marian, whose sentences name the target only."""
    form = {"encoder_input": ("target language", "text", "end"), "decoder_input": ("start", "text", "end")}
    return LanguageChoice(small_vocabulary("marian", MARIAN, **form), "m", ("eng", "gmw"))


@pytest.fixture(scope="module")
def one() -> LanguageChoice:
    """Marian of one pair."""
    form = {"encoder_input": ("text", "end"), "decoder_input": ("start", "text", "end")}
    return LanguageChoice(small_vocabulary("marian", {}, **form), "m", ("eng", "fra"))


@pytest.mark.parametrize("pair", ["fr-en", "fra_Latn-eng_Latn", "fr-eng_Latn", "fra-eng"])
def test_a_pair_by_tags_or_codes(nllb: LanguageChoice, pair: str) -> None:
    assert nllb.choose(pair, None).languages == ParentLanguages((FRENCH,), (ENGLISH,))


def test_all_languages(nllb: LanguageChoice) -> None:
    found = nllb.choose(None, ("all",))
    assert found.languages.sources == found.languages.targets
    assert {side.code: side.tag for side in found.languages.sources} == {
        "fra_Latn": "fr",
        "eng_Latn": "en",
        "zho_Hans": "zh",
        "zho_Hant": "zh_Hant",
    }


def test_some_languages(nllb: LanguageChoice) -> None:
    found = nllb.choose(None, ("en", "fra_Latn", "eng_Latn"))
    assert found.languages == ParentLanguages((FRENCH, ENGLISH), (FRENCH, ENGLISH))


def test_a_model_of_one_target(nllb: LanguageChoice) -> None:
    into_english = replace(nllb, target="eng_Latn")
    found = into_english.choose(None, ("all",)).languages
    assert (len(found.sources), found.targets) == (4, (ENGLISH,))
    assert into_english.choose("zh-en", None).languages.targets == (ENGLISH,)
    with pytest.raises(IncompatibleError, match="m: all its translations are into eng_Latn by its settings"):
        into_english.choose("en-fr", None)


def test_a_model_that_names_its_target_only(several: LanguageChoice) -> None:
    found = several.choose("en-de", None).languages
    assert found == ParentLanguages((ParentSide("en", "en"),), (ParentSide("de", "deu", ">>deu<<"),))
    found = several.choose(None, ("de", "fra")).languages
    assert [side.tag for side in found.sources] == ["en"]  # from the settings of the tokenizer
    assert [side.token for side in found.targets] == [">>deu<<", ">>fra<<"]
    with pytest.raises(InputError, match=r"^m: its settings do not name its source language; expected --pair"):
        replace(several, names=(None, None)).choose(None, ("de",))


def test_two_codes_of_one_language(several: LanguageChoice) -> None:
    with pytest.raises(IncompatibleError, match=r"^m: has two codes of one language: fra and fr \(fr\)"):
        several.choose(None, ("all",))
    only = replace(several, vocabulary=replace(several.vocabulary, languages={"deu": 70, "fra": 71, "fre": 72}))
    with pytest.raises(IncompatibleError, match="m: fr may be fra or fre; expected one of these codes"):
        only.choose("en-fr", None)
    assert several.choose("en-fr", None).languages.targets[0].code == "fr"


def test_codes_that_are_no_languages(several: LanguageChoice) -> None:
    without = replace(several, vocabulary=replace(several.vocabulary, languages={"deu": 66, "qqqq": 67}))
    found = without.choose(None, ("all",))
    assert (found.languages.tags("target"), found.left_out) == (("de",), ("qqqq",))


def test_tokens_that_only_the_source_has(several: LanguageChoice, one: LanguageChoice) -> None:
    separate = replace(several, vocabulary=replace(several.vocabulary, target=one.vocabulary.target))
    with pytest.raises(
        IncompatibleError, match="target vocabulary lacks the tokens of its languages, such as deu, which"
    ):
        separate.choose("en-de", None)


def test_a_model_of_one_pair(one: LanguageChoice) -> None:
    assert str(one.choose(None, None).languages) == "en-fr"
    assert str(one.choose("pt_BR-de", None).languages) == "pt_BR-de"
    with pytest.raises(InputError, match=r"^m: has no tokens of languages; expected --pair instead of --languages"):
        one.choose(None, ("all",))
    with pytest.raises(InputError, match=r"its settings do not name its target language; .* Fix: add --pair"):
        replace(one, names=("eng", "not a language")).choose(None, None)


def test_wrong_choices(nllb: LanguageChoice) -> None:
    with pytest.raises(
        InputError, match=r"^m: knows 4 languages; expected a choice. Fix: --languages all, --languages"
    ):
        nllb.choose(None, ())
    with pytest.raises(
        UnknownNameError, match=r"^m: does not know the language 'de'.*; expected one of en, fr, zh, zh_Hant"
    ):
        nllb.choose("fr-de", None)
    with pytest.raises(UnknownNameError, match=r"does not know the language 'eng_Lat' \(did you mean eng_Latn\?\)"):
        nllb.choose(None, ("eng_Lat",))
    for pair in ("fr", "fr-", "fr-en-de"):
        with pytest.raises(LanguageError, match="is not a pair; expected SOURCE-TARGET, for example fr-en or fra_Latn"):
            nllb.choose(pair, None)
    unknown = replace(nllb, vocabulary=replace(nllb.vocabulary, family="marian", languages={"qqqq": 64}))
    with pytest.raises(IncompatibleError, match="a parent without a source language; expected at least one"):
        unknown.choose(None, ("all",))
