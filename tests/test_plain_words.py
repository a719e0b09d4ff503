"""Docstrings, comments, messages and documentation contain no phrase of ``plain_words.txt``.

``python -m tests.test_plain_words`` prints the number of findings per folder and per file.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PHRASES = Path(__file__).with_name("plain_words.txt")
CODE = ("continual_mt", "registry", "ray_jobs", "dashboards", "benchmarks", "experiments")


@dataclass(frozen=True)
class Phrase:
    """A phrase to avoid; ``write`` suggests what to write instead, if not empty."""

    text: str
    write: str

    @property
    def pattern(self) -> str:
        """A regular expression for whole words in any layout; only the first letter may also be a capital."""
        first, *others = self.text.split()
        start = f"[{first[0]}{first[0].upper()}]{re.escape(first[1:])}"
        return r"\b" + r"\s+".join([start, *map(re.escape, others)]) + r"\b"


@dataclass(frozen=True)
class Finding:
    path: Path
    line: int
    phrase: Phrase

    def __str__(self) -> str:
        write = f"; write: {self.phrase.write}" if self.phrase.write else ""
        return f"{self.path}:{self.line}: {self.phrase.text!r}{write}"


def read_phrases(text: str) -> list[Phrase]:
    """Parse ``phrase`` or ``phrase => suggestion`` per line; empty lines and lines that start with # are comments."""
    lines = (line.strip() for line in text.splitlines())
    parts = (line.partition(" => ") for line in lines if line and not line.startswith("#"))
    return [Phrase(phrase.strip(), write.strip()) for phrase, _, write in parts]


def passages(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of each string and each block of comments in Python, or of a whole document."""
    if path.suffix != ".py":
        yield 1, text
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
    yield from _comments(text)


def _comments(text: str) -> Iterator[tuple[int, str]]:
    """Yield blocks of comments on consecutive lines as one passage, so that a phrase may continue on the next line."""
    first, block = 0, list[str]()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            if block and token.start[0] != first + len(block):
                yield first, "\n".join(block)
                block = []
            if not block:
                first = token.start[0]
            block.append(token.string.lstrip("# "))
    if block:
        yield first, "\n".join(block)


def find(path: Path, text: str, phrases: Iterable[Phrase]) -> list[Finding]:
    """Return what is found in one file, in the order of lines."""
    patterns = [(phrase, re.compile(phrase.pattern)) for phrase in phrases]
    found = [
        Finding(path, line + passage.count("\n", 0, match.start()), phrase)
        for line, passage in passages(path, text)
        for phrase, pattern in patterns
        for match in pattern.finditer(passage)
    ]
    return sorted(found, key=lambda finding: (finding.line, finding.phrase.text))


def files() -> list[Path]:
    code = (path for package in CODE for path in (ROOT / package).rglob("*.py"))
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted(code)]


def find_all() -> list[Finding]:
    phrases = read_phrases(PHRASES.read_text(encoding="utf-8"))
    return [
        finding
        for path in files()
        for finding in find(path.relative_to(ROOT), path.read_text(encoding="utf-8"), phrases)
    ]


def test_no_phrase_has_to_be_decoded() -> None:
    found = find_all()
    assert not found, f"{len(found)} phrases of {PHRASES.name}:\n" + "\n".join(map(str, found))


EXAMPLE = '''\
"""A name is
none, here."""
# It is done
# anew.
def anew(is_none: int = 1) -> str:  # Anew and renew
    return f"{is_none} files that there" f" are: {anew}"
'''


def test_phrases_are_found_in_docstrings_comments_and_messages_but_not_in_names() -> None:
    phrases = read_phrases("# a comment\n\nis none => is missing\nanew\nthat there are\n")
    assert list(map(str, find(Path("a.py"), EXAMPLE, phrases))) == [
        "a.py:1: 'is none'; write: is missing",
        "a.py:4: 'anew'",
        "a.py:5: 'anew'",
        "a.py:6: 'that there are'",
    ]


@pytest.mark.parametrize(("text", "count"), [("One\nthat is  none.", 1), ("It is None.", 0), ("This nonesuch", 0)])
def test_phrases_are_found_in_documents(text: str, count: int) -> None:
    assert len(find(Path("a.md"), text, [Phrase("is none", "")])) == count


def test_every_phrase_is_listed_once() -> None:
    listed = Counter(phrase.text for phrase in read_phrases(PHRASES.read_text(encoding="utf-8")))
    assert [text for text, times in listed.items() if times > 1] == []
    assert len(listed) > 50


def main() -> None:
    found = find_all()
    for name, count in (
        *sorted(Counter(str(finding.path.parent) for finding in found).items()),
        *sorted(Counter(str(finding.path) for finding in found).items()),
        ("all", len(found)),
    ):
        print(f"{count:5} {name}")


if __name__ == "__main__":
    main()
