"""Additions that back-translate: text without a translation, in both directions of the method, by what exists."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from continual_mt.config.spec import AdditionSpec
from continual_mt.data.back_translation import TAG
from continual_mt.home import Home
from ray_jobs import Driver
from ray_jobs.planning.job_from_record import recall
from registry import ModuleRecord

Values = dict[str, Any]
AdditionOf = Callable[..., AdditionSpec]
FEW: Values = {"training": {"updates": 4, "validate_every": 2}, "scope": "half"}
MANY: Values = {"training": {"updates": 100, "validate_every": 100, "learning_rate": 0.01}, "scope": "half"}
"""Enough to translate into something, however wrong."""


@pytest.fixture(scope="module")
def standing(untrained_home: Path, addition_spec: AdditionOf, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which pt-de can be run, as a zero-shot recipe, and de-pt cannot."""
    home = Path(shutil.copytree(untrained_home, tmp_path_factory.mktemp("standing") / "home"))
    with Driver(Home(home), in_process=True) as driver:
        for pair in ("pt-en", "es-de"):
            driver.add_language(addition_spec(pair, MANY))
    return home


@pytest.fixture
def driver(standing: Path, tmp_path: Path) -> Iterator[Driver]:
    with Driver(Home(Path(shutil.copytree(standing, tmp_path / "home"))), in_process=True) as opened:
        yield opened


@pytest.fixture
def text(corpora: Path, tmp_path: Path) -> Path:
    """40 sentences of Portuguese, of which one is there twice, and a blank line."""
    lines = (corpora / "train.pt").read_text(encoding="utf-8").splitlines()[:40]
    path = tmp_path / "more.pt"
    path.write_text("".join(f"{line}\n" for line in [*lines, lines[0], " "]), encoding="utf-8")
    return path


def spec_of(addition_spec: AdditionOf, text: Path, **more: Any) -> AdditionSpec:
    """de-pt, which keeps all translations of an untrained model, however long they are."""
    asked = {"text": str(text), "maximum_ratio": 1000.0, **more}
    return addition_spec("de-pt", FEW, back_translation=asked)


@pytest.mark.parametrize(("first", "new"), [("de-en", "target"), ("es-pt", "source")])
def test_both_directions(
    driver: Driver,
    addition_spec: AdditionOf,
    text: Path,
    first: str,
    new: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    driver.add_language(addition_spec(first, FEW))
    spec = spec_of(addition_spec, text)
    job = driver.resolve(spec)
    module = driver.run(job).record
    assert isinstance(module, ModuleRecord)
    assert module.side == new
    messages = capfd.readouterr().err
    assert messages.count("lines of more.pt were translated by zero-shot pt-de") == 1
    assert "back-translations of more.pt are kept" in messages
    assert "50% of the batches are back-translations" in messages
    (tokenizer,) = (side.tokenizer for side in driver.registry.load_module(module.full_name).new_sides.values())
    assert tokenizer.number(TAG) == tokenizer.size - 1
    assert recall(driver.registry, module, driver.home.cache).digest == job.digest
    roles = [(role, corpus.name, corpus.sentences) for role, corpus in module.lineage.corpora]
    assert roles[:2] == [("train", "train.de + train.pt", 219), ("train", "back-translations of more.pt", 40)]
    assert roles[4:] == [("monolingual", "more.pt", 41)]
    translated_by = module.lineage.named("translated-by")
    assert [one.module for one in translated_by] == ["es-en/pt-en:1", "es-en/es-de:1"]
    assert {one.recipe for one in translated_by} == {module.lineage.spec["back_translation"]["recipe"]}
    assert module.lineage.spec["monolingual"] == (str(text) if new == "target" else None)
