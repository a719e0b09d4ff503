from __future__ import annotations

import socket
from contextlib import closing

import pytest

from continual_mt.errors import ClusterError
from ray_jobs.cluster.probe import nodes_at
from tests.ray_jobs.heads import Head


@pytest.mark.slow
def test_the_resources_of_each_machine(head: Head) -> None:
    (node,) = nodes_at(head.address)
    assert node["CPU"] == 4.0
    assert "GPU" not in node


@pytest.mark.parametrize("address", ["127.0.0.1:1", "http://127.0.0.1:1"])
def test_nothing_at_an_address(address: str) -> None:
    with pytest.raises(ClusterError, match=f"no Ray cluster answers at {address}"):
        nodes_at(address)


def test_a_server_that_never_answers_is_waited_for_that_long() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ClusterError) as caught:
            nodes_at(address, seconds=8.0)
    assert str(caught.value) == (
        f"no Ray cluster answers at {address} within 8 seconds. Fix: check the address, and 'ray status' on the cluster"
    )
