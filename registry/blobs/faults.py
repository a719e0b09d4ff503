"""Translate errors of fsspec's drivers into messages with the location and a fix, without credentials."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from continual_mt.credentials import hidden
from continual_mt.errors import StorageError

_ENDPOINTS = ("FSSPEC_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


def storage_error(url: str, purpose: str, error: Exception) -> StorageError:
    """A StorageError for what a driver raised."""
    reason = hidden(" ".join(str(error).split()) or type(error).__name__)
    return StorageError(f"cannot {purpose} at {url}{_server(url)}: {reason}; {_way_out(url, error)}")


def is_missing_container(error: FileNotFoundError) -> bool:
    """Whether the whole bucket is missing, not an object in it: S3 tells by a code, others do not."""
    return _code(error) == "NoSuchBucket"


def _code(error: BaseException) -> str | None:
    """The code of an answer of S3, which its driver keeps in the cause."""
    response = getattr(error.__cause__ or error, "response", None)
    found = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    return str(found) if found else None


def _is_s3(url: str) -> bool:
    return url.partition("://")[0].rpartition("::")[2] in ("s3", "s3a")


def _server(url: str) -> str:
    """Which server answers for S3, where it is not Amazon's."""
    endpoint = next((os.environ[name] for name in _ENDPOINTS if os.environ.get(name)), None)
    return f" on {urlsplit(endpoint).netloc.rpartition('@')[2]}" if _is_s3(url) and endpoint else ""


def _way_out(url: str, error: Exception) -> str:
    if isinstance(error, ImportError):
        return "install the driver" + (": pip install 'continual-mt[s3]'" if _is_s3(url) else "")
    if isinstance(error, FileNotFoundError):
        return "make the bucket or folder first, or correct its name"
    if isinstance(error, PermissionError) or "Credential" in type(error).__name__:
        variables = (
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" if _is_s3(url) else "the variables that its driver reads"
        )
        return f"set {variables} to credentials that allow listing, reading and writing there"
    return (
        "see that the server can be reached from here"
        + (" (AWS_ENDPOINT_URL names one that is not Amazon's)" if _is_s3(url) else "")
        + ", then run the same command again"
    )
