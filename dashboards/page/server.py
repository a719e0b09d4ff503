"""The server of the page."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dash import Dash
from flask import abort, request
from werkzeug.serving import BaseWSGIServer, make_server

from continual_mt.errors import AddressError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


def serve(app: Dash, host: str, port: int, on_start: Callable[[str], None]) -> None:
    """Serve until interrupted; port 0 selects a free port. ``on_start`` is called with the address of the page.

    On a loopback address, requests with another machine's name in their Host header are rejected, which prevents DNS
    rebinding. Raises AddressError if the address cannot be used.
    """
    with _listening_socket(host, port) as listener:
        if _is_loopback(host):
            _reject_other_hosts(app, {*LOOPBACK_NAMES, host})
        server = _server(app, host, listener)
        on_start(f"http://{_in_url(host)}:{server.port}")
        try:
            server.serve_forever()
        finally:
            server.server_close()


def without_prefix(application: WSGIApplication, prefix: str) -> WSGIApplication:
    """Answer requests for paths below a prefix as those without it: some proxies remove it, others do not."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if f"{path}/" == prefix or path.startswith(prefix):
            environ["PATH_INFO"] = "/" + path[len(prefix) :]
        return application(environ, start_response)

    return answer


def _reject_other_hosts(app: Dash, names: set[str]) -> None:
    """Reject requests whose Host header names another machine. Flask's own setting for this does not support IPv6."""

    def reject() -> None:
        if urlsplit(f"//{request.host}").hostname not in names:
            abort(400)

    app.server.before_request(reject)


def _server(app: Dash, host: str, listener: socket.socket) -> BaseWSGIServer:
    # A line for each request would hide the messages printed at startup.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    return make_server(host, listener.getsockname()[1], app.server, threaded=True, fd=listener.fileno())


def _listening_socket(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        # Python appends the address to the system's message.
        reason = f"{error.strerror or error}".partition(" (while")[0]
        raise AddressError(
            f"cannot serve on {host} port {port}: {reason}. Fix: use another --host or --port"
        ) from error


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
