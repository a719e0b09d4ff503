"""Bundles from one registry to another, and back."""

from __future__ import annotations

import json
import shutil
import tarfile
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.stored.serialization import parameter_shapes
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.errors import IncompatibleError, UnknownNameError
from continual_mt.languages import Pair
from registry import Input, Lineage, Registry
from registry.database import schema
from registry.maintenance.backup import open_folder
from registry.maintenance.bundle.export import export
from registry.maintenance.bundle.validate import import_bundle
from registry.maintenance.verify import verify
from tests.registry.conftest import ARCHITECTURE

MakeModule = Callable[..., Module]
LINEAGE = Lineage(corpora=(), spec={}, code_version="0.1.0")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return tmp_path / "bundle.tar"


def everything(registry: Registry) -> list[Any]:
    """All rows of all tables."""
    with registry.database.read() as session:
        tables = schema.Base.metadata.sorted_tables
        return [(table.name, sorted(session.execute(select(table)).all(), key=repr)) for table in tables]


def test_all_of_it_arrives(rich: Registry, other: Registry, bundle: Path) -> None:
    done: list[int] = []
    written = export(rich, ["base"], bundle, progress=done.append)
    assert (written.parents, written.modules, written.scores) == (("base",), ("base/de-en:1", "base/fr-es:1"), 3)
    assert (done[-1], written.bytes) == (written.blobs, bundle.stat().st_size)
    imported = import_bundle(other, bundle)
    assert imported.artifacts == (
        ("base", "base", "imported"),
        ("base/de-en:1", "base/de-en:1", "imported"),
        ("base/fr-es:1", "base/fr-es:1", "imported"),
    )
    assert other.parents() == rich.parents()
    assert other.modules() == rich.modules()
    assert sorted(other.scores(), key=repr) == sorted(rich.scores(), key=repr)
    assert other.catalog.corpora() == rich.catalog.corpora()
    assert verify(other, fingerprints=True).problems == verify(other).orphans == ()
    with rich.database.read() as there, other.database.read() as here:
        for table in (schema.Note, schema.Tag):
            columns = [column for column in table.__table__.columns if column.name not in ("id", "artifact_id")]
            assert here.execute(select(*columns)).all() == there.execute(select(*columns)).all()
        (alias,) = here.scalars(select(schema.Alias))
        assert (alias.name, alias.module.source) == ("champion", "de")
    score = next(score for score in other.scores() if score.hypotheses)
    assert score.hypotheses is not None
    assert other.texts.read(score.hypotheses) == ["A man plays.", "Two men play."]


def test_off_target_rates_arrive_with_those_of_the_references(rich: Registry, other: Registry, bundle: Path) -> None:
    known = rich.scores()[0]
    rate = replace(known, metric="offtarget", value=60.0, reference_value=1.5)
    rich.register_scores([rate])
    export(rich, ["base"], bundle)
    with tarfile.open(bundle) as archive:
        content = archive.extractfile(archive.getmembers()[0])
        assert content is not None
        manifest = json.loads(content.read())
    assert manifest["format"] == 2
    assert [one.get("reference_value", "left out") for one in manifest["scores"]].count(1.5) == 1
    assert {one.get("reference_value", "left out") for one in manifest["scores"]} == {1.5, "left out"}
    import_bundle(other, bundle)
    assert [score.reference_value for score in other.scores(metric="offtarget")] == [1.5]


def test_imported_twice_nothing_changes(rich: Registry, other: Registry, bundle: Path) -> None:
    export(rich, ["base"], bundle)
    for registry in (other, rich):
        import_bundle(registry, bundle)
        before = everything(registry)
        again = import_bundle(registry, bundle)
        assert {state for _, _, state in again.artifacts} == {"there already"}
        assert again.scores == 0
        assert everything(registry) == before


@settings(max_examples=6, deadline=None)
@given(
    chosen=st.lists(st.sampled_from(["base", "de-en", "fr-es", "base/de-en:1"]), min_size=1, max_size=3),
    with_parent=st.booleans(),
)
def test_any_part_makes_a_round_trip(
    rich_folder: Path,
    empty_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    chosen: list[str],
    with_parent: bool,
) -> None:
    folder = tmp_path_factory.mktemp("round")
    shutil.copytree(empty_folder, folder / "home")
    with open_folder(rich_folder) as origin, open_folder(folder / "home") as other:
        if not with_parent:
            other.register_parent("called-otherwise", origin.load_parent(), lineage=LINEAGE)
        for number in range(2):
            written = export(origin, chosen, folder / "bundle.tar", with_parent=with_parent)
            imported = import_bundle(other, folder / "bundle.tar")
            new = [name for name, _, state in imported.artifacts if state == "imported"]
            assert new == ([] if number else [*written.parents, *written.modules])
        wanted = [origin.module(name).digest for name in written.modules]
        assert [module.digest for module in other.modules()] == wanted
        assert len(other.scores()) == written.scores
        assert verify(other, fingerprints=True).problems == ()


def test_versions_and_names_are_those_of_the_receiver(
    rich: Registry, registry_with_parent: Registry, bundle: Path, make_module: MakeModule, parent: Parent
) -> None:
    here = registry_with_parent
    own = here.register_module("mine", make_module(parent, "de-en", seed=30), lineage=LINEAGE)
    export(rich, ["base"], bundle)
    imported = import_bundle(here, bundle)
    assert imported.artifacts == (
        ("base", "mine", "there already"),
        ("base/de-en:1", "mine/de-en:2", "imported"),
        ("base/fr-es:1", "mine/fr-es:1", "imported"),
    )
    assert here.module("mine/de-en:1") == own
    assert {(score.parent, score.source) for score in here.scores()} == {("mine", "mine/de-en:2"), ("mine", None)}
    assert here.module("mine/de-en:2").digest == rich.module("base/de-en:1").digest
    assert import_bundle(here, bundle).artifacts[1] == ("base/de-en:1", "mine/de-en:2", "there already")
    assert verify(here, fingerprints=True).problems == ()


def test_inputs_are_named_as_they_are_called_here(
    rich: Registry, registry_with_parent: Registry, bundle: Path, make_module: MakeModule, parent: Parent
) -> None:
    """Also an input whose version is higher than that of the module that was made from it."""
    here = registry_with_parent
    start = rich.register_module("base", make_module(parent, "de-en", seed=31), lineage=LINEAGE)
    made = Lineage((), {}, "0.1.0", inputs=(Input("start", start.full_name, start.digest),))
    rich.register_module("base", make_module(parent, "fr-de", seed=32), lineage=made)
    for seed in (33, 34):
        here.register_module("mine", make_module(parent, "de-en", seed=seed), lineage=LINEAGE)
    assert start.full_name == "base/de-en:2"
    export(rich, ["base/de-en:2", "base/fr-de:1"], bundle)
    assert import_bundle(here, bundle).artifacts[1:] == (
        ("base/fr-de:1", "mine/fr-de:1", "imported"),
        ("base/de-en:2", "mine/de-en:3", "imported"),
    )
    assert [one.module for one in here.module("mine/fr-de:1").lineage.inputs] == ["mine/de-en:3"]
    assert here.module("mine/fr-de:1").shared
    with pytest.raises(IncompatibleError, match="mine/fr-de:1"):
        here.annotations.delete("mine/de-en:3")


@pytest.fixture
def registry_with_parent(other: Registry, parent: Parent) -> Registry:
    other.register_parent("mine", parent, lineage=LINEAGE)
    return other


def test_two_versions_of_one_content_stay_two(rich: Registry, other: Registry, bundle: Path) -> None:
    rich.register_module("base", rich.load_module("de-en"), lineage=LINEAGE)
    export(rich, ["base"], bundle)
    for state in ("imported", "there already"):
        names = [(new, found) for _, new, found in import_bundle(other, bundle).artifacts if "de-en" in new]
        assert names == [("base/de-en:1", state), ("base/de-en:2", state)]


def test_a_name_that_belongs_to_another_parent(
    rich: Registry, other: Registry, bundle: Path, make_parent: Callable[..., Parent]
) -> None:
    other.register_parent("base", make_parent(seed=5), lineage=LINEAGE)
    export(rich, ["de-en"], bundle)
    before = everything(other)
    with pytest.raises(IncompatibleError, match=r"there is a parent base here already, with other content.*--parent"):
        import_bundle(other, bundle)
    assert everything(other) == before
    imported = import_bundle(other, bundle, parent="theirs")
    assert imported.artifacts[1] == ("base/de-en:1", "theirs/de-en:1", "imported")
    assert {score.source for score in other.scores()} <= {"theirs/de-en:1", None}
    assert verify(other, fingerprints=True).problems == ()


def test_without_its_parent_it_fits_only_where_the_parent_is(
    rich: Registry, other: Registry, bundle: Path, parent: Parent
) -> None:
    export(rich, ["de-en"], bundle, with_parent=False)
    small = bundle.stat().st_size
    with pytest.raises(IncompatibleError, match=r"was written without the parent base .*, which is not in"):
        import_bundle(other, bundle)
    other.register_parent("mine", parent, lineage=LINEAGE)
    assert import_bundle(other, bundle).artifacts[1] == ("base/de-en:1", "mine/de-en:1", "imported")
    export(rich, ["de-en"], bundle)
    assert bundle.stat().st_size > 2 * small


def test_what_is_deleted_here_is_said(rich: Registry, other: Registry, bundle: Path) -> None:
    export(rich, ["base"], bundle)
    import_bundle(other, bundle)
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    only = schema.Artifact.kind == "module"
    other.database.write(lambda session: session.execute(update(schema.Artifact).where(only).values(deleted=moment)))
    assert [state for _, _, state in import_bundle(other, bundle).artifacts] == [
        "there already",
        *2 * ["there, deleted"],
    ]
    other.database.write(lambda session: session.execute(update(schema.Artifact).values(deleted=moment)))
    with pytest.raises(IncompatibleError, match="the parent base is here, as base, but was deleted; restore it"):
        import_bundle(other, bundle)


def test_an_attempt_that_registered_something_else_here_is_not_named(
    rich: Registry, other: Registry, bundle: Path, parent: Parent, make_module: MakeModule
) -> None:
    job = Lineage(corpora=(), spec={}, code_version="0.1.0", job="9" * 64)
    record = rich.register_module("base", make_module(parent, "de-en", seed=40), lineage=job)
    other.register_parent("base", parent, lineage=LINEAGE)
    other.register_module("base", make_module(parent, "de-en", seed=41), lineage=job)
    export(rich, [record.full_name], bundle)
    import_bundle(other, bundle)
    assert [module.lineage.job for module in other.modules()] == ["9" * 64, None]


def test_an_import_brings_back_blobs_that_were_lost(rich: Registry, bundle: Path) -> None:
    export(rich, ["base"], bundle)
    for digest in rich.module("de-en").pieces.values():
        (Path(rich.blobs.place) / digest[:2] / digest).unlink()
    assert verify(rich).problems != ()
    import_bundle(rich, bundle)
    assert verify(rich, fingerprints=True).problems == ()


def test_names_that_are_not_there(rich: Registry, bundle: Path) -> None:
    with pytest.raises(UnknownNameError, match="base/de-en:7"):
        export(rich, ["de-en", "base/de-en:7"], bundle)
    assert not bundle.exists()


def test_weights_are_not_read_into_memory(
    other: Registry, bundle: Path, tokenizers: dict[str, Tokenizer], tmp_path: Path
) -> None:
    """Two pieces of 16 MiB each."""
    large = replace(ARCHITECTURE, width=256, feed_forward=7936)
    source, target = tokenizers["fr"], tokenizers["en"]
    shapes = parameter_shapes(large, {"source": source.size, "target": target.size})
    tensors = {name: torch.ones(shape) for name, shape in shapes.items()}
    parent = Parent.of_pair(Pair("fr", "en"), large, tensors, source, target)
    with Registry.open(tmp_path / "large", create=True) as registry:
        registry.register_parent("large", parent, lineage=LINEAGE)
        export(registry, ["large"], bundle)
    tracemalloc.start()
    try:
        import_bundle(other, bundle)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 12 << 20 < 32 << 20 < bundle.stat().st_size
    assert other.parent("large").fingerprint == parent.fingerprint
