from __future__ import annotations

import http.client
import re
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from continual_mt.errors import AddressError
from dashboards.page.app import create_app
from dashboards.page.server import serve
from registry import Registry
from tests.dashboards.programs import Page

Serve = Callable[[Path], Page]


def answer(address: str, host: str) -> int:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)
    connection.request("GET", "/", headers={"Host": host})
    status = connection.getresponse().status
    connection.close()
    return status


def test_requests_for_other_host_names_are_rejected_and_an_interruption_ends_the_server(
    home: Path, start_page: Serve
) -> None:
    """Otherwise a web site could resolve its own name to this machine and read the page (DNS rebinding)."""
    started = start_page(home)
    assert started.address.startswith("http://127.0.0.1:")
    names = ("127.0.0.1", "localhost:80", "[::1]", "elsewhere.example", "127.0.0.1.example:80")
    assert [answer(started.address, name) for name in names] == [200, 200, 200, 400, 400]
    assert started.end() == 0
    assert "Traceback" not in started.log.read_text()


def test_the_error_names_an_address_in_use(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            AddressError,
            match=rf"cannot serve on 127.0.0.1 port {port}: Address already in use\. Fix: use another --host or --port",
        ):
            serve(create_app(lambda: Registry.open(home)), "127.0.0.1", port, print)


def test_the_error_names_an_address_of_another_machine(home: Path) -> None:
    with pytest.raises(AddressError, match=r"cannot serve on 192.0.2.1 port 0: Cannot assign requested address"):
        serve(create_app(lambda: Registry.open(home)), "192.0.2.1", 0, print)


def test_behind_a_proxy_everything_is_asked_for_below_the_prefix(home: Path) -> None:
    """Whether the proxy removes the prefix or not."""
    client = create_app(lambda: Registry.open(home), "/mt/").server.test_client()
    page = client.get("/").text
    links = re.findall(r'(?:src|href)="(/[^"]*)"', page)
    assert len(links) > 5
    assert all(link.startswith("/mt/") for link in links)
    assert '"requests_pathname_prefix":"\\u002fmt\\u002f"' in page
    for below in ("/mt", ""):
        paths = ["/", "/_dash-layout", "/_dash-dependencies", links[1].removeprefix("/mt")]
        assert [client.get(f"{below}{path}").status_code for path in paths] == [200] * 4
    assert client.get("/mtx/_dash-layout").headers["Content-Type"].startswith("text/html")
