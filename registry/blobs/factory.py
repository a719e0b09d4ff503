"""Open the blob store at a location that a user or the database names."""

from __future__ import annotations

import math
import os
import re
from importlib.util import find_spec
from pathlib import Path

from fsspec.registry import known_implementations

from continual_mt.errors import SpecError
from continual_mt.home import BLOBS_VARIABLE, CACHE_VARIABLE
from continual_mt.urls import without_credentials
from registry.blobs.cache import CachedStore
from registry.blobs.faults import storage_error
from registry.blobs.fsspec_store import RemoteStore
from registry.blobs.local import FolderStore
from registry.blobs.store import BlobStore

DEFAULT_CACHE_GB = 20.0
_FILE = ("file://", "local://")


def blobs_place(text: str) -> str:
    """A folder's absolute path or a URL, as it is kept in the database. Touches nothing.

    Raises SpecError, which does not show the text, for a URL with credentials or a query, and for one that no store
    can be at.
    """
    if text.startswith(_FILE):
        text = text.partition("://")[2]
    if "://" not in text:
        return str(Path(text).absolute())
    try:
        _check(without_credentials(text))
    except ValueError as error:
        raise SpecError(BLOBS_VARIABLE, [str(error)]) from None
    return text.rstrip("/")


def _check(url: str) -> None:
    if "?" in url:
        raise ValueError("a URL of blobs has no query (the part after '?'); options belong in fsspec's configuration")
    if not url.partition("://")[2].strip("/"):
        raise ValueError(f"{url} names no bucket or folder; write a URL such as s3://BUCKET/FOLDER")
    protocols = [link.partition("://")[0] for link in url.split("::")]
    if "memory" in protocols:
        raise ValueError("blobs in memory would be lost at exit, while the records stay; name a folder or another URL")
    if unknown := [protocol for protocol in protocols if protocol not in known_implementations]:
        raise ValueError(
            f"fsspec does not support {unknown[0]}://; write a folder, or a URL such as s3://BUCKET/FOLDER"
        )


def open_blobs(place: str, cache: Path) -> BlobStore:
    """The store at a place that `blobs_place` gave; what it reads from a URL is kept in the folder ``cache``.

    Raises StorageError when the URL's driver is not installed. Connects to nothing yet.
    """
    if "://" not in place:
        return FolderStore(Path(place))
    _require_driver(place)
    remote, bound = RemoteStore(place), _cache_bytes()
    return CachedStore(remote, FolderStore(cache), bound) if bound else remote


def _require_driver(url: str) -> None:
    for link in url.split("::"):
        known = known_implementations[link.partition("://")[0]]
        package = re.split("[.:]", known["class"])[0]
        if find_spec(package) is None:
            raise storage_error(url, "use blobs", ImportError(f"{package} is not installed"))


def _cache_bytes() -> int:
    """How much may be kept; 0 keeps nothing."""
    text = os.environ.get(CACHE_VARIABLE) or str(DEFAULT_CACHE_GB)
    try:
        size = float(text)
    except ValueError:
        size = math.nan
    if not 0 <= size < math.inf:
        raise SpecError(
            CACHE_VARIABLE, [f"{text} is no number of gigabytes; write one such as 20, or 0 to keep nothing"]
        )
    return int(size * 10**9)
