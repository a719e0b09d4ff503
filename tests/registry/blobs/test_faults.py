from __future__ import annotations

import fsspec.config
import pytest

from registry.blobs.faults import hidden, storage_error


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not/so+secret")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    monkeypatch.setitem(fsspec.config.conf, "s3", {"client_kwargs": {"aws_session_token": "of-the-session"}})
    assert hidden("not/so+secret of-the-session false") == "*** *** false"
    assert (
        hidden("at 'https://me:word@host:9000/b?X-Amz-Signature=1f' (a?b)") == "at 'https://***@host:9000/b?***' (a?b)"
    )


def test_an_endpoint_is_named_without_its_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://me:word@minio:9000")
    assert str(storage_error("s3://bucket", "list the blobs", OSError("no"))).startswith(
        "cannot list the blobs at s3://bucket on minio:9000: no; see that the server can be reached from here (AWS_"
    )
    assert " on minio" not in str(storage_error("sftp://host/blobs", "list the blobs", OSError("no")))


def test_an_error_without_text_is_named_by_its_kind() -> None:
    assert ": TimeoutError; " in str(storage_error("sftp://host/blobs", "list the blobs", TimeoutError()))
