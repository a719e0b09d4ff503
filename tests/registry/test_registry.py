import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from sqlalchemy import text

import registry as package
from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.errors import CorruptionError, IncompatibleError, RegistryError, SpecError, UnknownNameError
from continual_mt.home import BLOBS_VARIABLE, DATABASE_VARIABLE, HOME_VARIABLE
from continual_mt.languages import Pair
from registry import CorpusRecord, Lineage, Registry
from registry.maintenance.verify import verify
from tests.registry.backends import only_sqlite

MakeParent = Callable[..., Parent]
MakeModule = Callable[..., Module]


def blobs(registry: Registry) -> set[str]:
    return {blob.digest for blob in registry.blobs.digests()}


def test_the_public_names() -> None:
    assert package.__all__ == [
        "AliasMove",
        "AliasRecord",
        "AlignmentRecord",
        "Annotations",
        "BestScore",
        "CellRecord",
        "CorpusRecord",
        "Deletion",
        "EmbeddingRecord",
        "Found",
        "Input",
        "JobRecord",
        "Lineage",
        "ListedScore",
        "ModuleRecord",
        "NoteRecord",
        "PairEntry",
        "ParentRecord",
        "Registry",
        "Relation",
        "Relations",
        "ScoreRecord",
        "SearchResult",
        "SequenceRecord",
    ]


def test_a_parent_comes_back_bit_equal(registry: Registry, parent: Parent, lineage: Lineage) -> None:
    record = registry.register_parent("base", parent, lineage=lineage)
    assert registry.parents() == [record]
    assert (record.pair, record.fingerprint, record.lineage) == (Pair("fr", "en"), parent.fingerprint, lineage)
    assert record.architecture == parent.architecture.to_json()
    assert record.parameters == parent.parameters()
    assert record.bytes == sum(map(len, parent.pieces().values()))
    assert set(record.pieces) == set(parent.pieces())
    loaded = registry.load_parent("base")
    assert loaded.fingerprint == parent.fingerprint
    assert all(torch.equal(loaded.tensors[name], tensor) for name, tensor in parent.tensors.items())


def test_a_module_comes_back_bit_equal(filled: Registry, parent: Parent, make_module: MakeModule) -> None:
    module = make_module(parent, "de-en", seed=1)
    record = filled.module("de-en")
    assert (record.side, record.scope, record.digest) == ("source", "xattn", module.digest)
    assert (record.parent, record.parent_fingerprint) == ("base", parent.fingerprint)
    assert (record.parameters, record.bytes) == (module.parameters(), sum(map(len, module.pieces().values())))
    loaded = filled.load_module("de-en")
    assert loaded.digest == module.digest
    assert all(torch.equal(loaded.tensors[name], tensor) for name, tensor in module.tensors.items())


def test_lineage_comes_back(registry: Registry, parent: Parent, corpus: CorpusRecord) -> None:
    dev = replace(corpus, digest="b" * 64, name="dev")
    lineage = Lineage(
        corpora=(("train", corpus), ("dev", dev), ("test", dev)),
        spec={"nested": {"list": [1, 2.5, None, True, "ü"]}},
        code_version="0.1.0",
        job="d" * 64,
        attempt=3,
        run="run-1",
    )
    assert registry.register_parent("base", parent, lineage=lineage).lineage == lineage
    assert registry.parent().lineage == lineage


def test_every_recipe_can_be_assembled(filled: Registry) -> None:
    for recipe in filled.recipe_catalog.recipes():
        model = filled.run(recipe)
        assert model.recipe == recipe
        translations = model.translate(["Guten Tag", ""], beam=1)
        assert len(translations) == 2
        assert translations[1] == ""


def test_all_pairs_share_one_body(filled: Registry) -> None:
    original, zero_shot = filled.assemble("fr", "en"), filled.assemble("de", "es")
    shared = {tensor.data_ptr() for tensor in original.transformer.state_dict().values()}
    others = {name: tensor.data_ptr() for name, tensor in zero_shot.transformer.state_dict().items()}
    assert {name for name, pointer in others.items() if pointer not in shared} == {
        name for name in others if name.startswith(("source", "target", "cross_attention"))
    }
    assert filled.load_parent("base") is filled.load_parent()
    assert filled.load_module("de-en") is filled.load_module("base/de-en:1")


def test_nothing_is_forgotten(
    registry: Registry, home: Path, parent: Parent, make_module: MakeModule, lineage: Lineage
) -> None:
    registry.register_parent("base", parent, lineage=lineage)
    sentences, references = ["Bonjour tout le monde"], ["Hello everybody"]
    before = registry.assemble("fr", "en").logits_digest(sentences, references)
    for pair in ("de-en", "fr-es"):
        registry.register_module("base", make_module(parent, pair), lineage=lineage)
    with Registry.open(home) as fresh:
        assert fresh.assemble("fr", "en").logits_digest(sentences, references) == before
        assert fresh.assemble("fr", "en", recipe="retention:de-en").logits_digest(sentences, references) != before


def test_the_same_parent_is_registered_once(registry: Registry, parent: Parent, lineage: Lineage) -> None:
    first = registry.register_parent("base", parent, lineage=lineage)
    assert registry.register_parent("base", parent, lineage=replace(lineage, run="another")) == first
    with pytest.raises(IncompatibleError, match="this parent is registered already, as base; use that name"):
        registry.register_parent("copy", parent, lineage=lineage)
    assert registry.parents() == [first]


def test_a_name_belongs_to_its_parent(
    registry: Registry, parent: Parent, make_parent: MakeParent, lineage: Lineage
) -> None:
    registry.register_parent("base", parent, lineage=lineage)
    other = make_parent(seed=9)
    with pytest.raises(IncompatibleError) as caught:
        registry.register_parent("base", other, lineage=lineage)
    assert str(caught.value) == (
        f"there is a parent base already, with other content ({parent.fingerprint[:12]}, not "
        f"{other.fingerprint[:12]}); a parent never changes, so choose another name"
    )


def test_a_bad_name_stores_nothing(registry: Registry, parent: Parent, lineage: Lineage) -> None:
    with pytest.raises(SpecError, match=r"the parent's name '\.\./base': one problem"):
        registry.register_parent("../base", parent, lineage=lineage)
    assert blobs(registry) == set()


def test_a_job_registers_once(filled: Registry, parent: Parent, make_module: MakeModule, lineage: Lineage) -> None:
    ours = replace(lineage, job="d" * 64)
    first = filled.register_module("base", make_module(parent, "de-en", seed=3), lineage=ours)
    assert first.version == 2
    again = filled.register_module("base", make_module(parent, "de-en", seed=4), lineage=ours)
    assert again == first
    anew = filled.register_module("base", make_module(parent, "de-en", seed=4), lineage=replace(ours, attempt=2))
    assert anew.version == 3
    assert [module.version for module in filled.modules() if module.pair == Pair("de", "en")] == [1, 2, 3]


def test_a_job_registers_one_parent(
    registry: Registry, parent: Parent, make_parent: MakeParent, lineage: Lineage
) -> None:
    ours = replace(lineage, job="d" * 64)
    first = registry.register_parent("base", parent, lineage=ours)
    assert registry.register_parent("base", make_parent(seed=9), lineage=ours) == first
    with pytest.raises(IncompatibleError, match="registered already, as base; use that name"):
        registry.register_parent("other", make_parent(seed=9), lineage=ours)


def test_a_module_of_another_parent_is_refused(
    filled: Registry, make_parent: MakeParent, make_module: MakeModule, lineage: Lineage
) -> None:
    other = make_parent(seed=9)
    stored = blobs(filled)
    with pytest.raises(IncompatibleError) as caught:
        filled.register_module("base", make_module(other, "de-en"), lineage=lineage)
    assert str(caught.value) == (
        f"the module de-en was trained on the parent {other.fingerprint[:12]}, not on base "
        f"({filled.parent().fingerprint[:12]}): a module fits no parent but its own"
    )
    assert blobs(filled) == stored


def test_a_module_that_shares_no_side_is_refused(
    filled: Registry, parent: Parent, make_module: MakeModule, lineage: Lineage
) -> None:
    module = make_module(parent, "de-en")
    with pytest.raises(IncompatibleError, match="es-de shares no side with the parent fr-en"):
        filled.register_module("base", replace(module, pair=Pair("es", "de")), lineage=lineage)
    with pytest.raises(
        IncompatibleError, match=r"brings a new source language, but to the parent base \(fr-en\) it is"
    ):
        filled.register_module("base", replace(module, pair=Pair("fr", "de")), lineage=lineage)
    with pytest.raises(UnknownNameError, match="unknown parent 'none'"):
        filled.register_module("none", module, lineage=lineage)


def test_what_two_modules_share_is_stored_once(
    filled: Registry, parent: Parent, make_module: MakeModule, lineage: Lineage
) -> None:
    before = blobs(filled)
    other = make_module(parent, "de-en", seed=5)
    record = filled.register_module("base", other, lineage=lineage)
    assert record.pieces["source.model"] == filled.module("de-en:1").pieces["source.model"]
    assert record.pieces["module.json"] == filled.module("de-en:1").pieces["module.json"]
    assert len(blobs(filled) - before) == len(record.pieces) - 2


def test_a_damaged_piece_stops_only_what_needs_it(filled: Registry) -> None:
    digest = filled.module("fr-es").pieces["cross_attention.safetensors"]
    path = filled.blobs.path(digest)
    path.chmod(0o644)
    os.truncate(path, 100)
    for verb in (lambda: filled.load_module("fr-es"), lambda: filled.assemble("de", "es")):
        with pytest.raises(CorruptionError, match=f"blob {digest} is damaged: the 100 bytes in {path}"):
            verb()
    assert filled.assemble("de", "en").recipe == filled.recipe_catalog.recipe("de", "en")


@only_sqlite
def test_a_home_can_be_moved(filled: Registry, home: Path, tmp_path: Path) -> None:
    names = [module.full_name for module in filled.modules()]
    filled.close()
    home.rename(tmp_path / "moved")
    with Registry.open(tmp_path / "moved") as moved:
        assert [module.full_name for module in moved.modules()] == names
        assert moved.blobs.folder == tmp_path / "moved/blobs"
        moved.assemble("de", "es")
    assert not home.exists()


@only_sqlite
def test_opening_by_url_variable_and_default(
    filled: Registry, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parents(location: str | Path | None) -> list[str]:
        with Registry.open(location) as opened:
            return [record.name for record in opened.parents()]

    assert parents(home) == parents(str(home)) == parents(f"sqlite:///{home}/registry.db") == ["base"]
    monkeypatch.setenv(HOME_VARIABLE, str(home))
    assert parents(None) == ["base"]
    monkeypatch.delenv(HOME_VARIABLE)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownNameError, match=f"no registry in {tmp_path}/continual-mt-home/registry.db"):
        parents(None)
    monkeypatch.setenv(DATABASE_VARIABLE, f"sqlite:///{home}/registry.db")
    assert parents(None) == ["base"]
    assert not (tmp_path / "continual-mt-home").exists()


def test_blobs_elsewhere_are_found_again(
    tmp_path: Path, parent: Parent, lineage: Lineage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BLOBS_VARIABLE, str(tmp_path / "blobs"))
    with Registry.open(tmp_path / "home", create=True) as made:
        made.register_parent("base", parent, lineage=lineage)
    monkeypatch.delenv(BLOBS_VARIABLE)
    with Registry.open(tmp_path / "home") as opened:
        assert opened.blobs.folder == tmp_path / "blobs"
        opened.load_parent()
        assert opened.storage.local_parts == (
            f"the records in {tmp_path}/home/registry.db",
            f"the blobs in {tmp_path}/blobs",
        )
    monkeypatch.setenv(BLOBS_VARIABLE, str(tmp_path / "wrong"))
    with pytest.raises(RegistryError, match=f"keeps its blobs in {tmp_path}/blobs"):
        Registry.open(tmp_path / "home")


def test_opening_again_with_create_changes_nothing(filled: Registry, home: Path) -> None:
    with Registry.open(home, create=True) as again:
        assert again.modules() == filled.modules()


def test_a_registry_that_names_other_content_is_found_out(
    filled: Registry, make_parent: MakeParent, lineage: Lineage
) -> None:
    other = filled.register_parent("other", make_parent(seed=9), lineage=lineage)
    filled.database.write(
        lambda session: session.execute(
            text("UPDATE pieces SET digest = :digest WHERE artifact_id = 1 AND name = 'encoder.safetensors'"),
            {"digest": other.pieces["encoder.safetensors"]},
        )
    )
    (problem,) = verify(filled, fingerprints=True).problems
    assert problem.subject == "base"
    assert problem.explanation.startswith("its pieces have the fingerprint ")
