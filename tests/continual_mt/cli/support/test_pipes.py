from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from continual_mt.cli.support.pipes import arriving_lines
from continual_mt.cli.support.text_io import CHUNK_LINES, Input
from continual_mt.data.corpora.line_reader import MAXIMUM_LINE_BYTES
from continual_mt.errors import CorpusError


@pytest.fixture
def pipe() -> Iterator[tuple[int, IO[bytes]]]:
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb", buffering=0) as end:
        yield reading, end
    os.close(reading)


def program(home: Path, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "continual_mt.cli.main", "translate", "es-en", "--beam", "1"]
    command += ["--backend", "torch", "--home", str(home), *words]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize("words", [(), ("--line-buffered",), ("--scores", "--processes", "2")])
def test_a_line_is_translated_before_the_next_one_is_written(shared_home: Path, words: tuple[str, ...]) -> None:
    with program(shared_home, *words) as started:
        assert started.stdin
        assert started.stdout
        for written in (b"Hola\nhalf of a ", b"line\n", b"\n", b"Buenos d\xc3\xadas\r\nuno\n"):
            started.stdin.write(written)
            started.stdin.flush()
            for _ in range(written.count(b"\n")):
                assert started.stdout.readline().endswith(b"\n")
        rest, error = started.communicate(b"Hola\nuno\n\xff\nHola\n", timeout=300)
    assert rest.count(b"\n") == 2
    problem = "error: standard input, line 8: not UTF-8 (byte 0xff at position 1)"
    assert error.decode().splitlines()[-1].startswith(problem)
    assert started.returncode == 2


def test_a_named_pipe_is_translated_as_it_arrives(shared_home: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with program(shared_home, "--input", str(tmp_path / "pipe")) as started:
        assert started.stdout
        with (tmp_path / "pipe").open("wb", buffering=0) as writer:
            for _ in range(2):
                writer.write(b"Hola\n")
                assert started.stdout.readline()
        rest, _ = started.communicate(timeout=300)
    assert (rest, started.returncode) == (b"", 0)


def test_compressed_text_comes_through_a_pipe(pipe: tuple[int, IO[bytes]]) -> None:
    reading, writer = pipe
    content = gzip.compress(b"one\ntwo\n" * 9)
    lines = arriving_lines(reading, "text")
    assert next(lines) is None
    writer.write(content[:20])
    writer.write(content[20:])
    writer.close()
    assert list(lines) == ["one", "two"] * 9


def test_lines_that_end_with_carriage_returns_only(pipe: tuple[int, IO[bytes]]) -> None:
    reading, writer = pipe
    writer.write(b"one\rtwo\rthree\r")
    writer.close()
    with pytest.raises(CorpusError, match="text: 3 carriage returns within 1 lines, as if they ended lines"):
        list(arriving_lines(reading, "text"))


def test_a_reader_that_leaves_ends_the_program(shared_home: Path) -> None:
    with program(shared_home) as started:
        assert started.stdin
        assert started.stdout
        started.stdin.write(b"Hola\n")
        started.stdin.flush()
        assert started.stdout.readline()
        started.stdout.close()
        started.stdin.write(b"Hola\n")
        started.stdin.close()
        assert started.wait(timeout=300) == 1
        assert started.stderr
        assert b"Traceback" not in started.stderr.read()


def test_what_has_arrived_is_one_chunk(pipe: tuple[int, IO[bytes]], monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writer = pipe
    with os.fdopen(os.dup(reading)) as given:
        monkeypatch.setattr(sys, "stdin", given)
        chunks = Input(None).chunks()
        writer.write(b"\xef\xbb\xbfone\ntwo\r\nth")
        assert next(chunks).lines == ["one", "two"]
        writer.write(b"ree\n\nfour\n")
        chunk = next(chunks)
        assert (chunk.first, chunk.lines) == (3, ["three", "", "four"])
        writer.write(b"line\n" * (CHUNK_LINES + 7) + b"last")
        writer.close()
        assert [len(chunk.lines) for chunk in chunks] == [CHUNK_LINES, 8]


def test_a_full_pipe_comes_in_full_chunks(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more bytes than a pipe usually holds."""
    with subprocess.Popen(
        [sys.executable, "-c", "for i in range(20000): print('twenty characters', i)"], stdout=subprocess.PIPE
    ) as writer:
        monkeypatch.setattr(sys, "stdin", writer.stdout)
        text = Input(None)
        assert text.check() is None
        chunks = [len(chunk.lines) for chunk in text.chunks(2)]
    assert sum(chunks) == 20000
    assert len(chunks) <= 20000 / (2 * CHUNK_LINES) + 3


def test_a_line_without_end_is_an_error_before_it_fills_the_memory(pipe: tuple[int, IO[bytes]]) -> None:
    reading, writer = pipe
    lines = (line for line in arriving_lines(reading, "text") if line is not None)
    writer.write(b"one\n")
    assert next(lines) == "one"
    feeder = subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.stdout.write('x' * {2 * MAXIMUM_LINE_BYTES})"], stdout=writer
    )
    with pytest.raises(CorpusError, match="text, line 2: longer than 1,048,576 bytes"):
        next(lines)
    feeder.kill()
    feeder.wait()


def test_a_pipe_that_does_not_block_is_waited_for(pipe: tuple[int, IO[bytes]]) -> None:
    """As programs in other languages make them."""
    reading, writer = pipe
    os.set_blocking(reading, False)
    lines: Any = arriving_lines(reading, "text")
    assert next(lines) is None
    writer.write(b"one\n")
    assert next(lines) == "one"
    assert next(lines) is None
