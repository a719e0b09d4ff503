"""Processes that are killed at every event and at random moments.

Each change is stored completely or not at all, what was confirmed is stored, and the same command completes it.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from registry import Lineage, Registry
from registry.database import schema
from registry.maintenance.backup import backup, open_folder
from registry.maintenance.bundle.export import export
from registry.maintenance.bundle.validate import import_bundle
from registry.maintenance.gc import collect
from registry.records.values import now
from tests.registry.backends import Backend, only_sqlite
from tests.registry.faults.killing import Opened, Run, Work, checked

MakeModule = Callable[..., Module]
Start = Callable[..., Any]

THERE = {"base/de-en:1", "base/fr-es:1"}
NEW = "base/es-en:1"
SEED_VARIABLE = "CONTINUAL_MT_TEST_SEED"

KILL = """
from tests.registry.faults.killing import killed_everywhere
for run in killed_everywhere(work, backend, source, home):
    answers.send(run)
"""


def possible(before: Any, after: Any, confirmed: str | None) -> list[Any]:
    """The states in which a killed change may leave the registry: what was confirmed is done."""
    return [before, after] if confirmed is None else [after]


@dataclass(frozen=True)
class Registering:
    pieces: dict[str, bytes]
    lineage: Lineage

    def prepare(self, registry: Registry, home: Path) -> None:
        """Nothing."""

    def act(self, registry: Registry, home: Path) -> str:
        return registry.register_module("base", Module.from_pieces(self.pieces), lineage=self.lineage).full_name

    def check(self, opened: Opened, home: Path, confirmed: str | None) -> None:
        registry = opened(home)
        found = checked(registry)
        assert found in possible(THERE, THERE | {NEW}, confirmed)
        assert self.act(registry, home) == NEW
        assert registry.load_module(NEW).digest == Module.from_pieces(self.pieces).digest


@dataclass(frozen=True)
class Importing:
    bundle: Path

    def prepare(self, registry: Registry, home: Path) -> None:
        """Nothing."""

    def act(self, registry: Registry, home: Path) -> str:
        return str(import_bundle(registry, self.bundle).artifacts)

    def check(self, opened: Opened, home: Path, confirmed: str | None) -> None:
        registry = opened(home)
        found = checked(registry)
        assert found in possible(THERE, THERE | {NEW}, confirmed)
        state = "there already" if NEW in found else "imported"
        assert import_bundle(registry, self.bundle).artifacts[-1][1:] == (NEW, state)
        registry.load_module(NEW)


@dataclass(frozen=True)
class Collecting:
    """Collects unreferenced blobs and a module that was deleted long ago."""

    def prepare(self, registry: Registry, home: Path) -> None:
        def delete(session: Session) -> None:
            row = session.scalars(select(schema.Module).filter_by(source="de")).one()
            row.deleted = now() - timedelta(days=8)

        registry.database.write(delete)
        registry.texts.store(["nobody's"])

    def act(self, registry: Registry, home: Path) -> str:
        return str(len(collect(registry, grace=timedelta(0), for_good=True, forget=True).blobs))

    def check(self, opened: Opened, home: Path, confirmed: str | None) -> None:
        registry = opened(home)
        assert checked(registry) == {"base/fr-es:1"}
        self.act(registry, home)
        with registry.database.read() as session:
            assert [module.source for module in session.scalars(select(schema.Module))] == ["fr"]
            rows = set(session.scalars(select(schema.Blob.digest)))
        assert rows == {blob.digest for blob in registry.blobs.digests()}


@dataclass(frozen=True)
class MovingAnAlias:
    """From one version to the next, with a line in its history."""

    module: dict[str, bytes]
    lineage: Lineage

    def prepare(self, registry: Registry, home: Path) -> None:
        registry.annotations.set_alias("de-en@champion", 1)
        registry.register_module("base", Module.from_pieces(self.module), lineage=self.lineage)

    def act(self, registry: Registry, home: Path) -> str:
        return str(registry.annotations.set_alias("de-en@champion", 2))

    def check(self, opened: Opened, home: Path, confirmed: str | None) -> None:
        registry = opened(home)
        checked(registry)
        moves = [(move.from_version, move.to_version) for move in registry.annotations.alias_history("de-en@champion")]
        assert moves in possible([(None, 1)], [(None, 1), (1, 2)], confirmed)
        assert registry.annotations.alias("de-en@champion").version == moves[-1][1]
        self.act(registry, home)
        assert registry.module("de-en@champion").version == 2
        assert len(registry.annotations.alias_history("de-en@champion")) == 2


@dataclass(frozen=True)
class BackingUp:
    """Once more, after a module was added."""

    module: Registering

    def prepare(self, registry: Registry, home: Path) -> None:
        backup(registry, home / "backup")
        self.module.act(registry, home)

    def act(self, registry: Registry, home: Path) -> str:
        return str(backup(registry, home / "backup").blobs)

    def check(self, opened: Opened, home: Path, confirmed: str | None) -> None:
        made = opened(home / "backup", open_folder)
        assert checked(made) in possible(THERE, THERE | {NEW}, confirmed)
        registry = opened(home)
        self.act(registry, home)
        made = opened(home / "backup", open_folder)
        assert made.load_module(NEW).digest


@pytest.fixture(scope="session")
def registering(parent: Parent, make_module: MakeModule, lineage: Lineage) -> Registering:
    return Registering(make_module(parent, "es-en", seed=3).pieces(), replace(lineage, job="d" * 64))


@pytest.fixture(scope="session")
def bundle(parent: Parent, registering: Registering, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sender")
    with open_folder(folder / "home", create=True) as registry:
        registry.register_parent("base", parent, lineage=replace(registering.lineage, job=None))
        registering.act(registry, folder)
        export(registry, [NEW], folder / "bundle.tar", with_parent=False)
    return folder / "bundle.tar"


@pytest.fixture(scope="session")
def moving(parent: Parent, make_module: MakeModule, lineage: Lineage) -> MovingAnAlias:
    return MovingAnAlias(make_module(parent, "de-en", seed=4).pieces(), lineage)


@pytest.fixture(params=["registering", "importing", "collecting", "moving"])
def work(request: pytest.FixtureRequest, registering: Registering, bundle: Path, moving: MovingAnAlias) -> Work:
    works: dict[str, Work] = {
        "moving": moving,
        "registering": registering,
        "importing": Importing(bundle),
        "collecting": Collecting(),
    }
    return works[request.param]


def assert_nothing_lost(runs: list[Run]) -> None:
    for number, run in enumerate(runs, start=1):
        print(f"{number:4} {run.steps[-1] if len(run.steps) == number else 'nothing left to be killed at'}")
        assert run.problem is None, "\n".join([*run.steps, run.problem or ""])
    assert [len(run.steps) for run in runs] == [*range(1, len(runs)), len(runs) - 1]
    assert "COMMIT" in runs[-1].steps


@pytest.mark.slow
def test_killed_at_every_event(backend: Backend, filled_home: Path, home: Path, work: Work, start: Start) -> None:
    assert_nothing_lost(start(KILL, work=work, backend=backend, source=filled_home, home=home).answers())


@pytest.mark.slow
@only_sqlite
def test_a_backup_killed_at_every_event(
    backend: Backend, filled_home: Path, home: Path, registering: Registering, start: Start
) -> None:
    """It is written to SQLite whatever the registry is kept by."""
    work = BackingUp(registering)
    assert_nothing_lost(start(KILL, work=work, backend=backend, source=filled_home, home=home).answers())


REGISTER = """
from dataclasses import replace
from continual_mt.artifacts.module import Module
from registry import Registry
module = Module.from_pieces(pieces)
with Registry.open(home) as registry:
    while True:
        tensors = {name: tensor + number for name, tensor in module.tensors.items()}
        made = registry.register_module(
            "base", replace(module, tensors=tensors), lineage=replace(lineage, job=f"{number:064}")
        )
        answers.send((number, made.full_name, made.digest))
        number += 1
"""


def test_killed_at_random_moments(home: Path, filled: Registry, registering: Registering, start: Start) -> None:
    seed = int(os.environ.get(SEED_VARIABLE) or random.SystemRandom().randrange(10**6))
    print(f"{SEED_VARIABLE}={seed} in the environment chooses these moments again")
    moments = random.Random(seed)
    confirmed: list[tuple[int, str, str]] = []
    for _ in range(10):
        number = confirmed[-1][0] + 1 if confirmed else 0
        child = start(REGISTER, home=home, pieces=registering.pieces, lineage=registering.lineage, number=number)
        assert child._answers.poll(60)
        time.sleep(moments.uniform(0, 0.1))
        child.process.kill()
        confirmed += child.received()
        versions = {f"base/es-en:{version}" for version in range(1, len(confirmed) + 1)}
        # One more may have been registered in the moment before it was confirmed; the next process finds it.
        assert checked(filled) - THERE in (versions, versions | {f"base/es-en:{len(confirmed) + 1}"})
    digests = {module.full_name: module.digest for module in filled.modules()}
    assert [number for number, _, _ in confirmed] == list(range(len(confirmed)))
    assert all(digests[name] == digest for _, name, digest in confirmed)
    print(f"killed 10 times, {len(confirmed)} modules confirmed")
