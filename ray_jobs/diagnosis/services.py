"""Finding the services: Ray, MLflow, the registry's database and its blobs. Nothing is created or changed."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import cast

from continual_mt.errors import ClusterError, ContinualMTError
from continual_mt.home import TRACKING_VARIABLE, Home
from ray_jobs.diagnosis.service import SECONDS, Service, late, within
from registry.database.location import Location
from registry.maintenance.health import examine_blobs, examine_database, unwritable
from registry.records.values import JSONObject

ADDRESS_VARIABLE = "RAY_ADDRESS"
LOCAL = "local"
_SQLITE = "sqlite:///"


def installed(package: str) -> str | None:
    """The version of an installed package, None if it is not installed. Imports nothing."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def address_in_effect(argument: str | None) -> str | None:
    """The cluster that jobs use: the argument, else RAY_ADDRESS; None if they start Ray on this machine."""
    address = argument or os.environ.get(ADDRESS_VARIABLE)
    return None if address == LOCAL else address or None


def examine(home: Home, address: str | None, seconds: float = SECONDS) -> dict[str, Service]:
    """Examine all services, each for ``seconds`` at most, Ray for 30. ``address`` is the cluster's in effect."""
    tracking = within(seconds, lambda: mlflow(home), late("MLflow", "server", home.tracking, seconds))
    database = within(seconds, lambda: records(home), late("database", "server", None, seconds))
    found = {"ray": ray(address), "mlflow": tracking(), "database": database()}
    place = cast("str | None", found["database"].facts.get("blobs"))
    blobs = within(seconds, lambda: blob_store(place), late("blobs", "store", place, seconds))
    return {**found, "blobs": blobs()}


def ray(address: str | None) -> Service:
    """Ray: at an address, its machines; without one it is only looked for, since a job starts it when it needs it."""
    has_ray = installed("ray") is not None
    if address is None:
        state = "starts on this machine when a job needs it" if has_ray else "not installed: train with --in-process"
        return Service("Ray", "this machine", None, state, usable=has_ray)
    if not has_ray:
        problem = f"jobs use the cluster at {address}, but Ray is not installed. Fix: {_install('ray[default,train]')}"
        return Service.unusable("Ray", "cluster", address, f"{problem}, or unset {ADDRESS_VARIABLE}")
    from ray_jobs.cluster.probe import nodes_at

    try:
        nodes = nodes_at(address)
    except ClusterError as error:
        return Service.unusable("Ray", "cluster", address, str(error))
    if not nodes:
        return Service("Ray", "jobs API", address, "takes jobs")
    cpus, gpus = (sum(node.get(kind, 0.0) for node in nodes) for kind in ("CPU", "GPU"))
    state = f"reachable: machines {len(nodes)}, CPUs {cpus:g}, GPUs {gpus:g}"
    largest = max(node.get("CPU", 0.0) for node in nodes)
    facts: JSONObject = {"machines": len(nodes), "cpus": cpus, "gpus": gpus, "cpus_of_largest": largest}
    return Service("Ray", "cluster", address, state, facts=facts)


def mlflow(home: Home) -> Service:
    """MLflow at the tracking URI in effect. A server is asked; of a database only the file or the host is looked at.

    MLflow's own client would make the tables of a database that has none.
    """
    uri, configured = home.tracking, TRACKING_VARIABLE in os.environ
    kind = "SQLite" if uri.startswith("sqlite:") else "server" if uri.startswith("http") else uri.partition(":")[0]
    if installed("mlflow") is None:
        if not configured:
            return Service("MLflow", kind, None, "not installed: jobs are not tracked", usable=False)
        problem = f"{TRACKING_VARIABLE} is set, but MLflow is not installed. Fix: {_install('mlflow')}, or unset it"
        return Service.unusable("MLflow", kind, uri, problem)
    if uri.startswith(_SQLITE):
        state, problem_of_file = _tracking_file(Path(uri.removeprefix(_SQLITE).partition("?")[0]))
        return (
            Service.unusable("MLflow", kind, uri, problem_of_file)
            if problem_of_file
            else Service("MLflow", kind, uri, state)
        )
    if uri.startswith(("http://", "https://")):
        return _tracking_server(uri)
    return Service("MLflow", kind, uri, "not examined: only servers and SQLite files are")


def _tracking_file(file: Path) -> tuple[str, str | None]:
    """The state of MLflow's database in a file, and why it cannot be used."""
    if not file.exists():
        return "does not exist yet; the first job makes it", unwritable(file.parent, "runs")
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=1.0)) as connection:
            connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
    except sqlite3.Error as error:
        return "", f"{file} cannot be read ({error}). Fix: name another place with {TRACKING_VARIABLE}, or move it away"
    return "usable", unwritable(file.parent, "runs")


def _tracking_server(uri: str) -> Service:
    from ray_jobs.tracking.mlflow_tracker import client_of

    try:
        client_of(uri).search_experiments(max_results=1)
    except Exception as error:  # of MLflow, of requests, or of a driver
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        problem = f"the server at {uri} cannot be used ({reason}). Fix: check {TRACKING_VARIABLE}, and that it runs"
        return Service.unusable("MLflow", "server", uri, problem)
    return Service("MLflow", "server", uri, "reachable")


def records(home: Home) -> Service:
    """The registry's database; the fact ``blobs`` is where its blobs are, None if that is unknown."""
    try:
        found = examine_database(Location.resolve(home.path))
    except ContinualMTError as error:  # the variable holds no URL of a database, or of blobs
        return Service.unusable("database", "", None, str(error))
    schema, newest = found.schema, found.newest
    facts: JSONObject = {"schema": schema, "newest_schema": newest, "exists": found.exists, "blobs": found.blobs}
    if found.problem:
        return replace(Service.unusable("database", found.kind, found.place, found.problem), facts=facts)
    state = f"usable, schema {schema}" if found.exists else "does not exist yet; 'parent train' makes it"
    return Service("database", found.kind, found.place, state, facts=facts)


def blob_store(place: str | None) -> Service:
    """The store of blobs at a place that the database names."""
    if place is None:
        return Service("blobs", "", None, "unknown: the database names the place", usable=False)
    found = examine_blobs(place)
    if found.problem:
        return Service.unusable("blobs", found.kind, found.place, found.problem)
    return Service("blobs", found.kind, found.place, "writable")


def _install(package: str) -> str:
    return f"pip install '{package}'"
