"""``continual-mt registry backup`` and ``registry load-backup``."""

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
            "continual-mt registry load-backup /backups/registry --home /data/home",
            "continual-mt registry load-backup /data/old-home",
        )
    )(load_backup)
    app.command("fill", hidden=True)(load_backup)  # its name in earlier versions


def backup(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="The folder of the backup; created if it does not exist.")
    ],
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """Copy the whole registry into a folder. Jobs may write to the registry meanwhile.

    The copy holds everything that was registered when copying began, and every blob is checked. It can be opened as a
    home, for example with 'registry verify --home FOLDER'. The next backup into the same folder copies only new blobs;
    a backup that fails leaves the folder unchanged. MLflow's records are not included.
    """
    from registry import Registry
    from registry.maintenance.backup import backup

    with Registry.open(Home.resolve(home).path) as opened, counting("blobs", None) as progress:
        _tell(backup(opened, expanded(folder).absolute(), progress=progress), f"to {folder}", as_json)


def load_backup(
    source: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A backup, or another home whose database is SQLite.")
    ],
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """Copy a backup, or another registry, into a registry that is empty or does not exist yet.

    This restores a backup. With CONTINUAL_MT_DATABASE set to a PostgreSQL database and CONTINUAL_MT_BLOBS to a
    location for the blobs, it moves a registry there.
    """
    from registry import Registry
    from registry.maintenance.backup import load_backup, open_folder

    with (
        open_folder(expanded(source)) as read,
        Registry.open(Home.resolve(home).path, create=True) as opened,
        counting("blobs", None) as progress,
    ):
        _tell(load_backup(opened, read, progress=progress), f"to {opened.name}", as_json)


def _tell(copied: Copied, where: str, as_json: bool) -> None:
    from dashboards.tables.artifacts import size

    if as_json:
        print_json(copied.to_json())
    say(
        f"copied {copied.records:,} records and {copied.blobs:,} blobs of {size(copied.bytes)} {where}; "
        f"{copied.there:,} blobs existed already"
    )
