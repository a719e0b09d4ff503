"""Tracking with MLflow. Tracking that fails costs log lines, never a job."""

from __future__ import annotations

import logging
import os
import shlex
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from continual_mt.credentials import hidden
from continual_mt.errors import FailureError
from continual_mt.home import TRACKING_VARIABLE, Home
from ray_jobs.tracking.mlflow_internals import limit_database_retries

if TYPE_CHECKING:
    from mlflow import MlflowClient

# MLflow reads these when it is imported: no telemetry, and give up in seconds on a server that is down.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")

LOGGER = logging.getLogger(__name__)
FAILURES_UNTIL_QUIET = 3
DATABASE_RETRIES = 5
Result = TypeVar("Result")


class Tracker:
    """One MLflow run; without a run (MLflow is not installed, or cannot be reached) every method does nothing."""

    def __init__(self, home: Home, say: Callable[[str], None]) -> None:
        self._home, self._say = home, say
        self._failures = 0
        self._client: MlflowClient | None = None
        self.run: str | None = None

    def start(self, run: str | None, *, experiment: str, name: str, tags: Mapping[str, str]) -> str | None:
        """Create a run in an experiment, or resume ``run``; returns its id, None if MLflow cannot be reached."""

        def begin(client: MlflowClient) -> str:
            if run is not None and _is_active(client, run):
                client.update_run(run, status="RUNNING")
                return run
            created = client.create_run(self._experiment(client, experiment), run_name=name, tags=dict(tags))
            return str(created.info.run_id)

        self.run = self._attempt("start the run", begin) or run
        return self.run

    def _experiment(self, client: MlflowClient, name: str) -> str:
        found = client.get_experiment_by_name(name)
        if found is not None:
            if found.lifecycle_stage == "deleted":
                raise FailureError(self._way_out(name, str(found.experiment_id)))
            return str(found.experiment_id)
        place = None if os.environ.get("MLFLOW_TRACKING_URI") else self._home.artifacts.as_uri()
        return str(client.create_experiment(name, artifact_location=place))

    def _way_out(self, name: str, identity: str) -> str:
        # A server's URL is not shown, since it may contain a password.
        own = "" if os.environ.get(TRACKING_VARIABLE) else f"{TRACKING_VARIABLE}={shlex.quote(self._home.tracking)} "
        return (
            f"its experiment {name} was deleted, so this job is not tracked; expected an active experiment. "
            f"Fix: {own}mlflow experiments restore --experiment-id {identity}"
        )

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers at a step (an update, or a position in a sequence)."""

        def log(client: MlflowClient, run: str) -> None:
            from mlflow.entities import Metric

            from registry.records.values import now

            moment = int(now().timestamp() * 1000)
            client.log_batch(run, metrics=[Metric(key, value, moment, step) for key, value in values.items()])

        self._on_run("log metrics", log)

    def parameters(self, values: Mapping[str, object]) -> None:
        """Log parameters, which MLflow never changes afterwards."""

        def log(client: MlflowClient, run: str) -> None:
            from mlflow.entities import Param

            client.log_batch(run, params=[Param(key, str(value)) for key, value in values.items()])

        self._on_run("log parameters", log)

    def tags(self, values: Mapping[str, str]) -> None:

        def log(client: MlflowClient, run: str) -> None:
            from mlflow.entities import RunTag

            client.log_batch(run, tags=[RunTag(key, value) for key, value in values.items()])

        self._on_run("log tags", log)

    def text(self, content: str, file: str) -> None:
        """Log a text as an artifact."""
        self._on_run(f"keep {file}", lambda client, run: client.log_text(run, content, file))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]], file: str) -> None:
        """Log a table as an artifact, which the UI shows as a table."""
        data = {column: [row[i] for row in rows] for i, column in enumerate(columns)}
        self._on_run(f"keep {file}", lambda client, run: client.log_table(run, data, file))

    def files(self, contents: Mapping[str, bytes], folder: str) -> None:
        """Log files as artifacts in a folder; they replace files of the same names."""

        def keep(client: MlflowClient, run: str) -> None:
            with tempfile.TemporaryDirectory() as place:
                for name, content in contents.items():
                    (Path(place) / name).write_bytes(content)
                client.log_artifacts(run, place, folder)

        self._on_run(f"keep {folder}", keep)

    def module(self, name: str, tags: Mapping[str, str], metrics: Mapping[str, float]) -> None:
        """Log a model for a registered module, with scores and tags, and without a copy of the weights."""

        def log(client: MlflowClient, run: str) -> None:
            from mlflow.entities import Metric

            from registry.records.values import now

            experiment = client.get_run(run).info.experiment_id
            # A job that was interrupted after this logs it again.
            known = client.search_logged_models([experiment], filter_string=f"name = '{name}'")
            model = known[0] if known else None
            if model is None:
                model = client.create_logged_model(
                    experiment, name, source_run_id=run, tags=dict(tags), model_type="continual-mt module"
                )
                client.finalize_logged_model(model.model_id, "READY")
            moment = int(now().timestamp() * 1000)
            logged = [Metric(key, value, moment, 0, model_id=model.model_id) for key, value in metrics.items()]
            client.log_batch(run, metrics=logged)

        self._on_run(f"log the model {name}", log)

    def finish(self, status: str) -> None:
        """``FINISHED``, ``FAILED`` or ``KILLED``."""
        self._on_run("end the run", lambda client, run: client.set_terminated(run, status=status))

    def _on_run(self, what: str, action: Callable[[MlflowClient, str], object]) -> None:
        run = self.run
        if run is not None:
            self._attempt(what, lambda client: action(client, run))

    def _attempt(self, what: str, action: Callable[[MlflowClient], Result]) -> Result | None:
        if self._failures >= FAILURES_UNTIL_QUIET:
            return None
        try:
            if self._client is None:
                self._client = client_of(self._home.tracking)
            return action(self._client)
        except FailureError as error:
            self._failures += 1
            self._say(f"MLflow could not {what}: {error}")
            return None
        except Exception as error:  # no error of MLflow, its database or the network may end a training
            self._failures += 1
            reason = hidden(str(error).strip() or type(error).__name__)  # the URL in it may contain a password
            first = reason.partition("\n")[0]
            self._say(f"MLflow could not {what}: {first[:300]}")
            if self._failures == FAILURES_UNTIL_QUIET:
                self._say("no more calls to MLflow; the job continues without it")
            LOGGER.debug("MLflow could not %s: %s", what, reason)
            return None


def _is_active(client: MlflowClient, run: str) -> bool:
    """Whether a run still exists: it, or its experiment, may have been deleted."""
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_run(run).info
        stages = found.lifecycle_stage, client.get_experiment(found.experiment_id).lifecycle_stage
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False
    return stages == ("active", "active")


def client_of(tracking: str) -> MlflowClient:
    """A client for a tracking URI. It makes the tables of a database that has none; a server is asked nothing yet."""
    from mlflow import MlflowClient

    for chatty in ("mlflow", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    limit_database_retries(DATABASE_RETRIES)
    return MlflowClient(tracking_uri=tracking)
