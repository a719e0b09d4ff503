"""Transfer one file of the Hub: it continues after an interruption, and loses nothing to answers that do not fit."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from continual_mt.errors import DownloadError

_ATTEMPTS = 5
"""How often a transfer is taken up again without a new byte."""
_PAUSE = 0.5
_RANGE_NOT_SATISFIABLE = 416
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


def fetch(url: str, size: int, partial: Path, report: Callable[[int], None]) -> None:
    """Write a file of ``size`` bytes to ``partial``, after what that contains already.

    ``report`` is called with the number of bytes in ``partial``. What it contained before is never lost: of an answer
    that starts at another position than was asked for, only what is missing is taken, and nothing of an answer that is
    another file. Raises huggingface_hub's errors, and DownloadError for answers that do not fit.
    """
    from huggingface_hub.errors import HfHubHTTPError, HTTPError  # type: ignore[attr-defined]

    partial.touch()
    attempts, ranges = 0, True
    while (before := partial.stat().st_size) < size:
        failure: Exception | None = None
        try:
            _append(url, size, partial, report, ranges=ranges)
        except (HTTPError, HfHubHTTPError, DownloadError) as error:
            status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
            if status == _RANGE_NOT_SATISFIABLE and ranges:
                ranges = False  # the server takes the file for shorter: see what it has
            elif status is not None and status < 500:
                raise
            failure = error
        done = partial.stat().st_size
        attempts = 1 if done > before else attempts + 1
        if done < size and attempts == _ATTEMPTS:
            raise failure or _other_size(url, done, size)
        if failure or attempts > 1:
            time.sleep(_PAUSE)


def _append(url: str, size: int, partial: Path, report: Callable[[int], None], *, ranges: bool) -> None:
    from huggingface_hub import constants, get_session, hf_raise_for_status
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    done = partial.stat().st_size
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}  # positions count bytes of the file itself
    if done and ranges:
        headers["Range"] = f"bytes={done}-"
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    # On a redirect to another host, the client leaves out the token.
    with get_session().stream("GET", url, headers=headers, timeout=timeout, follow_redirects=True) as response:
        hf_raise_for_status(response)
        start = _start(response, url, size)
        if start > done:
            raise DownloadError(f"{url}: the answer starts at byte {start:,}; expected at most {done:,}")
        with partial.open("r+b") as output:
            output.seek(start)
            for chunk in response.iter_bytes():  # written as it arrives: nothing is lost if the answer is interrupted
                known = output.read(min(len(chunk), max(0, done - output.tell())))
                if chunk[: len(known)] != known:
                    raise _another_file(url, partial)
                output.write(chunk[len(known) :])
                if output.tell() > size:
                    break  # perhaps it never ends
                if output.tell() > done:
                    report(output.tell())
            end = output.tell()
    if end > size or (end < size and response.status_code != 206):
        # The whole answer is another file, such as a login page. One that was interrupted raises an error before this.
        os.truncate(partial, done)
        raise _other_size(url, end, size)


def _start(response: Any, url: str, size: int) -> int:
    """The position in the file at which an answer starts. Raises DownloadError if it is of a file of another size."""
    if response.status_code == 206:
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if match is None:
            raise DownloadError(f"{url}: the answer has a part of the file, and no valid Content-Range; expected one")
        start, total = int(match[1]), match[2]
    else:
        start, total = 0, response.headers.get("Content-Length", "*")
    if total.isdecimal() and int(total) != size and "Content-Encoding" not in response.headers:
        raise _other_size(url, int(total), size)
    return start


def _another_file(url: str, partial: Path) -> DownloadError:
    return DownloadError(
        f"{url}: the answer differs from what was downloaded before; expected the same file. Fix: check HF_ENDPOINT, "
        f"proxies and login pages, and run the command again; if they are right, remove {partial}"
    )


def _other_size(url: str, found: int, size: int) -> DownloadError:
    return DownloadError(
        f"{url}: answered with {found:,} of {size:,} bytes; expected the whole file. Fix: check HF_ENDPOINT, proxies "
        "and login pages, and run the command again"
    )
