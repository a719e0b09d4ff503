"""``continual-mt dashboard``."""

from __future__ import annotations

import os
import shlex

from continual_mt.cli import options
from continual_mt.cli.output import print_text, say
from continual_mt.errors import UnknownNameError
from continual_mt.home import TRACKING_VARIABLE, Home

EPILOG = options.examples("continual-mt dashboard --home /data/home")
HOST, PORT = "127.0.0.1", 5000


def dashboard(home: options.Home = None) -> None:
    """Print the command that opens MLflow's pages.

    They hold the curves of every run and the scores after every addition.
    """
    place = Home.resolve(home)
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
    print_text(f"mlflow ui --backend-store-uri {store} --host {HOST} --port {PORT}\n")
    say(f"run it, then open http://{HOST}:{PORT}")
