"""Opening the registry that is in a folder, such as a backup, whatever the variables say."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import URL

from continual_mt.errors import UnknownNameError
from registry.blobs import blobs_place, open_blobs
from registry.database import schema
from registry.database.database import Database
from registry.database.location import Location
from registry.registry import Registry


def open_folder(folder: Path, *, create: bool = False) -> Registry:
    """The registry whose records are in a folder's ``registry.db``; a new one has its blobs beside them.

    Raises UnknownNameError when there is none, unless it is to be created.
    """
    folder = folder.absolute()
    if not create and not (folder / "registry.db").is_file():
        raise UnknownNameError(f"there is no registry in {folder}: it has no registry.db; name a backup or a home")
    cache = folder / "cache" / "blobs"
    location = Location(URL.create("sqlite", database=str(folder / "registry.db")), str(folder / "blobs"), cache)
    database = Database(location, create=create)
    try:
        with database.read() as session:
            setting = session.get_one(schema.Setting, schema.BLOBS_SETTING).value
        place = setting if "://" in setting else str(folder / setting)
        return Registry(database, open_blobs(blobs_place(place), cache))
    except BaseException:
        database.close()
        raise
