"""The locations of all files: a home folder, whose parts environment variables can place elsewhere."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from continual_mt.errors import InputError
from continual_mt.urls import is_url

HOME_VARIABLE = "CONTINUAL_MT_HOME"
DATABASE_VARIABLE = "CONTINUAL_MT_DATABASE"
BLOBS_VARIABLE = "CONTINUAL_MT_BLOBS"
CACHE_VARIABLE = "CONTINUAL_MT_CACHE_GB"
TRACKING_VARIABLE = "MLFLOW_TRACKING_URI"
DEFAULT_HOME = "continual-mt-home"


def expanded(path: Path) -> Path:
    """Expand ``~`` and ``~user`` in a path.

    Raises InputError for an unknown user, and for a URL, which would otherwise be used as the name of a folder.
    """
    if is_url(str(path)):
        raise InputError(f"{path}: is a URL; expected a local path. Fix: use an absolute path if its name contains ':'")
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise InputError(f"{path}: {error}. Fix: use an absolute path") from error


@dataclass(frozen=True)
class Home:
    """The home folder of an installation. The path is absolute, because workers change their current directory."""

    path: Path

    @classmethod
    def resolve(cls, argument: str | Path | None = None) -> Home:
        """Return the home: ``argument``, else the variable CONTINUAL_MT_HOME, else ``./continual-mt-home``.

        Creates nothing. Raises InputError if the path is a file or a URL.
        """
        chosen = argument or os.environ.get(HOME_VARIABLE) or DEFAULT_HOME
        path = expanded(Path(chosen)).absolute()
        if path.is_file():
            raise InputError(f"{path}: is a file; expected the home folder, which contains registry.db")
        return cls(path)

    @property
    def database(self) -> str:
        """The SQLAlchemy URL of the registry's database."""
        return os.environ.get(DATABASE_VARIABLE) or f"sqlite:///{self.path / 'registry.db'}"

    @property
    def blobs(self) -> str:
        """The absolute folder or the URL of the blobs. Raises InputError if the variable is a malformed URL."""
        chosen = os.environ.get(BLOBS_VARIABLE) or str(self.path / "blobs")
        if "://" not in chosen and is_url(chosen):
            raise InputError(
                f"{BLOBS_VARIABLE}: malformed URL {chosen}; expected a folder, or a URL such as s3://BUCKET/FOLDER"
            )
        return chosen if "://" in chosen else str(Path(chosen).absolute())

    @property
    def tracking(self) -> str:
        """MLflow's tracking URI. It is always set, because MLflow's default depends on the current directory."""
        return os.environ.get(TRACKING_VARIABLE) or f"sqlite:///{self.path / 'mlflow.db'}"

    @property
    def artifacts(self) -> Path:
        """MLflow's artifact folder, used if the tracking database is in the home."""
        return self.path / "mlflow-artifacts"

    @property
    def cache(self) -> Path:
        """Files that can be recreated: downloaded wheels, extracted corpora, token arrays, copies of remote blobs."""
        return self.path / "cache"

    @property
    def inputs(self) -> Path:
        """Text that came through pipes, which jobs and records refer to: it cannot be read again from where it was."""
        return self.path / "inputs"

    @property
    def jobs(self) -> Path:
        """Ray's storage path, with a folder of checkpoints per job."""
        return self.path / "jobs"
