import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continual_mt.errors import CorruptionError, StorageError
from registry.blobs import BlobStore


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


@settings(max_examples=30, deadline=None)
@given(contents=st.lists(st.binary(max_size=300), max_size=5))
def test_what_is_put_is_got(contents: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    store = BlobStore(tmp_path_factory.mktemp("blobs"))
    pieces = {str(number): content for number, content in enumerate(contents)}
    digests = store.put_all(pieces)
    assert digests == {name: hashlib.sha256(content).hexdigest() for name, content in pieces.items()}
    assert store.get_all(digests) == pieces
    assert len([path for path in store.folder.rglob("*") if path.is_file()]) == len(set(contents))


def test_a_blob_lies_under_two_characters_and_is_read_only(store: BlobStore) -> None:
    digest = store.put(b"weights")
    path = store.folder / digest[:2] / digest
    assert store.path(digest) == path
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert [entry.name for entry in path.parent.iterdir()] == [digest]


def test_what_is_there_is_not_written_again(store: BlobStore) -> None:
    path = store.path(store.put(b"weights"))
    before = path.stat()
    store.put(b"weights")
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_truncated_blob_is_found_out_and_healed_by_the_same_content(store: BlobStore) -> None:
    digest = store.put(b"weights")
    store.path(digest).chmod(0o644)
    os.truncate(store.path(digest), 3)
    with pytest.raises(CorruptionError) as caught:
        store.get(digest)
    assert str(store.path(digest)) in str(caught.value)
    assert f"blob {digest} is damaged: the 3 bytes in" in str(caught.value)
    assert "register the same content again" in str(caught.value)
    assert store.put(b"weights") == digest
    assert store.get(digest) == b"weights"


@settings(max_examples=30, deadline=None)
@given(position=st.integers(0, 8 * 64 - 1))
def test_any_flipped_bit_is_found_out(position: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    store = BlobStore(tmp_path_factory.mktemp("blobs"))
    digest = store.put(bytes(range(64)))
    content = bytearray(store.path(digest).read_bytes())
    content[position // 8] ^= 1 << position % 8
    store.path(digest).chmod(0o644)
    store.path(digest).write_bytes(content)
    with pytest.raises(CorruptionError, match=f"blob {digest} is damaged.*The file was left as it is"):
        store.get(digest)
    assert store.path(digest).read_bytes() == content


def test_a_missing_blob_names_digest_and_file(store: BlobStore) -> None:
    digest = hashlib.sha256(b"gone").hexdigest()
    with pytest.raises(CorruptionError, match=f"blob {digest} is missing: there is no file {store.path(digest)}"):
        store.get(digest)


@pytest.mark.parametrize("digest", ["", "a" * 63, "../" + "a" * 61, "A" * 64, "a" * 64 + "\n"])
def test_only_digests_are_paths(store: BlobStore, digest: str) -> None:
    with pytest.raises(CorruptionError, match="is not the SHA-256 of a blob"):
        store.path(digest)


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_text("not a folder")
    with pytest.raises(StorageError, match=f"cannot store 7 bytes in {tmp_path}/blobs/.*nothing was registered"):
        BlobStore(tmp_path / "blobs").put(b"weights")


def test_a_full_disk_leaves_no_file_behind(store: BlobStore, start: Callable[..., Any]) -> None:
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
