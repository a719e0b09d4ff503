"""URLs that are written down: into a database, a spec that is kept, or messages."""

from __future__ import annotations

import re

# Wherever the colon and the sign stand: a secret key may hold slashes.
_PASSWORD = re.compile(r"://[^@]*:[^@]*@")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.]+:")


def is_url(text: str) -> bool:
    """Whether a text begins as a URL does, be it a mistyped one such as ``s3:bucket``."""
    return _SCHEME.match(text) is not None


def without_credentials(url: str) -> str:
    """The URL. Raises ValueError, which does not show it, for one that holds a password or a secret key."""
    if _PASSWORD.search(url):
        raise ValueError(
            "the URL holds a password or secret key, and it would be kept; leave it out and set the variables that the "
            "driver reads, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    return url
