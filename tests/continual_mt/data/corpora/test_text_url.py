from __future__ import annotations

import gzip
import pickle
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pytest

from continual_mt.data.corpora.corpus import inspect
from continual_mt.data.corpora.line_reader import read_lines
from continual_mt.data.corpora.parallel_files import TextFiles
from continual_mt.data.corpora.text_url import TextURL, check_driver, text_place
from continual_mt.data.corpora.tsv import TabSeparated
from continual_mt.errors import CorpusError
from continual_mt.languages import Pair
from tests.s3 import S3Server

LINES = ["Guten Tag", "Schließen", "日本語"]


class Quiet(SimpleHTTPRequestHandler):
    def send_head(self) -> Any:
        return self.send_error(403) if "forbidden" in self.path else super().send_head()

    def log_message(self, format: str, *args: object) -> None:
        """Tests print nothing."""


@pytest.fixture
def website(tmp_path: Path) -> Iterator[str]:
    """The URL of a server on loopback, for the files of ``tmp_path``."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def write(url: str, content: bytes) -> None:
    with fsspec.open(url, "wb") as file:
        file.write(content)


def place(url: str) -> TextURL:
    found = text_place(url)
    assert isinstance(found, TextURL)
    return found


@pytest.mark.parametrize("name", ["text.de", "text.de.gz"])
def test_lines_are_those_of_a_local_file(bucket: str, website: str, tmp_path: Path, name: str) -> None:
    content = "".join(f"{line}\n" for line in LINES).encode()
    packed = gzip.compress(content) if name.endswith(".gz") else content
    (tmp_path / name).write_bytes(packed)
    urls = [
        f"s3://{bucket}/a/{name}",
        f"memory://a/{name}",
        f"{website}/{name}",
        f"simplecache::s3://{bucket}/a/{name}",
    ]
    for url in urls[:2]:
        write(url, packed)
    for url in urls:
        assert list(read_lines(place(url))) == LINES, url
        assert (place(url).name, place(url).suffix) == (name, Path(name).suffix)
        assert pickle.loads(pickle.dumps(place(url))).name == name  # noqa: S301


def test_the_digest_is_that_of_the_content(bucket: str, django_text_files: dict[str, Path], tmp_path: Path) -> None:
    pair, local = Pair("de", "en"), (django_text_files["de"], django_text_files["en"])
    for path in local:
        write(f"s3://{bucket}/text/{path.name}.gz", gzip.compress(path.read_bytes()))
    remote = TextFiles(pair, *(place(f"s3://{bucket}/text/{path.name}.gz") for path in local))
    assert inspect(remote) == inspect(TextFiles(pair, *local))
    assert remote.name == "text.de.gz + text.en.gz"
    rows = zip(*(path.read_text(encoding="utf-8").splitlines() for path in local), strict=True)
    write("memory://text/rows.tsv", "".join(f"{source}\t{target}\n" for source, target in rows).encode())
    table = TabSeparated(pair, place("memory://text/rows.tsv"))
    assert inspect(table).digest == inspect(remote).digest
    assert table.name == "rows.tsv"


def test_a_url_of_a_local_file_is_a_path() -> None:
    assert text_place("file:///data/train.de") == text_place("local:///data/train.de") == Path("/data/train.de")
    assert text_place("data/train.de") is None
    assert place("zip://folder/train.de::s3://bucket/text.zip").name == "train.de"


@pytest.mark.parametrize(
    "url",
    [
        "s3://me:hush@bucket/train.de",
        "https://me:hush@example.org/train.de",
        "https://hush@example.org/train.de",
        "https://example.org/train.de?X-Amz-Signature=hush",
        "simplecache::https://example.org/train.de?key=hush",
        "zip://train.de::https://hush@example.org/train.zip",
    ],
)
def test_credentials_are_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ValueError, match="would be stored; expected a URL without") as caught:
        text_place(url)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["github://owner:project@main/train.de", "sftp://me@host/train.de", "hf://datasets/owner/name@main/train.de"]
)
def test_what_only_looks_like_credentials_is_taken(url: str) -> None:
    assert place(url) == url


def test_a_url_that_cannot_be_read_is_one_clear_line(bucket: str, website: str) -> None:
    def problem(url: str) -> str:
        with pytest.raises(CorpusError) as caught:
            list(read_lines(place(url)))
        assert "\n" not in str(caught.value)
        assert "not/so+secret" not in str(caught.value)
        return str(caught.value)

    for url in (f"s3://{bucket}/gone.de", f"{website}/gone.de", "memory://gone.de"):
        assert problem(url) == f"{url}: no such file"
    assert problem("http://127.0.0.1:1/train.de").startswith("http://127.0.0.1:1/train.de: cannot be read (")
    assert problem(f"{website}/forbidden.de").startswith(f"{website}/forbidden.de: cannot be read (403, ")
    assert problem("nonsense://train.de").startswith("nonsense://train.de: cannot be read (")
    write(f"s3://{bucket}/torn.de.gz", gzip.compress(b"Guten Tag\n" * 1000)[:-9])
    assert "torn.de.gz: damaged or truncated after line" in problem(f"s3://{bucket}/torn.de.gz")


def test_keys_that_are_not_accepted_are_named_by_their_variables(s3_server: S3Server, bucket: str) -> None:
    s3_server.check_keys(True)
    try:
        with pytest.raises(CorpusError, match=r"train\.de: access was denied \(.*\)\. Fix: set AWS_ACCESS_KEY_ID and"):
            list(read_lines(place(f"s3://{bucket}/train.de")))
    finally:
        s3_server.check_keys(False)


def test_drivers_are_looked_for_before_anything_is_read() -> None:
    check_driver(place("s3://bucket/train.de"))
    check_driver(place("simplecache::https://example.org/train.de"))
    with pytest.raises(
        ValueError, match=r"nonsense:// is not supported: nonsense://train\.de; expected a path, or a URL"
    ):
        check_driver(place("nonsense://train.de"))
    with pytest.raises(
        ValueError, match=r"the driver is not installed \(.*\)\. Fix: install it: gs://bucket/train\.de"
    ):
        check_driver(place("gs://bucket/train.de"))
