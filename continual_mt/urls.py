"""Recognise URLs, and reject credentials in URLs that are stored or printed."""

from __future__ import annotations

import re

# Everything up to an @ is searched, not only the part before the first slash: a secret key may contain slashes.
_PASSWORD = re.compile(r"://[^@]*:[^@]*@")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.]+:")


def is_url(text: str) -> bool:
    """Whether a text begins like a URL, malformed ones such as ``s3:bucket`` included."""
    return _SCHEME.match(text) is not None


def without_credentials(url: str) -> str:
    """Return ``url``. Raises ValueError, without the URL in its message, if it contains a password or secret key."""
    if _PASSWORD.search(url):
        raise ValueError(
            "the URL holds a password or secret key, which would be stored; expected a URL without it. Fix: set the "
            "environment variables that the storage driver reads, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    return url
