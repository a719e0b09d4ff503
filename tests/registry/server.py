"""A real PostgreSQL in a temporary folder, started and stopped by the tests."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier
from sqlalchemy import URL

from tests.scratch import scratch

PASSWORD = "s3cret/of:the@tests"


def _program(name: str) -> str:
    """Debian keeps the server's programs out of PATH."""
    newest_first = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -float(path.parent.name))
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *map(str, newest_first)]))
    if found is None:
        raise FileNotFoundError(f"{name}: install PostgreSQL's server: apt-get install postgresql")
    return found


class Server:
    """It listens on a free port of this machine, for people with the password, and in its folder, for anybody.

    ``inside`` are words before its commands, which may lead to another network.
    """

    def __init__(self, inside: Sequence[str] = ()) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="postgresql-", dir=scratch()))
        self._before = [*inside]
        if os.getuid() == 0:  # as whom the server refuses to run
            group = pwd.getpwnam("nobody").pw_gid
            self._before += ["setpriv", "--reuid=nobody", f"--regid={group}", "--clear-groups"]
            shutil.chown(self._folder, "nobody")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        password = self._folder / "password"
        password.write_text(PASSWORD)
        # Real servers sort by the rules of a language, and differ from SQLite there.
        sorting = ("--encoding=UTF8", "--locale=C", "--locale-provider=icu", "--icu-locale=en-US")
        access = ("--username=tester", f"--pwfile={password}", "--auth-local=trust", "--auth-host=scram-sha-256")
        self._run("initdb", "--no-sync", *sorting, *access)
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self._folder,
            "fsync": "off",
            "autovacuum": "off",
            "timezone": "Asia/Kathmandu",
        }
        with (self._folder / "data/postgresql.conf").open("a") as configuration:
            configuration.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        self.start()

    def restart(self) -> None:
        """Restart at once, as after a crash."""
        self._control("restart", "--mode=immediate")

    def stop(self) -> None:
        self._control("stop", "--mode=immediate")

    def start(self) -> None:
        self._control("start")

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def url(self, database: str, **parts: Any) -> URL:
        url = URL.create("postgresql+psycopg", "tester", PASSWORD, "127.0.0.1", self.port, database)
        return url.set(**parts)

    def create(self, database: str, template: str = "template0") -> None:
        # The other strategy copies sequences so that a crash right after it takes numbers back that were given out.
        making = SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
        self.execute(making.format(Identifier(database), Identifier(template)))

    def drop(self, database: str) -> None:
        self.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(database)))

    def execute(self, statement: Any, database: str = "postgres") -> list[Any]:
        """Rows of a statement that its administrator runs."""
        with psycopg.connect(
            host=str(self._folder), port=self.port, user="tester", dbname=database, autocommit=True
        ) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def _control(self, verb: str, *options: str) -> None:
        self._run("pg_ctl", verb, "--wait", f"--log={self._folder / 'log'}", *options)

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._before, _program(program), *arguments, f"--pgdata={self._folder / 'data'}"]
        # Its words are not captured: the server that it starts would keep the pipe open.
        done = subprocess.run(command, cwd=self._folder, stdout=subprocess.DEVNULL, check=False)
        assert done.returncode == 0, command
