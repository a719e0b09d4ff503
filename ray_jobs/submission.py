"""Submitting a job to a cluster through Ray's Jobs API, and following it to its end."""

from __future__ import annotations

import asyncio
import importlib
import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel
from ray.job_submission import JobStatus, JobSubmissionClient

from continual_mt.errors import ClusterError
from continual_mt.home import HOME_VARIABLE, Home

PACKAGES = ("continual_mt", "registry", "ray_jobs", "dashboards")


def submit(
    program: str,
    spec: BaseModel,
    *,
    address: str,
    home: Home,
    again: bool,
    say: Callable[[str], None],
) -> int:
    """Run ``python -m ray_jobs.PROGRAM`` on the cluster at ``address`` (http://HOST:8265), saying its log.

    The job gets this code, the spec with absolute paths and the home's path; the machine there must see those files.
    Returns the exit code that the program would have had here. Raises ClusterError when no cluster can be reached.
    """
    client = _client(address)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "spec.json").write_text(spec.model_dump_json(), encoding="utf-8")
        command = ["python", "-m", f"ray_jobs.{program}", "spec.json", "--home", str(home.path)]
        job = client.submit_job(
            entrypoint=shlex.join(command + (["--again"] if again else [])),
            runtime_env={"working_dir": folder, "py_modules": _code(), "env_vars": {HOME_VARIABLE: str(home.path)}},
            metadata={"job": f"continual-mt {program}"},
        )
    say(f"submitted as {job}; 'ray job stop {job} --address {address}' ends it")
    asyncio.run(_follow(client, job, say))
    return _exit_code(client, job)


def _client(address: str) -> JobSubmissionClient:
    try:
        return JobSubmissionClient(address)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ClusterError(
            f"no Ray cluster answers at {address}: {error}; start one with 'ray start --head'"
        ) from error


def _code() -> list[str]:
    """The folders of our packages, so that the cluster runs the same code as this machine."""
    folders = [Path(str(importlib.import_module(name).__file__)).parent for name in PACKAGES]
    return [str(folder) for folder in folders]


async def _follow(client: JobSubmissionClient, job: str, say: Callable[[str], None]) -> None:
    async for lines in client.tail_job_logs(job):
        say(lines.rstrip("\n"))


def _exit_code(client: JobSubmissionClient, job: str) -> int:
    status = client.get_job_status(job)
    if status == JobStatus.SUCCEEDED:
        return 0
    code = client.get_job_info(job).driver_exit_code
    return code if code is not None and code > 0 else 1
