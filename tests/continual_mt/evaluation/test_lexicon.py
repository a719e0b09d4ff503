from __future__ import annotations

import gzip
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continual_mt.errors import CorpusError
from continual_mt.evaluation.lexicon import Lexicon, parse_lexicon, read_lexicon

WORDS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P")), min_size=1, max_size=8)


def written(folder: Path, text: str, name: str = "de-fr.tsv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_word_may_have_several_translations_and_keeps_its_spelling(tmp_path: Path) -> None:
    path = written(tmp_path, "Haus\tmaison\nhaus\tfoyer\n\nHaus\tfoyer\nHaus\tmaison\n")
    lexicon = read_lexicon(path)
    assert lexicon.path == path
    assert lexicon.translations == {"Haus": ("maison", "foyer"), "haus": ("foyer",)}


def test_spaces_separate_in_lines_without_a_tab(tmp_path: Path) -> None:
    path = written(tmp_path, "Haus maison\n  Hund   chien  \nzum Beispiel\t par exemple\r\n")
    assert read_lexicon(path).translations == {
        "Haus": ("maison",),
        "Hund": ("chien",),
        "zum Beispiel": ("par exemple",),
    }


def test_a_compressed_lexicon(tmp_path: Path) -> None:
    path = tmp_path / "de-fr.txt.gz"
    path.write_bytes(gzip.compress("Tür porte\n".encode()))
    assert read_lexicon(path).translations == {"Tür": ("porte",)}


@pytest.mark.parametrize("line", ["Haus", "Haus\t", "\tmaison", "Haus\tmaison\tfoyer", "Haus la maison"])
def test_an_invalid_line_is_named(tmp_path: Path, line: str) -> None:
    path = written(tmp_path, f"Hund\tchien\n\n{line}\n")
    with pytest.raises(CorpusError) as caught:
        read_lexicon(path)
    problem = f"{line.strip()!r} is not an entry; expected a word, a tab or spaces, and a translation on each line"
    assert str(caught.value) == f"{path}, line 3: {problem}"


def test_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "no.tsv"
    with pytest.raises(CorpusError) as caught:
        read_lexicon(path)
    assert str(caught.value) == f"{path}: no such file"


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_a_file_without_entries(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(CorpusError) as caught:
        read_lexicon(path)
    assert (
        str(caught.value)
        == f"{path}: contains no entries; expected a word, a tab or spaces, and a translation on each line"
    )


@given(st.dictionaries(WORDS, st.lists(WORDS, min_size=1, max_size=3, unique=True), min_size=1), st.sampled_from("\t "))
def test_entries_are_read_in_the_order_of_the_file(
    tmp_path_factory: pytest.TempPathFactory, entries: dict[str, list[str]], divider: str
) -> None:
    lines = [f"{word}{divider}{answer}\n" for word, answers in entries.items() for answer in answers]
    path = written(tmp_path_factory.mktemp("lexicon"), "".join(lines))
    found = read_lexicon(path).translations
    assert list(found.items()) == [(word, tuple(answers)) for word, answers in entries.items()]


@given(st.dictionaries(WORDS, st.sets(WORDS, min_size=1, max_size=3), min_size=1, max_size=5), st.randoms())
def test_lines_do_not_depend_on_the_order_and_can_be_parsed_again(entries: dict[str, set[str]], random: Random) -> None:
    lexicon = Lexicon("de-fr.tsv", {word: tuple(answers) for word, answers in entries.items()})
    lines = lexicon.lines()
    shuffled = random.sample(lines, len(lines))
    read = parse_lexicon(shuffled, "again.tsv")
    assert read.path == "again.tsv"
    assert {word: set(answers) for word, answers in read.translations.items()} == entries
    assert read.lines() == lines
