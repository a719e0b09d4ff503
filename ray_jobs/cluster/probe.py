"""Connect to a cluster and report what it has, in a process that a caller can end: Ray may wait for minutes, or abort.

python -m ray_jobs.cluster.probe ADDRESS
"""

from __future__ import annotations

import json
import subprocess
import sys

from continual_mt.errors import ClusterError
from continual_mt.import_path import safe_options

SECONDS = 30.0


def nodes_at(address: str, seconds: float = SECONDS) -> list[dict[str, float]]:
    """The resources of each machine of the cluster at ``address``; empty for http://…, which only takes jobs.

    Raises ClusterError if no cluster answers there within ``seconds``.
    """
    command = [sys.executable, *safe_options(), "-m", "ray_jobs.cluster.probe", address]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, timeout=seconds
        )
    except subprocess.TimeoutExpired as error:
        raise ClusterError(
            f"no Ray cluster answers at {address} within {seconds:g} seconds. Fix: check the address, and 'ray status' "
            "on the cluster"
        ) from error
    lines = done.stdout.strip().splitlines()
    try:
        answer = json.loads(lines[-1])
    except (IndexError, ValueError) as error:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ClusterError(
            f"connecting to Ray at {address} ended with code {done.returncode} ({last}). Fix: check the address, and "
            "that the cluster has the same versions of Ray and Python"
        ) from error
    if "error" in answer:
        raise ClusterError(answer["error"])
    return [dict(node) for node in answer["nodes"]]


def _ask(address: str) -> dict[str, object]:
    try:
        if address.startswith(("http://", "https://")):
            from ray_jobs.cluster.submission import client_of

            client_of(address)
            return {"nodes": []}
        from ray_jobs.cluster import connection

        with connection.connected(address):
            return {"nodes": connection.nodes()}
    except ClusterError as error:
        return {"error": str(error)}


if __name__ == "__main__":
    print(json.dumps(_ask(sys.argv[1])))
