from __future__ import annotations

from contextlib import suppress
from datetime import date

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from continual_mt.errors import SpecError
from registry.queries.search_syntax import FIELDS, Condition, Query

WORDS = st.builds(
    "".join,
    st.tuples(
        st.sampled_from([*FIELDS, "lang", ""]) | st.text(max_size=5),
        st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "==", ""]),
        st.sampled_from(["de", "3", "30.5", '"a b"', "2026-03-01", "9999-12-31", "de-en", "٣", "\x00", "1e9"])
        | st.text(max_size=8),
    ),
)


def test_words_become_conditions() -> None:
    found = Query.parse(
        'language=pt-br bleu>30 bleu<=55.5  licence="CC BY 4.0"\tcreated>=2026-03-01 test=news version!=2'
    )
    assert found.conditions == (
        Condition("language", "=", "pt_BR"),
        Condition("bleu", ">", 30.0),
        Condition("bleu", "<=", 55.5),
        Condition("licence", "=", "CC BY 4.0"),
        Condition("created", ">=", date(2026, 3, 1)),
        Condition("test", "=", "news"),
        Condition("version", "!=", 2),
    )
    assert found.test == "news"
    assert Query.parse(" ").conditions == ()
    assert Query.parse("tag=a=b").conditions == (Condition("tag", "=", "a=b"),)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("german", r"'german': invalid condition; write FIELD=VALUE, such as language=de"),
        (
            "lange=de",
            r"'lange=de': unknown field 'lange' \(did you mean language\?\); expected one of: kind, name,",
        ),
        ("zzz=1", r"unknown field 'zzz'; expected one of: kind"),
        ("language=", r"the value has to be 1 or more characters"),
        ("language>de", "language is compared with =, !="),
        ("bleu!=3", "bleu is compared with =, <, <=, >, >="),
        ("bleu>best", "the value has to be a number, such as 30 or 27.5"),
        ("version>1.5", "the value has to be a whole number"),
        ("language=xx9", "no language has the tag 'xx9'"),
        ("pair=de", "'de' is not a pair"),
        ("side=left", "the value has to be one of source, target"),
        ("precision=int4", "the value has to be one of float32, float16, bfloat16, int8"),
        ("precision>float16", "precision is compared with =, !="),
        ("scope=all", "unknown scope 'all'; expected one of embeddings, xattn"),
        ("digest=xyz", "the value has to be hexadecimal digits"),
        ("created>yesterday", "the value has to be a day in UTC, such as 2026-03-01"),
        ("created>2026-02-30", "the value has to be a day in UTC"),
        ("created>9999-12-31", "the value has to be a day in UTC"),
        ("deleted=maybe", "the value has to be one of true, false"),
        ('tag="a', "a quotation mark is opened and not closed"),
        ('tag="a\x00b"', "characters that can be printed"),
        ("test=a test=b bleu>1", "test is given twice; name one test set"),
        ("tag=a " * 101, "101 conditions are more than 100"),
        ("x" * 10_000_000, "it has 10,000,000 characters; 10,000 are the most"),
    ],
)
def test_the_word_at_fault_is_named(text: str, problem: str) -> None:
    with pytest.raises(SpecError, match=problem) as caught:
        Query.parse(text)
    assert len(str(caught.value)) < 700


def test_all_words_at_fault_are_named_at_once() -> None:
    with pytest.raises(SpecError) as caught:
        Query.parse("lang=de xattn bleu>30 version=x")
    assert [problem.partition(":")[0] for problem in caught.value.problems] == ["'lang=de'", "'xattn'", "'version=x'"]


@settings(deadline=None, max_examples=400)
@given(st.lists(WORDS, max_size=4).map(" ".join) | st.text(max_size=60))
@example("\ud800=\ud800")
def test_any_text_is_a_search_or_is_refused(text: str) -> None:
    with suppress(SpecError):
        Query.parse(text)
