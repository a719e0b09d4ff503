"""Resolve a home folder, a database URL, environment variables or defaults to a database and a location of blobs."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from continual_mt.errors import RegistryError
from continual_mt.home import BLOBS_VARIABLE, DATABASE_VARIABLE, Home
from registry.blobs import blobs_place

_SQLITE = "sqlite:///"
BACKUP_SETTING = "backup"
"""The setting that marks a backup; its value describes what the backup held when it was made."""
_SHORTEST_SECRET = 4


@dataclass(frozen=True)
class Location:
    """Where a registry's records are, and where the blobs of a new one go: a folder or a URL. Paths are absolute.

    Blobs that lie at a URL are kept in the folder ``cache``, too.
    """

    database: URL
    blobs: str
    cache: Path

    @classmethod
    def resolve(cls, location: str | Path | None = None) -> Location:
        """A home folder or a database URL; else the variables; else ``./continual-mt-home``. Creates nothing.

        Raises RegistryError for an invalid database URL, SpecError for an invalid location of blobs.
        """
        if isinstance(location, str) and "://" in location:
            database = parse_url(location)
            beside = database_file(database)
            home = Home.resolve() if beside is None else Home.resolve(beside.parent)
            return cls(database, blobs_place(home.blobs), home.cache / "blobs")
        home = Home.resolve(location)
        return cls(_home_database(home), blobs_place(home.blobs), home.cache / "blobs")

    @property
    def name(self) -> str:
        """The database for messages: a file's path, or the URL without its password."""
        file = database_file(self.database)
        shown = self.database.set(query={})  # a driver takes secrets there, too
        return shown.render_as_string(hide_password=True) if file is None else str(file)

    def without_secrets(self, text: str) -> str:
        """Return a driver's message without the password and without the values of the URL's query."""
        query = (
            part for value in self.database.query.values() for part in ([value] if isinstance(value, str) else value)
        )
        words = (word for value in query for word in (value, *value.split("=")) if len(word) >= _SHORTEST_SECRET)
        for secret in sorted(filter(None, [str(self.database.password or ""), *words]), key=len, reverse=True):
            text = text.replace(secret, "***")
        return text

    @property
    def folder(self) -> Path | None:
        """The folder that blobs may be named relative to, so that a registry in one folder can be moved as a whole."""
        file = database_file(self.database)
        return None if file is None else file.parent

    def blobs_setting(self) -> str:
        """The place of the blobs as it is written into the database: relative when it moves along with it."""
        if self.folder is not None and Path(self.blobs).is_relative_to(self.folder):
            return str(Path(self.blobs).relative_to(self.folder))
        return self.blobs

    def blobs_from(self, setting: str) -> str:
        """The reverse of `blobs_setting`. Raises RegistryError if the variable names another location."""
        folder = None if "://" in setting else self.folder
        place = blobs_place(setting if folder is None else str(folder / setting))
        variable = os.environ.get(BLOBS_VARIABLE)
        if variable and blobs_place(variable) != place:
            raise RegistryError(
                f"the registry in {self.name} keeps its blobs in {place}, but {BLOBS_VARIABLE} says {variable}; "
                "unset the variable, use another registry, or remove this one and create it again if it is still empty"
            )
        return place


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
        if "@" in f"{url.host}{url.database}":
            raise RegistryError(
                "the database URL has several '@': in a password write %40 for it, %3A for ':', %2F for '/' and %23 "
                "for '#'; or leave the password out and use PGPASSWORD or ~/.pgpass"
            )
        return url
    if not url.database or url.database == ":memory:":
        raise RegistryError(
            "this SQLite URL names no file, so the records would be lost at exit; write sqlite:////absolute/path"
        )
    return url.set(database=str(Path(url.database).absolute()))


def database_file(url: URL) -> Path | None:
    """The file of a SQLite database; None for a server."""
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None


def _home_database(home: Home) -> URL:
    if os.environ.get(DATABASE_VARIABLE):
        chosen, beside = parse_url(home.database), home.path / "registry.db"
        if database_file(chosen) != beside and _is_backup(beside):
            raise RegistryError(
                f"{home.path} is a backup, but {DATABASE_VARIABLE} names another registry; unset the variable to "
                "use the backup, or name another home"
            )
        return chosen
    # Not parsed: a folder's name may hold characters that mean something in a URL.
    return URL.create("sqlite", database=home.database.removeprefix(_SQLITE))


def _is_backup(file: Path) -> bool:
    """Read the file directly, since the open registry is another one; an unreadable file is not a backup."""
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
            query = "SELECT 1 FROM settings WHERE key = ?"
            return connection.execute(query, [BACKUP_SETTING]).fetchone() is not None
    except sqlite3.Error:
        return False
