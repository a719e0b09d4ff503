"""Wheels of the Python package index: pinned, fetched by pip, never installed or imported."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from continual_mt.errors import CorruptionError, DownloadError, StorageError

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Wheel:
    """One file of the index. ``sha256`` pins its bytes; ``python_version`` is what pip is told when the wheel wants
    another Python than the one that runs."""

    name: str
    version: str
    filename: str
    sha256: str
    licence: str
    python_version: str | None = None


WHEELS = (
    Wheel(
        name="homeassistant",
        version="2026.2.3",
        filename="homeassistant-2026.2.3-py3-none-any.whl",
        sha256="8167820cac4b8defe895fd2c36ac23402a445d1fe6028e8cde24caabb935282c",
        licence="Apache-2.0",
        python_version="3.14",
    ),
    Wheel(
        name="horizon",
        version="27.0.0",
        filename="horizon-27.0.0-py3-none-any.whl",
        sha256="8a981dae4fb6626e71553aa185f6e429b0b1efb86b04b0a72c3b18ee04f1f990",
        licence="Apache-2.0",
    ),
    Wheel(
        name="wagtail",
        version="8.0.1",
        filename="wagtail-8.0.1-py3-none-any.whl",
        sha256="1e6ad5c7891a54efce1400e168298b5a2cc343b642cee89c31bf5ec30c98b26c",
        licence="BSD-3-Clause",
    ),
    Wheel(
        name="Django",
        version="5.2.19",
        filename="django-5.2.19-py3-none-any.whl",
        sha256="5965d974a5218a2b68a11dd1276434707f23886525c23f0598eccedaf4f4ca00",
        licence="BSD-3-Clause",
    ),
)


def fetch(wheel: Wheel, cache: Path) -> Path:
    """The wheel's file, downloaded unless it lies in ``cache/wheels`` already. Raises what ``fetch_all`` raises."""
    return fetch_all([wheel], cache)[0]


def fetch_all(wheels: Sequence[Wheel], cache: Path, progress: Progress | None = None) -> list[Path]:
    """The files of several wheels, in order; missing ones are downloaded side by side by pip.

    ``progress`` hears one sentence a step. Raises CorruptionError for a file with another digest, DownloadError, naming
    the file to put where, when pip cannot get one, and StorageError when the folder cannot be written. Whatever ends
    this early ends the downloads too.
    """
    folder = cache / "wheels"
    report = progress or (lambda sentence: None)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            downloads: list[_Download] = []
            for wheel in wheels:
                if (folder / wheel.filename).exists():
                    _verify(wheel, folder / wheel.filename)
                else:
                    report(f"downloading {wheel.name} {wheel.version}")
                    downloads.append(stack.enter_context(_Download(wheel, folder)))
            for download in downloads:
                download.finish()
                report(f"downloaded {download.wheel.name} {download.wheel.version}")
    except OSError as error:
        raise StorageError(f"wheels cannot be kept in {folder}: {error.strerror or error}") from error
    return [folder / wheel.filename for wheel in wheels]


class _Download:
    """One pip process that writes into a temporary folder beside the final place."""

    def __init__(self, wheel: Wheel, folder: Path) -> None:
        self.wheel, self._folder = wheel, folder

    def __enter__(self) -> _Download:
        with ExitStack() as stack:
            temporary = tempfile.TemporaryDirectory(dir=self._folder, prefix=".partial-")
            self._place = Path(stack.enter_context(temporary))
            log = stack.enter_context((self._place / "pip.log").open("wb"))
            self._process = subprocess.Popen(self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            self._resources = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait()
        self._resources.close()

    def _command(self) -> list[str]:
        python = ["--python-version", self.wheel.python_version] if self.wheel.python_version else []
        only = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--progress-bar=off"]
        what = f"{self.wheel.name}=={self.wheel.version}"
        return [sys.executable, "-m", "pip", "download", *only, *python, "--dest", str(self._place), what]

    def finish(self) -> None:
        """Wait, verify, and move the file to its place."""
        code = self._process.wait()
        downloaded = self._place / self.wheel.filename
        if code != 0 or not downloaded.exists():
            lines = (self._place / "pip.log").read_text(errors="replace").split("\n")
            said = next((line.strip() for line in reversed(lines) if line.strip()), f"pip ended with code {code}")
            raise DownloadError(
                f"{self.wheel.name} {self.wheel.version} could not be downloaded ({said}). "
                f"Get {self.wheel.filename} (SHA-256 {self.wheel.sha256}), put it into {self._folder} "
                "and run this again"
            )
        _verify(self.wheel, downloaded)
        downloaded.replace(self._folder / self.wheel.filename)


def _verify(wheel: Wheel, path: Path) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != wheel.sha256:
        raise CorruptionError(
            f"{path} has SHA-256 {found}, not {wheel.sha256} as pinned for {wheel.name} {wheel.version}; "
            "delete it and run this again"
        )
