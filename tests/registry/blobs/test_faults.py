from __future__ import annotations

import pytest

from registry.blobs.faults import storage_error


def test_an_endpoint_is_named_without_its_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://me:word@minio:9000")
    assert str(storage_error("s3://bucket", "list the blobs", OSError("no"))).startswith(
        "cannot list the blobs at s3://bucket on minio:9000: no; see that the server can be reached from here (AWS_"
    )
    assert " on minio" not in str(storage_error("sftp://host/blobs", "list the blobs", OSError("no")))


def test_an_error_without_text_is_named_by_its_kind() -> None:
    assert ": TimeoutError; " in str(storage_error("sftp://host/blobs", "list the blobs", TimeoutError()))
