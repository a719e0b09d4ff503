from __future__ import annotations

import sys

import pytest
import sacrebleu

from continual_mt.errors import InputError, MisuseError
from continual_mt.evaluation.metric_names import METRICS
from continual_mt.evaluation.metrics import bleu, bleu_tokenization, score

HYPOTHESES = ["Two men are playing football.", "A woman reads a book."]
REFERENCES = ["Two men play football.", "A woman is reading a book."]


def test_values_and_signatures() -> None:
    values = score(HYPOTHESES, REFERENCES, "en")
    assert [value.metric for value in values] == list(METRICS) == ["bleu", "chrf"]
    version = sacrebleu.__version__
    assert [value.signature for value in values] == [
        f"nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:{version}",
        f"nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:{version}",
    ]
    assert [value.value for value in values] == pytest.approx([25.0, 55.702], abs=0.001)
    assert values[0].value == bleu(HYPOTHESES, REFERENCES, "en")


def test_perfect_and_empty_translations() -> None:
    assert [value.value for value in score(REFERENCES, REFERENCES, "en")] == pytest.approx([100, 100])
    assert [value.value for value in score(["", ""], REFERENCES, "en")] == [0, 0]


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


@pytest.mark.parametrize(
    ("language", "tokenization"),
    [("de", "13a"), ("zh", "zh"), ("zh_Hant", "zh"), ("th", "char"), ("pt_BR", "13a"), ("my", "char")],
)
def test_tokenization_by_language(language: str, tokenization: str) -> None:
    assert bleu_tokenization(language) == tokenization


def test_text_without_spaces_is_scored() -> None:
    values = score(["我喜欢读书。"], ["我喜欢看书。"], "zh")
    assert "tok:zh" in values[0].signature
    assert 0 < values[0].value < 100


def test_japanese_without_mecab_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "MeCab", None)  # makes the package look uninstalled
    with pytest.raises(MisuseError, match=r"Fix: pip install 'sacrebleu\[ja\]'"):
        score(["はい"], ["はい"], "ja")
