from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continual_mt.errors import LanguageError
from continual_mt.languages import Pair, parse_language


@pytest.mark.parametrize(
    ("tag", "normal"),
    [
        ("de", "de"),
        ("DE", "de"),
        ("pt_BR", "pt_BR"),
        ("pt-br", "pt_BR"),
        ("PT_br", "pt_BR"),
        ("zh_hant", "zh_Hant"),
        ("zh-hant-tw", "zh_Hant_TW"),
        ("sr_Latn", "sr_Latn"),
        ("gsw", "gsw"),
        ("yue", "yue"),
        ("zh", "zh"),
        ("cmn", "cmn"),
        ("es_419", "es_419"),
        ("ca_valencia", "ca_valencia"),
        ("de_DE_1996", "de_DE_1996"),
        ("nb", "nb"),
        ("no", "no"),
        ("iw", "he"),
        ("tlh", "tlh"),
        ("eng", "en"),
    ],
)
def test_valid_tags_have_one_normal_form(tag: str, normal: str) -> None:
    assert parse_language(tag) == normal
    assert parse_language(normal) == normal


@pytest.mark.parametrize(
    "tag",
    [
        "",
        " ",
        "d",
        "de ",
        " de",
        "de-",
        "-de",
        "de--AT",
        "de\n",
        "de/../en",
        "..",
        "d'e",
        "dé",
        "deutsch!",
        "de.AT",
        "xx",
        "english",
        "zz_ZZ",
        "de_QQQQQ_",
        "de_XX_YY_ZZ",
        "1234",
        "12",
        "a" * 36,
        "de_" + "a" * 40,
    ],
)
def test_invalid_tags_are_rejected_with_the_tag(tag: str) -> None:
    with pytest.raises(LanguageError) as raised:
        parse_language(tag)
    assert repr(tag) in str(raised.value)


@pytest.mark.parametrize("value", [None, 3, ["de"], b"de"])
def test_values_that_are_not_text_are_rejected(value: object) -> None:
    with pytest.raises(LanguageError, match="is not a language tag; expected BCP 47, for example de, pt_BR"):
        parse_language(value)  # type: ignore[arg-type]


subtags = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789", min_size=1, max_size=9)


@given(st.one_of(st.text(max_size=12), st.lists(subtags, min_size=1, max_size=4).map("-".join)))
def test_any_text_is_a_tag_or_raises_a_language_error(text: str) -> None:
    try:
        normal = parse_language(text)
    except LanguageError:
        return
    assert parse_language(normal) == normal
    assert "-" not in normal


languages = st.sampled_from(["de", "en", "pt_BR", "pt-br", "zh_Hant", "es", "gsw", "sr-Latn", "es_419", "iw", "he"])


@given(languages, languages)
def test_round_trip_of_pairs(source: str, target: str) -> None:
    if parse_language(source) == parse_language(target):
        with pytest.raises(LanguageError, match="a language is never paired with itself"):
            Pair(source, target)
        return
    pair = Pair(source, target)
    assert Pair.parse(str(pair)) == pair
    assert str(pair).count("-") == 1
    assert (pair.language("source"), pair.language("target")) == (pair.source, pair.target)
    assert pickle.loads(pickle.dumps(pair)) == pair  # noqa: S301  # our own bytes, as Ray sends them


@pytest.mark.parametrize("text", ["", "-", "de", "de-", "-en", "de-en-fr", "de–en", "de→en", "de_en", "de--en"])
def test_malformed_pairs_are_rejected(text: str) -> None:
    with pytest.raises(LanguageError) as raised:
        Pair.parse(text)
    assert str(raised.value) == f"{text!r} is not a pair; expected SOURCE-TARGET, for example de-en or pt_BR-en"


@pytest.mark.parametrize("text", ["xx-en", "de-xx", "de -en", "d/e-en"])
def test_pairs_of_invalid_tags_are_rejected(text: str) -> None:
    with pytest.raises(LanguageError):
        Pair.parse(text)


@pytest.mark.parametrize("text", ["de-de", "de-DE", "pt_br-pt_BR", "iw-he"])
def test_a_language_is_never_paired_with_itself(text: str) -> None:
    with pytest.raises(LanguageError, match="a language is never paired with itself"):
        Pair.parse(text)


def test_pairs_are_ordered_and_hashable() -> None:
    pairs = [Pair("fr", "en"), Pair("de", "es"), Pair("de", "en")]
    assert [str(pair) for pair in sorted(pairs)] == ["de-en", "de-es", "fr-en"]
    assert {Pair("pt_BR", "en"): 1}[Pair("pt-br", "en")] == 1
