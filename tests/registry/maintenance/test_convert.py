from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save
from sqlalchemy import select
from sqlalchemy.orm import Session

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.stored.optional_pieces import INITIALISATION, WORD_TRANSLATIONS
from continual_mt.artifacts.stored.serialization import json_piece
from continual_mt.artifacts.stored.stored_precision import StoredPrecision
from continual_mt.errors import IncompatibleError, InputError
from continual_mt.inference.ctranslate2_model import CTranslate2Model
from continual_mt.inference.mixed_batches import Request, translate_mixed
from continual_mt.inference.torch_model import PairModel
from continual_mt.interchange.ctranslate2_export import export_ctranslate2
from continual_mt.interchange.huggingface.export.folder import export_hugging_face
from continual_mt.languages import Pair
from registry import Lineage, ModuleRecord, Registry
from registry.database import schema
from registry.maintenance.backup import backup, open_folder
from registry.maintenance.bundle.export import export
from registry.maintenance.bundle.validate import import_bundle
from registry.maintenance.convert import convert
from registry.maintenance.verify import verify
from registry.recipes.embeddings import two_embeddings
from registry.records.artifacts import bytes_in
from registry.records.lineage import Input
from tests.continual_mt.interchange.conftest import PROVENANCE

MakeModule = Callable[..., Module]


def test_a_converted_parent_is_another_one(filled: Registry, parent: Parent) -> None:
    first = filled.parent("base")
    filled.add_word_translations("base", b"a table")
    done = convert(filled, "base", "float16", code_version="2.0.0")
    record = filled.parent("base-float16")
    assert (done.record, done.is_new, done.first.bytes) == (record, True, first.bytes)
    assert done.staying == ("base/de-en:1", "base/fr-es:1")
    assert (record.precision, first.precision, record.parameters) == ("float16", "float32", first.parameters)
    assert record.fingerprint == parent.stored_in("float16").fingerprint
    assert first.bytes - record.bytes == pytest.approx(2 * first.parameters, abs=300)
    assert bytes_in(record, "float32") == pytest.approx(first.bytes, abs=300)
    assert record.pieces[WORD_TRANSLATIONS] == filled.parent("base").pieces[WORD_TRANSLATIONS]
    assert record.lineage == replace(
        first.lineage,
        inputs=(Input("quantised-from", "base", first.fingerprint),),
        code_version="2.0.0",
    )
    loaded = filled.load_parent("base-float16")
    for name, tensor in parent.tensors.items():
        assert torch.equal(loaded.tensors[name], tensor.half().float())
    again = convert(filled, "base", "float16", code_version="2.0.0")
    assert (again.record, again.is_new) == (record, False)
    # Nothing that was made from it is left without it.
    filled.annotations.delete("base/de-en:1")
    filled.annotations.delete("base/fr-es:1")
    with pytest.raises(IncompatibleError, match=r"base cannot be deleted: .*base-float16"):
        filled.annotations.delete("base")


def test_a_converted_module_is_the_next_version(filled: Registry, parent: Parent, make_module: MakeModule) -> None:
    first = filled.module("base/de-en:1")
    done = convert(filled, "de-en:1", "bfloat16", code_version="2.0.0")
    record = filled.module("de-en")
    assert (done.record, done.is_new, done.staying) == (record, True, ())
    assert (record.full_name, record.precision, record.scope) == ("base/de-en:2", "bfloat16", first.scope)
    assert record.digest == make_module(parent, "de-en", seed=1).stored_in("bfloat16").digest
    assert record.lineage.inputs == (Input("quantised-from", "base/de-en:1", first.digest),)
    assert (record.lineage.corpora, record.lineage.spec) == (first.lineage.corpora, first.lineage.spec)
    again = convert(filled, "de-en:1", "bfloat16", code_version="2.0.0")
    assert (again.record, again.is_new) == (record, False)
    with pytest.raises(IncompatibleError, match=r"de-en:1 cannot be deleted: .*base/de-en:2"):
        filled.annotations.delete("de-en:1")
    # Float32 again, with the rounded values: another module than both.
    wide = convert(filled, "de-en:2", "float32", code_version="2.0.0").record
    assert [used.module for used in wide.lineage.inputs] == ["base/de-en:2"]
    assert len({record.digest, first.digest, filled.module("de-en:3").digest}) == 3
    assert verify(filled, fingerprints=True).problems == ()


@pytest.mark.parametrize("name", ["de-en:1", "fr-es:1"])
def test_int8_takes_a_fourth_of_the_bytes(filled: Registry, name: str) -> None:
    first = filled.module(name)
    record = convert(filled, name, "int8", code_version="2.0.0").record
    module = filled.load_module(filled.module(name.replace(":1", ":2")).full_name)
    assert (record.precision, record.lineage.inputs[-1].role) == ("int8", "quantised-from")
    matrices = [tensor for tensor in module.tensors.values() if tensor.dim() == 2]
    values, rows = sum(map(torch.Tensor.numel, matrices)), sum(map(len, matrices))
    # Three bytes less in a matrix but for two of each row's scale, two less in others; the files' headers are longer.
    saved = 3 * values - 2 * rows + 2 * (record.parameters - values)
    assert first.bytes - record.bytes == pytest.approx(saved, abs=1500)
    assert bytes_in(record, "float32") == pytest.approx(first.bytes, abs=2 * rows + record.parameters - values + 1500)
    # What was rounded is stored exactly in float32, and is the same module in int8.
    wide = convert(filled, name.replace(":1", ":2"), "float32", code_version="2.0.0").record
    again = convert(filled, name.replace(":1", ":3"), "int8", code_version="2.0.0")
    assert (again.record, again.is_new) == (filled.module(name.replace(":1", ":2")), False)
    assert wide.bytes == pytest.approx(first.bytes, abs=100)
    assert verify(filled, fingerprints=True).problems == ()


def test_a_parent_in_int8(filled: Registry, parent: Parent) -> None:
    record = convert(filled, "base", "int8", code_version="2.0.0").record
    assert record == filled.parent("base-int8")
    loaded = filled.load_parent("base-int8")
    assert loaded.fingerprint == parent.stored_in("int8").fingerprint
    for name, tensor in parent.stored_in("int8").tensors.items():
        assert torch.equal(loaded.tensors[name], tensor)
    assert verify(filled, fingerprints=True).problems == ()


def test_verify_notices_int8_that_is_not_as_written(filled: Registry) -> None:
    """A blob with the right digest, but of weights that have the fingerprint of others: no version wrote it."""
    record = convert(filled, "de-en:1", "int8", code_version="2.0.0").record
    module = filled.load_module("de-en:2")
    weights = load(module.pieces()["source.safetensors"])
    weights["source.embedding"][3] = 1
    written = filled.blobs.put(save(weights))

    def change(session: Session) -> None:
        session.add(schema.Blob(digest=written, bytes=len(save(weights))))
        session.flush()
        row = session.scalars(select(schema.Module).where(schema.Module.digest == module.digest)).one()
        next(piece for piece in row.pieces if piece.name == "source.safetensors").digest = written

    filled.database.write(change)
    assert isinstance(record, ModuleRecord)
    (problem,) = verify(filled, fingerprints=True).problems
    assert (problem.kind, problem.subject) == ("record", record.full_name)
    assert problem.explanation.startswith("source.embedding: would be written as other values")


def test_a_module_keeps_how_it_started_and_that_it_is_shared(
    registry: Registry, parent: Parent, make_module: MakeModule, lineage: Lineage
) -> None:
    registry.register_parent("base", parent, lineage=lineage)
    start = Input("start", "base/fr-es:1", "a" * 64)
    about = json_piece({"types": {"lexical": 3}, "frequent": []})
    module = make_module(parent, "de-en")
    origin = replace(lineage, inputs=(start,), job="b" * 64, run="run-7", environment={"threads": 1})
    first = registry.register_module("base", module, lineage=origin, initialisation=about)
    record = convert(registry, first.full_name, "float16", code_version="2.0.0").record
    assert registry.start_of(registry.module("de-en:2")) == registry.start_of(first)
    assert record.pieces[INITIALISATION] == first.pieces[INITIALISATION]
    assert registry.module("de-en:2").shared
    inputs = (start, Input("quantised-from", first.full_name, first.digest))
    assert record.lineage == replace(origin, inputs=inputs, job=None, run=None, code_version="2.0.0")


def test_what_is_refused(filled: Registry, make_parent: Callable[..., Parent], lineage: Lineage) -> None:
    def problem(*arguments: str, **more: str) -> str:
        with pytest.raises((IncompatibleError, InputError)) as caught:
            convert(filled, *arguments, code_version="2.0.0", **more)  # type: ignore[arg-type]
        return str(caught.value)

    assert (
        problem("base", "float32")
        == "base: is stored in float32 already; expected --precision float16 or bfloat16 or int8"
    )
    assert (
        problem("de-en:1", "float32")
        == "de-en:1: is stored in float32 already; expected --precision float16 or bfloat16 or int8"
    )
    assert problem("de-en:1", "float16", new_name="other") == (
        "--name other: de-en:1 is a module, and becomes the next version of its pair; expected the name of a new "
        "parent. Fix: leave out --name"
    )
    other = make_parent("de-en", seed=9)
    tensors = {**other.tensors, "decoder.0.feed_forward.inner.bias": torch.full((32,), 7e4)}
    filled.register_parent("large", replace(other, tensors=tensors), lineage=lineage)
    assert problem("large", "float16") == (
        "decoder.0.feed_forward.inner.bias: its largest absolute value is 70,000; expected at most 65,504, the largest "
        "of float16. Fix: choose the precision bfloat16"
    )
    assert convert(filled, "large", "bfloat16", code_version="2.0.0", new_name="small").record.precision == "bfloat16"
    assert "small: is the name of a parent in bfloat16, which never changes" in problem(
        "base", "float16", new_name="small"
    )
    assert "this parent is registered already, as small" in problem("large", "bfloat16", new_name="smaller")
    assert [one.name for one in filled.parents()] == ["base", "large", "small"]


def test_bundles_and_backups_keep_the_precision(filled: Registry, other: Registry, tmp_path: Path) -> None:
    name = "base-float16"
    convert(filled, "base", "float16", code_version="2.0.0")
    half = filled.load_parent(name)
    module = filled.load_module("base/de-en:1")
    table = module.new_side.tokenizer
    wide = Module.of(half, module.pair, module.scope, module.tensors, table)
    filled.register_module(name, wide, lineage=filled.parent("base").lineage)
    convert(filled, f"{name}/de-en:1", "bfloat16", code_version="2.0.0")
    convert(filled, f"{name}/de-en:1", "int8", code_version="2.0.0")
    export(filled, [name], tmp_path / "bundle.tar")
    import_bundle(other, tmp_path / "bundle.tar")
    assert [one.precision for one in other.parents()] == ["float16"]
    assert [one.precision for one in other.modules()] == ["float32", "bfloat16", "int8"]
    assert [one.digest for one in other.modules()] == [one.digest for one in filled.modules(name)]
    assert other.parent().fingerprint == filled.parent(name).fingerprint
    assert verify(other, fingerprints=True).problems == ()
    backup(filled, tmp_path / "backup")
    with open_folder(tmp_path / "backup") as made:
        assert [one.precision for one in made.parents()] == ["float32", "float16"]
        assert verify(made, fingerprints=True).problems == ()


TEXT = ["Ce champ est obligatoire.", "Saisissez une date valide, puis votre nom."]


def registered(registry: Registry, name: str, parent: Parent, modules: list[Module], lineage: Lineage) -> None:
    registry.register_parent(name, parent, lineage=lineage)
    for module in modules:
        registry.register_module(name, module, lineage=lineage)


@pytest.mark.parametrize(
    ("of_parent", "of_modules"),
    [("float16", ("bfloat16", "float32")), ("bfloat16", ("int8", "int8")), ("int8", ("bfloat16", "int8"))],
)
def test_translations_are_those_of_the_same_values_in_float32(
    registry: Registry,
    parent: Parent,
    make_module: MakeModule,
    lineage: Lineage,
    tmp_path: Path,
    of_parent: StoredPrecision,
    of_modules: tuple[StoredPrecision, StoredPrecision],
) -> None:
    """Of a parent in float16 or int8, and modules in others, by every way that weights are read."""
    half = parent.stored_in(of_parent)
    modules = [
        make_module(half, "de-en").stored_in(of_modules[0]),
        make_module(half, "fr-es", "half").stored_in(of_modules[1]),
    ]
    registered(registry, "half", half, modules, lineage)
    wide = half.stored_in("float32")
    same = [Module.of(wide, one.pair, one.scope, one.tensors, one.new_side.tokenizer) for one in modules]
    registered(registry, "wide", wide, same, lineage)
    models: list[tuple[PairModel, PairModel]] = []
    for pair in ("fr-en", "de-en", "fr-es", "de-es"):
        ends = Pair.parse(pair)
        one, other = (registry.assemble(ends.source, ends.target, parent=name) for name in ("half", "wide"))
        assert one.logits_digest(TEXT, TEXT) == other.logits_digest(TEXT, TEXT)
        models.append((one, other))
    mixed = [translate_mixed([Request(two[i], text) for two in models for text in TEXT], beam=2) for i in (0, 1)]
    assert mixed[0] == mixed[1]
    assert len(set(mixed[0])) > 2  # they are not trivially equal
    written: list[tuple[bytes, ...]] = []
    for number, model in enumerate(models[3]):
        folders = [tmp_path / f"{number}-{kind}" for kind in ("hf", "ct2")]
        for folder in folders:
            folder.mkdir()
        export_hugging_face(model, folders[0], PROVENANCE)
        export_ctranslate2(model, folders[1], PROVENANCE, precision="int8")
        engine = CTranslate2Model(model, folders[1], "int8", threads=1)
        text = "\n".join(engine.translate(TEXT)).encode()
        written.append(((folders[0] / "model.safetensors").read_bytes(), (folders[1] / "model.bin").read_bytes(), text))
    assert written[0] == written[1]
    catalog = registry.recipe_catalog
    tables = [two_embeddings(catalog, registry.parent(name), ("de", "fr"), "source") for name in ("half", "wide")]
    for one, other in zip(*tables, strict=True):
        found = registry.load_embedding(one).embedding
        assert found.dtype == torch.float32
        assert torch.equal(found, registry.load_embedding(other).embedding)
