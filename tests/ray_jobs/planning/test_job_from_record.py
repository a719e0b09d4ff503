"""A job from its record: the same work, or every reason at once why it cannot be done again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from continual_mt.artifacts.module import Module
from continual_mt.config.loading import validate
from continual_mt.config.spec import AdditionSpec
from continual_mt.errors import IncompatibleError, SpecError
from continual_mt.languages import Pair
from continual_mt.model.scopes import trainable_names
from ray_jobs.planning.job_from_record import recall
from ray_jobs.planning.resolve import ReplayedPair, ResolvedJob, resolve
from ray_jobs.tracking.lineage import lineage
from registry import Input, JobRecord, Lineage, ModuleRecord, Registry
from registry.records.values import JSONObject, now
from tests.ray_jobs.programs import Values

THREADS = 3


def register(registry: Registry, pair: Pair, lineage: Lineage) -> ModuleRecord:
    """A module that is as its parent is, of this lineage."""
    parent = registry.load_parent("es-en")
    side = parent.languages.new_side(pair)
    tensors = {name: parent.tensors[name] for name in trainable_names(parent.architecture, "xattn", side)}
    module = Module.of(parent, pair, "xattn", tensors, parent.tokenizer(side))
    return registry.register_module("es-en", module, lineage=lineage)


def lineage_of(job: ResolvedJob) -> Lineage:
    held = JobRecord(job.digest, "addition", "running", 1, None, None, None, now(), now())
    return lineage(job, held, None, [], {"torch": "2.0", "threads": THREADS})


@dataclass(frozen=True)
class Recorded:
    """pt-en, which continued from es-de and replayed it; its texts are in a separate folder."""

    registry: Registry
    record: ModuleRecord
    job: ResolvedJob
    texts: Path
    cache: Path

    def recall(self, **options: Any) -> ResolvedJob:
        return recall(self.registry, self.record, self.cache, **options)

    def problems(self, record: ModuleRecord | None = None, **options: Any) -> tuple[str, ...]:
        with pytest.raises(SpecError) as caught:
            recall(self.registry, record or self.record, self.cache, **options)
        assert caught.value.origin == "es-en/pt-en:1 cannot be trained again"
        return caught.value.problems


@pytest.fixture
def recorded(registry: Registry, addition_values: Callable[..., Values], corpora: Path, tmp_path: Path) -> Recorded:
    texts = Path(shutil.copytree(corpora, tmp_path / "texts"))

    def job(pair: str) -> ResolvedJob:
        source, target = pair.split("-")
        files = {
            role: {"source": str(texts / f"{role}.{source}"), "target": str(texts / f"{role}.{target}")}
            for role in ("train", "dev")
        }
        spec = validate(AdditionSpec, addition_values(pair, files, tests=[]), origin="the test", base=tmp_path)
        return resolve(spec, registry.parent("es-en"), tmp_path)

    earlier, later = job("es-de"), job("pt-en")
    start = register(registry, earlier.pair, lineage_of(earlier))
    later = replace(later, start=start, replay=0.5, replayed=(ReplayedPair(earlier.train, start),))
    return Recorded(registry, register(registry, later.pair, lineage_of(later)), later, texts, tmp_path)


def test_the_same_work_is_recalled(recorded: Recorded) -> None:
    found = recorded.recall()
    assert found.digest == recorded.job.digest
    assert (found.start, found.replay) == (recorded.job.start, 0.5)
    assert found.tests == ()


def test_as_many_threads_as_on_record_unless_others_are_asked_for(recorded: Recorded) -> None:
    assert recorded.recall().spec.resources.cpus == THREADS
    assert recorded.recall(resources={"cpus": 2}).spec.resources.cpus == 2


def test_every_problem_at_once(recorded: Recorded) -> None:
    texts = recorded.texts
    with (texts / "train.pt").open("a", encoding="utf-8") as file:
        file.write("mais\n")
    with (texts / "train.en").open("a", encoding="utf-8") as file:
        file.write("more\n")
    (texts / "dev.pt").unlink()
    (texts / "train.de").unlink()
    lineage = recorded.record.lineage
    inputs = (Input("start", "es-en/es-pt:9"), *lineage.named("replayed"))
    record = replace(recorded.record, lineage=replace(lineage, inputs=inputs))
    train, dev, replayed, start = recorded.problems(record)
    digests = [corpus.digest[:12] for _, corpus in record.lineage.corpora]
    changed = f"{texts / 'train.pt'} + {texts / 'train.en'}: another text, with the digest "
    assert train.startswith(
        f"the training text, train.pt + train.en with the digest {digests[0]}, was not found ({changed}"
    )
    assert train.endswith("; put it back as it was, or say with --corpora FOLDER where it lies now")
    assert dev.startswith(f"the development text, dev.pt + dev.en with the digest {digests[2]}, was not found (")
    assert f"{texts / 'dev.pt'}: no such file" in dev
    assert replayed.startswith("the text of es-en/es-de:1, which was replayed, train.es + train.de with the digest ")
    assert start == f"the module es-en/es-pt:9, which it continued from, is no longer in {recorded.registry.name}"


def test_another_module_of_the_recorded_name_is_a_problem(recorded: Recorded) -> None:
    lineage = recorded.record.lineage
    inputs = tuple(replace(one, digest="0" * 64) if one.role == "start" else one for one in lineage.inputs)
    (problem,) = recorded.problems(replace(recorded.record, lineage=replace(lineage, inputs=inputs)))
    digest = recorded.registry.module("es-de:1").digest
    assert problem == (
        f"the module es-en/es-de:1, which it continued from, had the digest {'0' * 64}; the one of this name in "
        f"{recorded.registry.name} has {digest}"
    )


def test_texts_that_were_moved_are_known_by_their_digests(recorded: Recorded, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    (moved / "texts").mkdir(parents=True)
    # What lies nearest by its name is another text.
    for file in recorded.texts.iterdir():
        (moved / file.name).write_text("another text\n", encoding="utf-8")
    recorded.texts.rename(tmp_path / "away")
    train, dev, replayed = recorded.problems(corpora=moved)
    assert "train.pt" in train
    assert "train.de" in replayed
    assert f"{moved / 'dev.pt'} + {moved / 'dev.en'}: another text" in dev
    assert dev.endswith("; put it back as it was")
    shutil.copytree(tmp_path / "away", moved / "texts", dirs_exist_ok=True)
    found = recorded.recall(corpora=moved)
    assert found.digest == recorded.job.digest
    assert found.spec.train.source == moved / "texts" / "train.pt"
    assert found.replayed[0].train.spec.target == moved / "texts" / "train.de"


def test_what_was_not_trained_here_has_nothing_to_repeat(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(IncompatibleError, match=r"es-en was not trained by a job of this project \(it was imported"):
        recall(registry, registry.parent("es-en"), tmp_path)


def test_a_spec_that_this_version_does_not_read(recorded: Recorded) -> None:
    spec: JSONObject = {**recorded.record.lineage.spec, "speed": 3}
    record = replace(recorded.record, lineage=replace(recorded.record.lineage, spec=spec))
    with pytest.raises(SpecError, match="the spec on record of es-en/pt-en:1: one problem:\n  - speed: unknown key"):
        recall(recorded.registry, record, recorded.cache)
