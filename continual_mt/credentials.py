"""Text of others, such as a driver's error, without the credentials that it may show."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

from fsspec.config import conf as fsspec_configuration

_SECRET_NAME = re.compile(
    r"(^|_)(secret|token|password|passwd|key|sas|credentials?|connection_string)(_|$)", re.IGNORECASE
)
_SHORTEST_SECRET = 4
_USER = re.compile(r"//[^/@\s'\"]+@")
_QUERY = re.compile(r"(://[^\s'\"?]*)\?[^\s'\"]*")


def hidden(text: str) -> str:
    """A text without users, passwords and queries of URLs, and without the secrets of environment and configuration."""
    for secret in sorted(set(_secrets()), key=len, reverse=True):
        text = text.replace(secret, "***")
    return _QUERY.sub(r"\1?***", _USER.sub("//***@", text))


def _secrets() -> Iterator[str]:
    named = [*os.environ.items(), *_leaves(fsspec_configuration)]
    return (value for name, value in named if _SECRET_NAME.search(name) and len(value) >= _SHORTEST_SECRET)


def _leaves(configuration: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in configuration.items():
        if isinstance(value, dict):
            yield from _leaves(value)
        else:
            yield name, str(value)
