"""``continual-mt dashboard``."""

from __future__ import annotations

import os
import re
import shlex
from contextlib import suppress
from typing import Annotated

import typer

from continual_mt.cli.support import options
from continual_mt.cli.support.console import print_text, say
from continual_mt.errors import InputError, UnknownNameError
from continual_mt.extras import require
from continual_mt.home import TRACKING_VARIABLE, Home

EPILOG = options.examples(
    "continual-mt dashboard --home /data/home",
    "continual-mt dashboard --port 8051",
    "continual-mt dashboard --prefix /mt",
    "continual-mt dashboard --mlflow",
)
LOOPBACK, PORT = "127.0.0.1", 8050
MLFLOW_PORT = 5000
_PATH = re.compile(r"/?(?:[\w.~-]+/)*[\w.~-]*", re.ASCII)


def dashboard(
    host: Annotated[
        str, typer.Option(help="Address to serve on; 0.0.0.0 also allows access from other machines.")
    ] = LOOPBACK,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to serve on; 0 selects a free port.")] = PORT,
    prefix: Annotated[
        str, typer.Option(metavar="PATH", help="Path under which a reverse proxy serves the page, such as /mt.")
    ] = "/",
    mlflow: Annotated[
        bool, typer.Option("--mlflow", help="Print the command that starts the MLflow UI, and exit.")
    ] = False,
    home: options.Home = None,
) -> None:
    """Serve a web page that shows the registry.

    The page has the web of languages, pairs and their scores, sequences, alignments, storage and modules, and
    translates sentences. Training curves are in the MLflow UI; the command that starts it is printed at startup.
    """
    place, below = Home.resolve(home), _prefix(prefix)
    if mlflow:
        _print_mlflow(place)
        return
    require("dashboard", "the page")
    from dashboards.page.app import create_app
    from dashboards.page.server import serve
    from registry import Registry

    with suppress(UnknownNameError):
        _print_mlflow(place)
    with suppress(KeyboardInterrupt):  # Ctrl-C is the normal way to stop the server
        serve(create_app(lambda: Registry.open(place.path), below), host, port, _started)


def _prefix(text: str) -> str:
    """Return the path with a slash at both ends. Raises InputError for anything but a path."""
    if not _PATH.fullmatch(text) or {".", ".."} & set(text.split("/")):
        raise InputError(f"--prefix {text[:60]!r}: is not a path; expected letters, digits and slashes, such as /mt")
    return f"/{text.strip('/')}/" if text.strip("/") else "/"


def _started(address: str) -> None:
    say(f"the page is at {address}; press Ctrl-C to stop")


def _print_mlflow(place: Home) -> None:
    """Print the command that starts the MLflow UI. Raises UnknownNameError if there are no MLflow runs."""
    given = os.environ.get(TRACKING_VARIABLE)
    if given and given.startswith(("http://", "https://")):
        say(f"runs are tracked by the MLflow server in {TRACKING_VARIABLE}; open that address in a browser")
        return
    if given:
        # Print the variable's name, not its value: the URL of a database may contain a password.
        store = f'"${TRACKING_VARIABLE}"'
    elif (place.path / "mlflow.db").is_file():
        store = shlex.quote(place.tracking)
    else:
        raise UnknownNameError(f"{place.path}: no MLflow runs found. Fix: train a parent, or use another --home")
    print_text(f"mlflow ui --backend-store-uri {store} --host {LOOPBACK} --port {MLFLOW_PORT}\n")
    say(f"run this command to see the training curves at http://{LOOPBACK}:{MLFLOW_PORT}")
