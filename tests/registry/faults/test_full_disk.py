"""A full disk, on a separate file system: nothing is registered, and once space is free the work succeeds.

Where mounting is forbidden, the limit of a process on the size of its files takes its place.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from registry import Lineage, Registry
from registry.maintenance.verify import verify
from tests.registry.backends import only_sqlite

pytestmark = pytest.mark.slow

MakeModule = Callable[..., Module]
Start = Callable[..., Any]
PAGE = 4096


class SmallDisk:
    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder, self._filler = folder, folder / "filler"
        command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
        self._is_mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
        self.limit: int | None = None

    def fill(self, free: int) -> None:
        """Leave some bytes free."""
        if not self._is_mounted:
            self.limit = free
            return
        status = os.statvfs(self.folder)
        with self._filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, status.f_bavail * status.f_bsize - free)

    def empty(self) -> None:
        self._filler.unlink(missing_ok=True)
        self.limit = None

    def remove(self) -> None:
        if self._is_mounted:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    made = SmallDisk(tmp_path / "disk")
    yield made
    made.remove()


REGISTER = """
import resource
from continual_mt.errors import StorageError
from continual_mt.artifacts.module import Module
from registry import Registry
module = Module.from_pieces(pieces)
if limit is not None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    with Registry.open(home) as registry:
        answers.send(registry.register_module("base", module, lineage=lineage).full_name)
except StorageError as error:
    answers.send(str(error))
"""


def refused(disk: SmallDisk, registry: Path, module: Module, lineage: Lineage, start: Start) -> list[str]:
    """What a registration says with ever more room, until it goes well. Each time it was refused all is as before."""
    messages: list[str] = []
    pieces = module.pieces()
    for free in range(0, 100 * PAGE, 2 * PAGE):
        disk.fill(free)
        [answer] = start(REGISTER, home=registry, pieces=pieces, lineage=lineage, limit=disk.limit).answers()
        disk.empty()
        with Registry.open(registry) as opened:
            names = {module.full_name for module in opened.modules()}
            found = verify(opened, fingerprints=True)
            assert (found.problems, found.leftovers) == ((), ())
        if answer == "base/es-en:1":
            print(f"refused {len(messages)} times")
            assert names == {"base/de-en:1", "base/fr-es:1", answer}
            return messages
        assert names == {"base/de-en:1", "base/fr-es:1"}
        messages.append(answer)
    raise AssertionError(messages[-1])


@pytest.fixture
def module(parent: Parent, make_module: MakeModule) -> Module:
    return make_module(parent, "es-en", seed=3)


def test_the_disk_of_the_blobs(
    home: Path, filled: Registry, disk: SmallDisk, module: Module, lineage: Lineage, start: Start
) -> None:
    shutil.move(home / "blobs", disk.folder / "blobs")
    (home / "blobs").symlink_to(disk.folder / "blobs")
    messages = refused(disk, home, module, lineage, start)
    assert len(messages) > 1
    for message in messages:
        assert message.startswith("cannot store ")
        assert f" in {home}/blobs/" in message
        assert message.endswith("Free space or make the folder writable, then run the same command again")


@only_sqlite
def test_the_disk_of_the_records(
    home: Path,
    filled: Registry,
    disk: SmallDisk,
    module: Module,
    lineage: Lineage,
    start: Start,
) -> None:
    filled.close()
    for file in home.glob("registry.db*"):
        shutil.move(file, disk.folder / file.name)
    (disk.folder / "blobs").symlink_to(home / "blobs")
    messages = refused(disk, disk.folder, module, lineage, start)
    assert len(messages) > 1
    for message in messages:
        assert message.startswith(f"cannot use the registry's database {disk.folder / 'registry.db'}: ")
        assert "nothing was changed. Free space or make the file" in message
