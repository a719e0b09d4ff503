from __future__ import annotations

import sys

import pytest
import sacrebleu

from continual_mt.errors import InputError, MisuseError
from continual_mt.evaluation.language_identification import signature
from continual_mt.evaluation.metric_names import METRICS
from continual_mt.evaluation.metrics import bleu, score, tokenized_bleu

HYPOTHESES = ["Two men are playing football.", "A woman reads a book."]
REFERENCES = ["Two men play football.", "A woman is reading a book."]


def test_values_and_signatures() -> None:
    values = score(HYPOTHESES, REFERENCES, "en")
    assert [value.metric for value in values] == list(METRICS) == ["bleu", "chrf", "chrfpp", "offtarget"]
    version = sacrebleu.__version__
    assert [value.signature for value in values] == [
        f"nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:{version}",
        f"nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:{version}",
        f"nrefs:1|case:mixed|eff:yes|nc:6|nw:2|space:no|version:{version}",
        "nrefs:1|" + "|".join(f"{name}:{value}" for name, value in signature().items()),
    ]
    assert [value.value for value in values] == pytest.approx([25.0, 55.702, 57.407, 0.0], abs=0.001)
    assert [value.reference_value for value in values] == [
        None,
        None,
        None,
        50.0,
    ]  # short: "Two men play football." is taken for Pidgin
    assert values[0].value == bleu(HYPOTHESES, REFERENCES, "en")


def test_perfect_and_empty_translations() -> None:
    assert [value.value for value in score(HYPOTHESES, HYPOTHESES, "en")] == pytest.approx([100, 100, 100, 0])
    assert [value.value for value in score(["", ""], REFERENCES, "en")] == [0, 0, 0, 0]


def test_translations_into_another_language_are_off_target() -> None:
    half = ["Zwei Männer spielen draußen Fußball.", "A woman is reading a book."]
    (value,) = score(half, HYPOTHESES, "en", metrics=["offtarget"])
    assert (value.value, value.reference_value) == (50, 0)
    (reverse,) = score(HYPOTHESES, half, "de", metrics=["offtarget"])
    assert (reverse.value, reverse.reference_value) == (100, 50)


def test_a_language_that_cannot_be_identified_has_no_off_target_rate() -> None:
    assert [value.metric for value in score(HYPOTHESES, REFERENCES, "wo")] == ["bleu", "chrf", "chrfpp"]
    assert score(HYPOTHESES, REFERENCES, "wo", metrics=["offtarget"]) == []


def test_case_counts() -> None:
    assert score([text.upper() for text in REFERENCES], REFERENCES, "en")[0].value < 50


@pytest.mark.parametrize(
    ("hypotheses", "references", "message"),
    [
        (HYPOTHESES, REFERENCES[:1], "^scoring: 2 hypotheses and 1 references; expected equal numbers"),
        (HYPOTHESES[:1], REFERENCES, "^scoring: 1 hypotheses and 2 references; expected equal numbers"),
        ([], REFERENCES, "^scoring: 0 hypotheses and 2 references; expected equal numbers"),
        ([], [], "^scoring: 0 hypotheses and 0 references; expected equal numbers, and at least one"),
    ],
)
def test_lines_must_match(hypotheses: list[str], references: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        score(hypotheses, references, "en")
    with pytest.raises(InputError, match=message):
        bleu(hypotheses, references, "en")


def test_more_references_and_lower_case() -> None:
    hypotheses, first, second = ["the cat sat on a mat"], ["A cat sat on a mat"], ["The cat sat on the mat"]
    one = score(hypotheses, first, "en")
    both = score(hypotheses, first, "en", further=[second])
    lowered = score(hypotheses, first, "en", further=[second], lowercase=True)
    assert 0 < one[0].value < both[0].value < lowered[0].value
    assert [value.signature.split("|")[:2] for value in both[:3]] == [["nrefs:2", "case:mixed"]] * 3
    assert [value.signature.split("|")[:2] for value in lowered[:3]] == [["nrefs:2", "case:lc"]] * 3
    assert both[3] == lowered[3]
    assert both[3].signature.startswith("nrefs:2|library:")


def test_an_empty_line_is_no_further_reference() -> None:
    hypotheses, first = ["The cat sat", "It rained"], ["The cat sat", "It rained"]
    values = score(hypotheses, first, "en", further=[["", "It rained"]])
    assert values[0].signature.startswith("nrefs:var|")
    assert [value.value for value in values] == [value.value for value in score(hypotheses, first, "en")]


def test_further_references_must_match() -> None:
    with pytest.raises(InputError, match=r"^scoring: 2 hypotheses and 1 references; expected equal"):
        score(HYPOTHESES, REFERENCES, "en", further=[REFERENCES[:1]])


CHINESE = (
    ["他昨天去了图书馆。", "会议将于明天上午九点开始。", "这本书非常有意思。"],
    ["他昨天去图书馆了。", "会议将在明天上午九点开始。", "这本书非常有趣。"],
)


@pytest.mark.parametrize("language", ["zh", "cmn", "cmn_Hans", "yue_Hant", "wuu", "lzh", "zho_Hant", "nan"])
def test_text_without_spaces_is_scored(language: str) -> None:
    value = score(*CHINESE, language)[0]
    assert "tok:zh" in value.signature
    assert 40 < value.value < 100
    assert value.value == bleu(*CHINESE, language)


def test_tibetan_is_scored_by_characters() -> None:
    value = score(["ང་བོད་སྐད་སློབ་ཀྱི་ཡོད།"], ["ང་བོད་སྐད་སྦྱོང་གི་ཡོད།"], "bod_Tibt")[0]
    assert "tok:char" in value.signature
    assert 20 < value.value < 100


def test_a_tokenization_may_be_given() -> None:
    assert tokenized_bleu(*CHINESE, "13a") == 0 < tokenized_bleu(*CHINESE, "char")


def test_japanese_without_mecab_is_scored_by_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "MeCab", None)  # makes the package look uninstalled
    assert "tok:char" in score(["はい、そうです"], ["はい、そうです"], "ja")[0].signature
    with pytest.raises(MisuseError, match=r"are not installed\. Fix: pip install 'sacrebleu\[ja\]'"):
        tokenized_bleu(["はい"], ["はい"], "ja-mecab")
