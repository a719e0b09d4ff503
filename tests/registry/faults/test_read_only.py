"""A registry that this user may only read."""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg.sql import SQL, Identifier

from continual_mt.artifacts.module import Module
from continual_mt.errors import StorageError
from registry import Registry
from registry.database.location import Location
from registry.maintenance.verify import verify
from tests.registry.backends import only_postgresql, only_sqlite
from tests.registry.server import Server

Start = Callable[..., Any]

# The rights of files do not bind root.
READ_AND_WRITE = """
import os
from continual_mt.errors import StorageError
from continual_mt.artifacts.module import Module
from registry import Registry
if user is not None:
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
module = Module.from_pieces(pieces)
def result_of(do):
    try:
        return do()
    except StorageError as error:
        return str(error)
def read():
    with Registry.open(home) as registry:
        registry.load_module("de-en")
        return [module.full_name for module in registry.modules()]
def write():
    with Registry.open(home) as registry:
        return registry.register_module("base", module, lineage=lineage).full_name
answers.send(result_of(read))
answers.send(result_of(write))
"""


@pytest.fixture
def readable(filled: Registry, home: Path) -> Iterator[Path]:
    """A copy of the home where another user may look, unlike in the folders of tests."""
    filled.close()
    folder = Path(tempfile.mkdtemp(prefix="read-only-"))
    shutil.copytree(home, folder / "home")
    folder.chmod(0o755)
    yield folder / "home"
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(folder)


def set_modes(home: Path, folders: int, files: int) -> None:
    for path in (home, *home.rglob("*")):
        path.chmod(folders if path.is_dir() else files)


@only_sqlite
@pytest.mark.parametrize("folders", [0o555, 0o777], ids=["read-only folder", "read-only file"])
def test_files_that_may_only_be_read(readable: Path, filled: Registry, folders: int, start: Start) -> None:
    with Registry.open(readable) as registry:
        pieces, lineage = registry.load_module("de-en").pieces(), registry.module("de-en").lineage
    user = pwd.getpwnam("nobody") if os.getuid() == 0 else None
    set_modes(readable, folders, 0o444)
    read, written = start(READ_AND_WRITE, home=readable, pieces=pieces, lineage=lineage, user=user).answers()
    refusal = (
        f"cannot use the registry's database {readable / 'registry.db'}: attempt to write a readonly database; nothing "
        "was changed. Free space or make the file and its folder writable, then run the same command again"
    )
    assert read == ["base/de-en:1", "base/fr-es:1"]
    if folders == 0o555:  # blobs come first
        owner = f"{readable}/blobs/owners/"
        assert written.startswith("cannot store 40 bytes in " + owner)
        assert written.endswith(
            ": Permission denied; nothing was registered. Free space or make the folder writable, then run the same "
            "command again"
        )
    else:
        assert written == refusal
    with Registry.open(readable) as registry:
        assert [module.full_name for module in registry.modules()] == ["base/de-en:1", "base/fr-es:1"]
        assert verify(registry, fingerprints=True).problems == ()
    set_modes(readable, 0o777, 0o666)
    again = start(READ_AND_WRITE, home=readable, pieces=pieces, lineage=lineage, user=user).answers()
    assert again == [["base/de-en:1", "base/fr-es:1"], "base/de-en:2"]


@only_postgresql
def test_a_server_that_only_reads(filled: Registry, home: Path, server: Server) -> None:
    name = Location.resolve(home).database.database or ""
    server.execute(SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(Identifier(name)))
    filled.close()
    module: Module = filled.load_module("de-en")  # a connection that has read is used again to write
    with pytest.raises(
        StorageError, match=r"cannot execute .* in a read-only transaction; nothing was changed\. .*let this user write"
    ):
        filled.register_module("base", module, lineage=filled.module("de-en").lineage)
    assert [module.full_name for module in filled.modules()] == ["base/de-en:1", "base/fr-es:1"]
    assert verify(filled, fingerprints=True).problems == ()
