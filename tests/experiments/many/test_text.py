from __future__ import annotations

import zipfile
from pathlib import Path

from continual_mt.data.corpora.catalog_entries import Entry, read_entries
from continual_mt.data.corpora.catalog_splits import Row, Split, split_rows
from experiments.many.settings import BRIDGED, LANGUAGES
from experiments.many.text import CATALOG_NAMES, files, train_name


def row(words: str, *languages: str) -> Row:
    return {language: f"{language} {words}" for language in languages}


def test_each_pair_is_trained_on_the_rows_that_have_both_languages() -> None:
    splits: dict[Split, list[Row]] = {
        "train": [row("one", "en", "de", "fr"), row("two", "en", "de"), row("three", "en", "el")],
        "dev": [row("four", *LANGUAGES)],
        "test": [row("five", *LANGUAGES), row("six", *LANGUAGES)],
    }
    found = files(splits)
    assert found["train/de-en.de"] == ["de one", "de two"]
    assert found["train/de-en.en"] == ["en one", "en two"]
    assert found["train/de-fr.fr"] == ["fr one"]
    assert found["train/el-en.el"] == ["el three"]
    assert found["dev.tr"] == ["tr four"]
    assert found["test.nl"] == ["nl five", "nl six"]
    pairs = {name.rpartition(".")[0] for name in found if name.startswith("train/")}
    assert pairs == {train_name(f"{language}-en") for language in LANGUAGES[1:]} | {train_name(one) for one in BRIDGED}


def test_both_directions_share_their_text() -> None:
    assert train_name("pt-en") == train_name("en-pt") == "train/en-pt"


def test_english_text_of_dev_and_test_is_in_no_training_text() -> None:
    held_out = row("mode is on", *LANGUAGES)
    trained = row("mode is off", "en", "de")
    same_english = {"en": "EN mode is on!", "de": "etwas anderes"}
    splits = split_rows([held_out, trained, same_english], 0, 1, "rows", LANGUAGES)
    assert splits == {"train": [trained], "dev": [], "test": [held_out]}


def test_catalogs_of_all_languages_are_read(tmp_path: Path) -> None:
    catalogs = {"en": "Away mode", "el": "Λειτουργία απουσίας", "pt_BR": "Modo ausente", "tr": "Dışarıda modu"}
    wheel = tmp_path / "small.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in catalogs.items():
            archive.writestr(f"a/translations/{name}.json", f'{{"mode": "{text}"}}')
    found = list(read_entries(wheel, CATALOG_NAMES))
    assert found == [
        Entry("el", "Away mode", "Λειτουργία απουσίας"),
        Entry("tr", "Away mode", "Dışarıda modu"),
    ]
