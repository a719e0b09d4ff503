"""Entries of catalogs, joined over languages and divided so that nothing tested was trained on."""

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

# Language to text; "en" is always there, the others as far as the catalogs have them.
Row = Mapping[str, str]


def join_entries(entries: Iterable[Entry]) -> list[Row]:
    """One row an English text, of clean entries only; of several translations the most frequent one, then the first."""
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


def split_rows(rows: Sequence[Row], dev: int, test: int, origin: str) -> dict[Split, list[Row]]:
    """Divide rows into train, ``dev`` and ``test`` (counts of rows).

    Dev and test have all languages, three words or more in each, and are chosen by a hash of the English letters, so
    that further rows move few of them. No text of theirs occurs, letters folded, a second time in dev, test or train
    in its language: rows of train that hold one are dropped as a whole. Raises CorpusError, naming ``origin``, when
    there are too few such rows.
    """
    taken: dict[str, set[str]] = {language: set() for language in LANGUAGES}
    held_out: list[Row] = []
    for row in sorted(filter(_may_be_held_out, rows), key=_rank):
        if len(held_out) == dev + test:
            break
        folded = {language: fold(text) for language, text in row.items()}
        if not any(folded[language] in taken[language] for language in LANGUAGES):
            held_out.append(row)
            for language in LANGUAGES:
                taken[language].add(folded[language])
    if len(held_out) < dev + test:
        problem = f"only {len(held_out):,} segments can be held out, dev and test take {dev + test:,}"
        raise CorpusError(origin, problem)
    train = [row for row in rows if not any(fold(text) in taken[language] for language, text in row.items())]
    return {"train": train, "dev": held_out[test:], "test": held_out[:test]}


def _may_be_held_out(row: Row) -> bool:
    return all(language in row and len(row[language].split()) >= HELD_OUT_WORDS for language in LANGUAGES)


def _rank(row: Row) -> tuple[bytes, str]:
    return hashlib.sha256(fold(row["en"]).encode()).digest(), row["en"]
