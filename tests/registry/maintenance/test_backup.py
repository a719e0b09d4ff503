from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.errors import CorruptionError, IncompatibleError, RegistryError, UnknownNameError
from continual_mt.home import DATABASE_VARIABLE
from registry import Lineage, Registry
from registry.database import schema
from registry.maintenance.backup import backup, load_backup, open_folder
from registry.maintenance.verify import verify
from registry.records.values import now


def records(registry: Registry) -> dict[str, list[Any]]:
    """All rows of all tables but the settings."""
    with registry.database.read() as session:
        return {
            table.name: sorted(session.execute(select(table)).all(), key=repr)
            for table in schema.Base.metadata.sorted_tables
            if table.name != "settings"
        }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backup"


def test_a_backup_is_the_same_registry(rich: Registry, folder: Path) -> None:
    done: list[int] = []
    copied = backup(rich, folder, progress=done.append)
    with open_folder(folder) as made:
        assert records(made) == records(rich)
        assert verify(made, fingerprints=True).problems == ()
        assert made.load_module("de-en").digest == rich.load_module("de-en").digest
        blobs = list(made.blobs.digests())
    assert (copied.blobs, copied.bytes, copied.there) == (len(blobs), sum(blob.bytes for blob in blobs), 0)
    assert done == list(range(1, len(blobs) + 1))


def test_the_next_backup_copies_only_what_is_new(
    rich: Registry, folder: Path, parent: Parent, make_module: Callable[..., Module], lineage: Lineage
) -> None:
    first = backup(rich, folder)
    rich.blobs.put(b"nobody's, so it is left out")
    assert (backup(rich, folder).blobs, backup(rich, folder).there) == (0, first.blobs)
    record = rich.register_module("base", make_module(parent, "de-en", seed=5), lineage=lineage)
    again = backup(rich, folder)
    # module.json and the tokenizer are those of the other version.
    assert (again.blobs, again.there) == (len(record.pieces) - 2, first.blobs)
    with open_folder(folder) as made:
        assert records(made) == records(rich)
        assert verify(made).orphans == ()


def test_a_backup_that_fails_leaves_the_one_before(
    rich: Registry, folder: Path, parent: Parent, make_module: Callable[..., Module], lineage: Lineage
) -> None:
    backup(rich, folder)
    before = records(rich)
    record = rich.register_module("base", make_module(parent, "de-en", seed=5), lineage=lineage)
    digest = record.pieces["source.safetensors"]
    path = Path(rich.blobs.place) / digest[:2] / digest
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptionError, match=f"the copy was not made: blob {digest} is damaged"):
        backup(rich, folder)
    with open_folder(folder) as made:
        assert records(made) == before
        assert verify(made).problems == ()


def test_what_is_brought_back_has_to_be_there(folder: Path) -> None:
    with pytest.raises(UnknownNameError, match=f"no registry in {folder}: registry.db not found; expected a "):
        open_folder(folder)


def test_no_registry_is_taken_for_a_backup(rich: Registry, folder: Path, other: Registry) -> None:
    with pytest.raises(IncompatibleError, match="holds a registry that is not a backup; choose another folder"):
        backup(rich, Path(other.name).parent)
    with pytest.raises(IncompatibleError, match="holds the registry's own blobs; a backup has to be in another folder"):
        backup(rich, Path(rich.blobs.place).parent)
    backup(rich, folder)
    with open_folder(folder) as used:
        used.register_module("base", rich.load_module("de-en"), lineage=Lineage((), {}, "0.1.0"))
    with pytest.raises(IncompatibleError, match="was used as a registry: something was registered there since"):
        backup(rich, folder)


def test_a_backup_is_consistent_while_others_register(rich: Registry, folder: Path, writer: Any) -> None:
    problems, seen = [], set()
    while True:
        running = writer.process.is_alive()
        backup(rich, folder)
        with open_folder(folder) as made:
            problems += verify(made).problems
            seen.add(len(made.modules()))
        if not running:
            break
    assert writer.answers() == list(range(6))
    assert problems == []
    assert max(seen) == 8


def test_a_backup_is_brought_back(
    rich: Registry, folder: Path, other: Registry, parent: Parent, make_module: Callable[..., Module], lineage: Lineage
) -> None:
    backup(rich, folder)
    with open_folder(folder) as made:
        load_backup(other, made)
        assert records(other) == records(rich)
        with pytest.raises(IncompatibleError, match=r"is not empty \(it has blobs\)|is not empty \(it has artifacts\)"):
            load_backup(other, made)
    assert verify(other, fingerprints=True).problems == ()
    # It is a registry like any other: numbers go on, and it is no backup.
    record = other.register_module("base", make_module(parent, "de-en", seed=5), lineage=lineage)
    assert record.full_name == "base/de-en:2"
    with pytest.raises(IncompatibleError, match="not a backup"):
        backup(rich, Path(other.name).parent)


def test_a_registry_moves_to_another_database(
    registry: Registry, other_filled: Registry, parent: Parent, make_module: Callable[..., Module], lineage: Lineage
) -> None:
    """From SQLite to the tested database; every counter continues from its value."""
    copied = load_backup(registry, other_filled)
    assert records(registry) == records(other_filled)
    assert copied.records == sum(map(len, records(registry).values()))
    assert registry.register_module("base", make_module(parent, "de-en", seed=5), lineage=lineage).version == 2
    assert verify(registry, fingerprints=True).problems == ()


@pytest.fixture
def other_filled(rich_folder: Path) -> Iterator[Registry]:
    with open_folder(rich_folder) as opened:
        yield opened


def test_a_first_backup_that_failed_is_made_again(rich: Registry, folder: Path) -> None:
    digest = next(rich.blobs.digests()).digest
    content = rich.blobs.get(digest)
    rich.blobs.remove(digest)
    with pytest.raises(CorruptionError, match="the copy was not made: blob"):
        backup(rich, folder)
    rich.blobs.put(content)
    backup(rich, folder)
    with open_folder(folder) as made:
        assert records(made) == records(rich)


@pytest.mark.parametrize("change", ["tag", "untag", "delete", "alias", "score"])
def test_a_backup_that_was_used_is_not_overwritten(rich: Registry, folder: Path, change: str) -> None:
    backup(rich, folder)
    with open_folder(folder) as made:
        if change == "tag":
            made.annotations.tag("fr-es", "precious")
        elif change == "untag":
            made.annotations.untag("de-en", "small")
        elif change == "delete":
            made.annotations.delete("fr-es:1")
        elif change == "alias":
            made.annotations.set_alias("fr-es@candidate", 1)
        else:
            made.register_scores([replace(made.scores()[0], value=99.0, created=now())])
        before = records(made)
    with pytest.raises(IncompatibleError, match="was used as a registry: something was registered there since"):
        backup(rich, folder)
    with open_folder(folder) as made:
        assert records(made) == before


def test_a_backup_is_not_mistaken_for_the_registry_of_the_variable(
    rich: Registry, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup(rich, folder)
    monkeypatch.setenv(DATABASE_VARIABLE, "postgresql+psycopg://me@host/records")
    with pytest.raises(RegistryError, match=f"{folder} is a backup, but CONTINUAL_MT_DATABASE names another registry"):
        Registry.open(folder)
    monkeypatch.delenv(DATABASE_VARIABLE)
    Registry.open(folder).close()
