"""What only blobs at a URL meet: a server that goes away, keys that are none, and files that grow as they are seen."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from s3fs import S3FileSystem

from continual_mt.errors import StorageError
from registry.blobs.fsspec_store import RemoteStore
from tests.s3 import S3Server

DIGEST = hashlib.sha256(b"weights").hexdigest()


@pytest.fixture
def store(bucket: str) -> RemoteStore:
    return RemoteStore(f"s3://{bucket}/blobs")


def verbs(store: RemoteStore) -> Iterator[Callable[[], object]]:
    yield lambda: store.put(b"weights")
    yield lambda: store.get(DIGEST)
    yield lambda: store.size(DIGEST)
    yield lambda: list(store.digests())
    yield lambda: store.remove(DIGEST)
    yield lambda: store.quarantine(DIGEST)
    yield lambda: store.set_aside(DIGEST)


def test_a_server_that_goes_away_in_mid_work_and_comes_back(store: RemoteStore, s3_server: S3Server) -> None:
    first = store.put(b"first")
    s3_server.down()
    try:
        for verb in verbs(store):
            with pytest.raises(StorageError) as caught:
                verb()
            message = str(caught.value)
            assert f"at {store.url} on {s3_server.host}: Could not connect" in message
            assert "AWS_ENDPOINT_URL names one that is not Amazon's" in message
            assert message.endswith("then run the same command again")
    finally:
        s3_server.up()
    assert store.put(b"weights") == DIGEST
    assert {store.get(DIGEST), store.get(first)} == {b"weights", b"first"}


def test_a_bucket_that_is_not_there(bucket: str) -> None:
    for verb in verbs(RemoteStore("s3://no-such-bucket/blobs")):
        with pytest.raises(StorageError, match=r"at s3://no-such-bucket/blobs on 127.*make the bucket or folder first"):
            verb()


def test_keys_that_nobody_was_given(store: RemoteStore, s3_server: S3Server) -> None:
    s3_server.check_keys(True)
    try:
        for verb in verbs(store):
            with pytest.raises(
                StorageError, match=f"at {store.url} on {s3_server.host}: .*set AWS_ACCESS_KEY_ID"
            ) as caught:
                verb()
            assert s3_server.environment["AWS_ACCESS_KEY_ID"] not in str(caught.value)
            assert s3_server.environment["AWS_SECRET_ACCESS_KEY"] not in str(caught.value)
    finally:
        s3_server.check_keys(False)


def test_no_keys_at_all(store: RemoteStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    S3FileSystem.clear_instance_cache()
    with pytest.raises(StorageError, match="Unable to locate credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS"):
        store.put(b"weights")


def test_what_was_written_lately_is_not_sent_again(store: RemoteStore, s3_server: S3Server) -> None:
    store.put(b"weights")
    key = {"Bucket": store.url.split("/")[2], "Key": f"blobs/{DIGEST[:2]}/{DIGEST}"}
    s3_server.client().put_object(**key, Body=b"Weights")
    store.put(b"weights")
    assert s3_server.client().get_object(**key)["Body"].read() == b"Weights"


def test_what_was_written_long_ago_is_written_again(tmp_path: Path) -> None:
    store = RemoteStore(f"file://{tmp_path}/blobs")
    path = tmp_path / "blobs" / DIGEST[:2] / store.put(b"weights")
    os.utime(path, (0, time.time() - 2 * 3600))
    store.put(b"weights")
    assert time.time() - path.stat().st_mtime < 60
    assert path.read_bytes() == b"weights"


def test_a_full_disk_leaves_no_file_behind(tmp_path: Path, start: Callable[..., Any]) -> None:
    text = """
import resource
from continual_mt.errors import StorageError
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    store.put(b"x" * 1001)
except StorageError as error:
    answers.send(str(error))
"""
    store = RemoteStore(f"file://{tmp_path}/blobs")
    (message,) = start(text, store=store).answers()
    assert f"cannot store 1,001 bytes at {store.url}: [Errno 27] File too large" in message
    assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == []


def test_a_writer_that_is_killed_leaves_no_blob(tmp_path: Path, start: Callable[..., Any]) -> None:
    text = """
import os, sys
sys.addaudithook(lambda event, arguments: os.kill(os.getpid(), 9) if event == "os.rename" else None)
store.put(b"weights")
"""
    store = RemoteStore(f"file://{tmp_path}/blobs")
    assert start(text, store=store).exit_code() == -signal.SIGKILL
    assert list(store.digests()) == []
    (leftover,) = store.leftovers()
    store.remove_leftover(leftover)
    assert store.get(store.put(b"weights")) == b"weights"
    assert list(store.leftovers()) == []
