from __future__ import annotations

import sys

import pytest

from continual_mt.evaluation.tokenization import bleu_tokenization, earlier_tokenization, tokenizations

BY_TOKENIZATION = {
    "zh": "zh zho chi cmn cmn_Hans cmn_Hant zho_Hans zh_Hant zh_TW zh-CN yue yue_Hant wuu lzh hak nan gan hsn cjy cdo "
    "cpx czh czo mnp cnp csp luh sjc zh-yue zh-min-nan i-hak ltc lzh_Hani zh_Hanb",
    "char": "th tha lo lao km khm my mya bur bo bod tib bod_Tibt dz dzo adx khg lbj shn shn_Mymr ksw mnw kht nod khb "
    "tdd blt tts sou ii iii jv_Java ban_Bali pi_Thai vi_Hani ko_Hani za_Hani ryu ryu_Kana my_MM lo_Laoo sa_Tibt",
    "13a": "de en pt_BR ko kor kor_Hang jv ban ban_Latn vi vie_Latn zh_Latn ja_Latn cmn_Latn nan_Latn nan_Latn_tailo "
    "th_Latn bo_Latn za dng mn ug_Arab km_Latn xx_invalid",
}


@pytest.mark.parametrize(
    ("language", "tokenization"),
    [(language, name) for name, languages in BY_TOKENIZATION.items() for language in languages.split()],
)
def test_tokenization_by_code_and_script(language: str, tokenization: str) -> None:
    assert bleu_tokenization(language) == tokenization
    assert tokenizations(language) == (tokenization,)


@pytest.mark.parametrize("language", ["ja", "jpn", "jpn_Jpan", "ja_Hrkt", "ja_JP", "ja_XX"])
def test_japanese_needs_mecab_to_be_split_into_words(language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tokenizations(language) == ("ja-mecab", "char")
    monkeypatch.setitem(sys.modules, "MeCab", None)  # makes the package look uninstalled
    assert bleu_tokenization(language) == "char"


def test_what_records_without_a_tokenization_mean() -> None:
    languages = ["zh_Hant", "ja", "th", "lo", "km", "my", "cmn", "bo", "de"]
    expected = ["zh", "ja-mecab", "char", "char", "char", "char", "13a", "13a", "13a"]
    assert [earlier_tokenization(language) for language in languages] == expected
