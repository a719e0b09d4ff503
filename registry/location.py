"""From what a user says (a home folder, a database URL, a variable, nothing) to a database and a folder of blobs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from continual_mt.errors import RegistryError
from continual_mt.home import BLOBS_VARIABLE, DATABASE_VARIABLE, Home

_SQLITE = "sqlite:///"


@dataclass(frozen=True)
class Location:
    """Where a registry's records are, and where the blobs of a new one go. Paths are absolute."""

    database: URL
    blobs: Path

    @classmethod
    def resolve(cls, location: str | Path | None = None) -> Location:
        """A home folder or a database URL; else the variables; else ``./continual-mt-home``. Creates nothing.

        Raises RegistryError for a URL that is none.
        """
        if isinstance(location, str) and "://" in location:
            database = parse_url(location)
            beside = database_file(database)
            blobs = Home.resolve().blobs if beside is None else beside.parent / "blobs"
            return cls(database, Path(os.environ.get(BLOBS_VARIABLE) or blobs).absolute())
        home = Home.resolve(location)
        return cls(_home_database(home), home.blobs)

    @property
    def name(self) -> str:
        """The database for messages: a file's path, or the URL without its password."""
        file = database_file(self.database)
        return self.database.render_as_string(hide_password=True) if file is None else str(file)

    @property
    def folder(self) -> Path | None:
        """The folder that blobs may be named relative to, so that a registry in one folder can be moved as a whole."""
        file = database_file(self.database)
        return None if file is None else file.parent

    def blobs_setting(self) -> str:
        """The blob folder as it is written into the database: relative when it moves along with it."""
        if self.folder is not None and self.blobs.is_relative_to(self.folder):
            return str(self.blobs.relative_to(self.folder))
        return str(self.blobs)

    def blobs_folder(self, setting: str) -> Path:
        """The reverse of `blobs_setting`. Raises RegistryError when the variable says something else."""
        folder = Path(setting) if self.folder is None else self.folder / setting
        variable = os.environ.get(BLOBS_VARIABLE)
        if variable and Path(variable).absolute() != folder:
            raise RegistryError(
                f"the registry in {self.name} keeps its blobs in {folder}, but {BLOBS_VARIABLE} says {variable}; "
                "unset the variable, or use another registry"
            )
        return folder


def parse_url(text: str) -> URL:
    """A database URL, with the path of a SQLite file made absolute. Errors never show the text (passwords)."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise RegistryError(
            "the database URL cannot be read; write sqlite:////absolute/path/registry.db "
            "or postgresql+psycopg://USER@HOST/DATABASE"
        ) from None
    if isinstance(password := url.query.get("password"), str):  # where no message would hide it
        url = url.set(password=password).difference_update_query(["password"])
    if url.get_backend_name() != "sqlite":
        return url
    if not url.database or url.database == ":memory:":
        raise RegistryError(
            "this SQLite URL names no file, so the records would be gone at exit; write sqlite:////absolute/path"
        )
    return url.set(database=str(Path(url.database).absolute()))


def database_file(url: URL) -> Path | None:
    """The file of a SQLite database; None for a server."""
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None


def _home_database(home: Home) -> URL:
    if os.environ.get(DATABASE_VARIABLE):
        return parse_url(home.database)
    # Not parsed: a folder's name may hold characters that mean something in a URL.
    return URL.create("sqlite", database=home.database.removeprefix(_SQLITE))
