"""Which back-translations are kept, and the tag that marks them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continual_mt.data.back_translation import TAG, TranslationFilter, character_ratio, distinct, tagged
from continual_mt.data.control_pieces import with_control_pieces
from continual_mt.data.corpora.corpus import SentencePair
from continual_mt.data.tokenizer import SideTokens, Tokenizer

SENTENCE = "Dois homens jogam futebol no parque."


@pytest.mark.parametrize(
    ("translation", "fault"),
    [
        ("Zwei Männer spielen Fußball im Park.", None),
        ("", "empty"),
        (" ", "empty"),
        ("dois homens  jogam futebol no parque.", "copied"),
        ("Zwei.", "length"),
        ("Zwei " * 40, "length"),
        ("Two men play football in the park.", "language"),
    ],
)
def test_what_is_left_out(translation: str, fault: str | None) -> None:
    chosen = TranslationFilter(1.0, 3.0, is_foreign=lambda text: text.startswith("Two"))
    assert chosen.fault(translation, SENTENCE) == fault
    assert list(chosen.select([(translation, SENTENCE)])) == ([] if fault else [(translation, SENTENCE)])
    counts = dict.fromkeys(("kept", "empty", "copied", "length", "language"), 0)
    assert chosen.counts() == counts | {fault or "kept": 1}


def test_lengths_are_compared_with_those_of_the_training_text() -> None:
    """Chinese has a third of the characters of English: what is short for German is right for it."""
    pairs = [SentencePair(1, "两个男人", "Two men in a"), SentencePair(2, "", "No translation")]
    assert character_ratio(pairs) == pytest.approx(1 / 3)
    assert TranslationFilter(1 / 3, 2.0).fault("甲" * 12, "a" * 36) is None
    assert TranslationFilter(1.0, 2.0).fault("甲" * 12, "a" * 36) == "length"


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=3)))
def test_each_line_once_in_order(lines: list[str]) -> None:
    assert list(distinct(lines)) == [line for line in dict.fromkeys(lines) if line.strip()]


def test_the_tag_is_before_a_source_and_starts_a_target(django_tokenizers: dict[str, Tokenizer]) -> None:
    table = with_control_pieces(django_tokenizers["es"], [">>es<<", TAG])
    named = table.with_side_tokens(SideTokens(before=(table.size - 2,), after=(7,)))
    number = table.size - 1
    source, target = tagged(named, table, "source")
    assert source.frame_source([5]) == [number, table.size - 2, 5, table.end, 7]
    assert target == table
    source, target = tagged(named, table, "target")
    assert (source, target.before_target, table.before_target) == (named, (number,), (table.start,))
    assert target.decode([number, *table.encode("a b")]) == "a b"
