from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continual_mt.data.corpora.catalog_cleaning import fold, is_clean, is_translation


@pytest.mark.parametrize(
    "text",
    [
        "Connection error",
        "The sensor's value, 50 % or more (if any).",
        "¿Quieres volver a intentarlo?",
        "C’est 100\u00a0% sûr",
        "R&D costs & more",
        "It costs $ 5",
        "word " * 40,
    ],
)
def test_sentences_are_kept(text: str) -> None:
    assert is_clean(text.strip())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Save",
        "word " * 41,
        "1 2 3",
        "Failed: {error}",
        "Hello %s there",
        "Hello %(name)s there",
        "Sync of %d items",
        "Format %Y-%m-%d here",
        "Costs 5 %% more",
        "[%key:common::config_flow::data::host%] name",
        "Set ${name} first",
        "Set $name first",
        "<b>Bold</b> text",
        "Use -> here",
        "An &nbsp; entity",
        "A &#39; entity",
        "See [the manual](manual)",
        "See http://example.org now",
        "See www.example.org now",
        "Write to me@example.org now",
        "Run `this` now",
        "Very **bold** text",
        "Some __bold__ text",
        "# A heading",
        "- a point",
        "two\nlines here",
        "a\ttab here",
        "soft\u00adhyphen here",
        "right\u200fto left",
        "line\u2028separator here",
        "back\\slash here",
        "one | two",
    ],
)
def test_other_strings_are_rejected(text: str) -> None:
    assert not is_clean(text)


@pytest.mark.parametrize(
    ("english", "translation", "expected"),
    [
        ("Connection error", "Verbindungsfehler liegt vor", True),
        ("Away mode", "Modo de ausência do utilizador", False),
        ("Wi-Fi network", "WI-FI Network!", False),
        ("Zone 1 on", "Zone 2 on", False),
        ("a b", "c d e f g h", True),
        ("A sentence of a usual length, say", "Kurz gesagt", False),
    ],
)
def test_translations_differ_and_are_of_similar_length(english: str, translation: str, expected: bool) -> None:
    assert is_translation(english, translation) is expected
    assert is_translation(translation, english) is expected


@given(text=st.text())
def test_folding_removes_case_and_everything_but_letters(text: str) -> None:
    assert fold(f" {text} 1, 2!") == fold(text)


def test_folding_keeps_letters_with_marks() -> None:
    assert fold("Größe: ÉTÉ 42") == "grösseété"
