"""A cluster of machines that share a network, a database and an S3 store, and no disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from continual_mt.home import BLOBS_VARIABLE, DATABASE_VARIABLE
from ray_jobs.cluster import connection
from tests.markers import deselect_unless_named
from tests.ray_jobs.machines.machine import Machine, missing_programs
from tests.ray_jobs.programs import Program, Values
from tests.registry.server import Server
from tests.s3 import S3Server

BUCKET = "shared"
RAY_PORT = 6379
START_SECONDS = 120


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    deselect_unless_named("machines", config, items)


class Cluster:
    """Machines with Ray, one CPU each. The first has the database, the S3 store, the driver and what it reads.

    ``disk`` is the folder in which each machine sees its own disk, ``home`` the driver's home on it; ``storage`` is the
    URL that all of them can use.
    """

    def __init__(self, stack: ExitStack, ray_program: Path, logs: Path) -> None:
        self._stack, self._ray, self._logs = stack, ray_program, logs
        self._machines = self._programs = 0
        # Ray puts sockets there, whose paths must be short.
        self.disk = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="disk-")))
        self.first = self._machine("first", None)
        s3 = S3Server(self.first.address, self.first.inside)
        stack.callback(s3.end)
        homes = {"HOME": str(self.disk / "home"), "TMPDIR": str(self.disk / "tmp")}
        # Set by ray_jobs, which was imported here, for its own processes.
        environment = {name: value for name, value in os.environ.items() if name != "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"}
        self._environment = {**environment, **s3.environment, **homes}
        self._with_s3(f"create_bucket(Bucket='{BUCKET}')")
        self.home, self.storage = self.disk / "work" / "home", f"s3://{BUCKET}/jobs"
        database = Server(self.first.network)
        stack.callback(database.remove)
        database.create("records")
        self._of_driver = {
            DATABASE_VARIABLE: database.url("records").render_as_string(hide_password=False),
            BLOBS_VARIABLE: f"s3://{BUCKET}/blobs",
            "RAY_ADDRESS": f"{self.first.address}:{RAY_PORT}",
        }
        self._start_ray(self.first, "--head", f"--port={RAY_PORT}", "--include-dashboard=false")

    def add_machine(self, name: str) -> Machine:
        machine = self._machine(name, self.first)
        self._start_ray(machine, f"--address={self.first.address}:{RAY_PORT}")
        return machine

    def start(self, name: str, values: Values, *words: str) -> Program:
        """Start ``python -m ray_jobs.NAME`` on the first machine."""
        self._programs += 1
        folder = self._logs / f"program-{self._programs}"
        options = {"inside": self.first.inside, "environment": self._environment | self._of_driver}
        program = Program(name, values, self.home, folder, words, **options)
        self._stack.callback(program.end)
        return program

    def stored(self) -> list[str]:
        """The names of all objects in the storage."""
        printed = self._with_s3(f"list_objects_v2(Bucket='{BUCKET}', Prefix='jobs/')['Contents']")
        return [entry["Key"] for entry in json.loads(printed)]

    def _with_s3(self, call: str) -> str:
        program = f"import boto3, json; print(json.dumps(boto3.client('s3').{call}, default=str))"
        return self.first.run(sys.executable, "-c", program, environment=self._environment)

    def _machine(self, name: str, switch: Machine | None) -> Machine:
        self._machines += 1
        machine = Machine(name, self._machines, self.disk, switch)
        self._stack.callback(machine.kill)
        return machine

    def _start_ray(self, machine: Machine, *words: str) -> None:
        log = self._logs / f"ray-{machine.name}"
        command = [*machine.inside, self._ray, "start", "--block", "--num-cpus=1", *words]
        command += [
            f"--node-ip-address={machine.address}",
            f"--object-store-memory={connection.OBJECT_STORE_BYTES}",
            *([f"--temp-dir={self.disk / 'ray'}"] if "--head" in words else []),
        ]
        with log.open("wb") as file:
            process = subprocess.Popen(command, stdout=file, stderr=file, env=self._environment)
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        deadline = time.monotonic() + START_SECONDS
        while "Ray runtime started" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)


@pytest.fixture
def cluster(ray_program: Path, tmp_path: Path) -> Iterator[Cluster]:
    if missing := missing_programs():
        pytest.fail(
            f"{', '.join(missing)}: not found; expected the programs that make separate networks. "
            "Fix: apt-get install iproute2 util-linux",
            pytrace=False,
        )
    if os.getuid() != 0:
        pytest.fail("only root can make separate networks. Fix: run these tests as root", pytrace=False)
    with ExitStack() as stack:
        yield Cluster(stack, ray_program, tmp_path)
