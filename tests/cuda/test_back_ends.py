"""A parent and an addition trained on the device by whole jobs, in the process and on Ray.

What is imported from Ray's side is imported by the tests that need it: the others run where Ray is not installed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from continual_mt.config.loading import validate
from continual_mt.config.spec import AdditionSpec, ParentSpec
from continual_mt.home import BLOBS_VARIABLE, DATABASE_VARIABLE, HOME_VARIABLE, TRACKING_VARIABLE, Home
from ray_jobs.driver import Driver
from registry import ModuleRecord, Registry
from tests.cuda.conftest import HELD_OUT

VARIABLES = (HOME_VARIABLE, DATABASE_VARIABLE, BLOBS_VARIABLE, TRACKING_VARIABLE, "RAY_ADDRESS")
TRAINING = {
    "updates": 12,
    "batch_tokens": 512,
    "accumulate": 2,
    "learning_rate": 0.003,
    "warmup": 4,
    "validate_every": 6,
    "development_sentences": 20,
    "precision": "float32",
}
ARCHITECTURE = {
    "width": 32,
    "heads": 2,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "feed_forward": 64,
    "maximum_positions": 48,
}
Values = dict[str, Any]
Train = Callable[..., ModuleRecord]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def common(text: dict[str, list[str]], device: torch.device, tmp_path: Path) -> Callable[[str], Values]:
    """The keys that the specs of a parent and an addition share, for a pair."""
    for language, lines in text.items():
        for part, chosen in (("dev", lines[:HELD_OUT]), ("train", lines[HELD_OUT:])):
            (tmp_path / f"{part}.{language}").write_text("".join(f"{line}\n" for line in chosen), encoding="utf-8")

    def values(pair: str) -> Values:
        source, target = pair.split("-")
        texts = {
            part: {"source": str(tmp_path / f"{part}.{source}"), "target": str(tmp_path / f"{part}.{target}")}
            for part in ("train", "dev")
        }
        resources = {"cpus": 1, "gpus": 1 if device.type == "cuda" else 0}
        return {"pair": pair, **texts, "training": TRAINING, "vocabulary": 90, "beam": 1, "resources": resources}

    return values


@pytest.fixture
def train(common: Callable[[str], Values], tmp_path: Path) -> Train:
    """``train("home", in_process=True)`` trains the parent fr-en and adds de-en; returns the module's record."""

    def run(home: str, *, in_process: bool, resources: Values | None = None) -> ModuleRecord:
        parent = common("fr-en") | {"name": "fr-en", "architecture": ARCHITECTURE}
        parent["vocabulary"] = {"source": 90, "target": 80}
        addition = common("de-en") | {"parent": "fr-en", "scope": "xattn", "initialisation": "random"}
        addition["resources"] = {**addition["resources"], **(resources or {})}
        with Driver(Home(tmp_path / home), in_process=in_process) as driver:
            driver.train_parent(validate(ParentSpec, parent, origin="the test", base=tmp_path))
            outcome = driver.add_language(validate(AdditionSpec, addition, origin="the test", base=tmp_path))
        assert isinstance(outcome.record, ModuleRecord)
        return outcome.record

    return run


def name_of(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


@pytest.mark.cuda
def test_a_job_in_the_process_trains_on_the_device(train: Train, device: torch.device, tmp_path: Path) -> None:
    """Its record names the device, and training the same again gives the same module."""
    record = train("first", in_process=True)
    environment = record.lineage.environment
    assert environment is not None
    assert (environment["device"], environment["precision"]) == (name_of(device), "float32")
    assert train("second", in_process=True).digest == record.digest
    with Registry.open(tmp_path / "first") as registry:
        assert registry.assemble("de", "en").translate(["das Haus ist klein aber nicht groß."])


@pytest.mark.cuda_ray
def test_ray_gives_the_module_of_a_job_in_the_process(train: Train, device: torch.device) -> None:
    on_ray = train("ray", in_process=False)
    environment = on_ray.lineage.environment
    assert environment is not None
    assert environment["device"] == name_of(device)
    assert on_ray.digest == train("process", in_process=True).digest


@pytest.mark.cuda_ray
def test_two_workers_of_ray_share_the_device(train: Train, device: torch.device) -> None:
    """Each gets half of it, and gradients go through Gloo: NCCL refuses two processes on one GPU."""
    half = {"gpus": 0.5} if device.type == "cuda" else {}
    record = train("two", in_process=False, resources={"workers": 2, **half})
    environment = record.lineage.environment
    assert environment is not None
    assert (environment["device"], environment["workers"]) == (name_of(device), 2)
