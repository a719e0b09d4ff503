from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import tarfile
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from continual_mt.data.corpora.line_reader import read_lines, read_stream
from continual_mt.errors import CorpusError

TEXT = "Öffnen Sie die Datei.\nZweite Zeile\n".encode()
LINES = ["Öffnen Sie die Datei.", "Zweite Zeile"]
PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}
NAMES = ("text", "text.txt", "text.gz", "text.xz", "text.bz2", "text.zst", "text.tsv")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("pack", [bytes, *PACK.values()], ids=["plain", *PACK])
def test_the_content_decides_not_the_suffix(pack: Callable[[bytes], bytes], name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(pack(TEXT))
    assert list(read_lines(tmp_path / name)) == LINES
    assert list(read_stream(io.BytesIO(pack(TEXT)), name)) == LINES
    (tmp_path / name).write_bytes(pack(b""))
    assert list(read_lines(tmp_path / name)) == []


@pytest.mark.parametrize("pack", PACK.values(), ids=PACK)
def test_several_streams_follow_one_another(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(pack(TEXT) + pack(TEXT))
    assert list(read_lines(tmp_path / "text")) == 2 * LINES


def test_what_the_zstd_program_writes_into_several_frames_is_read(tmp_path: Path) -> None:
    """A skippable frame comes first, as pzstd writes it."""
    skippable = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"\0\0\0\0"
    (tmp_path / "text").write_bytes(skippable + PACK["zstd"](TEXT))
    assert list(read_lines(tmp_path / "text")) == LINES


@pytest.mark.parametrize("pack", PACK.values(), ids=PACK)
def test_damage_is_reported_with_the_line(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    generator = random.Random(1)
    content = bytearray(pack(b"".join(b"%s\n" % generator.randbytes(40).hex().encode() for _ in range(20_000))))
    # xz checks a block at its end; until there it may decode damage as other text.
    place = len(content) - 40 if pack is lzma.compress else len(content) // 2
    content[place : place + 32] = bytes(32)
    (tmp_path / "text").write_bytes(content)
    with pytest.raises(CorpusError, match=r"text: damaged or truncated after line \d+ \("):
        list(read_lines(tmp_path / "text"))


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("text.de", TEXT)


def tarred(path: Path) -> None:
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("text.de"))


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("text.zip", zipped, r"is a zip archive .*; expected text in UTF-8, one sentence per line.* Fix: unpack it"),
        ("text.de", zipped, r"text\.de: is a zip archive"),
        ("text.de.gz", zipped, "is a zip archive"),
        ("text.tgz", tarred, r"text\.tgz: is a tar archive; .* Fix: unpack it"),
        ("text.7z", lambda path: path.write_bytes(b"7z\xbc\xaf\x27\x1c\0\4"), "is a 7z archive"),
        ("text", lambda path: path.write_bytes("Öl".encode("utf-16")), "is UTF-16; .* Fix: convert it to UTF-8"),
        ("text.gz", lambda path: path.write_bytes(gzip.compress(gzip.compress(TEXT))), "compressed twice. Fix: dec"),
        ("text.gz", lambda path: path.write_bytes(b"\x80\x81"), "damaged: begins neither like gzip, as its suffix"),
    ],
)
def test_other_formats_are_refused_by_name(
    name: str, write: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    write(tmp_path / name)
    with pytest.raises(CorpusError, match=message):
        list(read_lines(tmp_path / name))


def test_text_that_begins_like_a_compressed_format_is_text(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"BZh9 is how bzip2 begins\n(\n")
    assert list(read_lines(tmp_path / "text")) == ["BZh9 is how bzip2 begins", "("]
    (tmp_path / "text").write_bytes(b"(")
    assert list(read_lines(tmp_path / "text")) == ["("]


def test_a_line_of_a_pipe_is_read_as_it_arrives() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as stream, os.fdopen(writer, "wb", buffering=0) as program:
        lines = read_stream(stream, "a pipe")
        for number in range(3):
            program.write(f"line {number}\n".encode())
            assert next(lines) == f"line {number}"
        program.close()
        assert list(lines) == []


def test_a_compressed_pipe_is_read_in_one_pass(tmp_path: Path) -> None:
    """Its programs write in pieces that are smaller than the content."""
    content = gzip.compress(b"".join(b"%d %s\n" % (n, os.urandom(8).hex().encode()) for n in range(30_000)))
    os.mkfifo(pipe := tmp_path / "pipe")
    writer = threading.Thread(target=pipe.write_bytes, args=(content,))
    writer.start()
    assert sum(1 for _ in read_lines(pipe)) == 30_000
    writer.join()
