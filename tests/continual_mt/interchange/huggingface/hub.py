"""A server on this machine that speaks as much of the Hugging Face Hub's API as a download needs."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".bin", ".spm", ".model")
"""Files that the Hub keeps outside of Git: it answers with a redirect to where they are."""


class Hub:
    """Models by name. ``requests`` are those for models, ``ranges`` the ranges that were asked for."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.ranges: list[str] = []
        self.authorized: list[str] = []
        self.cut: dict[str, list[int]] = {}
        """By file: the next answers end after so many bytes."""
        self.stalled: dict[str, int] = {}
        """By file: its answers wait after so many bytes until ``released``."""
        self.released = threading.Event()
        self.gated: set[str] = set()
        self.changed: dict[str, bytes] = {}
        """By file: what is sent in place of its content."""
        self.ignores_ranges = False
        self.has_length = True
        """Whether answers with files state their lengths."""
        self.listed: dict[str, Any] = {}
        """Values that replace those of listings."""
        self._commits: dict[str, dict[str, str]] = {}
        self._files: dict[str, dict[str, bytes]] = {}
        self._large: dict[str, tuple[str, bytes]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def add(self, model: str, folder: Path, revision: str = "main") -> str:
        """Publish the files of a folder as a revision; returns the commit's hash."""
        files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
        commit = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        self._files[commit] = files
        self._large |= {hashlib.sha256(content).hexdigest(): (name, content) for name, content in files.items()}
        self._commits.setdefault(model, {}).update({revision: commit, commit: commit})
        return commit

    @contextmanager
    def serving(self) -> Iterator[Hub]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self.released.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def _handler(hub) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = urlsplit(self.path).path
                match [unquote(part) for part in path.split("/")[1:]]:
                    case ["api", "models", owner, name, "revision", revision]:
                        if commit := self._commit(f"{owner}/{name}", revision):
                            self._json(hub._listing(f"{owner}/{name}", commit))
                    case [owner, name, "resolve", revision, file]:
                        if commit := self._commit(f"{owner}/{name}", revision):
                            self._file(f"{owner}/{name}", file, hub._files[commit][file])
                    case ["lfs", digest]:
                        self._bytes(*hub._large[digest])
                    case _:
                        self._error(404, "EntryNotFound", "Entry not found")

            def _commit(self, model: str, revision: str) -> str | None:
                hub.requests.append(unquote(self.path.partition("?")[0]))
                hub.authorized.append(self.headers.get("Authorization", ""))
                if model not in hub._commits:
                    self._error(404, "RepoNotFound", "Repository not found")
                elif revision not in hub._commits[model]:
                    self._error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
                return hub._commits.get(model, {}).get(revision)

            def _file(self, model: str, name: str, content: bytes) -> None:
                if model in hub.gated:
                    self._error(403, "GatedRepo", f"Access to model {model} is restricted")
                elif name.endswith(LARGE):
                    self.send_response(302)
                    self.send_header("Location", f"{hub.endpoint}/lfs/{hashlib.sha256(content).hexdigest()}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                else:
                    self._bytes(name, content)

            def _bytes(self, name: str, content: bytes) -> None:
                content = hub.changed.get(name, content)
                start = 0
                if (asked := self.headers.get("Range")) and not hub.ignores_ranges:
                    hub.ranges.append(asked)
                    start = int(asked.removeprefix("bytes=").removesuffix("-"))
                if start > len(content):
                    self._error(416, "RangeNotSatisfiable", "Requested range not satisfiable")
                    return
                self.send_response(206 if start else 200)
                if hub.has_length:
                    self.send_header("Content-Length", str(len(content) - start))
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
                self.end_headers()
                if cuts := hub.cut.get(name):
                    self.wfile.write(content[start : start + cuts.pop(0)])
                    self.close_connection = True
                elif stop := hub.stalled.get(name):
                    self.wfile.write(content[start : start + stop])
                    hub.released.wait()
                    self.close_connection = True
                else:
                    self.wfile.write(content[start:])

            def _json(self, value: Any, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> None:
                content = json.dumps(value).encode()
                self.send_response(status)
                for header in (*headers, ("Content-Type", "application/json"), ("Content-Length", str(len(content)))):
                    self.send_header(*header)
                self.end_headers()
                self.wfile.write(content)

            def _error(self, status: int, code: str, message: str) -> None:
                self._json({"error": message}, status, (("X-Error-Code", code), ("X-Error-Message", message)))

            def log_message(self, *arguments: object) -> None:
                pass

        return Handler

    def _listing(self, model: str, commit: str) -> dict[str, Any]:
        files = []
        for name, content in self._files[commit].items():
            blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
            large = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
            files.append({"rfilename": name, "size": len(content), "blobId": blob})
            if name.endswith(LARGE):
                files[-1]["lfs"] = large
        return {
            "id": model,
            "modelId": model,
            "sha": commit,
            "siblings": files,
            "tags": [],
            "private": False,
            **self.listed,
        }
