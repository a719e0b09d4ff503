from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from continual_mt.data.corpora.catalog_cleaning import fold
from continual_mt.data.corpora.catalog_entries import LANGUAGES, Entry
from continual_mt.data.corpora.catalog_splits import Row, join_entries, split_rows
from continual_mt.errors import CorpusError


def test_entries_are_joined_by_their_english_text() -> None:
    rows = join_entries(
        [
            Entry("de", "Away mode", "Modus Abwesend"),
            Entry("es", "Away mode", "Modo ausente"),
            Entry("de", "Away mode", "Abwesend Modus"),
            Entry("de", "Quiet mode", "Leiser Modus"),
            Entry("de", "Away mode", "Abwesend Modus"),
            Entry("pt", "Quiet mode", "Quiet Mode"),
            Entry("de", "Failed: {error}", "Fehler: {error}"),
            Entry("de", "Failed to connect", "Fehler: {error}"),
        ]
    )
    assert rows == [
        {"en": "Away mode", "de": "Abwesend Modus", "es": "Modo ausente"},
        {"en": "Quiet mode", "de": "Leiser Modus"},
    ]


# Few words, so that texts collide often, in case and punctuation too.
TEXTS = st.lists(st.sampled_from(["ja", "Ja,", "ne", "da!", "du"]), min_size=2, max_size=5).map(" ".join)
OTHERS = {"es": TEXTS, "pt": TEXTS, "de": TEXTS}
COMPLETE = st.fixed_dictionaries({"en": TEXTS, **OTHERS})
ROWS = st.lists(
    COMPLETE | st.fixed_dictionaries({"en": TEXTS}, optional=OTHERS),
    max_size=40,
    unique_by=lambda row: row["en"],
)


def texts(rows: Sequence[Row], language: str) -> list[str]:
    return [fold(row[language]) for row in rows if language in row]


@given(rows=ROWS, dev=st.integers(0, 3), test=st.integers(0, 3))
def test_texts_of_dev_and_test_occur_nowhere_else(rows: list[dict[str, str]], dev: int, test: int) -> None:
    try:
        splits = split_rows(rows, dev, test, "rows")
    except CorpusError:  # too few rows for dev and test
        event("refused")
        return
    event("split")
    assert (len(splits["dev"]), len(splits["test"])) == (dev, test)
    for row in [*splits["dev"], *splits["test"]]:
        assert set(row) == set(LANGUAGES)
        assert all(len(text.split()) >= 3 for text in row.values())
    for language in LANGUAGES:
        held_out = texts([*splits["dev"], *splits["test"]], language)
        assert len(set(held_out)) == len(held_out)
        assert not set(held_out) & set(texts(splits["train"], language))
    assert splits == split_rows(list(reversed(rows)), dev, test, "rows") | {"train": splits["train"]}


def test_train_rows_with_a_test_text_are_dropped() -> None:
    complete = {language: f"{language} eins zwei drei" for language in LANGUAGES}
    apart = {"en": "something else", "de": "etwas anderes"}
    same_german = {"en": "something third", "de": "DE Eins, zwei: drei!"}
    splits = split_rows([apart, same_german, complete], 0, 1, "rows")
    assert splits == {"train": [apart], "dev": [], "test": [complete]}


def test_too_few_rows_are_rejected() -> None:
    with pytest.raises(CorpusError, match="rows: too few segments for dev and test: 0 usable; expected 3"):
        split_rows([{"en": "only two", "de": "nur zwei"}], 1, 2, "rows")
