"""Join catalog entries over languages, and split them so that training data contains no test sentence."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from continual_mt.data.corpora.catalog_cleaning import fold, is_clean, is_translation
from continual_mt.data.corpora.catalog_entries import LANGUAGES, Entry
from continual_mt.errors import CorpusError

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test")
HELD_OUT_WORDS = 3

Row = Mapping[str, str]
"""Text by language. English is always present, other languages if there is a translation."""


def join_entries(entries: Iterable[Entry]) -> list[Row]:
    """Return one row per English text, from clean entries only.

    Of several translations into a language, the most frequent one is taken, and of equally frequent ones the first.
    """
    found: dict[str, dict[str, Counter[str]]] = {}
    clean: dict[str, bool] = {}
    for entry in entries:
        for text in (entry.english, entry.translation):
            if text not in clean:
                clean[text] = is_clean(text)
        if clean[entry.english] and clean[entry.translation] and is_translation(entry.english, entry.translation):
            found.setdefault(entry.english, {}).setdefault(entry.language, Counter())[entry.translation] += 1
    return [
        {"en": english, **{language: counts.most_common(1)[0][0] for language, counts in translations.items()}}
        for english, translations in found.items()
    ]


def split_rows(
    rows: Sequence[Row], dev: int, test: int, origin: str, languages: Sequence[str] = LANGUAGES
) -> dict[Split, list[Row]]:
    """Split rows into train, dev and test; ``dev`` and ``test`` are the numbers of rows of the latter two.

    Rows of dev and test have all ``languages``, with at least HELD_OUT_WORDS words in each; no row has any other
    language. They are selected by a hash of the English letters, so that additional rows change the selection little.
    Each of their texts is unique: compared by ``fold``, it occurs nowhere else in dev or test in the same language, and
    train rows that contain it are dropped.
    Raises CorpusError, with ``origin`` as the subject, if there are too few such rows.
    """
    taken: dict[str, set[str]] = {language: set() for language in languages}
    held_out: list[Row] = []
    for row in sorted((row for row in rows if _may_be_held_out(row, languages)), key=_rank):
        if len(held_out) == dev + test:
            break
        folded = {language: fold(text) for language, text in row.items()}
        if not any(folded[language] in taken[language] for language in languages):
            held_out.append(row)
            for language in languages:
                taken[language].add(folded[language])
    if len(held_out) < dev + test:
        problem = f"too few segments for dev and test: {len(held_out):,} usable; expected {dev + test:,}"
        raise CorpusError(origin, problem)
    train = [row for row in rows if not any(fold(text) in taken[language] for language, text in row.items())]
    return {"train": train, "dev": held_out[test:], "test": held_out[:test]}


def _may_be_held_out(row: Row, languages: Sequence[str]) -> bool:
    return all(language in row and len(row[language].split()) >= HELD_OUT_WORDS for language in languages)


def _rank(row: Row) -> tuple[bytes, str]:
    return hashlib.sha256(fold(row["en"]).encode()).digest(), row["en"]
