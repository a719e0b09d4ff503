"""Text at URLs: any that fsspec has a driver for, read as a local file is."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from continual_mt.credentials import hidden
from continual_mt.errors import CorpusError
from continual_mt.urls import without_credentials

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_LOCAL = ("file://", "local://")
_USER = re.compile(r"(https?|ftp)://[^/]*@")
_BUFFER_BYTES = 1 << 20
S3_VARIABLES = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


class TextURL(str):
    """A URL of a text, without credentials; chains such as ``zip://train.de::s3://bucket/text.zip`` included.

    Drivers take credentials from the environment, or from fsspec's configuration, as those of blobs do. It has what
    readers of text use of a `pathlib.Path`.
    """

    __slots__ = ()

    @property
    def parts(self) -> tuple[str, ...]:
        """The bucket or host, the folders and the name."""
        links = (link.partition("://")[2] for link in self.split("::"))
        return tuple(part for part in next(filter(None, links), "").split("/") if part)

    @property
    def name(self) -> str:
        return self.parts[-1] if self.parts else str(self)

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix

    @contextmanager
    def open(self, mode: str = "rb") -> Iterator[BinaryIO]:
        """Open the text, whose bytes are read as they are needed. Raises CorpusError, also while it is read."""
        import fsspec

        try:
            file = fsspec.open(self, mode).open()
        except Exception as error:  # a driver may raise anything
            raise _unreadable(self, error) from None
        with io.BufferedReader(_Guarded(self, file), _BUFFER_BYTES) as buffered:
            yield cast(BinaryIO, buffered)


TextPlace = Path | TextURL
"""Where a text is."""


def text_place(text: str) -> TextPlace | None:
    """The place that a URL names, a path if it is one of a local file; None if the text is no URL.

    Raises ValueError, which does not show the URL, for one that may hold credentials.
    """
    if "://" not in text:
        return None
    for protocol in _LOCAL:
        if text.startswith(protocol) and "::" not in text:
            return Path(text.removeprefix(protocol))
    for link in text.split("::"):
        # What GitHub's driver takes looks like a password: github://owner:repository@branch/file.
        if not link.startswith("github://"):
            without_credentials(link)
        if "?" in link or _USER.match(link):
            raise ValueError(
                "the URL has a user or a query (the part after '?'), which may be a key and would be stored; expected "
                "a URL without them. Fix: set the variables that the storage driver reads, or download the file"
            )
    return TextURL(text)


def check_driver(url: TextURL) -> None:
    """Raise ValueError if fsspec has no driver for the URL, or if the driver is not installed."""
    import fsspec

    for link in url.split("::"):
        protocol = link.partition("://")[0]
        try:
            fsspec.get_filesystem_class(protocol)
        except ValueError:
            raise ValueError(
                f"{protocol}:// is not supported: {url}; expected a path, or a URL that fsspec has a driver for, such "
                "as s3://BUCKET/FILE"
            ) from None
        except ImportError as error:
            raise ValueError(f"{_without_driver(link, error)}: {url}") from None


class _Guarded(io.RawIOBase):
    """A driver's file, whose errors become CorpusError. Not ``from`` them: their text may hold what is hidden here."""

    def __init__(self, url: TextURL, file: Any) -> None:
        self._url, self._file = url, file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        target = memoryview(buffer).cast("B")
        try:
            content: bytes = self._file.read(len(target))
        except Exception as error:
            raise _unreadable(self._url, error) from None
        target[: len(content)] = content
        return len(content)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def _unreadable(url: TextURL, raised: Exception) -> CorpusError:
    error = _origin(raised)
    reason = hidden(" ".join(str(error).split()) or type(error).__name__)
    if isinstance(error, FileNotFoundError):
        problem = "no such file"
    elif isinstance(error, ImportError):
        problem = _without_driver(url, error)
    elif isinstance(error, PermissionError) or "Credential" in type(error).__name__:
        variables = S3_VARIABLES if _is_s3(url) else "the variables that its driver reads"
        problem = f"access was denied ({reason}). Fix: set {variables} to credentials that may read it"
    else:
        problem = f"cannot be read ({reason})"
    return CorpusError(url, problem)


def _origin(error: Exception) -> Exception:
    """What a driver met. That of HTTP raises FileNotFoundError for any failure, from what happened."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    is_missing = isinstance(error, FileNotFoundError)
    refused = isinstance(cause, OSError) or getattr(cause, "status", 404) != 404
    return cause if is_missing and refused and isinstance(cause, Exception) else error


def _without_driver(url: str, error: ImportError) -> str:
    way_out = "pip install 'continual-mt[s3]'" if _is_s3(url) else "install it"
    return f"the driver is not installed ({' '.join(str(error).split())}). Fix: {way_out}"


def _is_s3(url: str) -> bool:
    return re.search(r"(^|::)s3a?://", url) is not None
