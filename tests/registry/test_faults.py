"""Other processes that race, and a process that is killed: what is registered is registered whole, and once."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from continual_mt.module import Module
from continual_mt.parent import Parent
from registry import Lineage, Registry
from registry.database import Database
from registry.location import Location

MakeModule = Callable[..., Module]
Start = Callable[..., Any]

REGISTER = """
from continual_mt.module import Module
from registry import Lineage, Registry
module = Module.from_pieces(pieces)
lineage = Lineage(corpora=(), spec={}, code_version="0.1.0", job=job)
with Registry.open(home) as registry:
    for _ in range(times):
        answers.send(registry.register_module("base", module, lineage=lineage).version)
"""


def blobs(registry: Registry) -> int:
    return len(list(registry.blobs.folder.rglob("?" * 64)))


@pytest.fixture(autouse=True)
def _base(registry: Registry, parent: Parent, lineage: Lineage) -> None:
    registry.register_parent("base", parent, lineage=lineage)


@pytest.fixture
def modules(parent: Parent, make_module: MakeModule) -> list[Module]:
    return [make_module(parent, "de-en", seed=seed) for seed in (1, 2)]


def test_two_processes_never_get_the_same_version(home: Path, modules: list[Module], start: Start) -> None:
    children = [start(REGISTER, home=home, pieces=module.pieces(), times=25, job=None) for module in modules]
    assert sorted(version for child in children for version in child.answers()) == list(range(1, 51))
    with Registry.open(home) as registry:
        assert [module.version for module in registry.modules()] == list(range(1, 51))


def test_two_processes_with_one_job_register_one_module(home: Path, modules: list[Module], start: Start) -> None:
    children = [start(REGISTER, home=home, pieces=module.pieces(), times=5, job="d" * 64) for module in modules]
    assert [child.answers() for child in children] == [[1] * 5, [1] * 5]
    with Registry.open(home) as registry:
        assert [module.full_name for module in registry.modules()] == ["base/de-en:1"]
        registry.load_module("de-en")


def test_killed_between_blobs_and_records(home: Path, modules: list[Module], lineage: Lineage, start: Start) -> None:
    """A writer that is held up in front of its transaction has stored the blobs; killed there, it leaves no module."""
    pieces = modules[0].pieces()
    other = Database(Location.resolve(home))
    with closing(other), Registry.open(home) as registry, other._writer.connect() as lock:
        expected = blobs(registry) + len(pieces)
        turn = lock.begin()
        child = start(REGISTER, home=home, pieces=pieces, times=1, job=None)
        deadline = time.monotonic() + 60
        while blobs(registry) < expected:
            assert child.process.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        child.process.kill()
        assert child.exit_code() == -signal.SIGKILL
        turn.rollback()
        assert registry.modules() == []
        assert [str(entry.pair) for entry in registry.pairs()] == ["fr-en"]
        assert registry.register_module("base", modules[0], lineage=lineage).version == 1
        assert registry.load_module("de-en").digest == modules[0].digest


def test_killed_at_each_blob(home: Path, modules: list[Module], lineage: Lineage, start: Start) -> None:
    """Each process but the first adds one blob before it is killed at the next: what was stored stays stored."""
    killing = """
import os, sys
renames = []
def count(event, arguments):
    if event == "os.rename":
        renames.append(arguments)
        if len(renames) == number:
            os.kill(os.getpid(), 9)
sys.addaudithook(count)
"""
    pieces = modules[0].pieces()
    with Registry.open(home) as registry:
        stored = blobs(registry)
        for number in (1, 2, 2, 2):
            child = start(killing + REGISTER, home=home, pieces=pieces, times=1, job=None, number=number)
            assert child.exit_code() == -signal.SIGKILL
        assert blobs(registry) == stored + len(pieces) - 1
        assert registry.modules() == []
        assert registry.register_module("base", modules[0], lineage=lineage).version == 1
        assert registry.load_module("de-en").digest == modules[0].digest
