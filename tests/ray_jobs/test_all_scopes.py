"""Additions of the scopes with options, by specs: trained, registered, translated, trained again, and in a bundle."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from continual_mt.config.spec import AdditionSpec
from continual_mt.home import Home
from continual_mt.model.architecture import Architecture
from continual_mt.model.scopes import Scope, trainable_names
from ray_jobs import Driver
from ray_jobs.reproduction.reproduce import reproduce
from registry import ModuleRecord, Registry
from registry.maintenance.bundle.export import export
from registry.maintenance.bundle.validate import import_bundle

MakeSpec = Callable[..., AdditionSpec]


@pytest.fixture(scope="module")
def driver(untrained_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    home = Path(shutil.copytree(untrained_home, tmp_path_factory.mktemp("scopes") / "home"))
    with Driver(Home(home), in_process=True) as opened:
        yield opened


def add(driver: Driver, spec: AdditionSpec) -> ModuleRecord:
    added = driver.add_language(spec).record
    assert isinstance(added, ModuleRecord)
    return added


@pytest.mark.parametrize("scope", ["xattn:parts=query", "half-lora:rank=4", "lora:rank=4", "adapter:size=8"])
def test_a_source_and_a_target_are_added_and_translate(
    driver: Driver, addition_spec: MakeSpec, scope: Scope, tmp_path: Path
) -> None:
    registry = driver.registry
    target = "half-lora:rank=4" if scope.startswith(("lora", "adapter")) else scope
    records = [add(driver, addition_spec("pt-en", scope=scope)), add(driver, addition_spec("es-de", scope=target))]
    parent = registry.load_parent("es-en")
    for record, kept in zip(records, (scope, target), strict=True):
        assert record.scope == kept
        module = registry.load_module(record.full_name)
        architecture = Architecture.from_json(dict(registry.parent("es-en").architecture))
        names = trainable_names(architecture, kept, parent.languages.new_side(record.pair))
        assert set(module.tensors) == set(names)
        updates = [tensor for name, tensor in module.tensors.items() if name.endswith("lora_b")]
        assert all(torch.any(tensor != 0) for tensor in updates)
        assert bool(updates) == ("lora" in kept)
        assert registry.annotations.search(f"scope={kept} digest={record.digest}").total == 1
    model = registry.assemble("pt", "de", modules=[record.full_name for record in records])
    fast = model.translate(["Abrir", "Fechar o arquivo"], beam=2)
    assert len(fast) == 2
    bundle = tmp_path / "bundle.tar"
    export(registry, [record.full_name for record in records], bundle)
    with Registry.open(tmp_path / "other", create=True) as other:
        import_bundle(other, bundle)
        assert {one.digest for one in other.modules()} == {record.digest for record in records}
        assert {one.scope for one in other.modules()} == {scope, target}
        arrived = [f"es-en/{record.pair}:1" for record in records]
        assert other.assemble("pt", "de", modules=arrived).translate(["Abrir", "Fechar o arquivo"], beam=2) == fast


def test_it_is_trained_again_bit_for_bit(driver: Driver, addition_spec: MakeSpec) -> None:
    record = add(driver, addition_spec("es-de", scope="half-lora:4", seed=5))
    assert record.scope == "half-lora:rank=4"
    assert reproduce(driver, record).verdict == "bit for bit"


def test_equal_scopes_are_done_once(driver: Driver, addition_spec: MakeSpec) -> None:
    """All layers are the whole cross-attention, since the parent has one layer."""
    first = driver.add_language(addition_spec("pt-en", scope="xattn", seed=6))
    again = driver.add_language(addition_spec("pt-en", scope="xattn:layers=1", seed=6))
    assert (first.trained_now, again.trained_now, again.name) == (True, False, first.name)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_ray_trains_the_same_bits(
    driver: Driver, untrained_home: Path, addition_spec: MakeSpec, tmp_path: Path
) -> None:
    spec = addition_spec("pt-en", scope="half-lora:rank=4", seed=7)
    home = Home(Path(shutil.copytree(untrained_home, tmp_path / "home")))
    with Driver(home) as on_ray:
        assert add(on_ray, spec).digest == add(driver, spec).digest
