from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from continual_mt.errors import CorruptionError
from registry.blobs.arrival import SUFFIX, is_noted
from registry.blobs.local import FolderStore

DIGEST = hashlib.sha256(b"weights").hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "blobs")


def names(store: FolderStore) -> list[str]:
    return sorted(path.name for path in store.path(DIGEST).parent.iterdir())


def exchange(path: Path, content: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(content)


def age(path: Path, seconds: int) -> None:
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - seconds * 10**9))


def test_chunks_are_noted_as_they_arrive(store: FolderStore) -> None:
    store.put_chunks([b"weights"])
    assert is_noted(store.path(DIGEST), store.path(DIGEST).stat())
    assert names(store) == [DIGEST, DIGEST + SUFFIX]


def test_what_no_note_is_of_is_hashed_and_noted_when_it_has_settled(store: FolderStore) -> None:
    """As blobs are that an earlier version stored, or that were copied by hand."""
    path = store.path(store.put(b"weights"))
    store.file(DIGEST).close()
    assert names(store) == [DIGEST]  # written to a moment ago
    age(path, 10)
    store.file(DIGEST).close()
    assert is_noted(path, path.stat())
    assert names(store) == [DIGEST, DIGEST + SUFFIX]


def test_damage_is_found_after_a_write_of_any_moment(store: FolderStore) -> None:
    for _ in range(20):
        store.put_chunks([b"weights"])
        exchange(store.path(DIGEST), b"Weights")
        with pytest.raises(CorruptionError, match=f"blob {DIGEST} is damaged: the 7 bytes in"):
            store.file(DIGEST)


def test_damage_that_no_write_shows_is_found_where_all_is_read(store: FolderStore) -> None:
    """A disk that loses a bit says nothing of it: `registry verify` reads all blobs."""
    store.put_chunks([b"weights"])
    before = store.path(DIGEST).stat()
    exchange(store.path(DIGEST), b"Weights")
    os.utime(store.path(DIGEST), ns=(before.st_atime_ns, before.st_mtime_ns))
    store.file(DIGEST).close()
    with pytest.raises(CorruptionError, match=f"blob {DIGEST} is damaged"):
        store.get(DIGEST)


def test_a_copied_folder_is_hashed_once(store: FolderStore, tmp_path: Path) -> None:
    """A copy may keep the times and yet be damaged."""
    store.put_chunks([b"weights"])
    age(store.path(DIGEST), 10)
    store.file(DIGEST).close()  # noted again
    before = store.path(DIGEST).stat()
    copy = FolderStore(shutil.copytree(store.folder, tmp_path / "copy"))
    path = copy.path(DIGEST)
    assert names(copy) == [DIGEST, DIGEST + SUFFIX]
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert not is_noted(path, path.stat())
    copy.file(DIGEST).close()
    assert is_noted(path, path.stat())


def test_a_note_of_an_earlier_version_counts_as_none(store: FolderStore) -> None:
    store.put_chunks([b"weights"])
    path = store.path(DIGEST)
    status = path.stat()
    path.with_name(DIGEST + SUFFIX).write_text(f"{status.st_size} {status.st_mtime_ns}")
    assert not is_noted(path, status)


def test_a_damaged_note_costs_a_hash(store: FolderStore) -> None:
    store.put_chunks([b"weights"])
    age(store.path(DIGEST), 10)
    note = store.path(DIGEST + "").with_name(DIGEST + SUFFIX)
    for content in (b"", b"\xff", b"7"):
        note.write_bytes(content)
        store.file(DIGEST).close()
        assert is_noted(store.path(DIGEST), store.path(DIGEST).stat())


def test_notes_leave_with_their_blobs(store: FolderStore) -> None:
    for leave in (store.remove, store.quarantine):
        store.put_chunks([b"weights"])
        leave(DIGEST)
        assert names(store) == []


def test_a_note_without_its_blob_is_left_over(store: FolderStore) -> None:
    store.put_chunks([b"weights"])
    assert list(store.leftovers()) == []
    path = store.path(DIGEST)
    path.unlink()  # not by the store
    (leftover,) = store.leftovers()
    assert leftover.place == f"{path}{SUFFIX}"
    store.remove_leftover(leftover)
    assert names(store) == []


def test_a_folder_that_cannot_be_written_to_is_hashed_each_time(store: FolderStore) -> None:
    path = store.path(store.put(b"weights"))
    age(path, 10)
    path.with_name(DIGEST + SUFFIX).mkdir()  # in the way of the note, also for root
    for _ in range(2):
        store.file(DIGEST).close()
    assert list(store.leftovers()) == []
    store.remove(DIGEST)  # the note stays, and is no error
    assert names(store) == [DIGEST + SUFFIX]
