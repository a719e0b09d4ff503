"""``continual-mt report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from continual_mt.cli.support import options
from continual_mt.cli.support.console import say
from continual_mt.errors import StorageError
from continual_mt.extras import require
from continual_mt.home import Home

EPILOG = options.examples("continual-mt report report.html", "continual-mt report report.html --home /data/home")


def report(
    path: Annotated[Path, typer.Argument(metavar="OUT.html", help="File to write.")], home: options.Home = None
) -> None:
    """Write the content of the dashboard to one HTML file.

    The file works offline and can be archived and sent. It has sample translations of a limited number of pairs, which
    it names.
    """
    require("dashboard", "the report")
    from dashboards.report.report import report as content_of
    from registry import Registry

    with Registry.open(Home.resolve(home).path) as registry:
        content = content_of(registry)
    try:
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{path}: write failed: {error.strerror or error}") from error
    say(f"wrote {path}")
