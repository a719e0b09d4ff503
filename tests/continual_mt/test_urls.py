import pytest

from continual_mt.urls import without_credentials


@pytest.mark.parametrize(
    "url", ["s3://me:hush@bucket/x", "s3://me:hu/sh@bucket", "dir::s3://me:hush@b", "sftp://:hush@h:22"]
)
def test_credentials_are_rejected_and_not_shown(url: str) -> None:
    with pytest.raises(ValueError, match="the URL holds a password or secret key") as caught:
        without_credentials(url)
    assert "hu" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["s3://bucket/x", "sftp://me@host:22/x", "abfs://blobs@account.dfs.core.windows.net/x", "/a/folder", "a:b@c"]
)
def test_other_urls_are_returned(url: str) -> None:
    assert without_credentials(url) == url
