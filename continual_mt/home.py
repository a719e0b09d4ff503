"""Where things are: one folder, unless an argument or a variable says otherwise."""

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
    """``~`` and ``~user`` as the folders that they stand for.

    Raises InputError where there is no such user, and for a URL, of which a folder of that name would be made.
    """
    if is_url(str(path)):
        raise InputError(
            f"{path} is a URL; a file or folder of this machine is wanted here, its whole path if it is called so"
        )
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise InputError(f"{path}: {error}; write the path out") from error


@dataclass(frozen=True)
class Home:
    """The folder that holds everything of one installation. Always absolute: workers change directory."""

    path: Path

    @classmethod
    def resolve(cls, argument: str | Path | None = None) -> Home:
        """An argument beats the variable beats ``./continual-mt-home``. Creates nothing.

        Raises InputError for what cannot be a folder.
        """
        chosen = argument or os.environ.get(HOME_VARIABLE) or DEFAULT_HOME
        path = expanded(Path(chosen)).absolute()
        if path.is_file():
            raise InputError(f"{path} is a file; a home is a folder, the one that has registry.db in it")
        return cls(path)

    @property
    def database(self) -> str:
        """SQLAlchemy URL of the records."""
        return os.environ.get(DATABASE_VARIABLE) or f"sqlite:///{self.path / 'registry.db'}"

    @property
    def blobs(self) -> str:
        """A folder or a URL."""
        chosen = os.environ.get(BLOBS_VARIABLE) or str(self.path / "blobs")
        if "://" not in chosen and is_url(chosen):
            raise InputError(f"{BLOBS_VARIABLE} is {chosen}; write a folder, or a URL such as s3://BUCKET/FOLDER")
        return chosen if "://" in chosen else str(Path(chosen).absolute())

    @property
    def tracking(self) -> str:
        """MLflow's tracking URI; always set, since MLflow's own default depends on the current directory."""
        return os.environ.get(TRACKING_VARIABLE) or f"sqlite:///{self.path / 'mlflow.db'}"

    @property
    def artifacts(self) -> Path:
        """MLflow's artifacts when tracking is the file in the home."""
        return self.path / "mlflow-artifacts"

    @property
    def cache(self) -> Path:
        """What can be made again: downloaded wheels, extracted corpora, token arrays, blobs that lie at a URL."""
        return self.path / "cache"

    @property
    def jobs(self) -> Path:
        """Ray's storage path: one folder of checkpoints a job."""
        return self.path / "jobs"
