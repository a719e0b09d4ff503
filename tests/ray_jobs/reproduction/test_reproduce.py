"""Work done again from its record, and compared with what is on record."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from continual_mt.artifacts.module import Module
from continual_mt.cli.main import main
from continual_mt.config.spec import AdditionSpec, ParentSpec
from continual_mt.evaluation.metric_names import METRICS
from continual_mt.home import Home
from continual_mt.model.scopes import trainable_names
from ray_jobs import Driver, Outcome
from ray_jobs.execution.lease import holder_name
from ray_jobs.planning.resolve import ReplayedPair, original_text, resolve
from ray_jobs.reproduction.reproduce import EnvironmentDifference, Reproduction, reproduce
from ray_jobs.reproduction.rescoring import SIGNIFICANT, ScoreDifference
from ray_jobs.tracking.lineage import lineage
from registry import Registry
from registry.evaluation import evaluate

SCORE = ScoreDifference("test", 1000, 5, "bleu", recorded=30.0, now=30.5, p_value=SIGNIFICANT)
OTHER = Reproduction("es-en", "a" * 64, "b" * 64, {"source": True}, (), (SCORE,), ())


def contents(home: Path) -> dict[str, bytes]:
    files = (path for path in sorted(home.rglob("*")) if path.is_file() and "registry.db-" not in path.name)
    return {str(path.relative_to(home)): path.read_bytes() for path in files}


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (replace(OTHER, digest="a" * 64, scores=()), "bit for bit"),
        (OTHER, "by score"),
        (replace(OTHER, scores=(SCORE, replace(SCORE, p_value=0.01))), "different"),
        (replace(OTHER, scores=(replace(SCORE, p_value=None),)), "different"),
        (replace(OTHER, scores=(replace(SCORE, now=30.0, p_value=None),)), "by score"),
        (replace(OTHER, scores=()), "different"),
    ],
)
def test_what_counts_as_the_same(found: Reproduction, verdict: str) -> None:
    assert found.verdict == verdict


def test_a_module_of_a_shared_sequence_is_the_same_bit_for_bit(
    trained_home: tuple[Path, Outcome], addition_spec: Callable[..., AdditionSpec], tmp_path: Path
) -> None:
    """pt-en continues from es-de's cross-attention and replays es-de and the parent's own pair."""
    home = Home(Path(shutil.copytree(trained_home[0], tmp_path / "home")))
    with Driver(home, in_process=True) as driver:
        record = driver.registry.parent()
        parent = driver.registry.load_parent()
        earlier = resolve(addition_spec("es-de"), record, home.cache)
        held = driver.registry.jobs.hold(earlier.digest, earlier.kind, holder_name())
        tensors = {name: parent.tensors[name] for name in trainable_names(parent.architecture, "xattn", "target")}
        module = Module.of(parent, earlier.pair, "xattn", tensors, parent.target_tokenizer)
        start = driver.registry.register_module("es-en", module, lineage=lineage(earlier, held, None, [], {}))
        original = original_text(record, home.cache)
        assert original is not None
        replayed = (ReplayedPair(original, None), ReplayedPair(earlier.train, start))
        job = resolve(addition_spec("pt-en"), record, home.cache)
        outcome = driver.run(replace(job, start=start, replay=0.5, replayed=replayed))
    before = contents(home.path)
    with Driver(home, in_process=True) as driver:
        found = reproduce(driver, outcome.record)
    assert contents(home.path) == before
    assert not [path for path in home.cache.iterdir() if path.name.startswith("reproduction")]
    assert found.verdict == "bit for bit"
    assert (found.tensors, found.scores, found.tokenizers) == ([], (), {"source": True})
    surroundings = {one.name: one for one in found.surroundings}
    assert surroundings["threads"] == EnvironmentDifference("threads", "1", "1")
    assert surroundings["precision"].recorded == "float32"
    assert all(one.recorded == one.now for one in found.surroundings)


def test_slightly_other_weights_are_named_and_scored(
    trained_home: tuple[Path, Outcome],
    parent_spec: Callable[..., ParentSpec],
    tmp_path: Path,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    """The record of the trained parent, with a bias that training did not give it, as an older version wrote it."""
    record = trained_home[1].record
    with Registry.open(trained_home[0]) as registry:
        parent = registry.load_parent()
    tensors = dict(parent.tensors)
    bias = tensors["target.bias"].clone()
    bias[:17] += torch.tensor(1e-6)
    tensors["target.bias"] = bias
    perturbed = replace(parent, tensors=tensors)
    with Registry.open(tmp_path / "home", create=True) as registry:
        registry.register_parent("es-en", perturbed, lineage=replace(record.lineage, environment=None))
        (test,) = resolve(parent_spec(), None, tmp_path).tests
        evaluate(registry, registry.recipe_catalog.recipe("es", "en"), test, beam=1)
    code = main(["registry", "reproduce", "es-en", "--home", str(tmp_path / "home"), "--json", "--in-process"])
    found = json.loads(capfdbinary.readouterr().out)
    assert (code, found["verdict"]) == (0, "by score")
    assert (found["digest"], found["recorded_digest"]) == (parent.fingerprint, perturbed.fingerprint)
    assert found["tokenizers"] == {"source": True, "target": True}
    (tensor,) = found["tensors"]
    assert (tensor["name"], tensor["share"]) == ("target.bias", 17 / len(bias))
    assert tensor["largest"] == pytest.approx(1e-6, rel=0.1)
    assert [(score["metric"], score["recorded"] == score["now"], score["p_value"]) for score in found["scores"]] == [
        (metric, True, 1.0) for metric in METRICS
    ]
    torches = [one for one in found["surroundings"] if one["name"] == "torch"]
    assert [one["recorded"] for one in torches] == ["not recorded"]
