"""The Ray cluster that a job runs on: started by this process, or an existing one."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from time import monotonic, sleep
from typing import Any, cast

# Ray reads these when it is imported; neither telemetry nor Train's own usage reports leave the machine.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
# Otherwise Ray replaces 127.0.0.1 by the machine's address on its network, even if asked to listen on loopback.
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
# Ray accepts a checkpoint, and allows the next one, when it polls the workers; by default every two seconds.
os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.25")

import ray
import ray.exceptions
from ray.autoscaler import sdk as autoscaler

from continual_mt.config.spec import Resources
from continual_mt.errors import ClusterError
from continual_mt.import_path import current_folder_exists, needed_by_workers
from ray_jobs.cluster.ray_internals import importing_from, listening_on
from ray_jobs.execution.backend import Share

LOOPBACK = "127.0.0.1"
OBJECT_STORE_BYTES = 256 * 1024 * 1024
BUSY_SECONDS = 30.0
LOCAL = "local"
CONNECT_SECONDS = 10.0
GPU_SECONDS = 300.0


@contextmanager
def connected(address: str | None = None) -> Iterator[None]:
    """Connect to ``address``, else to ``RAY_ADDRESS``; else start Ray here on loopback and stop it at the end.

    An existing connection is used and left open. Raises ClusterError if Ray cannot start or be reached.
    """
    if ray.is_initialized():
        yield
        return
    if not current_folder_exists():
        raise ClusterError(
            "Ray cannot start: the current folder was deleted; expected an existing one. Fix: change to another folder"
        )
    address = address or os.environ.get("RAY_ADDRESS")
    if address and address not in (LOCAL, "auto"):
        _require_answer(address)
    try:
        # A ray:// server would have to import what this is made of.
        job: Any = None if address and "://" in address else importing_from(needed_by_workers())
        if address and address != LOCAL:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, job_config=job)
        else:
            ray.init(
                address=LOCAL,
                include_dashboard=False,
                num_cpus=os.cpu_count(),
                object_store_memory=OBJECT_STORE_BYTES,
                log_to_driver=False,
                logging_level=logging.ERROR,
                job_config=job,
                **listening_on(LOOPBACK),
            )
    except Exception as error:  # on a busy machine Ray raises a bare Exception for a node that starts too slowly
        existing = address and address != LOCAL
        place = f"Ray at {address} cannot be reached" if existing else "Ray cannot start on this machine"
        raise ClusterError(
            f"{place}: {error}; check RAY_ADDRESS and 'ray status', give --address, or train with --in-process; "
            "a cluster that was started with a token needs RAY_AUTH_MODE=token here too"
        ) from error
    own = not address or address == LOCAL
    try:
        with _unwatched() if own else nullcontext():
            yield
    finally:
        ray.shutdown()


@contextmanager
def _unwatched() -> Iterator[None]:
    """Switch off Ray's watcher for preempted machines, a separate process: our own cluster has only this machine."""
    variable = "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER"
    if variable in os.environ:
        yield
        return
    os.environ[variable] = "0"
    try:
        yield
    finally:
        os.environ.pop(variable, None)


def _require_answer(address: str) -> None:
    """Raise ClusterError unless something listens at HOST:PORT; Ray itself would try for ten minutes."""
    host, _, port = address.rpartition("//")[2].rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"no Ray cluster answers at {address} ({error}); give HOST:PORT of one, or leave --address and RAY_ADDRESS "
            "out to start Ray on this machine"
        ) from error


def nodes() -> list[dict[str, float]]:
    """The resources of each node that is alive."""
    listed = cast(list[dict[str, Any]], ray.nodes())  # type: ignore[no-untyped-call]
    return [dict(node["Resources"]) for node in listed if node["Alive"]]


def check_shared(machines: int, local: Sequence[str]) -> None:
    """Raise ClusterError if a cluster has several machines and something that all of them need lies on one."""
    if machines > 1 and local:
        raise ClusterError(
            f"the cluster has {machines} machines, but {' and '.join(local)} lie on one of them; use a cluster of one "
            "machine, or name places that all can use: CONTINUAL_MT_DATABASE for records, CONTINUAL_MT_BLOBS for "
            "blobs, resources.storage in the spec for checkpoints"
        )


def starts_here(address: str | None) -> bool:
    """Whether `connected` would start Ray on this machine, and not use a cluster or connection that exists."""
    return not ray.is_initialized() and (address or os.environ.get("RAY_ADDRESS") or LOCAL) == LOCAL


def check_gpus(share: Share) -> None:
    """Ask PyTorch in a process to which Ray gives a worker's GPUs. Raises ClusterError if it finds none there.

    Ray counts the GPUs of a machine itself, whether or not the PyTorch that is installed there can use them.
    """
    if not share.gpus:
        return
    try:
        version = ray.get(_version_without_gpu.options(num_gpus=share.gpus).remote(), timeout=GPU_SECONDS)
    except ray.exceptions.RayError as error:
        raise ClusterError(
            f"a process with {share.gpus:g} GPUs could not be started on the cluster ({error}); check 'ray status'"
        ) from error
    if version is not None:
        raise ClusterError(
            f"resources.gpus: Ray gives a worker {share.gpus:g} GPUs, but the PyTorch of that machine ({version}) "
            "finds none; expected a build with CUDA and a driver. Fix: install them there, or set resources.gpus to 0"
        )


@ray.remote
def _version_without_gpu() -> str | None:
    """The version of PyTorch here if it finds no GPU, else None."""
    import torch

    return None if torch.cuda.is_available() else str(torch.__version__)


def free_resources() -> dict[str, float]:
    """The resources of the whole cluster that no job uses now."""
    return cast(dict[str, float], ray.available_resources())  # type: ignore[no-untyped-call]


def share_of(resources: Resources) -> Share:
    """What each worker gets: the CPUs asked for, else an even share of what the machines have."""
    if resources.cpus is not None:
        return Share(resources.workers, resources.cpus, resources.gpus)
    cpus = [node.get("CPU", 0.0) for node in nodes()]
    even = int(min(max(cpus, default=0.0), sum(cpus) / resources.workers))
    return Share(resources.workers, max(1, even), resources.gpus)


def _fits(share: Share, free: list[dict[str, float]]) -> bool:
    """Whether the workers fit on these nodes; a worker needs all its resources on one node."""
    bundle = share.bundle()
    places = (min(int(node.get(kind, 0.0) // amount) for kind, amount in bundle.items()) for node in free)
    return sum(places) >= share.workers


def has_room(share: Share, running: Collection[Share], coming: Collection[Share]) -> bool:
    """Whether the workers fit on the cluster now, beside our own ``running`` shares and what others use.

    Those that are ``coming`` have no workers yet, so what they will use is still free. What a running one does not use
    while a lost worker is replaced stays reserved for it.
    """
    there = cast(dict[str, float], ray.cluster_resources())  # type: ignore[no-untyped-call]
    return _fits(share, [_less(free_resources(), coming)]) and _fits(share, [_less(there, running)])


def _less(resources: Mapping[str, float], taken: Collection[Share]) -> dict[str, float]:
    return {
        kind: amount - sum(share.workers * share.bundle().get(kind, 0.0) for share in taken)
        for kind, amount in resources.items()
    }


def await_capacity(share: Share, wait_minutes: float, say: Callable[[str], None]) -> None:
    """Return once the workers fit on the cluster.

    Resources that the cluster does not have are refused at once, unless ``wait_minutes`` lets an autoscaler add them;
    resources that others use are waited for, BUSY_SECONDS at least. Raises ClusterError with both amounts.
    """
    started = monotonic()
    if wait_minutes and not _fits(share, nodes()):
        say(f"waiting up to {wait_minutes:g} minutes for the cluster to grow to {share}")
        autoscaler.request_resources(bundles=[share.bundle()] * share.workers)
    try:
        while True:
            waited = monotonic() - started
            room = _fits(share, nodes())
            if room and _fits(share, [free_resources()]):
                return
            if waited >= max(wait_minutes * 60, BUSY_SECONDS if room else 0.0):
                others = f", of which others use all but {_describe([free_resources()])}" if room else ""
                raise _too_small("the job", share, others)
            sleep(1.0)
    finally:
        if wait_minutes:
            autoscaler.request_resources(bundles=[])


def check_size(title: str, resources: Resources) -> None:
    """Raise ClusterError for resources that the cluster does not have, unless it may grow."""
    share = share_of(resources)
    if not resources.wait_minutes and not _fits(share, nodes()):
        raise _too_small(title, share)


def _too_small(who: str, share: Share, others: str = "") -> ClusterError:
    return ClusterError(
        f"{who} needs {share}, but the cluster has {_describe(nodes())}{others}; lower resources.workers, cpus or "
        "gpus, or set resources.wait_minutes if the cluster can grow"
    )


def _describe(resources: list[dict[str, float]]) -> str:
    cpus, gpus = (sum(node.get(kind, 0.0) for node in resources) for kind in ("CPU", "GPU"))
    return f"{cpus:g} CPUs and {gpus:g} GPUs"
