from __future__ import annotations

import pytest

from continual_mt.artifacts.parent_languages import ParentLanguages, ParentSide, listed, only_pair
from continual_mt.errors import IncompatibleError, LanguageError
from continual_mt.languages import Pair

BILINGUAL = ParentLanguages.of_pair(Pair("es", "en"))


def sides(*codes: str) -> tuple[ParentSide, ...]:
    return tuple(ParentSide(code.partition("_")[0][:2], code, f"__{code}__") for code in codes)


MANY = ParentLanguages(sides("fra_Latn", "deu_Latn", "eng_Latn"), sides("eng_Latn", "fra_Latn"))


def test_a_parent_of_one_pair() -> None:
    assert (str(BILINGUAL), BILINGUAL.several, BILINGUAL.count) == ("es-en", (), 1)
    assert BILINGUAL.only_pair == only_pair(BILINGUAL) == Pair("es", "en")
    assert list(BILINGUAL.pairs()) == [Pair("es", "en")]


def test_a_parent_of_several_languages_translates_each_into_each_other() -> None:
    assert (str(MANY), MANY.several, MANY.count) == ("{de, en, fr}-{en, fr}", ("source", "target"), 4)
    assert list(map(str, MANY.pairs())) == ["de-en", "de-fr", "en-fr", "fr-en"]
    assert all(pair in MANY for pair in MANY.pairs())
    assert Pair("fr", "de") not in MANY
    with pytest.raises(IncompatibleError, match=r"the parent \{de, en, fr\}-\{en, fr\} has several pairs; expected a"):
        only_pair(MANY)


def test_a_denoising_parent_has_sides_and_translates_nothing() -> None:
    denoising = ParentLanguages(MANY.sources, MANY.targets, denoising=True)
    assert (denoising.count, list(denoising.pairs()), Pair("de", "en") in denoising) == (0, [], False)
    assert denoising.new_side(Pair("quy", "en")) == "source"


def test_the_parents_own_codes_are_accepted_wherever_a_tag_is() -> None:
    assert MANY.written_in_tags("deu_Latn") == "de"
    assert MANY.pair_in_tags(Pair("quy", "eng_Latn")) == Pair("quy", "en")
    assert MANY.pair_in_tags(Pair("de", "en")) == Pair("de", "en")
    assert BILINGUAL.pair_in_tags(Pair("deu_Latn", "en")) == Pair("de_Latn", "en")
    with pytest.raises(LanguageError, match="'xx1x_' is not a language tag"):
        MANY.written_in_tags("xx1x_")


def test_the_new_side_of_an_addition() -> None:
    assert BILINGUAL.new_side(Pair("pt", "en")) == "source"
    assert BILINGUAL.new_side(Pair("es", "de")) == "target"
    assert MANY.new_side(Pair("quy", "fr")) == "source"
    assert MANY.new_side(Pair("fr", "de")) == "target"  # a source of the parent, and no target


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("es-en", "es-en is the pair of the parent; expected a pair with one new language"),
        (
            "pt-de",
            "pt-de shares no side with the parent es-en; expected XX-en for a new source language or es-XX for a",
        ),
        ("en-es", "en-es shares no side with the parent es-en"),
        ("en-de", "shares no side"),
        ("pt-es", "shares no side"),
    ],
)
def test_a_pair_without_exactly_one_new_side_is_rejected(pair: str, message: str) -> None:
    with pytest.raises(IncompatibleError, match=message):
        BILINGUAL.new_side(Pair.parse(pair))


def test_a_pair_without_exactly_one_new_side_of_several_is_rejected() -> None:
    with pytest.raises(IncompatibleError, match="de-fr is a pair of the parent; expected a pair with one new language"):
        MANY.new_side(Pair("de", "fr"))
    with pytest.raises(IncompatibleError, match=r"expected XX-\{en, fr\} for a new source .* or \{de, en, fr\}-XX for"):
        MANY.new_side(Pair("pt", "it"))


def test_two_codes_of_one_tag_are_refused() -> None:
    both = (ParentSide("zh", "zho_Hans"), ParentSide("zh", "zh_CN"))
    with pytest.raises(IncompatibleError, match="zh_CN and zho_Hans are both the source language zh; expected one"):
        ParentLanguages(both, MANY.targets)


def test_languages_are_checked() -> None:
    with pytest.raises(IncompatibleError, match="a parent without a target language; expected at least one"):
        ParentLanguages(MANY.sources, ())
    with pytest.raises(LanguageError, match="'pt-BR' is not how the tag is written; expected 'pt_BR'"):
        ParentLanguages((ParentSide("pt-BR", "pt_BR"),), MANY.targets)


def test_many_tags_are_counted() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed(map(str, range(200))).endswith("9, 10 and 189 more")
