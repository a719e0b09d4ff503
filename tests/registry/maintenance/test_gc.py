from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.errors import IncompatibleError, StorageError
from registry import Lineage, Registry
from registry.database import schema
from registry.database.database import Database
from registry.database.location import Location
from registry.maintenance.gc import collect
from registry.maintenance.verify import verify
from registry.records.values import now

MakeOld = Callable[[Registry], None]
MakeModule = Callable[..., Module]


def stored(registry: Registry) -> set[str]:
    return {blob.digest for blob in registry.blobs.digests()}


def deleted(registry: Registry, days: int, *, parent: bool = False) -> None:
    """Mark the module de-en:1, and the parent with its other module when asked, as deleted some days ago."""

    def change(session: Session) -> None:
        for row in session.scalars(select(schema.Artifact)):
            if parent or (isinstance(row, schema.Module) and row.source == "de"):
                row.deleted, row.deleted_by = now() - timedelta(days=days), "ada"

    registry.database.write(change)


def test_only_what_is_old_and_unneeded_goes_and_only_when_asked(rich: Registry, age: MakeOld) -> None:
    needed = stored(rich)
    old = rich.blobs.put(b"old")
    age(rich)
    young = rich.blobs.put(b"young")
    future = rich.blobs.put(b"from a clock that was put back")
    path = Path(rich.blobs.place) / future[:2] / future
    os.utime(path, (time.time() + 1e6, time.time() + 1e6))
    for for_good in (False, True):
        found = collect(rich, for_good=for_good)
        assert [blob.digest for blob in found.blobs] == [old]
        assert (found.young, found.bytes) == (2, 3)
        assert stored(rich) == needed | {young, future} | (set() if for_good else {old})
    assert collect(rich, for_good=True).blobs == ()
    assert verify(rich, fingerprints=True).problems == ()


def test_temporary_files_go_when_nobody_can_be_writing_them(registry: Registry, age: MakeOld) -> None:
    digest = registry.blobs.put(b"anything")
    folder = Path(registry.blobs.place) / digest[:2]
    (folder / ".writing-dead").write_bytes(b"half")
    age(registry)
    (folder / ".writing-alive").write_bytes(b"half")
    found = collect(registry, grace=timedelta(0), for_good=True)
    assert [Path(left.place).name for left in found.leftovers] == [".writing-dead"]
    assert [path.name for path in folder.iterdir()] == [".writing-alive"]


def test_a_note_goes_whose_blob_is_gone(registry: Registry, age: MakeOld) -> None:
    digest = registry.blobs.put_chunks([b"anything"]).digest
    path = Path(registry.blobs.place) / digest[:2] / digest
    path.unlink()
    age(registry)
    (leftover,) = collect(registry, for_good=True).leftovers
    assert leftover.place == f"{path}.noted"
    assert list(path.parent.iterdir()) == []


def test_a_row_that_was_left_by_a_killed_collection_goes(registry: Registry) -> None:
    digest = registry.texts.store(["a line"])
    registry.blobs.remove(digest)
    collect(registry, for_good=True)
    with registry.database.read() as session:
        assert session.scalars(select(schema.Blob)).all() == []


def test_what_was_deleted_long_ago_is_forgotten_when_asked(rich: Registry, age: MakeOld) -> None:
    module = rich.load_module("de-en")
    deleted(rich, days=8)
    age(rich)
    assert collect(rich, for_good=True).forgotten == ()
    kept = collect(rich, for_good=True, forget=True)
    assert kept.forgotten == ()
    assert kept.kept == ("base/de-en:1: the alias champion is set to it",)
    rich.database.write(lambda session: session.execute(delete(schema.Alias)))
    assert collect(rich, grace=timedelta(days=9), for_good=True, forget=True).forgotten == ()
    found = collect(rich, forget=True)
    assert [name for name, _ in found.forgotten] == ["base/de-en:1"]
    done = collect(rich, for_good=True, forget=True)
    assert done.forgotten == found.forgotten
    assert sum(blob.bytes for blob in done.blobs) == sum(map(len, module.pieces().values()))
    found = verify(rich, fingerprints=True)
    assert (found.problems, found.gone) == ((), ("base/de-en:1",))
    # Its number is not given out again.
    lineage = Lineage(corpora=(), spec={}, code_version="0.1.0")
    assert rich.register_module("base", module, lineage=lineage).full_name == "base/de-en:2"


def test_a_parent_is_forgotten_with_all_that_was_measured_on_it(rich: Registry, age: MakeOld) -> None:
    deleted(rich, days=8, parent=True)
    age(rich)
    kept = collect(rich, for_good=True, forget=True).kept
    assert kept == ("base/de-en:1: the alias champion is set to it", "base: base/de-en:1 belongs to it")
    rich.database.write(lambda session: session.execute(delete(schema.Alias)))
    names = [name for name, _ in collect(rich, for_good=True, forget=True).forgotten]
    assert names == ["base/de-en:1", "base"]
    with rich.database.read() as session:
        for table in (schema.Artifact, schema.Score, schema.Sequence, schema.Cell, schema.Recipe, schema.Alignment):
            assert session.scalars(select(table)).all() == []
    assert verify(rich).problems == ()


def test_a_blob_that_is_taken_before_it_is_registered_is_stored_again(
    rich: Registry, parent: Parent, make_module: MakeModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between storing and registering everything is collected, with no grace at all."""
    write, taken = rich.database.write, []

    def collected_before(change: Any) -> Any:
        monkeypatch.undo()
        taken.extend(collect(rich, grace=timedelta(0), for_good=True).blobs)
        return write(change)

    monkeypatch.setattr(rich.database, "write", collected_before)
    module = make_module(parent, "de-en", seed=7)
    rich.register_module("base", module, lineage=Lineage(corpora=(), spec={}, code_version="0.1.0"))
    assert len(taken) == 2  # module.json and the tokenizer are those of version 1
    assert rich.load_module("de-en:2").digest == module.digest
    assert verify(rich).problems == ()


def test_a_text_that_is_taken_before_it_is_referred_to_is_told_of(rich: Registry) -> None:
    score = rich.scores()[0]
    digest = rich.texts.store(["gone soon"])
    collect(rich, grace=timedelta(0), for_good=True)
    with pytest.raises(StorageError, match=f"the blob {digest} was removed by a `registry gc` whose grace period"):
        rich.register_scores([replace(score, hypotheses=digest)])
    assert verify(rich).problems == ()


def test_nothing_is_lost_while_others_register(rich: Registry, writer: Any) -> None:
    """No grace at all: whatever is stored and not yet registered is taken, again and again."""
    collect(rich, grace=timedelta(0), for_good=True)
    while writer.process.is_alive():
        collect(rich, grace=timedelta(0), for_good=True)
    assert writer.answers() == list(range(6))
    assert [module.version for module in rich.modules() if module.pair.source == "de"] == list(range(1, 8))
    assert verify(rich, fingerprints=True).problems == ()


def test_blobs_of_two_registries_in_one_place_are_left_alone(rich: Registry, age: MakeOld, tmp_path: Path) -> None:
    needed = stored(rich)
    age(rich)
    place = rich.blobs.place
    rich.storage.claim()
    with Registry(Database(Location.resolve(f"sqlite:///{tmp_path}/other.db"), create=True), rich.blobs) as other:
        for for_good in (False, True):
            with pytest.raises(IncompatibleError) as caught:
                collect(other, for_good=for_good)
            assert str(caught.value) == (
                f"the registry in {rich.name} has blobs in {place}, too, and those that only it needs would be "
                "removed; if that registry no longer exists, remove "
                f"{place}/owners/{rich.storage.identity()} and try again"
            )
        assert stored(rich) == needed
        with pytest.raises(IncompatibleError, match=rf"the registry in {tmp_path}/other.db has blobs in .*, too"):
            collect(rich)
        (Path(place) / "owners" / str(other.storage.identity())).unlink()
    assert collect(rich).blobs == ()
