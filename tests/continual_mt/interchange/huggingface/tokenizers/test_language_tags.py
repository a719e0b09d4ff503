from __future__ import annotations

import pytest

from continual_mt.errors import IncompatibleError, LanguageError
from continual_mt.interchange.huggingface.tokenizers.language_codes import M2M100, MBART, MBART50, NLLB, WMT21
from continual_mt.interchange.huggingface.tokenizers.language_tags import language_tag, language_tags
from continual_mt.interchange.huggingface.tokenizers.vocabulary import Family
from continual_mt.languages import parse_language

PUBLISHED: list[tuple[Family, tuple[str, ...], int]] = [
    ("mbart", MBART, 25),
    ("mbart50", MBART50, 52),
    ("m2m100", M2M100, 100),
    ("m2m100", WMT21, 8),
    ("nllb", NLLB, 202),
]


@pytest.mark.parametrize(("family", "codes", "count"), PUBLISHED)
def test_all_codes_of_a_published_model_have_different_tags(family: Family, codes: tuple[str, ...], count: int) -> None:
    tags, unknown = language_tags(family, codes, "model")
    assert (list(tags), unknown) == (list(codes), [])
    assert len(set(tags.values())) == count
    assert all(parse_language(tag) == tag for tag in tags.values())


def test_the_families_agree() -> None:
    """A language that several families know has the same tag in most: these are NLLB's that M2M100 has otherwise."""
    nllb = set(language_tags("nllb", NLLB, "")[0].values())
    others = {*language_tags("m2m100", M2M100, "")[0].values(), *language_tags("mbart50", MBART50, "")[0].values()}
    assert others - nllb == {"br", "ff", "fy", "no", "ps"}


@pytest.mark.parametrize(
    ("family", "code", "tag"),
    [
        ("nllb", "eng_Latn", "en"),
        ("nllb", "zho_Hans", "zh"),
        ("nllb", "zho_Hant", "zh_Hant"),
        ("nllb", "srp_Cyrl", "sr"),
        ("nllb", "kor_Hang", "ko"),
        ("nllb", "arb_Arab", "ar"),
        ("nllb", "arz_Arab", "arz"),
        ("nllb", "acm_Arab", "acm"),
        ("nllb", "pes_Arab", "fa"),
        ("nllb", "prs_Arab", "fa_AF"),
        ("nllb", "aka_Latn", "ak"),
        ("nllb", "twi_Latn", "tw"),
        ("nllb", "nob_Latn", "nb"),
        ("nllb", "quy_Latn", "quy"),
        ("nllb", "lvs_Latn", "lv"),
        ("nllb", "ace_Latn", "ace"),
        ("nllb", "ace_Arab", "ace_Arab"),
        ("nllb", "crh_Latn", "crh_Latn"),
        ("nllb", "tzm_Tfng", "tzm_Tfng"),
        ("mbart", "ar_AR", "ar"),
        ("mbart50", "zh_CN", "zh"),
        ("mbart50", "en_XX", "en"),
        ("mbart50", "tl_XX", "fil"),
        ("m2m100", "ns", "nso"),
        ("m2m100", "zh", "zh"),
        ("marian", "fra", "fr"),
        ("marian", "pt_BR", "pt_BR"),
        ("marian", "zh_cn", "zh_CN"),
        ("marian", "cmn_Hans", "cmn"),
        ("marian", "cmn_Hant", "cmn_Hant"),
        ("marian", "srp_Latn", "sr_Latn"),
    ],
)
def test_tags(family: Family, code: str, tag: str) -> None:
    assert language_tag(family, code) == tag


def test_a_code_that_is_no_language() -> None:
    with pytest.raises(LanguageError, match="qqqq"):
        language_tag("marian", "qqqq")
    assert language_tags("marian", ["deu", "qqqq"], "m") == ({"deu": "de"}, ["qqqq"])


def test_two_codes_of_one_language() -> None:
    expected = (
        r"^m: has two codes of one language: fra and fr \(fr\); expected one of each. Fix: choose with --languages"
    )
    with pytest.raises(IncompatibleError, match=expected):
        language_tags("marian", ["fra", "deu", "fr"], "m")
