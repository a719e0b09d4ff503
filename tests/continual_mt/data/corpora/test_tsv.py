from __future__ import annotations

from pathlib import Path

import pytest

from continual_mt.data.corpora.corpus import SentencePair, inspect
from continual_mt.data.corpora.tsv import TabSeparated, named_lines
from continual_mt.errors import CorpusError
from continual_mt.languages import Pair

PAIR = Pair("es", "en")
BROKEN = "Abrir\tel archivo\tOpen the file"


@pytest.fixture
def rows(django_catalogs: dict[str, list[str]]) -> list[str]:
    pairs = list(zip(django_catalogs["es"], django_catalogs["en"], strict=True))
    return ["\t".join(pairs[number % len(pairs)]) for number in range(300)]


def write(path: Path, rows: list[str]) -> TabSeparated:
    path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    return TabSeparated(PAIR, path)


def test_a_row_with_another_number_of_columns_is_no_pair(rows: list[str], tmp_path: Path) -> None:
    rows[1], rows[7], rows[299] = BROKEN, "Abrir el archivo", f"{BROKEN}\t"
    corpus = write(tmp_path / "rows.tsv", rows)
    read = list(corpus.read())
    assert read[0] == SentencePair(1, *rows[0].split("\t"))
    assert read[1] == SentencePair(2, "", "", "3 columns instead of 2")
    assert read[7] == SentencePair(8, "", "", "1 columns instead of 2")
    summary = inspect(corpus)
    assert (summary.sentences, summary.empty, summary.faults) == (300, 3, (2, 8, 300))


def test_too_many_broken_rows_are_refused_and_named(rows: list[str], tmp_path: Path) -> None:
    broken = range(3, 300, 5)
    for line in broken:
        rows[line - 1] = BROKEN
    with pytest.raises(CorpusError) as caught:
        inspect(write(tmp_path / "rows.tsv", rows))
    assert str(caught.value) == (
        f"{tmp_path / 'rows.tsv'}: 60 of 300 rows do not have 2 columns as most rows have (lines 3, 8, 13, 18, 23, 28, "
        "33, 38, 43, 48 and 50 more); expected at most 1%. Fix: remove tabs within sentences"
    )


def test_the_first_row_does_not_decide(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"1 of 3 rows do not have 2 columns as most rows have \(line 1\)"):
        inspect(write(tmp_path / "rows.tsv", [BROKEN, "uno\tone", "dos\ttwo"]))


def test_blank_rows_and_further_columns_without_text_are_no_fault(tmp_path: Path) -> None:
    corpus = write(tmp_path / "rows.tsv", ["uno\tone", "dos\ttwo\t\t ", "", "\t", "tres\t", "cuatro\tfour"])
    assert [pair[1:] for pair in corpus.read()] == [
        ("uno", "one", ""),
        ("dos", "two", ""),
        ("", "", ""),
        ("", "", ""),
        ("tres", "", ""),
        ("cuatro", "four", ""),
    ]


def test_more_columns_than_needed_are_read_if_all_rows_have_them(tmp_path: Path) -> None:
    corpus = TabSeparated(PAIR, write(tmp_path / "rows.tsv", ["0.9\tuno\tone\tx", "0.8\tdos\ttwo\t"]).path, 1, 2)
    assert [pair[1:] for pair in corpus.read()] == [("uno", "one", ""), ("dos", "two", "")]


def test_ragged_rows_are_read_as_earlier_versions_read_them(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.tsv", [BROKEN, "uno\tone"]).path
    pairs = [pair[1:] for pair in TabSeparated(PAIR, path, ragged=True).read()]
    assert pairs == [("Abrir", "el archivo", ""), ("uno", "one", "")]
    with pytest.raises(CorpusError, match=r"rows\.tsv, line 2: 2 tab-separated columns; expected at least 3"):
        inspect(TabSeparated(PAIR, path, 0, 2, ragged=True))


def test_the_error_for_a_file_with_too_few_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.tsv", ["", "a\tb", "a\tb\tc", "c\td"]).path
    with pytest.raises(CorpusError, match=r"rows\.tsv, line 2: 2 tab-separated columns; expected at least 3"):
        inspect(TabSeparated(PAIR, path, 0, 2))


def test_lines_in_words() -> None:
    assert named_lines([3]) == "line 3"
    assert named_lines([3, 8]) == "lines 3 and 8"
    assert named_lines(range(1, 12)) == "lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 1 more"


@pytest.mark.parametrize("columns", [(1, 1), (-1, 0)])
def test_invalid_columns_are_rejected(tmp_path: Path, columns: tuple[int, int]) -> None:
    with pytest.raises(CorpusError, match=r"invalid columns .*; expected two different numbers from 0"):
        TabSeparated(PAIR, tmp_path / "rows.tsv", *columns)
