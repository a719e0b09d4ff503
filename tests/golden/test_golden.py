"""What revision 9be9dec wrote means the same for ever: digests, logits, translations, lineage, bundles."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from continual_mt.artifacts.recipe import Recipe
from continual_mt.cli.main import main
from continual_mt.errors import RegistryError
from continual_mt.languages import Pair
from continual_mt.training.environment import environment
from ray_jobs.planning.job_from_record import recall
from registry import Input, Registry
from registry.maintenance.bundle.archive import open_bundle
from registry.maintenance.bundle.export import export
from registry.maintenance.bundle.validate import import_bundle
from registry.maintenance.verify import verify

DECIDING = ("torch", "processor", "threads")
"""The parts of an environment that may change the last bits of logits."""


def recipe_of(registry: Registry, record: dict[str, Any], digest: str) -> Recipe:
    """The recipe of modules by name, whatever is chosen for their pairs today."""
    parent = registry.parent("es-en")
    keys = [
        registry.module(name).key if name else None for name in map(record.get, ("source", "cross_attention", "target"))
    ]
    recipe = Recipe(record["kind"], Pair.parse(record["pair"]), parent.name, parent.fingerprint, *keys)
    assert recipe.digest == digest
    return recipe


def differences(then: Mapping[str, object]) -> list[str]:
    """How this environment differs from a recorded one in what may change the last bits."""
    now = environment(torch.device("cpu"), torch.float32, 1)
    return [f"{key} is {now[key]} and was {then[key]}" for key in DECIDING if now[key] != then[key]]


def without_lineage(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != "lineage"}


def typed(lineage: dict[str, Any]) -> dict[str, Any]:
    """The lineage of revision 9be9dec without the digests of inputs, in today's keys."""
    spec = dict(lineage["spec"])
    environment, replay = spec.pop("environment", None), spec.pop("replay", None)
    names = [("start", spec.pop("start"))] if "start" in spec else []
    names += [("replayed", name) for name in spec.pop("replayed", [])]
    return {
        **lineage,
        "spec": spec,
        "environment": environment,
        "replay": replay,
        "inputs": [list(name) for name in names],
    }


def test_it_is_refused_until_it_is_upgraded(old_home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RegistryError, match="has the schema 0006 of an older version of continual_mt"):
        Registry.open(old_home)
    assert main(["registry", "upgrade", "--home", str(old_home), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["from"] == "0006"
    with Registry.open(old_home) as opened:
        found = verify(opened, fingerprints=True)
    # What it forgot to remove before is still not needed; nothing is wrong.
    assert (found.problems, found.gone) == ((), ())


def test_records_are_the_same(golden: Registry, expected: dict[str, Any]) -> None:
    for kind, records in (("parents", golden.parents()), ("modules", golden.modules())):
        found = [record.to_json() for record in records]
        later: dict[str, Any] = {"precision": "float32"}
        of_parents = {"sources": ["es"], "targets": ["en"], "denoising": False, "vocabularies": "shared"}
        later |= of_parents if kind == "parents" else {"rests_on": {}}
        assert [without_lineage(one) for one in found] == [without_lineage(one) | later for one in expected[kind]]
        for one, old in zip(found, expected[kind], strict=True):
            inputs = [[used["role"], used["module"]] for used in one["lineage"]["inputs"]]
            assert {**one["lineage"], "inputs": inputs} == typed(old["lineage"])
    new = {"logits": None, "computed_on": None, "reference_value": None}
    assert [score.to_json() for score in golden.scores()] == [score | new for score in expected["scores"]]
    sequences = golden.catalog.sequences()
    assert [sequence.to_json() for sequence in sequences] == expected["sequences"]
    cells = [cell.to_json() for sequence in sequences for cell in golden.catalog.cells(sequence.digest)]
    assert cells == [cell | {"carried": False} for cell in expected["cells"]]
    found = {name: one.to_json() for name, one in golden.annotations.of_parent("es-en").items()}
    assert found == expected["annotations"]


def test_job_digests_are_the_same(golden: Registry, expected: dict[str, Any]) -> None:
    records = [*golden.parents(), *golden.modules()]
    jobs = [golden.jobs.get(record.lineage.job or "") for record in records]
    assert [job.to_json() if job else None for job in jobs] == expected["jobs"]


def test_lineage_is_typed(golden: Registry) -> None:
    parent, first = golden.parent(), golden.module("pt-en:1")
    replayed = golden.module("pt-en:2")
    assert golden.module("es-de:3").lineage.inputs == (Input("start", first.full_name, first.digest),)
    assert replayed.lineage.inputs == (Input("replayed", "es-en", parent.fingerprint),)
    assert golden.module("es-de:2").lineage.inputs == (
        Input("start", replayed.full_name, replayed.digest),
        Input("replayed", "es-en", parent.fingerprint),
        Input("replayed", replayed.full_name, replayed.digest),
    )
    assert golden.module("es-de:2").lineage.replay == 0.5
    shared = [module.full_name for module in golden.modules() if module.shared]
    assert shared == ["es-en/es-de:2", "es-en/es-de:3", "es-en/pt-en:2"]
    holding = [one.name for one in golden.annotations.lineage("pt-en:1").dependents if one.holds]
    assert holding == ["es-en/pt-en@champion", "es-en/es-de:3"]


def test_a_record_without_the_new_keys_means_the_old_behaviour(golden: Registry) -> None:
    """A module without inputs and replay, scores without noted logits, cells that are not carried."""
    plain = golden.module("pt-en:1")
    assert (plain.lineage.inputs, plain.lineage.replay, plain.shared) == ((), None, False)
    assert {(score.logits, score.computed_on) for score in golden.scores()} == {(None, None)}
    cells = [cell for sequence in golden.catalog.sequences() for cell in golden.catalog.cells(sequence.digest)]
    assert cells
    assert not any(cell.carried for cell in cells)


def test_recipes_have_the_same_digests(golden: Registry, expected: dict[str, Any]) -> None:
    for digest, record in expected["recipes"].items():
        recipe_of(golden, record, digest)
    kinds = {record["kind"] for record in expected["recipes"].values()}
    assert kinds == {"original", "supervised", "zero-shot", "retention"}
    scopes = {
        golden.module(record["cross_attention"]).scope
        for record in expected["recipes"].values()
        if record["cross_attention"]
    }
    assert {"body", "scratch"} <= scopes


def test_translations_are_the_same(golden: Registry, expected: dict[str, Any]) -> None:
    for digest, record in expected["recipes"].items():
        recipe = recipe_of(golden, record, digest)
        found = golden.run(recipe).translate(expected["sentences"][recipe.pair.source], beam=2)
        assert found == expected["translations"][digest], recipe


def test_logits_are_the_same_where_the_environment_is(golden: Registry, expected: dict[str, Any]) -> None:
    if others := differences(golden.parent().lineage.environment or {}):
        pytest.skip(f"only translations are compared, since {', '.join(others)}")
    for digest, record in expected["recipes"].items():
        recipe = recipe_of(golden, record, digest)
        sentences = expected["sentences"]
        found = golden.run(recipe).logits_digest(sentences[recipe.pair.source], sentences[recipe.pair.target])
        assert found == expected["logits"][digest], recipe


def test_the_bundle_is_imported_into_an_empty_registry(bundle: Path, tmp_path: Path, expected: dict[str, Any]) -> None:
    with Registry.open(tmp_path / "new", create=True) as opened:
        imported = import_bundle(opened, bundle)
        names = sorted(name for _, name, _ in imported.artifacts)
        assert names == ["es-en", "es-en/es-de:1", "es-en/es-de:2", "es-en/pt-en:1"]
        assert {state for *_, state in imported.artifacts} == {"imported"}
        parent = opened.parent()
        # The bundle says by name what its second es-de went on from, and does not hold it.
        assert opened.module("es-de:2").lineage.inputs == (
            Input("start", "es-en/pt-en:2", None),
            Input("replayed", "es-en", parent.fingerprint),
            Input("replayed", "es-en/pt-en:2", None),
        )
        old = {module["name"]: module for module in expected["modules"]}
        for module in opened.modules():
            assert module.digest == old[module.full_name]["digest"]
            assert module.lineage.environment == old[module.full_name]["lineage"]["spec"]["environment"]
        assert verify(opened).problems == ()
        assert import_bundle(opened, bundle).scores == 0


def test_format_1_is_written_wherever_it_says_all(golden: Registry, bundle: Path, tmp_path: Path) -> None:
    plain, whole, part = (tmp_path / name for name in ("plain.tar", "whole.tar", "part.tar"))
    export(golden, ["pt-en:1", "es-de:1"], plain)
    export(golden, ["es-en"], whole)
    export(golden, ["es-de:2"], part)
    manifests = {}
    for path in (bundle, plain, whole, part):
        with open_bundle(path) as opened:
            opened.check()
            manifests[path.name] = opened.manifest
    assert {name: one.format for name, one in manifests.items()} == {
        "bundle.tar": 1,
        "plain.tar": 1,
        "whole.tar": 1,  # what its modules were made from is in it
        "part.tar": 2,  # the digest of what es-de:2 went on from would be lost
    }
    old = {entry.name: entry for entry in manifests["bundle.tar"].modules}
    assert {entry.name: entry for entry in manifests["plain.tar"].modules} == {
        name: entry for name, entry in old.items() if name != "es-en/es-de:2"
    }
    with Registry.open(tmp_path / "new", create=True) as opened:
        import_bundle(opened, part)
        assert opened.module("es-de:1").lineage.inputs == golden.module("es-de:2").lineage.inputs


@pytest.mark.parametrize("name", ["es-en", "pt-en:1", "es-de:2", "es-de:3", "fr-en:1"])
def test_a_record_gives_the_same_job(golden: Registry, corpora: Path, tmp_path: Path, name: str) -> None:
    record = golden.catalog.find(name)
    assert recall(golden, record, tmp_path, corpora=corpora).digest == record.lineage.job


@pytest.mark.slow
def test_a_module_is_reproduced(old_home: Path, corpora: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Registry.open(old_home, upgrade=True) as opened:
        before = opened.module("es-de:3").lineage.environment or {}
    code = main(
        [
            "registry",
            "reproduce",
            "es-de:3",
            "--home",
            str(old_home),
            "--corpora",
            str(corpora),
            "--json",
            "--in-process",
        ]
    )
    found = json.loads(capfd.readouterr().out)
    assert (code, found["verdict"]) == (0, "by score" if differences(before) else "bit for bit")
