"""``continual-mt dashboard``."""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from typing import Annotated

import typer

from continual_mt.cli.support import options
from continual_mt.cli.support.output import print_text, say
from continual_mt.errors import UnknownNameError
from continual_mt.extras import require
from continual_mt.home import TRACKING_VARIABLE, Home

EPILOG = options.examples(
    "continual-mt dashboard --home /data/home",
    "continual-mt dashboard --port 8051",
    "continual-mt dashboard --mlflow",
)
LOOPBACK, PORT = "127.0.0.1", 8050
MLFLOW_PORT = 5000


def dashboard(
    host: Annotated[str, typer.Option(help="Address to serve on; another one lets other machines in.")] = LOOPBACK,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to serve on; 0 takes one that is free.")] = PORT,
    mlflow: Annotated[
        bool, typer.Option("--mlflow", help="Print the command that opens MLflow's pages, and end.")
    ] = False,
    home: options.Home = None,
) -> None:
    """Serve a page of what the registry holds.

    Pairs and their scores, sequences, alignments, storage, modules, and a box to translate a sentence. The curves of
    every run are in MLflow's pages, which a command opens that is printed at the start.
    """
    place = Home.resolve(home)
    if mlflow:
        _print_mlflow(place)
        return
    require("dashboard", "the page")
    from dashboards.page.app import page
    from dashboards.page.server import serve
    from registry import Registry

    with suppress(UnknownNameError):
        _print_mlflow(place)
    with suppress(KeyboardInterrupt):  # which is how a page that is served ends
        serve(page(lambda: Registry.open(place.path)), host, port, _started)


def _started(address: str) -> None:
    say(f"the page is at {address}; Ctrl-C ends it")


def _print_mlflow(place: Home) -> None:
    """Raises UnknownNameError when nothing was tracked."""
    given = os.environ.get(TRACKING_VARIABLE)
    if given and given.startswith(("http://", "https://")):
        say(f"runs are tracked by the server that {TRACKING_VARIABLE} names; open its address in a browser")
        return
    if given:
        # Not spelt out: the URL of a database may hold a password.
        store = f'"${TRACKING_VARIABLE}"'
    elif (place.path / "mlflow.db").is_file():
        store = shlex.quote(place.tracking)
    else:
        raise UnknownNameError(f"nothing has been tracked in {place.path}; train a parent, or give the right --home")
    print_text(f"mlflow ui --backend-store-uri {store} --host {LOOPBACK} --port {MLFLOW_PORT}\n")
    say(f"run it for the curves of every run, then open http://{LOOPBACK}:{MLFLOW_PORT}")
