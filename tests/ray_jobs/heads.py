"""A real Ray cluster of one machine, started and ended by its own command line."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ray_jobs.cluster import connection

START_SECONDS = 300


@dataclass(frozen=True)
class Head:
    """A cluster of one machine, as ``ray start --head`` makes it. ``dashboard`` is a URL; empty without one."""

    address: str
    dashboard: str


@contextmanager
def started_head(
    ray_program: Path, port: int, agent: int, dashboard: int | None = None, gpus: int = 0
) -> Iterator[Head]:
    """Start a head in a separate session, so that all its processes can be found and ended.

    With a port for ``dashboard`` it takes submitted jobs, by an agent that listens on another. Without one it starts
    fewer processes. Ray believes that the machine has ``gpus``, whether or not it does.
    """
    # Not pytest's folder: Ray puts sockets there, whose paths must be short.
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder, ExitStack() as stack:
        log = stack.enter_context(Path(folder, "start.log").open("wb"))
        command = [ray_program, "start", "--head", "--block", "--num-cpus=4", f"--temp-dir={folder}"]
        command += [
            f"--port={port}",
            f"--dashboard-agent-listen-port={agent}",
            f"--node-ip-address={connection.LOOPBACK}",
        ]
        command += [f"--num-gpus={gpus}"]
        command += [f"--object-store-memory={connection.OBJECT_STORE_BYTES}"]
        if dashboard is None:
            command += ["--include-dashboard=false"]
        else:
            command += [f"--dashboard-host={connection.LOOPBACK}", f"--dashboard-port={dashboard}"]
        # As in an activated environment, where the python that jobs are started with is this one.
        environment = {**os.environ, "PATH": f"{ray_program.parent}{os.pathsep}{os.environ['PATH']}"}
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, cwd=folder, env=environment)
        stack.callback(_end_session, process)
        _await_answer(process, dashboard or port, Path(folder, "start.log"))
        yield Head(f"{connection.LOOPBACK}:{port}", f"http://{connection.LOOPBACK}:{dashboard}" if dashboard else "")


def _await_answer(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with closing(socket.socket()) as probe:
            if probe.connect_ex((connection.LOOPBACK, port)) == 0:
                return
        time.sleep(0.3)
    raise RuntimeError(f"ray start did not come up: {log.read_text()}")


def _end_session(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started."""
    numbers = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    for number in [number for number in numbers if _session(number) == process.pid]:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    process.wait()


def _session(process: int) -> int | None:
    try:
        return os.getsid(process)
    except ProcessLookupError:
        return None
