import hashlib
import os
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continual_mt.errors import CorruptionError, StorageError
from registry.blobs.local import FolderStore


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "blobs")


def test_a_blob_lies_under_two_characters_and_is_read_only(store: FolderStore) -> None:
    digest = store.put(b"weights")
    path = store.folder / digest[:2] / digest
    assert store.path(digest) == path
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert [entry.name for entry in path.parent.iterdir()] == [digest]


def test_what_is_there_is_not_written_again_but_counts_as_written_now(store: FolderStore) -> None:
    path = store.path(store.put(b"weights"))
    os.utime(path, (0, 0))
    before = path.stat()
    store.put(b"weights")
    assert path.stat().st_ino == before.st_ino
    assert time.time() - path.stat().st_mtime < 60


def test_what_is_removed_as_it_is_found_is_written_again(store: FolderStore) -> None:
    """Each put may find the blob just before the other process removes it."""
    stop = threading.Event()
    digest = store.put(b"weights")

    def remove() -> None:
        while not stop.is_set():
            store.remove(digest)

    remover = threading.Thread(target=remove)
    remover.start()
    try:
        for _ in range(300):
            assert store.put(b"weights") == digest
    finally:
        stop.set()
        remover.join()
    store.put(b"weights")
    assert store.get(digest) == b"weights"


@settings(max_examples=30, deadline=None)
@given(position=st.integers(0, 8 * 64 - 1))
def test_any_flipped_bit_is_found_out(position: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    store = FolderStore(tmp_path_factory.mktemp("blobs"))
    digest = store.put(bytes(range(64)))
    content = bytearray(store.path(digest).read_bytes())
    content[position // 8] ^= 1 << position % 8
    store.path(digest).chmod(0o644)
    store.path(digest).write_bytes(content)
    with pytest.raises(CorruptionError, match=f"blob {digest} is damaged.*The file was left as it is"):
        store.get(digest)
    assert store.path(digest).read_bytes() == content


@pytest.mark.parametrize("digest", ["", "a" * 63, "../" + "a" * 61, "A" * 64, "a" * 64 + "\n"])
def test_only_digests_are_paths(store: FolderStore, digest: str) -> None:
    with pytest.raises(CorruptionError, match="is not the SHA-256 of a blob"):
        store.path(digest)


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_text("not a folder")
    with pytest.raises(StorageError, match=f"cannot store 7 bytes in {tmp_path}/blobs/.*nothing was registered"):
        FolderStore(tmp_path / "blobs").put(b"weights")


def test_a_full_disk_leaves_no_file_behind(store: FolderStore, start: Callable[..., Any]) -> None:
    text = """
import resource
from continual_mt.errors import StorageError
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
small = store.put(b"x" * 1000)
try:
    store.put(b"x" * 1001)
except StorageError as error:
    answers.send(str(error))
answers.send(store.get(small) == b"x" * 1000)
"""
    message, small_is_there = start(text, store=store).answers()
    path = store.path(hashlib.sha256(b"x" * 1001).hexdigest())
    assert f"cannot store 1,001 bytes in {path}: File too large; nothing was registered" in message
    assert small_is_there
    assert list(path.parent.iterdir()) == []
