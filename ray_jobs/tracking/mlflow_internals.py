"""Everything that this project uses of MLflow beyond MLflow's public interface; nothing else may.

`tests/ray_jobs/tracking/test_mlflow_internals.py` names what is missing when a new version of MLflow no longer has it.
"""

from __future__ import annotations


def limit_database_retries(attempts: int) -> None:
    """Let MLflow give up on a database that does not answer after some attempts, for this process.

    It makes ten, over a minute and a half, and has no setting for that.
    """
    from mlflow.store.db import utils

    utils.MAX_RETRY_COUNT = attempts
