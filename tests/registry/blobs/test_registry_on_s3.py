"""A whole registry whose blobs are in a bucket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.errors import CorruptionError, StorageError
from continual_mt.home import BLOBS_VARIABLE
from registry import Lineage, Registry
from registry.database.location import Location
from tests.registry.backends import Backend
from tests.s3 import S3Server

MakeModule = Callable[..., Module]


@pytest.fixture
def on_s3(
    bucket: str, home: Path, location: Location, parent: Parent, lineage: Lineage, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Registry]:
    """A parent fr-en in a bucket that only the database names from then on."""
    with monkeypatch.context() as variables:
        variables.setenv(BLOBS_VARIABLE, f"s3://{bucket}/blobs")
        opened = Registry.open(home, create=True)
    with opened:
        opened.register_parent("base", parent, lineage=lineage)
        yield opened


def stored(server: S3Server, registry: Registry) -> set[str]:
    listed = server.client().list_objects_v2(Bucket=registry.blobs.place.split("/")[2])
    return {entry["Key"].rpartition("/")[2] for entry in listed["Contents"] if "/owners/" not in entry["Key"]}


def test_pairs_are_assembled_and_translated(
    on_s3: Registry,
    home: Path,
    backend: Backend,
    parent: Parent,
    make_module: MakeModule,
    lineage: Lineage,
    s3_server: S3Server,
) -> None:
    for pair, seed in (("de-en", 1), ("fr-es", 2)):
        on_s3.register_module("base", make_module(parent, pair, seed=seed), lineage=lineage)
    records = [*on_s3.parents(), *on_s3.modules()]
    assert stored(s3_server, on_s3) == {digest for record in records for digest in record.pieces.values()}
    assert on_s3.storage.local_parts == ((f"the records in {home}/registry.db",) if backend.name == "sqlite" else ())
    assert [path.name for path in home.rglob("?" * 64)] == []
    translated = on_s3.assemble("de", "es").translate(["Zwei Seiten."])
    s3_server.down()
    try:
        with Registry.open(home) as again:
            assert again.blobs == on_s3.blobs
            assert again.assemble("de", "es").translate(["Zwei Seiten."]) == translated
    finally:
        s3_server.up()


def test_two_processes_register_at_once(
    on_s3: Registry, home: Path, parent: Parent, make_module: MakeModule, s3_server: S3Server, start: Callable[..., Any]
) -> None:
    text = """
import os
os.environ.update(environment)
from continual_mt.artifacts.module import Module
from registry import Lineage, Registry
from registry.database.location import Location
from tests.registry.backends import Backend
module = Module.from_pieces(pieces)
with Registry.open(home) as registry:
    record = registry.register_module("base", module, lineage=Lineage(corpora=(), spec={}, code_version="1"))
    answers.send(record.version)
    registry.load_module(record.full_name)
"""
    modules = [make_module(parent, "de-en", seed=seed) for seed in (1, 2)]
    children = [start(text, home=home, pieces=each.pieces(), environment=s3_server.environment) for each in modules]
    assert sorted(version for child in children for version in child.answers()) == [1, 2]
    digests = {on_s3.load_module(record.full_name).digest for record in on_s3.modules()}
    assert digests == {module.digest for module in modules}


def test_a_server_that_is_gone_costs_nothing(
    on_s3: Registry, parent: Parent, make_module: MakeModule, lineage: Lineage, s3_server: S3Server
) -> None:
    module = make_module(parent, "de-en")
    s3_server.down()
    try:
        with pytest.raises(StorageError, match=f"cannot store .* bytes at {on_s3.blobs.place} on {s3_server.host}"):
            on_s3.register_module("base", module, lineage=lineage)
        with pytest.raises(StorageError, match=f"cannot read blob .* at {on_s3.blobs.place} on {s3_server.host}"):
            on_s3.load_parent()
        assert on_s3.modules() == []
    finally:
        s3_server.up()
    assert on_s3.register_module("base", module, lineage=lineage).version == 1
    assert on_s3.load_module("de-en").digest == module.digest


def test_a_damaged_object_stops_only_what_needs_it(
    on_s3: Registry, parent: Parent, make_module: MakeModule, lineage: Lineage, s3_server: S3Server
) -> None:
    record = on_s3.register_module("base", module := make_module(parent, "de-en"), lineage=lineage)
    digest = record.pieces["cross_attention.safetensors"]
    key = {"Bucket": on_s3.blobs.place.split("/")[2], "Key": f"blobs/{digest[:2]}/{digest}"}
    s3_server.client().put_object(**key, Body=b"half")
    with pytest.raises(CorruptionError, match=f"blob {digest} is damaged: the 4 bytes in s3://{key['Bucket']}/"):
        on_s3.assemble("de", "en")
    assert on_s3.assemble("fr", "en")
    on_s3.register_module("base", module, lineage=lineage)
    assert on_s3.assemble("de", "en")
