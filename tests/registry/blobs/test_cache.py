from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from continual_mt.errors import CorruptionError, StorageError
from registry.blobs.arrival import is_noted
from registry.blobs.cache import CachedStore
from registry.blobs.fsspec_store import RemoteStore
from registry.blobs.local import FolderStore

BOUND = 1000


@pytest.fixture
def store(tmp_path: Path) -> CachedStore:
    return CachedStore(RemoteStore(f"file://{tmp_path}/remote"), FolderStore(tmp_path / "cache"), BOUND)


def read(store: CachedStore, digest: str) -> bytes:
    """The bytes of the file to be mapped."""
    with store.file(digest) as file:
        return file.read()


def kept(store: CachedStore) -> set[str]:
    return {blob.digest for blob in store.kept.digests()}


def test_what_was_read_is_read_here_from_then_on(store: CachedStore) -> None:
    digest = store.put(b"weights")
    assert kept(store) == set()
    assert store.get(digest) == b"weights"
    assert kept(store) == {digest}
    store.origin.remove(digest)
    assert store.get(digest) == b"weights"
    store.remove(digest)
    with pytest.raises(CorruptionError, match=f"blob {digest} is missing: {store.place}/"):
        store.get(digest)


@pytest.mark.parametrize("damage", [b"Weights", b"wei", b""])
def test_what_is_damaged_here_is_fetched_again(store: CachedStore, damage: bytes) -> None:
    digest = store.put(b"weights")
    store.get(digest)
    path = store.kept.path(digest)
    path.chmod(0o644)
    path.write_bytes(damage)
    assert store.get(digest) == b"weights"
    assert path.read_bytes() == b"weights"


def test_what_is_damaged_there_is_not_kept(store: CachedStore, tmp_path: Path) -> None:
    digest = store.put(b"weights")
    path = tmp_path / "remote" / digest[:2] / digest
    path.write_bytes(b"Weights")
    with pytest.raises(CorruptionError, match=f"blob {digest} is damaged: the 7 bytes in {store.place}/"):
        store.get(digest)
    assert kept(store) == set()


def test_what_was_read_longest_ago_is_dropped_first(store: CachedStore) -> None:
    digests = [store.put(bytes([number]) * 300) for number in range(5)]
    for digest in digests[:3]:
        store.get(digest)
    for age, digest in enumerate(digests[:3]):
        os.utime(store.kept.path(digest), (1000 + age, 0))
    store.get(digests[0])
    store.get(digests[3])
    assert kept(store) == {digests[0], digests[2], digests[3]}
    store.get(digests[4])
    assert kept(store) == {digests[0], digests[3], digests[4]}


def test_what_is_larger_than_the_bound_is_not_kept(store: CachedStore) -> None:
    small, large = store.put(bytes(BOUND)), store.put(bytes(BOUND + 1))
    store.get(small)
    assert store.get(large) == read(store, large) == bytes(BOUND + 1)
    assert kept(store) == {small}
    assert read(store, small) == bytes(BOUND)


def test_files_are_fetched_once_and_hashed_as_they_arrive(store: CachedStore) -> None:
    digest = store.put(b"weights")
    assert read(store, digest) == b"weights"
    assert kept(store) == {digest}
    store.origin.remove(digest)
    path = store.kept.path(digest)
    before = path.stat()
    assert is_noted(path, before)
    for _ in range(2):  # the first also records that it was read, which its note survives
        assert read(store, digest) == store.get(digest) == b"weights"
    after = path.stat()
    assert is_noted(path, after)
    assert after.st_atime_ns > before.st_atime_ns


@pytest.mark.parametrize("damage", [b"Weights", b"wei", b""])
def test_files_that_are_damaged_here_are_fetched_again(store: CachedStore, damage: bytes) -> None:
    digest = store.put(b"weights")
    read(store, digest)
    path = store.kept.path(digest)
    path.chmod(0o644)
    path.write_bytes(damage)
    assert read(store, digest) == path.read_bytes() == b"weights"


def test_damaged_copies_are_dropped(store: CachedStore) -> None:
    """Also those that no write shows, as on a disk that loses a bit."""
    assert store.drop_damaged_copies() == 0
    whole, damaged = store.put(b"whole"), store.put(b"weights")
    for digest in (whole, damaged):
        read(store, digest)
    path = store.kept.path(damaged)
    before = path.stat()
    path.chmod(0o644)
    path.write_bytes(b"Weights")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert read(store, damaged) == b"Weights"
    assert store.drop_damaged_copies() == 1
    assert kept(store) == {whole}
    assert read(store, damaged) == b"weights"
    assert store.drop_damaged_copies() == 0


def test_files_that_are_damaged_there_are_not_kept(store: CachedStore, tmp_path: Path) -> None:
    digest = store.put(b"weights")
    (tmp_path / "remote" / digest[:2] / digest).write_bytes(b"Weights")
    with pytest.raises(CorruptionError, match=f"blob {digest} is damaged: the 7 bytes in {store.place}/"):
        store.file(digest)
    assert kept(store) == set()
    assert list(store.kept.leftovers()) == []


def test_files_are_dropped_like_other_blobs_and_stay_open(store: CachedStore) -> None:
    digests = [store.put(bytes([number]) * 600) for number in range(2)]
    with store.file(digests[0]) as first, store.file(digests[1]) as second:
        assert kept(store) == {digests[1]}
        assert (first.read(), second.read()) == (bytes(600), b"\1" * 600)


def test_what_dead_processes_left_is_cleaned(store: CachedStore) -> None:
    left = store.kept.folder / "ab/.writing-1"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    store.get(store.put(b"weights"))
    assert not left.exists()


@pytest.mark.parametrize("way", ["cache", "cache/locks", "cache/{fan_out}"])
def test_a_cache_that_cannot_be_used_is_named(store: CachedStore, tmp_path: Path, way: str) -> None:
    digest = store.put(b"weights")
    in_the_way = tmp_path / way.format(fan_out=digest[:2])
    in_the_way.parent.mkdir(exist_ok=True)
    in_the_way.write_text("not a folder")
    for verb in (store.get, store.file):
        with pytest.raises(StorageError, match=f"{tmp_path}/cache"):
            verb(digest)


def test_a_full_disk_is_said_with_the_variable(store: CachedStore, start: Callable[..., Any]) -> None:
    text = """
import resource
from continual_mt.errors import StorageError
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
try:
    store.get(digest)
except StorageError as error:
    answers.send(str(error))
"""
    (message,) = start(text, store=store, digest=store.put(bytes(501))).answers()
    assert "File too large" in message
    assert message.endswith("; with CONTINUAL_MT_CACHE_GB=0 no blobs are kept there")


def test_four_processes_keep_the_bound(store: CachedStore, start: Callable[..., Any]) -> None:
    """Looked at under the lock that writers hold, the folder is never above it, temporary files included."""
    text = """
import random
from filelock import FileLock
for _ in range(8):
    content = store.get(random.choice(digests))
    with FileLock(store.kept.folder / "locks/cache.lock"):
        files = [path for path in store.kept.folder.rglob("*") if path.is_file() and path.suffix != ".lock"]
        answers.send(sum(path.stat().st_size for path in files))
"""
    digests = [store.put(random.Random(number).randbytes(300)) for number in range(6)]
    children = [start(text, store=store, digests=digests) for _ in range(4)]
    seen = [size for child in children for size in child.answers()]
    assert len(seen) == 32
    assert max(seen) == 900
    assert all(store.get(digest) == random.Random(number).randbytes(300) for number, digest in enumerate(digests))


def test_one_process_fetches_and_the_others_wait(store: CachedStore, start: Callable[..., Any]) -> None:
    text = """
import sys
opened = []
def count(event, arguments):
    if event == "open" and str(arguments[0]).endswith(f"remote/{digest[:2]}/{digest}"):
        opened.append(arguments)
sys.addaudithook(count)
answers.send(store.get(digest) == b"weights")
answers.send(len(opened))
"""
    digest = store.put(b"weights")
    children = [start(text, store=store, digest=digest) for _ in range(4)]
    answers = [child.answers() for child in children]
    assert [whole for whole, _ in answers] == [True] * 4
    assert sum(count for _, count in answers) == 1
