from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest

from continual_mt.data.corpora.read_once import keep, reads_once
from continual_mt.errors import CorpusError, StorageError


def pipe_with(content: bytes, path: Path) -> Path:
    os.mkfifo(path)
    threading.Thread(target=path.write_bytes, args=(content,), daemon=True).start()
    return path


def test_what_can_be_read_only_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    once = [
        tmp_path / "pipe",
        tmp_path / "link",
        *map(Path, ("/dev/stdin", "/dev/fd/63", "/proc/self/fd/0", "/dev/null")),
    ]
    again = [tmp_path / "file", tmp_path, tmp_path / "missing", Path("dev/stdin"), Path("/dev/shm/file")]
    assert all(map(reads_once, once))
    assert not any(map(reads_once, again))


def test_a_pipe_is_kept_under_its_content(tmp_path: Path) -> None:
    content = b"Zeile\n" * 500_000
    kept = keep(pipe_with(content, tmp_path / "pipe"), tmp_path / "inputs")
    assert kept == tmp_path / "inputs" / f"pipe-{hashlib.sha256(content).hexdigest()[:32]}"
    assert kept.read_bytes() == content
    assert keep(pipe_with(content, tmp_path / "other"), tmp_path / "inputs") == kept
    assert list((tmp_path / "inputs").iterdir()) == [kept]


def test_a_pipe_without_content_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"pipe: no content; a pipe can be read only once\. Fix: check the program"):
        keep(pipe_with(b"", tmp_path / "pipe"), tmp_path / "inputs")
    with pytest.raises(CorpusError, match="cannot be read"):
        keep(Path("/dev/fd/987"), tmp_path / "inputs")
    assert list((tmp_path / "inputs").iterdir()) == []


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match=r"file: cannot keep /dev/null \(File exists\)"):
        keep(Path("/dev/null"), tmp_path / "file")
