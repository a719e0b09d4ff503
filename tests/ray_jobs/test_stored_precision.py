"""Parents and modules that are stored in another precision than float32, from training to scores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from continual_mt.config.spec import AdditionSpec, ParentSpec
from continual_mt.errors import IncompatibleError
from continual_mt.evaluation.metric_names import METRICS
from continual_mt.home import Home
from ray_jobs import Driver, Outcome
from ray_jobs.planning.job_from_record import recall
from ray_jobs.planning.resolve import resolve
from ray_jobs.reproduction.reproduce import reproduce
from registry import ModuleRecord, Registry
from registry.maintenance.convert import convert


def test_the_precision_is_part_of_a_jobs_identity_unless_it_is_float32(
    registry: Registry,
    addition_spec: Callable[..., AdditionSpec],
    parent_spec: Callable[..., ParentSpec],
    tmp_path: Path,
) -> None:
    parent = registry.parent()
    for specs, owner in ((addition_spec, parent), (parent_spec, None)):
        arguments = ("pt-en",) if owner else ()
        usual = resolve(specs(*arguments), owner, tmp_path)
        same = resolve(specs(*arguments, stored_precision="float32"), owner, tmp_path)
        assert "precision" not in usual.identity
        assert usual.digest == same.digest
        for precision in ("float16", "int8"):
            other = resolve(specs(*arguments, stored_precision=precision), owner, tmp_path)
            assert other.identity == {**usual.identity, "precision": precision}


def test_a_parent_is_trained_as_in_float32_and_rounded(
    trained_home: tuple[Path, Outcome], parent_spec: Callable[..., ParentSpec], tmp_path: Path
) -> None:
    with Registry.open(trained_home[0]) as registry:
        full = registry.load_parent()
    with Driver(Home(tmp_path / "home"), in_process=True) as driver:
        outcome = driver.train_parent(parent_spec(stored_precision="float16"))
        record = driver.registry.parent()
        assert (outcome.name, record.precision) == ("es-en", "float16")
        assert record.fingerprint == full.stored_in("float16").fingerprint
        assert record.lineage.spec["stored_precision"] == "float16"
        assert {score.metric for score in driver.registry.scores()} == set(METRICS)


def test_an_addition_in_int8_is_scored_as_it_is_stored(home: Path, addition_spec: Callable[..., AdditionSpec]) -> None:
    with Driver(Home(home), in_process=True) as driver:
        registry = driver.registry
        outcome = driver.add_language(addition_spec("pt-en", stored_precision="int8"))
        record = outcome.record
        assert isinstance(record, ModuleRecord)
        assert (record.precision, record.lineage.spec["stored_precision"]) == ("int8", "int8")
        # The same training in float32 gives what int8 was rounded from.
        full = driver.add_language(addition_spec("pt-en")).record
        assert isinstance(full, ModuleRecord)
        rounded = registry.load_module(full.full_name).stored_in("int8")
        assert rounded.digest == record.digest
        (scored,) = {one.recipe for one in registry.scores(record.pair, module=record.full_name)}
        model = registry.run(registry.recipe_catalog.recipe_of(scored))
        stored = registry.load_module(record.full_name)
        for name in ("source.embedding", "cross_attention.0.key.weight"):
            assert torch.equal(model.transformer.state_dict()[name], stored.tensors[name])
            assert torch.equal(stored.tensors[name], rounded.tensors[name])
        assert recall(registry, record, driver.home.cache).digest == record.lineage.job
    with Driver(Home(home), in_process=True) as driver:
        found = reproduce(driver, record)
        assert (found.verdict, found.tensors) == ("bit for bit", [])


def test_an_addition_in_half_precision_to_a_converted_parent(
    home: Path, addition_spec: Callable[..., AdditionSpec]
) -> None:
    """The text that the first parent was trained on is on record of the converted one: embeddings start from it."""
    with Driver(Home(home), in_process=True) as driver:
        registry = driver.registry
        convert(registry, "es-en", "float16", code_version="test")
        spec = addition_spec(
            "pt-en", parent="es-en-float16", stored_precision="bfloat16", scope="half", initialisation=None
        )
        record = driver.add_language(spec).record
        assert isinstance(record, ModuleRecord)
        assert (record.precision, record.initialisation) == ("bfloat16", "lexical")
        module = registry.load_module(record.full_name)
        for tensor in module.tensors.values():
            assert torch.equal(tensor, tensor.bfloat16().float())
        assert registry.scores(record.pair)
        assert recall(registry, record, driver.home.cache).digest == record.lineage.job
    with Driver(Home(home), in_process=True) as driver:
        found = reproduce(driver, record)
        assert (found.verdict, found.tensors) == ("bit for bit", [])
        with pytest.raises(IncompatibleError) as caught:
            recall(driver.registry, driver.registry.parent("es-en-float16"), driver.home.cache)
    assert str(caught.value) == (
        "es-en-float16 was converted from es-en to float16, and not trained. "
        "Fix: reproduce es-en, then convert it again, which gives the same"
    )
