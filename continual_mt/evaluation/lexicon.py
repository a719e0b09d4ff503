"""Bilingual lexicons: translations of words, to measure how embedding tables align, or to start embeddings from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from continual_mt.data.corpora.line_reader import read_lines
from continual_mt.data.corpora.text_url import TextPlace
from continual_mt.errors import CorpusError

_EXPECTED = "expected a word, a tab or spaces, and a translation on each line"


@dataclass(frozen=True)
class Lexicon:
    """Words of one language, each with all its correct translations, in the order of the file.

    What embeddings started from is no test of how they align: use another lexicon for that.
    """

    path: Path | str
    translations: Mapping[str, tuple[str, ...]]

    def lines(self) -> list[str]:
        """Return one line per entry, sorted, so that the lines do not depend on the order of the file."""
        return sorted(f"{word}\t{answer}" for word, answers in self.translations.items() for answer in answers)


def read_lexicon(path: TextPlace) -> Lexicon:
    """Read a lexicon. Raises CorpusError if it cannot be read; see `read_lines` and `parse_lexicon`."""
    return parse_lexicon(read_lines(path), path)


def parse_lexicon(lines: Iterable[str], path: Path | str) -> Lexicon:
    """Parse lines of a word and one translation, separated by a tab or by spaces; a word may have several lines.

    This is the format of MUSE's dictionaries (Conneau et al., 2018). In a line with a tab, spaces are part of the
    words. Empty lines are skipped, and spelling is kept. Raises CorpusError if a line has another format or there is no
    entry; ``path`` is named in the error.
    """
    found: dict[str, dict[str, None]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        words = [word.strip() for word in (line.split("\t") if "\t" in line else line.split())]
        if len(words) != 2 or not all(words):
            problem = f"{line.strip()[:80]!r} is not an entry; {_EXPECTED}"
            raise CorpusError(path, problem, number)
        found.setdefault(words[0], {})[words[1]] = None
    if not found:
        raise CorpusError(path, f"contains no entries; {_EXPECTED}")
    return Lexicon(path, {word: tuple(translations) for word, translations in found.items()})
