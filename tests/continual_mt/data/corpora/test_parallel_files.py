from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from continual_mt.data.corpora import line_reader
from continual_mt.data.corpora.corpus import Corpus, SentencePair, inspect
from continual_mt.data.corpora.line_reader import read_lines
from continual_mt.data.corpora.parallel_files import TextFiles
from continual_mt.data.corpora.tsv import TabSeparated
from continual_mt.errors import CorpusError
from continual_mt.languages import Pair

PAIR = Pair("de", "en")
PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".zst": zstandard.ZstdCompressor().compress,
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
}
SENTENCES = st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\t")), max_size=20)


def write(path: Path, sentences: list[str]) -> Path:
    content = "".join(f"{sentence}\n" for sentence in sentences).encode()
    path.write_bytes(PACK[path.suffix if path.suffix in PACK else ""](content))
    return path


@pytest.fixture
def texts(django_catalogs: dict[str, list[str]]) -> tuple[list[str], list[str]]:
    return django_catalogs["de"], django_catalogs["en"]


@pytest.mark.parametrize("suffix", PACK)
def test_the_digest_does_not_depend_on_the_file_format(
    texts: tuple[list[str], list[str]], tmp_path: Path, suffix: str
) -> None:
    german, english = texts
    plain = TextFiles(PAIR, write(tmp_path / "de", german), write(tmp_path / "en", english))
    packed = TextFiles(PAIR, write(tmp_path / f"de{suffix}", german), write(tmp_path / f"en{suffix}", english))
    rows = [f"x\t{target}\t{source}" for source, target in zip(german, english, strict=True)]
    table = TabSeparated(PAIR, write(tmp_path / f"rows.tsv{suffix}", rows), source_column=2, target_column=1)
    expected = [SentencePair(line, *pair) for line, pair in enumerate(zip(german, english, strict=True), start=1)]
    assert list(plain.read()) == list(packed.read()) == list(table.read()) == expected
    assert inspect(plain) == inspect(packed) == inspect(table)


def test_the_summary_counts(tmp_path: Path) -> None:
    source = write(tmp_path / "de", ["Guten Tag", "", "Hallo", "eins zwei drei", "", " "])
    target = write(tmp_path / "en", ["Good day", "Empty", "", "one two three", "", "x"])
    corpus: Corpus = TextFiles(PAIR, source, target, licence="CC0")
    summary = inspect(corpus)
    assert (summary.sentences, summary.empty, summary.first_empty) == (6, 4, (2, 3, 5))
    assert (summary.source_words, summary.target_words) == (6, 7)
    assert (corpus.name, corpus.licence, str(corpus.pair)) == ("de + en", "CC0", "de-en")


def test_the_digest_depends_on_order_and_alignment(tmp_path: Path) -> None:
    def digest(german: list[str], english: list[str]) -> str:
        return inspect(TextFiles(PAIR, write(tmp_path / "de", german), write(tmp_path / "en", english))).digest

    straight = digest(["a", "b"], ["c", "d"])
    assert len({straight, digest(["b", "a"], ["d", "c"]), digest(["a", "b"], ["d", "c"])}) == 3
    assert straight == digest(["a", "b"], ["c", "d"])


@given(sentences=SENTENCES)
@pytest.mark.parametrize("suffix", PACK)
def test_lines_of_any_characters_are_read_back(
    sentences: list[str], suffix: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    sentences = [sentence.removeprefix("\ufeff") for sentence in sentences]
    path = write(tmp_path_factory.mktemp("lines") / f"text{suffix}", sentences)
    assert list(read_lines(path)) == sentences


def test_only_line_feeds_end_lines(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes("\ufeffeins\u2028zwei\x0bdrei\x85vier\r\nfünf\rsechs\n\nlast".encode())
    assert list(read_lines(path)) == ["eins\u2028zwei\x0bdrei\x85vier", "fünf sechs", "", "last"]


def test_zstandard_frames_follow_one_another(tmp_path: Path) -> None:
    pack = zstandard.ZstdCompressor().compress
    text = "".join(f"line {number}\n" for number in range(50_000))
    path = tmp_path / "text.zst"
    path.write_bytes(pack(b"first\n") + pack(text.encode()) + pack(b"last"))
    found = list(read_lines(path))
    assert (found[0], found[1], found[-1], len(found)) == ("first", "line 0", "last", 50_002)


@pytest.mark.parametrize(("longer", "counts"), [("source", (5, 3)), ("target", (3, 5))])
def test_the_error_for_misaligned_files_states_both_counts(
    tmp_path: Path, longer: str, counts: tuple[int, int]
) -> None:
    source = write(tmp_path / "de", ["x"] * counts[0])
    target = write(tmp_path / "en", ["x"] * counts[1])
    with pytest.raises(CorpusError) as caught:
        inspect(TextFiles(PAIR, source, target))
    expected = f"{source}: {counts[0]} lines, but {target} has {counts[1]}; expected equally many"
    assert str(caught.value) == expected


def test_the_error_for_invalid_utf8_names_file_and_line(tmp_path: Path) -> None:
    source = write(tmp_path / "de", ["gut", "schön", "grün"])
    source.write_bytes("gut\nschön\n".encode() + "grün\n".encode("latin-1"))
    with pytest.raises(
        CorpusError, match=r"de, line 3: not UTF-8 \(byte 0xfc at position 3\)\. Fix: convert"
    ) as caught:
        inspect(TextFiles(PAIR, source, write(tmp_path / "en", ["a", "b", "c"])))
    assert (caught.value.path, caught.value.line) == (source, 3)


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".xz", ".bz2"])
def test_truncated_archives(texts: tuple[list[str], list[str]], tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"text{suffix}", texts[0])
    content = path.read_bytes()
    for length in (1, 10, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(CorpusError, match="damaged or truncated after line"):
            list(read_lines(path))


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"nowhere: no such file"):
        list(read_lines(tmp_path / "nowhere"))
    with pytest.raises(CorpusError, match="is a folder; expected a file"):
        list(read_lines(tmp_path))
    with pytest.raises(CorpusError, match=r"cannot be read \(Not a directory\)"):
        list(read_lines(write(tmp_path / "file", ["x"]) / "inner"))


def test_the_length_of_lines_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_reader, "MAXIMUM_LINE_BYTES", 100)
    path = write(tmp_path / "text", ["x" * 99, "x" * 101])
    with pytest.raises(CorpusError, match="line 2: longer than 100 bytes; expected text, one sentence per line"):
        list(read_lines(path))


@pytest.mark.parametrize("suffix", PACK)
def test_carriage_returns_that_end_lines_are_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"text{suffix}"
    path.write_bytes(PACK[suffix](b"eins\rzwei\rdrei\r"))
    with pytest.raises(CorpusError, match="3 carriage returns within 1 lines, as if they ended lines; expected"):
        list(read_lines(path))
