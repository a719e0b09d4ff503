"""``continual-mt registry backup`` and ``registry fill``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from continual_mt.cli.support import options
from continual_mt.cli.support.console import counting, print_json, say
from continual_mt.home import Home, expanded

if TYPE_CHECKING:
    from registry.maintenance.results import Copied


def add_to(app: typer.Typer) -> None:
    app.command(epilog=options.examples("continual-mt registry backup /backups/registry"))(backup)
    app.command(
        epilog=options.examples(
            "continual-mt registry fill /backups/registry --home /data/home",
            "continual-mt registry fill /data/old-home",
        )
    )(fill)


def backup(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Made when it is not there.")],
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """Copy the whole registry into a folder, while jobs write.

    The copy holds everything that was registered when copying began, every blob checked. It can be opened as a home,
    say for 'registry verify --home FOLDER'. The next backup into the same folder copies only the blobs that are new;
    one that fails leaves the backup as it was. MLflow's records are not in it.
    """
    from registry import Registry
    from registry.maintenance.backup import backup

    with Registry.open(Home.resolve(home).path) as opened, counting("blobs", None) as progress:
        _tell(backup(opened, expanded(folder).absolute(), progress=progress), f"to {folder}", as_json)


def fill(
    source: Annotated[Path, typer.Argument(metavar="FOLDER", help="A backup, or another home with SQLite.")],
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """Copy a backup, or another registry, into one that is empty or not there yet.

    So a backup is brought back; and, with CONTINUAL_MT_DATABASE set to a database of PostgreSQL and CONTINUAL_MT_BLOBS
    to a place for the blobs, a registry moves there.
    """
    from registry import Registry
    from registry.maintenance.backup import fill, open_folder

    with (
        open_folder(expanded(source)) as read,
        Registry.open(Home.resolve(home).path, create=True) as opened,
        counting("blobs", None) as progress,
    ):
        _tell(fill(opened, read, progress=progress), f"to {opened.name}", as_json)


def _tell(copied: Copied, where: str, as_json: bool) -> None:
    from dashboards.tables.artifacts import size

    if as_json:
        print_json(copied.to_json())
    say(
        f"copied {copied.records:,} records and {copied.blobs:,} blobs of {size(copied.bytes)} {where}; "
        f"{copied.there:,} blobs were there already"
    )
