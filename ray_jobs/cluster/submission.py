"""Submission of a job to a cluster through Ray's Jobs API, and its log and exit code."""

from __future__ import annotations

import asyncio
import importlib
import shlex
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from ray.exceptions import AuthenticationError
from ray.job_submission import JobStatus, JobSubmissionClient

from continual_mt.errors import ClusterError
from continual_mt.home import HOME_VARIABLE, Home
from ray_jobs.cluster.ray_internals import NO_AGENT

AGENT_SECONDS = 60
PACKAGES = ("continual_mt", "registry", "ray_jobs", "dashboards")


def submit(
    program: str,
    spec: BaseModel,
    *,
    address: str,
    home: Home,
    flags: Sequence[str],
    say: Callable[[str], None],
) -> int:
    """Run ``python -m ray_jobs.PROGRAM FLAGS`` on the cluster at ``address`` (http://HOST:8265); ``say`` gets its log.

    The job gets this code, the spec with absolute paths and the home's path; the cluster's machine must have these
    files. Returns the program's exit code. Raises ClusterError if no cluster can be reached.
    """
    client = client_of(address)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "spec.json").write_text(spec.model_dump_json(), encoding="utf-8")
        command = ["python", "-m", f"ray_jobs.{program}", "spec.json", "--home", str(home.path)]
        environment = {"working_dir": folder, "py_modules": _code(), "env_vars": {HOME_VARIABLE: str(home.path)}}
        job = _start(client, shlex.join([*command, *flags]), environment, program)
    say(f"submitted as {job}; 'ray job stop {job} --address {address}' ends it")
    asyncio.run(_follow(client, job, say))
    return _exit_code(client, job)


def client_of(address: str) -> JobSubmissionClient:
    """A client for http://HOST:8265. Raises ClusterError if no cluster answers there, or a token is missing."""
    try:
        return JobSubmissionClient(address)
    except AuthenticationError as error:
        raise ClusterError(
            f"the cluster at {address} needs a token: set RAY_AUTH_MODE=token (and RAY_AUTH_TOKEN, where the cluster "
            "does not run as this user)"
        ) from error
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ClusterError(
            f"no Ray cluster answers at {address}: {error}; start one with 'ray start --head'"
        ) from error


def _start(client: JobSubmissionClient, command: str, environment: dict[str, Any], program: str) -> str:
    """Submit; retry for a while on a cluster that has just started or is busy."""
    deadline = time.monotonic() + AGENT_SECONDS
    while True:
        try:
            return client.submit_job(
                entrypoint=command, runtime_env=environment, metadata={"job": f"continual-mt {program}"}
            )
        except RuntimeError as error:
            if NO_AGENT not in str(error) or time.monotonic() > deadline:
                raise ClusterError(f"the cluster did not take the job: {error}") from error
            time.sleep(1)


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
