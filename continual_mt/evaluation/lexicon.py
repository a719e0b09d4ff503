"""A bilingual lexicon: what counts as a right translation of a word where two embedding tables are compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from continual_mt.data.corpora.line_reader import read_lines
from continual_mt.errors import CorpusError


@dataclass(frozen=True)
class Lexicon:
    """Words of one language, each with every translation that counts as right, in the order of the file.

    Nothing is ever trained or initialised with it.
    """

    path: Path | str
    translations: Mapping[str, tuple[str, ...]]

    def lines(self) -> list[str]:
        """An entry a line, sorted, so that the same entries are the same text in whatever order a file has them."""
        return sorted(f"{word}\t{answer}" for word, answers in self.translations.items() for answer in answers)


def read_lexicon(path: Path) -> Lexicon:
    """The lexicon in a file. Raises CorpusError for what cannot be read; see ``read_lines`` and ``parse_lexicon``."""
    return parse_lexicon(read_lines(path), path)


def parse_lexicon(lines: Iterable[str], path: Path | str) -> Lexicon:
    """Read a word and one of its translations a line, divided by a tab or by space; a word may have several lines.

    That is how MUSE's dictionaries are written (Conneau et al., 2018). Between tabs, spaces belong to the words. Empty
    lines are skipped and the spelling stays as it is. Raises CorpusError, naming ``path``, with the line for one that
    holds anything but two words, and where there is no entry.
    """
    found: dict[str, dict[str, None]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        words = [word.strip() for word in (line.split("\t") if "\t" in line else line.split())]
        if len(words) != 2 or not all(words):
            problem = f"{line.strip()[:80]!r} is no entry; a line is a word, a tab or a space, and a translation"
            raise CorpusError(path, problem, number)
        found.setdefault(words[0], {})[words[1]] = None
    if not found:
        raise CorpusError(path, "there is no entry; a line is a word, a tab or a space, and a translation")
    return Lexicon(path, {word: tuple(translations) for word, translations in found.items()})
