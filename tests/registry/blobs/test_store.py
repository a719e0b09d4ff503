"""What holds of every store: a folder, a file system behind fsspec where files grow as they are written, and S3."""

from __future__ import annotations

import hashlib
import pickle
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from continual_mt.errors import CorruptionError
from registry.blobs import store as store_module
from registry.blobs.fsspec_store import RemoteStore
from registry.blobs.local import FolderStore
from registry.blobs.store import StoredContent
from tests.registry.blobs.places import Bucket, Folder, Place
from tests.s3 import S3Server

WEIGHTS = b"weights"
DIGEST = hashlib.sha256(WEIGHTS).hexdigest()
NAME = f"{DIGEST[:2]}/{DIGEST}"


@pytest.fixture(params=["folder", "files", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    folder = tmp_path / "blobs"
    if request.param == "folder":
        return Folder(FolderStore(folder), folder)
    if request.param == "files":
        return Folder(RemoteStore(f"file://{folder}"), folder)
    server: S3Server = request.getfixturevalue("s3_server")
    bucket: str = request.getfixturevalue("bucket")
    return Bucket(RemoteStore(f"s3://{bucket}/some/blobs"), server.client(), bucket, "some/blobs/")


# The same store for all examples: what one of them put does not disturb the next.
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contents=st.lists(st.binary(max_size=300), max_size=4))
def test_what_is_put_is_got(place: Place, contents: list[bytes]) -> None:
    pieces = {str(number): content for number, content in enumerate(contents)}
    digests = {name: place.store.put(content) for name, content in pieces.items()}
    assert digests == {name: hashlib.sha256(content).hexdigest() for name, content in pieces.items()}
    assert place.store.get_all(digests) == pieces
    assert {f"{digest[:2]}/{digest}" for digest in digests.values()} <= place.names()


def test_blobs_are_listed_with_size_and_time(place: Place) -> None:
    assert list(place.store.digests()) == []
    digests = [place.store.put(bytes(size)) for size in (0, 1, 1000)]
    place.write(f"{DIGEST[:2]}/.writing-1", b"half")
    place.write(f"{DIGEST[:2]}/notes.txt", b"")
    listed = list(place.store.digests())
    assert {blob.digest: blob.bytes for blob in listed} == dict(zip(digests, (0, 1, 1000), strict=True))
    assert all(abs(time.time() - blob.written) < 60 for blob in listed)


def test_what_was_listed_before_does_not_count(place: Place) -> None:
    assert list(place.store.digests()) == []
    place.write(NAME, WEIGHTS)
    assert [blob.digest for blob in place.store.digests()] == [DIGEST]
    assert place.store.size(DIGEST) == len(WEIGHTS)


def test_a_blob_is_read_in_chunks(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytes(range(256)) * (store_module.CHUNK_BYTES // 128) + b"rest"
    digest = place.store.put(content)
    chunks = list(place.store.chunks(digest))
    assert [len(chunk) for chunk in chunks] == [store_module.CHUNK_BYTES] * 2 + [4]
    assert b"".join(chunks) == content
    assert place.store.size(digest) == len(content)
    assert list(place.store.chunks(place.store.put(b""))) == []


def test_what_is_put_in_chunks_is_the_same_blob(place: Place) -> None:
    assert place.store.put_chunks([b"wei", memoryview(b"ghts"), b""]) == StoredContent(DIGEST, len(WEIGHTS))
    assert place.store.get(DIGEST) == WEIGHTS
    assert place.store.put_chunks(iter([WEIGHTS])).digest == place.store.put(WEIGHTS) == DIGEST
    assert [blob.digest for blob in place.store.digests()] == [DIGEST]
    assert list(place.store.leftovers()) == []
    empty = place.store.put_chunks([])
    assert place.store.get(empty.digest) == b""


def test_chunks_that_fail_leave_nothing(place: Place) -> None:
    def fails() -> Iterator[bytes]:
        yield WEIGHTS
        raise CorruptionError("the source ended")

    def refuse(digest: str, size: int) -> None:
        raise CorruptionError(f"{digest} of {size} bytes is not wanted")

    with pytest.raises(CorruptionError, match=r"^the source ended$"):
        place.store.put_chunks(fails())
    with pytest.raises(CorruptionError, match=f"^{DIGEST} of 7 bytes is not wanted$"):
        place.store.put_chunks([WEIGHTS], refuse)
    assert place.names() == set()


def test_a_file_has_the_bytes_and_outlives_the_blob(place: Place) -> None:
    place.store.put_chunks([WEIGHTS])
    with place.store.file(DIGEST) as file:
        place.store.remove(DIGEST)
        assert place.names() == set()
        assert Path(f"/dev/fd/{file.fileno()}").read_bytes() == file.read() == WEIGHTS


@pytest.mark.parametrize("content", [b"Weights", b"weight", b""])
def test_a_file_that_was_written_to_since_is_found_out(place: Place, content: bytes) -> None:
    place.store.put_chunks([WEIGHTS])
    place.store.file(DIGEST).close()
    place.write(NAME, content)
    words = f"blob {DIGEST} is damaged: the {len(content)} bytes in .*was left as it is"
    for _ in range(2):
        with pytest.raises(CorruptionError, match=words):
            place.store.file(DIGEST)
    place.store.put_chunks([WEIGHTS])
    if len(content) != len(WEIGHTS):  # a blob of full length is not written to S3 again
        place.store.file(DIGEST).close()


def test_a_blob_is_copied_from_another_store(place: Place, tmp_path: Path) -> None:
    origin = FolderStore(tmp_path / "origin")
    place.store.copy_from(origin, origin.put(WEIGHTS))
    assert place.store.get(DIGEST) == WEIGHTS
    place.store.remove(DIGEST)
    origin.path(DIGEST).chmod(0o644)
    origin.path(DIGEST).write_bytes(b"half")
    with pytest.raises(CorruptionError, match=f"blob {DIGEST} is damaged: the 4 bytes in {origin.path(DIGEST)} have"):
        place.store.copy_from(origin, DIGEST)
    assert place.names() == set()


def test_weights_are_loaded_as_files_and_the_rest_as_bytes(place: Place) -> None:
    digests = {"module.json": place.store.put(b"{}"), "source.safetensors": place.store.put(WEIGHTS)}

    def read(pieces: dict[str, bytes | BinaryIO]) -> bytes:
        assert pieces["module.json"] == b"{}"
        weights = pieces["source.safetensors"]
        assert not isinstance(weights, bytes)
        return weights.read()

    assert place.store.load(digests, read) == WEIGHTS


def test_a_truncated_blob_is_found_out_and_healed_by_the_same_content(place: Place) -> None:
    place.write(NAME, WEIGHTS[:3])
    with pytest.raises(CorruptionError) as caught:
        place.store.get(DIGEST)
    assert f"blob {DIGEST} is damaged: the 3 bytes in" in str(caught.value)
    assert place.store.place in str(caught.value)
    assert "'continual-mt registry verify' lists what needs it, and moves a damaged blob into" in str(caught.value)
    assert place.store.put(WEIGHTS) == DIGEST
    assert place.store.get(DIGEST) == WEIGHTS


def test_a_damaged_blob_is_left_as_it_is(place: Place) -> None:
    place.write(NAME, b"Weights")
    with pytest.raises(CorruptionError, match=f"blob {DIGEST} is damaged: the 7 bytes in .*was left as it is"):
        place.store.get(DIGEST)
    assert place.read(NAME) == b"Weights"
    assert b"".join(place.store.chunks(DIGEST)) == b"Weights"


def test_a_missing_blob_is_named_with_its_place(place: Place) -> None:
    for verb in (place.store.get, place.store.file, place.store.size, lambda digest: list(place.store.chunks(digest))):
        with pytest.raises(CorruptionError, match=f"blob {DIGEST} is missing: .*/blobs/{NAME} does not exist"):
            verb(DIGEST)


def test_a_blob_is_removed(place: Place) -> None:
    place.store.put(WEIGHTS)
    place.store.remove(DIGEST)
    assert place.names() == set()
    place.store.remove(DIGEST)
    assert place.store.put(WEIGHTS) == DIGEST
    assert place.names() == {NAME}


def test_quarantine_keeps_everything(place: Place) -> None:
    assert place.store.set_aside(DIGEST) is None
    for content in (b"Weights", b"wEights"):
        place.write(NAME, content)
        aside = place.store.quarantine(DIGEST)
        assert aside.rpartition("/")[0].endswith("blobs/quarantine")
        assert place.store.set_aside(DIGEST) == aside
    assert {place.read(name) for name in place.names()} == {b"Weights", b"wEights"}
    assert all(name.startswith(f"quarantine/{DIGEST}-") for name in place.names())
    assert list(place.store.digests()) == []
    with pytest.raises(CorruptionError, match=f"blob {DIGEST} is missing"):
        place.store.quarantine(DIGEST)
    place.store.put(WEIGHTS)
    assert place.store.get(DIGEST) == WEIGHTS


def test_what_dead_writers_left_is_listed_and_can_be_removed(place: Place) -> None:
    place.store.put(WEIGHTS)
    place.write("ab/.writing-1", b"half")
    (leftover,) = place.store.leftovers()
    assert leftover.place.endswith("blobs/ab/.writing-1")
    assert leftover.bytes == 4
    assert abs(time.time() - leftover.written) < 60
    for _ in range(2):
        place.store.remove_leftover(leftover)
    assert list(place.store.leftovers()) == []
    assert place.names() == {NAME}


def test_only_digests_name_blobs(place: Place) -> None:
    for verb in (place.store.get, place.store.file, place.store.size, place.store.remove, place.store.quarantine):
        with pytest.raises(CorruptionError, match=r"'../secret' is not the SHA-256 of a blob"):
            verb("../secret")


def test_a_store_is_sent_to_other_processes_as_it_is(place: Place) -> None:
    place.store.put(WEIGHTS)
    sent = pickle.dumps(place.store)
    assert len(sent) < 300
    assert pickle.loads(sent).get(DIGEST) == WEIGHTS  # noqa: S301
