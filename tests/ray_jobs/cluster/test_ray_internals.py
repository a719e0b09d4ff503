"""What the project uses of Ray beyond its public interface is still there. Each test names what a new Ray took away."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import ray
import ray.train
from ray._private import ray_constants, worker
from ray._private.accelerators import accelerator
from ray._private.runtime_env import constants as runtime_env
from ray.dashboard.modules.dashboard_sdk import SubmissionClient
from ray.train.torch import TorchTrainer
from ray.train.v2._internal import constants as train

from ray_jobs.cluster import connection
from ray_jobs.cluster.ray_internals import CLEANER, DATASETS, NO_AGENT, OWN_ADDRESS, LeanTrainer, importing_from
from ray_jobs.entrypoint import INSIDE_JOB_VARIABLE


def test_a_trainer_makes_its_default_callbacks_in_one_method() -> None:
    assert inspect.signature(TorchTrainer._create_default_callbacks).parameters.keys() == {"self"}  # type: ignore[attr-defined]
    makes = inspect.getsource(TorchTrainer._create_default_callbacks)  # type: ignore[attr-defined]
    for name in (DATASETS, CLEANER):
        assert f"{name}(" in makes
    assert "self._create_default_callbacks()" in inspect.getsource(TorchTrainer.fit)


def test_a_cluster_that_is_not_ready_to_take_a_job_says_so_in_these_words() -> None:
    # Read and not imported: it warns of what it uses of pydantic.
    server = Path(ray.__file__).parent / "dashboard" / "modules" / "job" / "job_head.py"
    assert f'text="{NO_AGENT} to submit job' in server.read_text()
    raises = inspect.getsource(SubmissionClient._raise_error)
    assert "raise RuntimeError" in raises
    assert "{r.text}" in raises


def test_ray_init_takes_an_address_to_listen_on() -> None:
    assert f'kwargs.pop("{OWN_ADDRESS}"' in inspect.getsource(inspect.unwrap(ray.init))


def test_environment_variables_are_those_that_ray_reads() -> None:
    known = {
        ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR,
        accelerator.RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO_ENV_VAR,
        train.HEALTH_CHECK_INTERVAL_S_ENV_VAR,
        train.ENABLE_PREEMPTION_WATCHER_ENV_VAR,
        train.V2_ENABLED_ENV_VAR,
    }
    assert known == {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO",
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S",
        "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER",
        "RAY_TRAIN_V2_ENABLED",
    }
    text = inspect.getsource(connection)
    assert [name for name in known if f'"{name}"' not in text] == []
    assert runtime_env.RAY_JOB_CONFIG_JSON_ENV_VAR == INSIDE_JOB_VARIABLE


@pytest.mark.slow
def test_callbacks_that_do_nothing_here_are_left_out(
    ray_cluster: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trainer = LeanTrainer(print, run_config=ray.train.RunConfig(storage_path=str(tmp_path)))

    def names() -> set[str]:
        return {type(callback).__name__ for callback in trainer._create_default_callbacks()}

    by_default = {type(callback).__name__ for callback in super(LeanTrainer, trainer)._create_default_callbacks()}
    assert by_default - names() == {DATASETS, CLEANER}
    monkeypatch.setenv("RAY_OVERRIDE_DASHBOARD_URL", "127.0.0.1:1")  # as on a cluster with a dashboard
    assert by_default - names() == {DATASETS}


def test_a_job_config_has_folders_that_ray_extends_by_the_current_one() -> None:
    assert "job_config._py_driver_sys_path.extend(code_paths)" in inspect.getsource(worker.connect)
    config = importing_from(["/ours"])
    config._py_driver_sys_path.extend(["/current"])
    assert config._get_proto_job_config().py_driver_sys_path == ["/ours"]
