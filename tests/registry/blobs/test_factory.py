from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from continual_mt.errors import SpecError, StorageError
from continual_mt.home import BLOBS_VARIABLE, CACHE_VARIABLE
from registry.blobs import blobs_place, open_blobs
from registry.blobs.cache import CachedStore
from registry.blobs.fsspec_store import RemoteStore
from registry.blobs.local import FolderStore


def test_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert blobs_place("blobs") == f"{tmp_path}/blobs"
    assert blobs_place("/srv/blobs/") == "/srv/blobs"
    assert blobs_place("file:///srv/blobs") == blobs_place("local:///srv/blobs") == "/srv/blobs"
    for url in ("s3://bucket", "gs://bucket/some/blobs", "sftp://me@host/blobs", "dir::s3://bucket"):
        assert blobs_place(url) == blobs_place(f"{url}/") == url


@pytest.mark.parametrize(
    "url",
    ["s3://me:hush@bucket/blobs", "s3://me:hu/sh@bucket", "dir::s3://me:hush@bucket", "sftp://me:hush@host:22/blobs"],
)
def test_credentials_in_a_url_are_refused_and_not_shown(url: str) -> None:
    with pytest.raises(SpecError, match=f"{BLOBS_VARIABLE}: one problem:\n.*holds a password or secret key") as caught:
        blobs_place(url)
    assert "hu" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("s3://", "s3:// names no bucket or folder"),
        ("s3://bucket/blobs?secret=hush", "a URL of blobs has no query"),
        ("memory://blobs", "blobs in memory would be lost at exit"),
        ("dir::memory://blobs", "blobs in memory would be lost at exit"),
        ("s4://bucket", "fsspec does not support s4://; write a folder, or a URL such as s3://BUCKET/FOLDER"),
    ],
)
def test_places_where_blobs_cannot_be(url: str, problem: str) -> None:
    with pytest.raises(SpecError, match=problem) as caught:
        blobs_place(url)
    assert "hush" not in str(caught.value)


def test_a_folder_has_no_cache_and_a_url_has_a_bounded_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    remote, cache = RemoteStore("s3://bucket"), FolderStore(tmp_path)
    assert open_blobs("/srv/blobs", tmp_path) == FolderStore(Path("/srv/blobs"))
    assert open_blobs("s3://bucket", tmp_path) == CachedStore(remote, cache, 20 * 10**9)
    monkeypatch.setenv(CACHE_VARIABLE, "0.5")
    assert open_blobs("s3://bucket", tmp_path) == CachedStore(remote, cache, 5 * 10**8)
    monkeypatch.setenv(CACHE_VARIABLE, "0")
    assert open_blobs("s3://bucket", tmp_path) == remote


@pytest.mark.parametrize("size", ["much", "-1", "inf", "nan"])
def test_a_bound_that_is_no_size(size: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, size)
    with pytest.raises(SpecError, match=f"{CACHE_VARIABLE}: one problem:\n.*{size} is no number of gigabytes"):
        open_blobs("s3://bucket", tmp_path)


def test_a_driver_that_is_not_installed(tmp_path: Path, start: Callable[..., Any]) -> None:
    with pytest.raises(
        StorageError, match=r"cannot use blobs at gs://bucket: gcsfs is not installed; install the driver"
    ):
        open_blobs("gs://bucket", tmp_path)
    text = """
import sys
from pathlib import Path
from continual_mt.errors import StorageError
from registry.blobs import open_blobs
sys.modules["s3fs"] = None
try:
    open_blobs("s3://bucket", Path())
except StorageError as error:
    answers.send(str(error))
"""
    (message,) = start(text).answers()
    assert message.endswith("s3fs is not installed; install the driver: pip install 'continual-mt[s3]'")
