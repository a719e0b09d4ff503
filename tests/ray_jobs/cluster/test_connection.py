from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import ray

import registry
from continual_mt.config.spec import Resources
from continual_mt.errors import ClusterError
from ray_jobs.cluster import connection
from ray_jobs.cluster.connection import _fits
from ray_jobs.execution.backend import Share

BIG, SMALL, GPU = {"CPU": 8.0}, {"CPU": 2.0}, {"CPU": 4.0, "GPU": 1.0}


@pytest.mark.parametrize(
    ("share", "free", "fits"),
    [
        (Share(1, 2, 0), [SMALL], True),
        (Share(2, 2, 0), [SMALL], False),
        (Share(2, 2, 0), [SMALL, SMALL], True),
        (Share(5, 2, 0), [SMALL, BIG], True),
        # Ten CPUs in all, but no machine has six of them and another four.
        (Share(2, 5, 0), [SMALL, BIG], False),
        (Share(1, 3, 0), [SMALL, SMALL], False),
        (Share(1, 1, 1), [BIG], False),
        (Share(2, 1, 0.5), [GPU, BIG], True),
        (Share(3, 1, 0.5), [GPU, BIG], False),
        (Share(1, 1, 0), [], False),
    ],
)
def test_a_worker_fits_on_one_machine_or_not_at_all(share: Share, free: list[dict[str, float]], fits: bool) -> None:
    assert _fits(share, free) == fits


def test_several_machines_need_places_that_all_can_use() -> None:
    connection.check_shared(1, ["the blobs in /home/blobs"])
    connection.check_shared(3, [])
    with pytest.raises(
        ClusterError, match="has 3 machines, but the records in a and the blobs in b lie on one"
    ) as caught:
        connection.check_shared(3, ["the records in a", "the blobs in b"])
    assert "CONTINUAL_MT_BLOBS for blobs, resources.storage in the spec for checkpoints" in str(caught.value)


def test_a_share_is_said_in_words() -> None:
    assert str(Share(2, 3, 0)) == "2 × (3 CPUs)"
    assert str(Share(2, 3, 0.5)) == "2 × (3 CPUs and 0.5 GPUs)"


@pytest.mark.slow
def test_cpus_are_shared_evenly_unless_the_spec_says_how_many(ray_cluster: Any) -> None:
    assert connection.nodes()[0]["CPU"] == 4
    assert connection.share_of(Resources()) == Share(1, 4, 0)
    assert connection.share_of(Resources(workers=2)) == Share(2, 2, 0)
    assert connection.share_of(Resources(workers=3)) == Share(3, 1, 0)
    assert connection.share_of(Resources(workers=9)) == Share(9, 1, 0)
    assert connection.share_of(Resources(workers=2, cpus=3, gpus=1)) == Share(2, 3, 1)


@pytest.mark.slow
def test_what_the_cluster_will_never_have_is_refused_at_once(ray_cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(connection, "sleep", waits.append)
    with pytest.raises(ClusterError) as caught:
        connection.await_capacity(Share(2, 3, 1), 0, print)
    assert waits == []
    assert str(caught.value) == (
        "the job needs 2 × (3 CPUs and 1 GPUs), but the cluster has 4 CPUs and 0 GPUs; "
        "lower resources.workers, cpus or gpus, or set resources.wait_minutes if the cluster can grow"
    )


@pytest.mark.slow
def test_a_cluster_that_may_grow_is_asked_for_more_and_waited_for_that_long(
    ray_cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages: list[str] = []
    requested: list[list[dict[str, float]]] = []
    clock = [0.0]

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    monkeypatch.setattr(connection, "monotonic", lambda: clock[0])
    monkeypatch.setattr(connection, "sleep", sleep)
    monkeypatch.setattr(connection.autoscaler, "request_resources", lambda bundles: requested.append(bundles))
    with pytest.raises(ClusterError, match="but the cluster has 4 CPUs"):
        connection.await_capacity(Share(1, 64, 0), 2, messages.append)
    assert 120 <= clock[0] < 122
    assert requested == [[{"CPU": 64.0}], []], "the request is withdrawn"
    assert messages == ["waiting up to 2 minutes for the cluster to grow to 1 × (64 CPUs)"]


class Busy:
    def ready(self) -> bool:
        return True


@pytest.mark.slow
def test_what_others_use_is_waited_for(ray_cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "BUSY_SECONDS", 1.5)
    other = ray.remote(Busy).options(num_cpus=3).remote()
    assert ray.get(other.ready.remote())
    with pytest.raises(ClusterError, match=r"the job needs 1 × \(2 CPUs\), .* others use all but 1 CPUs"):
        connection.await_capacity(Share(1, 2, 0), 0, print)
    connection.await_capacity(Share(1, 1, 0), 0, print)
    monkeypatch.setattr(connection, "BUSY_SECONDS", 60.0)
    ray.kill(other)
    connection.await_capacity(Share(1, 4, 0), 0, print)


@pytest.mark.slow
def test_room_is_what_neither_others_nor_our_own_take(ray_cluster: Any) -> None:
    one, three, all_four = Share(1, 1, 0), Share(3, 1, 0), Share(1, 4, 0)
    assert connection.has_room(all_four, [], [])
    # Begun a moment ago: nothing is taken yet.
    assert connection.has_room(one, [three], [three])
    assert not connection.has_room(Share(2, 1, 0), [three], [three])
    assert not connection.has_room(one, [all_four], [all_four])
    # Its lost worker is being replaced: what it had is free for a moment.
    assert not connection.has_room(one, [all_four], [])
    assert not connection.has_room(Share(1, 1, 1), [], [])
    other = ray.remote(Busy).options(num_cpus=2).remote()
    assert ray.get(other.ready.remote())
    assert connection.has_room(one, [one], [one])
    assert not connection.has_room(Share(2, 1, 0), [one], [one])
    ray.kill(other)
    connection.await_capacity(all_four, 0, print)


@pytest.mark.slow
def test_ray_listens_on_loopback_alone(ray_cluster: Any) -> None:
    (node,) = ray.nodes()  # type: ignore[no-untyped-call]
    assert node["NodeManagerAddress"] == connection.LOOPBACK
    with connection.connected("somewhere else, which is not asked while a connection is there"):
        assert ray.is_initialized()
    assert ray.is_initialized()


FOLDERS = """
import sys
import ray
from ray_jobs.cluster.connection import connected

@ray.remote
def seen():
    import os
    import sys
    import registry
    return os.getcwd(), sys.path, registry.__file__

with connected(sys.argv[1]):
    folder, path, registry = ray.get(seen.remote())
print(folder in path or "" in path or sys.argv[2] in path, registry)
"""


def test_workers_import_nothing_of_the_drivers_folder(ray_cluster: Any, tmp_path: Path) -> None:
    """Ray would add the current folder and the script's."""
    (tmp_path / "registry.py").write_text("raise SystemExit('registry of the current folder was run')\n")
    (tmp_path / "scripts").mkdir()
    (script := tmp_path / "scripts" / "job.py").write_text(FOLDERS)
    done = subprocess.run(
        [sys.executable, str(script), ray_cluster.address, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert done.stdout == f"False {registry.__file__}\n"
