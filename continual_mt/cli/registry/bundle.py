"""``continual-mt registry export`` and ``registry import``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from continual_mt.cli.support import options
from continual_mt.cli.support.console import counting, print_json, print_table, say
from continual_mt.home import Home, expanded


def add_to(app: typer.Typer) -> None:
    app.command(
        epilog=options.examples(
            "continual-mt registry export de-en fr-cs:2 modules.tar", "continual-mt registry export fr-en all.tar"
        )
    )(export)
    app.command(
        "import",
        epilog=options.examples("continual-mt registry import modules.tar --home /data/home"),
    )(import_file)


def export(
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME...", help="Modules, or parents, each of which means all modules on it, too."),
    ],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The bundle, an uncompressed tar.")],
    without_parent: Annotated[
        bool, typer.Option("--without-parent", help="Leave out parents; for a registry that has them already.")
    ] = False,
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """Write modules with their parent, lineage and scores into one file, for another registry.

    Tags, notes and aliases are included, and test sets and translations if they were kept.
    """
    from dashboards.tables.artifacts import size
    from registry import Registry
    from registry.maintenance.bundle.export import export

    path = expanded(file)
    with Registry.open(Home.resolve(home).path) as opened, counting("blobs", None) as progress:
        written = export(opened, names, path, with_parent=not without_parent, progress=progress)
    if as_json:
        print_json(written.to_json())
    say(
        f"wrote {', '.join((*written.parents, *written.modules))} with {written.scores:,} scores to {file}, "
        f"{size(written.bytes)}"
    )


def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What 'registry export' wrote.")],
    parent: Annotated[
        str | None,
        typer.Option("--parent", metavar="NAME", help="What to call the parent here, if it is new."),
    ] = None,
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """Register what a bundle holds. What exists already is unchanged, so a bundle may be imported twice.

    A parent is known by its content, whatever it is called here, and a module becomes the next version of its pair. A
    bundle in which any byte was changed is refused. It is not signed: import from those whom you trust.
    """
    from dashboards.tables.table import Column, Table
    from registry import Registry
    from registry.maintenance.bundle.archive import open_bundle
    from registry.maintenance.bundle.validate import import_bundle

    with open_bundle(expanded(file)):
        pass  # what is no bundle is refused before a registry is made for it
    with (
        Registry.open(Home.resolve(home).path, create=True) as opened,
        counting("blobs", None) as progress,
    ):
        imported = import_bundle(opened, expanded(file), parent=parent, progress=progress)
    if as_json:
        print_json(imported.to_json())
    else:
        print_table(Table([Column("in the bundle"), Column("here"), Column("result")], imported.artifacts))
    say(f"{imported.scores:,} new scores")
